//! The manifest and the generated files, from outside.

mod cel;
mod generated;
mod manifest;
