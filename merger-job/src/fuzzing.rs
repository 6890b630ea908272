//! What the fuzz targets of `merger-job/fuzz` call: readers of bytes that anyone may have written. Only built for them.
#![expect(clippy::missing_panics_doc, clippy::panic, reason = "panics are what fuzzing looks for")]

use crate::checkpoint::parse_index;
use crate::header::{self, LENGTH_BYTES};

/// Reads a safetensors file as merges do: the length, then the header. Returns whether it was taken for one.
pub fn safetensors(file: &[u8]) -> bool {
    let size = file.len() as u64;
    let Some((first, rest)) = file.split_first_chunk::<8>() else { return false };
    let Ok(length) = header::header_length(*first, size) else { return false };
    let Ok(tensors) = header::parse(&rest[..length as usize], size) else { return false };
    let mut next = 0;
    for tensor in &tensors {
        assert!(tensor.begin == next && tensor.end >= tensor.begin, "{tensor:?} doesn't begin at {next}");
        next = tensor.end;
    }
    assert_eq!(LENGTH_BYTES + length + next, size, "the file is as long as it says");
    true
}

/// Reads an index of shards. Returns whether it was taken for one.
pub fn index(bytes: &[u8]) -> bool {
    let Ok(files) = parse_index(bytes) else { return false };
    for file in files.values() {
        let inside = std::path::Path::new(file).components().count() == 1 && !file.starts_with('.');
        assert!(inside && file.ends_with(".safetensors"), "{file:?} is no plain name");
    }
    true
}
