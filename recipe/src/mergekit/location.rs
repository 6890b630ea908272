//! Where mergekit's model paths lead, as URIs, and the names that checkpoints get from them.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use url::Url;

use crate::CheckpointName;

/// A model and the adapter that is added to it, where a path says both: `./model+./adapter`.
pub(super) fn adapted(model: &str) -> Option<(&str, &str)> {
    model.split_once('+').filter(|_| !model.contains("://"))
}

/// The URI of a model path: a URI stays as it is, a local path becomes `file://`, relative to `folder`. Of a model with an
/// adapter, that of the adapter.
pub(super) fn to_uri(model: &str, folder: &str) -> Result<String, String> {
    if model.contains("://") {
        return Ok(model.to_owned());
    }
    if let Some((_, adapter)) = adapted(model) {
        if adapter.contains('+') {
            return Err(format!("{model:?} adds two adapters to a model, expected one"));
        }
        return to_uri(adapter, folder);
    }
    if is_hub_name(model) {
        return Err(format!(
            "{model:?} is a model of the hub, which is not fetched; expected a path (./{model} for a folder beside \
             the YAML) or a URI"
        ));
    }
    let path = without_dots(&Path::new(folder).join(model));
    let url = Url::from_file_path(&path);
    url.map(String::from)
        .map_err(|()| format!("{model:?} can't be found from {folder:?}, which is not absolute"))
}

/// What mergekit opens: the path of a `file://` URI, any other URI as it is.
pub(super) fn to_model(uri: &str) -> Result<String, String> {
    if !uri.starts_with("file:") {
        return Ok(uri.to_owned());
    }
    let path = Url::parse(uri).ok().and_then(|url| url.to_file_path().ok());
    let path = path.and_then(|path| path.to_str().map(str::to_owned));
    let path = path.ok_or_else(|| format!("{uri:?} is no file:///absolute/folder"))?;
    if path.contains(['+', '@']) {
        return Err(format!(
            "{path:?}: mergekit takes + and @ in a path for a LoRA and a revision; rename the folder"
        ));
    }
    Ok(path)
}

/// `name`, `owner/name` and anything with a revision, as the hub writes them.
fn is_hub_name(model: &str) -> bool {
    let relative = !model.starts_with(['/', '.']);
    relative && (model.contains('@') || model.trim_end_matches('/').matches('/').count() < 2)
}

/// The path without `.` and `..`. Like a URL's, `..` takes the written parent, whatever links there are.
fn without_dots(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut clean, component| {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            part => clean.push(part),
        }
        clean
    })
}

/// Gives out names that are valid and different from each other.
#[derive(Default)]
pub(super) struct Names(HashSet<CheckpointName>);

impl Names {
    /// A name from the last component of a model's path; `-2`, `-3` and so on behind it when it is taken.
    #[expect(clippy::expect_used, reason = "a stem is lower-case, trimmed, not empty and short")]
    pub(super) fn take(&mut self, model: &str) -> CheckpointName {
        let stem = stem(model);
        let mut candidate = stem.clone();
        let mut count = 1_u32;
        loop {
            let name = CheckpointName::try_from(candidate).expect("a stem, with a number or not, is a name");
            if self.0.insert(name.clone()) {
                return name;
            }
            count += 1;
            // 63 characters at most, with room for any number.
            let short: String = stem.chars().take(52).collect();
            candidate = format!("{}-{count}", short.trim_end_matches('-'));
        }
    }
}

fn stem(model: &str) -> String {
    let last = model.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let mut stem: String = last
        .chars()
        .map(|letter| letter.to_ascii_lowercase())
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
        .skip_while(|&letter| letter == '-')
        .take(63)
        .collect();
    stem.truncate(stem.trim_end_matches('-').len());
    if stem.is_empty() { "checkpoint".to_owned() } else { stem }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("/pool/a", Ok("file:///pool/a"))]
    #[case("/pool/a b/", Ok("file:///pool/a%20b"))]
    #[case("./a", Ok("file:///home/me/a"))]
    #[case("../runs/./a", Ok("file:///home/runs/a"))]
    #[case("runs/sft/a", Ok("file:///home/me/runs/sft/a"))]
    #[case("s3://pool/a+b@c", Ok("s3://pool/a+b@c"))]
    #[case("./a+./b", Ok("file:///home/me/b"))]
    #[case("./a+./b+./c", Err("two adapters"))]
    #[case("./a+b", Err("./b for a folder"))]
    #[case("gpt2", Err("./gpt2 for a folder"))]
    #[case("mistralai/Mistral-7B-v0.1", Err("is a model of the hub"))]
    #[case("runs/sft/a@main", Err("is a model of the hub"))]
    fn paths_become_uris(#[case] model: &str, #[case] expected: Result<&str, &str>) {
        match (to_uri(model, "/home/me"), expected) {
            (Ok(uri), Ok(expected)) => assert_eq!(uri, expected),
            (Err(reason), Err(part)) => assert!(reason.contains(part), "{reason}"),
            (got, _) => panic!("{got:?}"),
        }
    }

    #[rstest]
    #[case("file:///pool/a%20b", Ok("/pool/a b"))]
    #[case("s3://pool/a", Ok("s3://pool/a"))]
    #[case("file://host/a", Err("no file:///absolute/folder"))]
    #[case("file:///pool/a+b", Err("rename the folder"))]
    fn uris_become_paths(#[case] uri: &str, #[case] expected: Result<&str, &str>) {
        match (to_model(uri), expected) {
            (Ok(model), Ok(expected)) => assert_eq!(model, expected),
            (Err(reason), Err(part)) => assert!(reason.contains(part), "{reason}"),
            (got, _) => panic!("{got:?}"),
        }
    }

    #[test]
    fn names_are_valid_and_different() {
        let mut names = Names::default();
        let long = "x".repeat(80);
        let models = ["/a/Mistral_7B.v1/", "s3://b/mistral-7b-v1", "/", "/a/--", &long, &long];
        let taken = models.map(|model| String::from(names.take(model)));
        let expected = [
            "mistral-7b-v1".to_owned(),
            "mistral-7b-v1-2".to_owned(),
            "checkpoint".to_owned(),
            "checkpoint-2".to_owned(),
            "x".repeat(63),
            format!("{}-2", "x".repeat(52)),
        ];
        assert_eq!(taken, expected);
    }
}
