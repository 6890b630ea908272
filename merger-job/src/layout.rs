//! The output's files, planned before the first byte: which tensor goes where, every header, the index.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use serde_json::json;

use crate::Part;
use crate::element::ElementType;
use crate::header::{self, Tensor};
use crate::provenance::Metadata;

/// A tensor of the output.
#[derive(Debug, Clone)]
pub(crate) struct OutputTensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<u64>,
    pub(crate) element: ElementType,
    pub(crate) size: u64,
}

/// One safetensors file of the output.
#[derive(Debug, Clone)]
pub(crate) struct ShardPlan {
    pub(crate) file: String,
    /// Its tensors, as indices into those planned for, in the order of their bytes.
    pub(crate) tensors: Vec<usize>,
    /// The same as the header has them.
    entries: Vec<Tensor>,
    /// Bytes of its tensors.
    pub(crate) size: u64,
}

impl ShardPlan {
    /// Length and header.
    pub(crate) fn header(&self, metadata: &Metadata) -> Bytes {
        Bytes::from(header::write(&self.entries, metadata))
    }
}

/// All files with tensors, and the index if there are several.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) shards: Vec<ShardPlan>,
    pub(crate) index: Option<Bytes>,
}

impl Layout {
    /// Fills shards in the given order up to `max_shard_size` bytes of tensors; a larger tensor gets one of its own. With
    /// several parts shards are made smaller, so that each part has about as many bytes.
    /// Inside a file tensors stand as the safetensors library sorts them: by type, widest first, then by name.
    pub(crate) fn plan(tensors: &[OutputTensor], max_shard_size: u64, parts: u32) -> Self {
        let total: u64 = tensors.iter().map(|tensor| tensor.size).sum();
        let parts = u64::from(parts.max(1));
        let even = if parts == 1 {
            max_shard_size
        } else {
            total.div_ceil(parts * total.div_ceil(parts.saturating_mul(max_shard_size.max(1))).max(1))
        };
        let ranges = split(tensors, max_shard_size.min(even));
        let count = ranges.len();
        let shards: Vec<ShardPlan> = ranges
            .into_iter()
            .enumerate()
            .map(|(place, range)| {
                let file = if count == 1 {
                    "model.safetensors".to_owned()
                } else {
                    format!("model-{:05}-of-{count:05}.safetensors", place + 1)
                };
                plan_shard(file, tensors, range)
            })
            .collect();
        let index = (count > 1).then(|| {
            let files = shards.iter().flat_map(|shard| {
                shard.tensors.iter().map(|&tensor| (tensors[tensor].name.as_str(), shard.file.as_str()))
            });
            let weight_map: BTreeMap<&str, &str> = files.collect();
            let index = json!({"metadata": {"total_size": total}, "weight_map": weight_map});
            Bytes::from(format!("{index:#}\n"))
        });
        Self { shards, index }
    }

    /// The shards of a part: those whose middle byte lies in the part's stretch of all bytes.
    pub(crate) fn shards_of(&self, part: Part) -> Vec<usize> {
        let total: u64 = self.shards.iter().map(|shard| shard.size).sum();
        let count = u128::from(part.count.max(1));
        let mut before = 0;
        let mut ours = Vec::new();
        for (place, shard) in self.shards.iter().enumerate() {
            let middle = u128::from(before) + u128::from(shard.size / 2);
            // Shards without bytes at the end belong to the last part.
            let owner = (middle * count / u128::from(total.max(1))).min(count - 1);
            if owner == u128::from(part.index) {
                ours.push(place);
            }
            before += shard.size;
        }
        ours
    }
}

/// Stretches of the list that go into one file each.
fn split(tensors: &[OutputTensor], max_shard_size: u64) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let (mut begin, mut filled) = (0, 0_u64);
    for (place, tensor) in tensors.iter().enumerate() {
        if place > begin && filled.saturating_add(tensor.size) > max_shard_size {
            ranges.push(begin..place);
            (begin, filled) = (place, 0);
        }
        filled = filled.saturating_add(tensor.size);
    }
    ranges.push(begin..tensors.len());
    ranges
}

fn plan_shard(file: String, tensors: &[OutputTensor], range: Range<usize>) -> ShardPlan {
    let mut order: Vec<usize> = range.collect();
    order.sort_by(|&left, &right| {
        let (left, right) = (&tensors[left], &tensors[right]);
        right.element.cmp(&left.element).then_with(|| left.name.cmp(&right.name))
    });
    let mut size = 0;
    let entries: Vec<Tensor> = order
        .iter()
        .map(|&place| {
            let OutputTensor { name, shape, element, size: bytes } = &tensors[place];
            let (begin, end) = (size, size + bytes);
            size = end;
            Tensor { name: name.clone(), element: *element, shape: shape.clone(), begin, end }
        })
        .collect();
    ShardPlan { file, tensors: order, entries, size }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, elements: u64) -> OutputTensor {
        let (element, shape) = (ElementType::BF16, vec![elements]);
        OutputTensor { name: name.to_owned(), shape, element, size: 2 * elements }
    }

    #[test]
    fn what_fits_is_one_file_without_index() {
        let layout = Layout::plan(&[tensor("a", 10), tensor("b", 10)], 40, 1);
        assert_eq!(layout.shards.len(), 1);
        assert_eq!(layout.shards[0].file, "model.safetensors");
        assert!(layout.index.is_none());
    }

    #[test]
    fn shards_are_filled_in_order_and_indexed() {
        let layout =
            Layout::plan(&[tensor("a", 10), tensor("b", 100), tensor("c", 10), tensor("d", 10)], 40, 1);
        let files: Vec<_> =
            layout.shards.iter().map(|shard| (shard.file.as_str(), &shard.tensors[..])).collect();
        assert_eq!(
            files,
            [
                ("model-00001-of-00003.safetensors", &[0][..]),
                ("model-00002-of-00003.safetensors", &[1]),
                ("model-00003-of-00003.safetensors", &[2, 3]),
            ]
        );
        let index: serde_json::Value = serde_json::from_slice(&layout.index.unwrap()).unwrap();
        assert_eq!(index["metadata"]["total_size"], 260);
        assert_eq!(index["weight_map"]["c"], "model-00003-of-00003.safetensors");
    }

    #[test]
    fn parts_have_all_shards_and_about_as_many_bytes() {
        let tensors: Vec<_> =
            (0..37_u64).map(|place| tensor(&format!("t{place:02}"), 50 + place % 7)).collect();
        let total: u64 = tensors.iter().map(|tensor| tensor.size).sum();
        for count in [1, 2, 5, 8] {
            let layout = Layout::plan(&tensors, 1000, count);
            let parts: Vec<Vec<usize>> =
                (0..count).map(|index| layout.shards_of(Part { index, count })).collect();
            let all: Vec<usize> = parts.iter().flatten().copied().collect();
            assert_eq!(all, (0..layout.shards.len()).collect::<Vec<_>>());
            for part in parts {
                let bytes: u64 = part.iter().map(|&shard| layout.shards[shard].size).sum();
                // Off by one shard, at most.
                assert!(bytes.abs_diff(total / u64::from(count)) <= 1000, "{count}: {bytes} of {total}");
            }
        }
    }
}
