//! What makes weights of the numbers in a checkpoint's files, where they aren't the weights themselves: scales of
//! quantized weights, and adapters on top of a base.

mod adjuster;
mod apply;
mod scales;

pub(crate) use adjuster::Adjuster;
pub(crate) use scales::attach as attach_scales;

use crate::ElementType;

/// A tensor's bytes in the files of one checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) element: ElementType,
    /// Index of the file in the checkpoint's `shards`.
    pub(crate) shard: usize,
    /// First byte in the file.
    pub(crate) offset: u64,
    /// Bytes.
    pub(crate) size: u64,
}

impl Stored {
    /// Numbers in it.
    pub(crate) const fn elements(&self) -> u64 {
        self.size * 8 / self.element.bits()
    }
}

/// How a checkpoint's weights follow from the numbers of a tensor: first the scales, then the adapter.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Adjustment {
    pub(crate) scales: Option<Scales>,
    pub(crate) low_rank: Option<LowRank>,
}

/// Every block of rows and columns has a scale that its numbers are multiplied by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scales {
    pub(crate) stored: Stored,
    /// Rows and columns of a block; those at a matrix's ends are cut off.
    pub(crate) block: (u64, u64),
    /// Rows of one matrix; of a stack of matrices, each has its own blocks.
    pub(crate) rows: u64,
}

/// `W + factor L R`, where `L` has as many rows as the weights, `R` as many columns, and both are narrow the other way.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LowRank {
    pub(crate) left: Matrix,
    pub(crate) right: Matrix,
    pub(crate) rank: u64,
    pub(crate) factor: f64,
    /// The length that each row is stretched to afterwards (`DoRA`).
    pub(crate) magnitude: Option<Stored>,
}

/// A matrix as it lies in a file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Matrix {
    pub(crate) stored: Stored,
    /// Whether the file has rows where the formula has columns.
    pub(crate) transposed: bool,
}

impl Adjustment {
    /// All that is read for it.
    fn stored(&self) -> impl Iterator<Item = Stored> {
        let low_rank = self.low_rank.iter().flat_map(|low_rank| {
            let matrices = [low_rank.left.stored, low_rank.right.stored];
            matrices.into_iter().chain(low_rank.magnitude)
        });
        low_rank.chain(self.scales.iter().map(|scales| scales.stored))
    }

    /// Numbers that are held while a tensor is streamed.
    pub(crate) fn numbers(&self) -> u64 {
        self.stored().map(|stored| stored.elements()).sum()
    }

    /// Bytes that are read for it.
    pub(crate) fn bytes(&self) -> u64 {
        self.stored().map(|stored| stored.size).sum()
    }

    /// Whether whole rows have to be looked at.
    pub(crate) fn needs_rows(&self) -> bool {
        self.low_rank.as_ref().is_some_and(|low_rank| low_rank.magnitude.is_some())
    }
}
