//! Random numbers that belong to elements: the same for an element however the tensor is cut.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

use super::TILE;

/// The random numbers of one checkpoint's tensor, one of 32 bits for each element: `ChaCha8` under a key made of seed and
/// names, at the position of the element's flat index. Without the checkpoint in the key, all checkpoints would drop the
/// same elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stream([u8; 32]);

impl Stream {
    /// Names are kept apart by their lengths.
    pub(crate) fn new(seed: u64, checkpoint: &str, tensor: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(seed.to_le_bytes());
        for name in [checkpoint, tensor] {
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name.as_bytes());
        }
        Self(hash.finalize().into())
    }

    /// From the element of that flat index on.
    pub(crate) fn from(&self, first: u64) -> ChaCha8Rng {
        let mut generator = ChaCha8Rng::from_seed(self.0);
        generator.set_word_pos(u128::from(first));
        generator
    }
}

/// The next tile's numbers.
pub(crate) fn draw(generator: &mut ChaCha8Rng, count: usize, numbers: &mut [u32; TILE]) {
    let mut bytes = [0; 4 * TILE];
    // Many at once cost a third of one by one.
    generator.fill_bytes(&mut bytes[..4 * count]);
    for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks().0) {
        *number = u32::from_le_bytes(*bytes);
    }
}

/// Whether an element of this number is kept with the probability: `u < probability` for `u` in `[0, 1)`.
#[inline(always)]
pub(crate) fn is_kept(number: u32, probability: f64) -> bool {
    f64::from(number) < probability * 4_294_967_296.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(stream: &Stream, first: u64, count: usize) -> Vec<u32> {
        let mut generator = stream.from(first);
        (0..count).map(|_| generator.next_u32()).collect()
    }

    #[test]
    fn numbers_belong_to_elements() {
        let stream = Stream::new(7, "sft", "model.norm.weight");
        let all = numbers(&stream, 0, 200);
        for first in [1, 15, 16, 63, 64, 100] {
            assert_eq!(numbers(&stream, first, 50), all[first as usize..first as usize + 50]);
            let mut tile = [0; TILE];
            draw(&mut stream.from(first), 51, &mut tile);
            assert_eq!(tile[..51], all[first as usize..first as usize + 51]);
        }
    }

    #[test]
    fn seed_checkpoint_and_tensor_make_other_numbers() {
        let of = |seed, checkpoint, tensor| numbers(&Stream::new(seed, checkpoint, tensor), 0, 8);
        let ours = of(1, "a", "b");
        assert_ne!(ours, of(2, "a", "b"));
        assert_ne!(ours, of(1, "b", "b"));
        assert_ne!(ours, of(1, "a", "c"));
        assert_ne!(of(1, "ab", "c"), of(1, "a", "bc"));
    }

    #[test]
    fn the_border_of_a_probability_is_exact() {
        assert!(is_kept(u32::MAX, 1.0) && is_kept(0, 1e-300) && !is_kept(0, 0.0));
        assert!(is_kept((1 << 31) - 1, 0.5) && !is_kept(1 << 31, 0.5));
    }
}
