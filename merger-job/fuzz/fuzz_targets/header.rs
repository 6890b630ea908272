//! Any bytes as a safetensors file: no panic, and nothing is taken for one that the safetensors library refuses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mergesearch_merger::fuzzing;
use safetensors::SafeTensors;

fuzz_target!(|file: &[u8]| {
    if fuzzing::safetensors(file) {
        SafeTensors::deserialize(file).expect("the library reads what we read");
    }
});
