//! LoRA adapters, as PEFT writes them, as checkpoints of a pool: each is its base with the adapter applied, while the base
//! is streamed. Nothing is written in between.
//!
//! `W' = W + s B A` with `s = alpha / r` (Hu et al. 2021, arXiv 2106.09685), or `alpha / sqrt(r)` of rank-stabilised LoRA
//! (arXiv 2312.03732); of `DoRA` (arXiv 2402.09353) each row of `W'` is then stretched to a length that was learned.

mod config;
mod overlay;

pub(crate) use config::{AdapterConfig, FILE as CONFIG_FILE};
pub(crate) use overlay::overlay;

/// The adapter's weights.
pub(crate) const WEIGHTS_FILE: &str = "adapter_model.safetensors";
