//! The page of the study: prose by people, and parts between markers that are made from the results.
//!
//! A part stands between the lines `<!-- begin NAME -->` and `<!-- end NAME -->`.

use std::fs;
use std::path::Path;

use crate::error::StudyError;
use crate::results::{Results, write_whole};
use crate::tables::parts;

/// Writes the generated parts of the page anew; everything else stays.
///
/// # Errors
/// When the page can't be read or written, or lacks a part.
pub fn update(page: &Path, results: &Results) -> Result<(), StudyError> {
    let text = fs::read_to_string(page).map_err(StudyError::at(page))?;
    write_whole(page, rendered(&text, page, results)?.as_bytes())
}

/// The page's text with its generated parts made anew.
///
/// # Errors
/// When the text lacks a part.
pub fn rendered(text: &str, page: &Path, results: &Results) -> Result<String, StudyError> {
    parts(results).into_iter().try_fold(text.to_owned(), |text, (name, part)| {
        with_part(&text, name, &part).ok_or_else(|| StudyError::Marker {
            path: page.to_owned(),
            expected: format!("{} and {}", begin(name), end(name)),
        })
    })
}

fn begin(name: &str) -> String {
    format!("<!-- begin {name} -->")
}

fn end(name: &str) -> String {
    format!("<!-- end {name} -->")
}

/// The text with what stands between a part's markers replaced; `None` when they are not there, in order.
fn with_part(text: &str, name: &str, part: &str) -> Option<String> {
    let (before, rest) = text.split_once(&begin(name))?;
    let (_, after) = rest.split_once(&end(name))?;
    Some(format!("{before}{}\n\n{}\n\n{}{after}", begin(name), part.trim_end(), end(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_markers_is_replaced() {
        let text = "Above.\n<!-- begin a -->\nold\n<!-- end a -->\nBelow.\n";
        let once = with_part(text, "a", "| new |\n").unwrap();
        assert_eq!(once, "Above.\n<!-- begin a -->\n\n| new |\n\n<!-- end a -->\nBelow.\n");
        assert_eq!(with_part(&once, "a", "| new |\n").unwrap(), once);
        assert_eq!(with_part(text, "b", ""), None);
    }

    /// The tables can't drift from the results: `make study-tables` writes them anew.
    #[test]
    fn the_page_shows_the_results_that_are_beside_it() {
        let docs = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs"));
        let page = docs.join("study.md");
        let text = fs::read_to_string(&page).unwrap();
        let results = Results::read(&docs.join("study")).unwrap();
        let rendered = rendered(&text, &page, &results).unwrap();
        assert!(text == rendered, "docs/study.md differs from docs/study/*.csv: run make study-tables");
    }
}
