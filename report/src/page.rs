//! The page: one HTML file with everything in it.

use crate::Report;
use crate::engine::{ECHARTS, FIGURES, FigureError};

/// The report as one HTML file that needs no network.
///
/// # Errors
/// Never for a report of a real search: all of it can be written as JSON.
pub fn page(report: &Report) -> Result<String, FigureError> {
    let data = serde_json::to_string(report).map_err(|error| FigureError::Malformed(error.to_string()))?;
    let mut rest = include_str!("../assets/page.html");
    let mut page = String::with_capacity(ECHARTS.len() + data.len() + 100_000);
    // In the order of the template, so that no content is taken for a mark.
    for (mark, content) in [
        ("{{title}}", escaped(&report.name)),
        ("{{style}}", include_str!("../assets/page.css").to_owned()),
        // A text with "</script>" would end the script it stands in.
        ("{{data}}", data.replace('<', "\\u003c")),
        ("{{library}}", ECHARTS.to_owned()),
        ("{{figures}}", FIGURES.concat()),
        ("{{script}}", include_str!("../assets/page.js").to_owned()),
    ] {
        let Some((before, after)) = rest.split_once(mark) else {
            return Err(FigureError::Malformed(format!("the page has no place for {mark}")));
        };
        page.extend([before, &content]);
        rest = after;
    }
    page.push_str(rest);
    Ok(page)
}

/// Text as HTML shows it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
