//! `mergesearch show`: what came out so far, read from the state folder alone.

mod report;
mod table;
mod timeline;

use mergesearch_search::{Search, TrialId};

pub(crate) use report::Report;
pub(crate) use table::columns;

use crate::args::{Output, ShowArgs, StateArgs};
use crate::console;
use crate::failure::Failure;
use crate::history::{find, reopen};

/// Prints the report of a search.
///
/// # Errors
/// When there is no search, or it can't be read.
pub(crate) fn show(arguments: ShowArgs) -> Result<(), Failure> {
    let ShowArgs { folder, state: StateArgs { file, state }, output } = arguments;
    let folder = find(&StateArgs { file, state: folder.or(state) })?;
    let search: Search = reopen(&folder)?;
    let report = Report::of(&search, &folder).map_err(Failure::run)?;
    let text = match output {
        Output::Table => table::text(&search, &report),
        Output::Json => report.json().map_err(Failure::run)?,
    };
    console::output(text).map_err(Failure::run)
}

/// A trial's scores beside those of the baselines, for its model card.
pub(crate) fn markdown(search: &Search, report: &Report, id: &TrialId) -> String {
    table::markdown(search, report, id)
}

/// The tables for people, as `run` prints them at its end.
pub(crate) fn tables(search: &Search, report: &Report) -> String {
    table::text(search, report)
}
