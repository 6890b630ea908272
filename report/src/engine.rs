//! Runs the figures' JavaScript without a browser: data in, SVG out.

use std::thread;

use rquickjs::{CatchResultExt as _, CaughtError, Context, Ctx, Runtime};
use serde::Deserialize;

/// Apache ECharts, as the page has it too.
pub(crate) const ECHARTS: &str = include_str!("../assets/echarts.min.js");

/// The figures, in an order in which each file finds what it uses.
pub(crate) const FIGURES: &[&str] = &[
    include_str!("../assets/figures/theme.js"),
    include_str!("../assets/figures/trials.js"),
    include_str!("../assets/figures/front.js"),
    include_str!("../assets/figures/convergence.js"),
    include_str!("../assets/figures/weights.js"),
    include_str!("../assets/figures/agreement.js"),
    include_str!("../assets/figures/timeline.js"),
    include_str!("../assets/figures/contribution.js"),
    include_str!("../assets/figures/all.js"),
    include_str!("../assets/figures/draw.js"),
];

/// ECharts' option trees are walked by recursion; the interpreter counts its own stack against this.
const STACK: usize = 8 << 20;

/// Why a figure was not drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FigureError {
    /// The figures' code or ECharts failed.
    #[error("internal: the figures could not be drawn: {0}")]
    Script(String),
    /// ECharts' picture is none, or the options hold what JSON can't.
    #[error("internal: a figure is not as expected: {0}")]
    Malformed(String),
}

/// Width and height of a picture in CSS pixels; a PNG has twice as many in each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

/// A figure as SVG.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Drawing {
    /// A file name without its ending.
    pub(crate) name: String,
    /// What it shows.
    pub(crate) title: String,
    /// The SVG text.
    pub(crate) svg: String,
}

/// Draws the figures of a report, given as JSON.
pub(crate) fn draw_report(report: &str) -> Result<Vec<Drawing>, FigureError> {
    let drawings = run(&format!("JSON.stringify(drawReport({report}))"))?;
    serde_json::from_str(&drawings).map_err(|error| FigureError::Malformed(error.to_string()))
}

/// Draws ECharts options, given as JSON.
pub(crate) fn draw_options(options: &str, size: Size) -> Result<String, FigureError> {
    let Size { width, height } = size;
    run(&format!("drawOptions({options}, {width}, {height})"))
}

/// Evaluates an expression to a text, on a thread with a stack of its own: the caller's may be small.
fn run(expression: &str) -> Result<String, FigureError> {
    thread::scope(|scope| {
        let interpreter = thread::Builder::new()
            .stack_size(2 * STACK)
            .spawn_scoped(scope, || evaluate(expression))
            .map_err(|error| FigureError::Script(error.to_string()))?;
        interpreter.join().unwrap_or_else(|_| Err(FigureError::Script("the interpreter failed".to_owned())))
    })
}

fn evaluate(expression: &str) -> Result<String, FigureError> {
    let runtime = Runtime::new().map_err(|error| FigureError::Script(error.to_string()))?;
    runtime.set_max_stack_size(STACK);
    let context = Context::full(&runtime).map_err(|error| FigureError::Script(error.to_string()))?;
    context.with(|context| {
        for script in [include_str!("../assets/no-browser.js"), ECHARTS].iter().chain(FIGURES) {
            said(&context, context.eval::<(), _>(*script))?;
        }
        said(&context, context.eval::<String, _>(expression))
    })
}

fn said<'js, T>(context: &Ctx<'js>, result: rquickjs::Result<T>) -> Result<T, FigureError> {
    result.catch(context).map_err(|error: CaughtError<'js>| FigureError::Script(error.to_string()))
}
