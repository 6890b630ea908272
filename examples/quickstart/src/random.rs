//! Seeded random numbers that are the same on every machine and in every release.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A stream of random numbers named by a purpose and a seed; two different names give independent streams.
#[derive(Debug, Clone)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of `purpose` and `seed`.
    pub fn new(purpose: &str, seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(
            purpose.bytes().fold(seed, |state, byte| scramble(state ^ u64::from(byte))),
        ))
    }

    /// A whole number in `0..limit`, each equally likely (to within `limit / 2^64`).
    pub fn below(&mut self, limit: u32) -> u32 {
        ((u128::from(self.0.next_u64()) * u128::from(limit)) >> 64) as u32
    }

    /// A number in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number of mean 0 and variance 1: the sum of twelve uniform ones, which needs no function that differs between platforms.
    pub fn bell(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// A bijection of the 64-bit numbers in which every bit of the answer depends on every bit of `value` (the finaliser of `SplitMix64`).
pub fn scramble(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ_by_purpose_and_seed() {
        let first = |purpose, seed| Stream::new(purpose, seed).below(1_000_000);
        assert_eq!(first("a", 1), first("a", 1));
        assert_ne!(first("a", 1), first("b", 1));
        assert_ne!(first("a", 1), first("a", 2));
    }

    #[test]
    fn bell_has_mean_zero_and_variance_one() {
        let mut stream = Stream::new("bell", 0);
        let draws: Vec<f64> = (0..20_000).map(|_| stream.bell()).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.05, "{variance}");
    }
}
