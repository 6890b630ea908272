//! The quickstart pool: a trainer, sixteen small language models and their evaluator.
