//! The pictures of the page, as options of Apache `ECharts`: data only, no functions. Colours are told apart by the colour-blind,
//! and shapes and dashes tell the same without colour.

mod course;
mod gains;
mod pool;
mod weights;

use std::fs;
use std::path::Path;

use mergesearch_report::{Picture, Size, picture};
use serde_json::{Value, json};

use crate::error::StudyError;
use crate::results::{Results, write_whole};

/// Blue, vermilion, green and purple of Okabe and Ito's palette, and greys.
const BLUE: &str = "#0072B2";
const VERMILION: &str = "#D55E00";
const GREEN: &str = "#009E73";
const INK: &str = "#222222";
const GREY: &str = "#777777";
const PALE: &str = "#DDDDDD";

/// A picture to be drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawing {
    /// The file's name without its ending.
    pub name: &'static str,
    /// `ECharts` options.
    pub options: Value,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// The pictures of the page; none without results.
pub fn drawings(results: &Results) -> Vec<Drawing> {
    if results.searches.is_empty() {
        return Vec::new();
    }
    vec![
        Drawing { name: "gains", options: gains::options(results), width: 860, height: 420 },
        Drawing { name: "course", options: course::options(results), width: 860, height: 440 },
        Drawing { name: "weights", options: weights::options(results), width: 860, height: 460 },
        Drawing { name: "removals", options: weights::removals(results), width: 860, height: 480 },
        Drawing { name: "pool-size", options: pool::options(results), width: 860, height: 420 },
    ]
}

/// Draws the pictures into a folder as SVG, and into another as PNG where one is given.
///
/// # Errors
/// When a picture can't be drawn or written.
pub fn draw(results: &Results, folder: &Path, bitmaps: Option<&Path>) -> Result<(), StudyError> {
    for folder in [Some(folder), bitmaps].into_iter().flatten() {
        fs::create_dir_all(folder).map_err(StudyError::at(folder))?;
    }
    for drawing in drawings(results) {
        let Picture { svg, png, .. } = drawing.picture()?;
        write_whole(&folder.join(format!("{}.svg", drawing.name)), svg.as_bytes())?;
        if let Some(bitmaps) = bitmaps {
            write_whole(&bitmaps.join(format!("{}.png", drawing.name)), &png)?;
        }
    }
    Ok(())
}

impl Drawing {
    /// The picture itself.
    ///
    /// # Errors
    /// When `ECharts` refuses the options, which is a fault of this crate.
    fn picture(&self) -> Result<Picture, StudyError> {
        let size = Size { width: self.width, height: self.height };
        picture(self.name, &self.options, size)
            .map_err(|source| StudyError::Picture { name: self.name, source })
    }
}

/// What every picture shares, with a title and room for the axes' names.
fn base(title: &str, left: u32) -> Value {
    json!({
        "animation": false,
        "backgroundColor": "#FFFFFF",
        "textStyle": { "color": INK },
        "title": { "text": title, "left": 12, "top": 8, "textStyle": { "fontSize": 15, "color": INK } },
        "legend": { "top": 36, "left": 12, "itemGap": 18, "textStyle": { "color": INK } },
        "grid": { "left": left, "right": 40, "top": 74, "bottom": 56 },
    })
}

/// An axis of numbers with a name in its middle.
fn value_axis(name: &str) -> Value {
    json!({
        "type": "value",
        "name": name,
        "nameLocation": "middle",
        "nameGap": 34,
        "scale": true,
        "nameTextStyle": { "color": INK },
        "axisLabel": { "color": INK },
        "axisLine": { "show": true, "lineStyle": { "color": GREY } },
        "splitLine": { "lineStyle": { "color": PALE } },
    })
}

/// An axis of names, the first at the beginning.
fn category_axis(names: &[String]) -> Value {
    json!({
        "type": "category",
        "data": names,
        "axisLabel": { "color": INK },
        "axisLine": { "lineStyle": { "color": GREY } },
        "axisTick": { "show": false },
    })
}

/// A line where a horizontal axis is 0.
fn zero_line() -> Value {
    json!({
        "silent": true,
        "symbol": "none",
        "label": { "show": false },
        "lineStyle": { "color": INK, "type": "solid", "width": 1 },
        "data": [{ "xAxis": 0 }],
    })
}

/// A fraction in points with two decimals, so that pictures hold no more digits than they show.
fn points(value: f64) -> f64 {
    crate::rows::rounded(100.0 * value, 2)
}

/// Small points: one search each.
fn each_seed(name: &str, colour: &str, data: &[Value]) -> Value {
    json!({
        "name": name,
        "type": "scatter",
        "symbol": "circle",
        "symbolSize": 7,
        "itemStyle": { "color": "rgba(255,255,255,0)", "borderColor": colour, "borderWidth": 1.2 },
        "data": data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pictures can't drift from the results: `make study-tables` draws them anew.
    #[test]
    fn the_pictures_show_the_results_that_are_beside_them() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/study"));
        for drawing in drawings(&Results::read(folder).unwrap()) {
            let path = folder.join(format!("{}.svg", drawing.name));
            let shown = fs::read_to_string(&path).unwrap();
            let svg = drawing.picture().unwrap().svg;
            assert!(svg == shown, "{} differs from docs/study/*.csv: run make study-tables", path.display());
        }
    }

    #[test]
    fn pictures_hold_data_only_and_nothing_without_results() {
        assert_eq!(drawings(&Results::default()), []);
        let results =
            Results::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/study"))).unwrap();
        for drawing in drawings(&results) {
            let text = drawing.options.to_string();
            assert!(!text.contains("null"), "{}: a number is missing in {text}", drawing.name);
        }
    }
}
