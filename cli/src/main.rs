//! The `mergesearch` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    mergesearch::main()
}
