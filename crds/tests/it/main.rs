//! The manifest and the generated files, from outside.

mod manifest;
