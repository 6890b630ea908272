//! The report of a search: one self-contained HTML page, and each of its pictures as SVG and PNG.
//!
//! [`Report`] is plain data; [`page`] and [`pictures`] draw it. A figure is written once, in JavaScript, as options of
//! [Apache ECharts](https://echarts.apache.org): the page runs it in the browser, where points can be hovered and
//! clicked, and the program runs the same code without a browser, in an embedded interpreter, for the files. Nothing is
//! read from the network, neither now nor when the page is opened.
//!
//! This crate is pure: it knows no storage, no clock and no cluster.

mod data;
mod engine;
mod page;
mod picture;

pub use data::{
    CheckpointContribution, Contribution, Fact, Generation, Judgement, Kind, Metric, Report, Roles, Score,
    Span, Timeline, Trial,
};
pub use engine::{FigureError, Size};
pub use page::page;
pub use picture::{Picture, picture, pictures};
