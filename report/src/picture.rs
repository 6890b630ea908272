//! Pictures as files: SVG from the figures, PNG from the SVG.

use std::sync::{Arc, OnceLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{Options, Tree};

use crate::Report;
use crate::engine::{Drawing, FigureError, Size, draw_options, draw_report};

/// Pixels of a PNG for one of the figure's, in each direction: sharp on dense screens and in print.
const SCALE: f32 = 2.0;

/// The family that every figure names first.
const FAMILY: &str = "Liberation Sans";

/// A picture in two forms.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// A file name without its ending, for instance `convergence`.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// SVG text.
    pub svg: String,
    /// PNG bytes.
    pub png: Vec<u8>,
}

/// Draws every picture of a report, in the order of the page, in light colours.
///
/// # Errors
/// When the figures' code fails, which is a fault of this crate.
pub fn pictures(report: &Report) -> Result<Vec<Picture>, FigureError> {
    let report = serde_json::to_string(report).map_err(|error| FigureError::Malformed(error.to_string()))?;
    draw_report(&report)?
        .into_iter()
        .map(|Drawing { name, title, svg }| Ok(Picture { name, title, png: png(&svg)?, svg }))
        .collect()
}

/// Draws one picture from [ECharts options](https://echarts.apache.org/en/option.html) without functions.
///
/// The options start from those of the report's figures: its font, its colours, no animation.
///
/// # Errors
/// When ECharts refuses the options.
pub fn picture(name: &str, options: &serde_json::Value, size: Size) -> Result<Picture, FigureError> {
    let svg = draw_options(&options.to_string(), size)?;
    let title = options["title"]["text"].as_str().unwrap_or(name).to_owned();
    Ok(Picture { name: name.to_owned(), title, png: png(&svg)?, svg })
}

fn png(svg: &str) -> Result<Vec<u8>, FigureError> {
    let malformed = |error: &dyn std::fmt::Display| FigureError::Malformed(error.to_string());
    let options = Options { fontdb: fonts(), font_family: FAMILY.to_owned(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|error| malformed(&error))?;
    let pixels = |length: f32| (length * SCALE).ceil() as u32;
    let mut pixmap = Pixmap::new(pixels(tree.size().width()), pixels(tree.size().height()))
        .ok_or_else(|| malformed(&"it has no size"))?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixmap.as_mut());
    pixmap.encode_png().map_err(|error| malformed(&error))
}

/// Our own letters, so that pictures look the same everywhere; the system's for those it lacks.
fn fonts() -> Arc<Database> {
    static FONTS: OnceLock<Arc<Database>> = OnceLock::new();
    let fonts = FONTS.get_or_init(|| {
        let mut fonts = Database::new();
        fonts.load_system_fonts();
        fonts.load_font_data(include_bytes!("../assets/fonts/LiberationSans-Regular.ttf").to_vec());
        fonts.load_font_data(include_bytes!("../assets/fonts/LiberationSans-Bold.ttf").to_vec());
        fonts.set_sans_serif_family(FAMILY);
        Arc::new(fonts)
    });
    Arc::clone(fonts)
}
