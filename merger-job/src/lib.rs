//! The merger: streams safetensors shards through bounded memory, exactly.
