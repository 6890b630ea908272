//! The quickstart pool: a trainer, sixteen small language models and their evaluator.
//!
//! The models have the layout of a Llama checkpoint (Hugging Face names, config, tokenizer and safetensors) and are small enough that merging
//! and evaluating one takes less than a second on one core, so a whole search runs in minutes on a laptop. They solve short
//! [tasks] on six digits, trained so that no checkpoint is good at everything.

pub mod checkpoint;
pub mod config;
pub mod evaluation;
pub mod model;
pub mod plan;
pub mod process;
pub mod random;
pub mod results;
pub mod tasks;
pub mod tokens;
pub mod training;
