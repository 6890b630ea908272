//! Any bytes as an index of shards: no panic, and no file outside the folder.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mergesearch_merger::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    fuzzing::index(bytes);
});
