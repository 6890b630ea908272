//! The model card of a published merge: what it was made of, by what recipe, and how it scored.

use std::fmt::Write;

use mergesearch_recipe::Recipe;

use crate::pool::{PinnedSource, Pool};

/// What only the caller of a publication knows.
#[derive(Debug, Clone, Default)]
pub struct Publication {
    /// The card's title. Default: "Merged model".
    pub title: Option<String>,
    /// Markdown about scores, often a table; it gets a section of its own.
    pub scores: Option<String>,
}

/// README.md in the Hub's form. `recipe_yaml` is the recipe in our own format.
pub(crate) fn write(publication: &Publication, pool: &Pool, recipe: &Recipe, recipe_yaml: &str) -> String {
    let mut card = String::from(
        "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- merge\n- mergesearch\n---\n\n",
    );
    let title = publication.title.as_deref().unwrap_or("Merged model");
    let count = recipe.checkpoints.len();
    let plural = if count == 1 { "" } else { "s" };
    let base = recipe.base.as_ref().map(|base| format!(", on the base `{}`", base.name)).unwrap_or_default();
    // Writing to a String doesn't fail; the results are let go.
    let _ = write!(
        card,
        "# {title}\n\nA merge of {count} checkpoint{plural} by the method `{}`{base}, made without any training.\n",
        recipe.method
    );
    if let Some(scores) = &publication.scores {
        let _ = write!(card, "\n## Scores\n\n{}\n", scores.trim_end());
    }
    card.push_str("\n## Sources\n\n");
    card.push_str(&source_table(pool, recipe));
    let _ = write!(
        card,
        "\n## Recipe\n\nThe exact recipe (`recipe.yaml`):\n\n```yaml\n{}\n```\n\n\
         `mergekit_config.yml`, where there is one, is the same merge in mergekit's language. Weights are applied in \
         float64 and rounded once to the output's type.\n",
        recipe_yaml.trim_end()
    );
    card
}

/// Names, places and weights of the recipe's sources, and below every file with the version that was read.
fn source_table(pool: &Pool, recipe: &Recipe) -> String {
    let weights = match recipe.groups.as_slice() {
        [group] => Some(&group.weights),
        _ => None,
    };
    let mut table = String::from("| Checkpoint | Weight | Location |\n| --- | ---: | --- |\n");
    let mut files = String::new();
    for (place, checkpoint) in recipe.checkpoints.iter().chain(&recipe.base).enumerate() {
        let weight = match weights.map(|weights| weights.get(place)) {
            None if place < recipe.checkpoints.len() => "by group".to_owned(),
            Some(Some(weight)) => weight.to_string(),
            _ => "base".to_owned(),
        };
        let _ = writeln!(table, "| {} | {weight} | {} |", checkpoint.name, code(&checkpoint.uri));
        let pinned = pool.sources().find(|source| *source.name == checkpoint.name);
        for file in pinned.iter().flat_map(|PinnedSource { files, .. }| *files) {
            let _ = writeln!(
                files,
                "| {} | {} | {} | {} |",
                checkpoint.name,
                code(file.name()),
                file.size,
                code(&file.etag)
            );
        }
    }
    table
        + "\n<details><summary>Files read, with their versions</summary>\n\n\
           | Checkpoint | File | Bytes | ETag |\n| --- | --- | ---: | --- |\n"
        + &files
        + "\n</details>\n"
}

/// Inline code in a table's cell: what would end either is replaced.
fn code(text: &str) -> String {
    let plain = |character: char| !character.is_control() && character != '`' && character != '|';
    let text: String = text.chars().map(|character| if plain(character) { character } else { '?' }).collect();
    format!("`{text}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_cell() {
        assert_eq!(code("a`|\n<b>"), "`a???<b>`");
    }
}
