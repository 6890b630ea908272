//! The merger from outside: merges on real files compared with a plain in-memory reference.

mod hostile;
mod merging;
mod pools;
mod program;
mod shapes;
