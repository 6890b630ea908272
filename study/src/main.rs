//! The `mergesearch-study` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    mergesearch_study::main()
}
