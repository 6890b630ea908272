//! A stretch of a tensor's sources on its way into the kernels: chunk by chunk, from memory or from local files.

use std::sync::Arc;

use bytes::Bytes;

use crate::Error;
use crate::adjustment::Adjuster;
use crate::budget::Shape;
use crate::element::Float;
use crate::kernel::{Chunk, Source};
use crate::storage::PinnedFile;

/// One source's bytes of a stretch.
#[derive(Debug)]
pub(super) struct Input {
    /// The type of its elements; of integers, which are only copied, none.
    pub(super) float: Option<Float>,
    /// Bytes of one element.
    pub(super) width: usize,
    pub(super) bytes: Place,
    /// What makes weights of its numbers.
    pub(super) adjuster: Option<Arc<Adjuster>>,
}

/// Where they are.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// Read already.
    Memory(Bytes),
    /// In a file of this machine, from this byte on: read chunk by chunk into memory that stays in the cache.
    File(PinnedFile, u64),
}

/// A run of a tensor's elements with its sources.
#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) inputs: Vec<Input>,
    /// Flat index of the first element.
    pub(super) first: u64,
    pub(super) elements: u64,
    pub(super) shape: Shape,
    /// Elements of a row.
    pub(super) row: usize,
}

impl Stretch {
    /// Hands on every chunk, in order.
    pub(super) fn each_chunk(
        &self,
        mut work: impl FnMut(&Chunk<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut buffers: Vec<Vec<u8>> = vec![Vec::new(); self.inputs.len()];
        let mut weights: Vec<Vec<u8>> = vec![Vec::new(); self.inputs.len()];
        let mut done = 0;
        while done < self.elements {
            let elements = self.shape.chunk.min(self.elements - done) as usize;
            for (input, buffer) in self.inputs.iter().zip(&mut buffers) {
                if let Place::File(file, offset) = &input.bytes {
                    buffer.resize(elements * input.width, 0);
                    file.read(offset + done * input.width as u64, buffer)?;
                }
            }
            let sources: Vec<Source<'_>> = self
                .inputs
                .iter()
                .zip(&buffers)
                .zip(&mut weights)
                .map(|((input, buffer), weights)| {
                    let bytes = match &input.bytes {
                        Place::Memory(bytes) => {
                            let begin = done as usize * input.width;
                            &bytes[begin..begin + elements * input.width]
                        }
                        Place::File(..) => &buffer[..],
                    };
                    // What has no such type is copied, and its type not looked at.
                    let float = input.float.unwrap_or(Float::E4m3);
                    let Some(adjuster) = &input.adjuster else { return Source { float, bytes } };
                    weights.resize(elements * Float::F64.bytes(), 0);
                    adjuster.apply(float, bytes, self.first + done, weights);
                    Source { float: Float::F64, bytes: weights }
                })
                .collect();
            let first = self.first + done;
            work(&Chunk { sources: &sources, first, elements, row: self.row })?;
            done += elements as u64;
        }
        Ok(())
    }
}
