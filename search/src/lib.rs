//! The search engine: CMA-ES over merge recipes as a pure, deterministic, replayable state machine.

pub mod archive;
pub mod cma;
mod eigen;
pub mod encoding;
pub mod hypervolume;
pub mod random;
pub mod results;
