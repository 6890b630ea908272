//! Random numbers that depend only on a seed and an identity, never on how many were drawn before.
//!
//! Every trial draws from its own [`Stream`], so asking twice gives the same trial and the order in which trials
//! are issued or end changes nothing. All arithmetic is portable: `ChaCha` is integer-only and the logarithm, sine
//! and cosine come from the `libm` crate, so the numbers agree bit for bit between machines.

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// Separates these keys from any other use of SHA-256 over the same bytes; changing it changes every search.
const DOMAIN: &[u8] = b"mergesearch random stream v1\0";

/// A deterministic sequence of random numbers for one (seed, identity) pair.
#[derive(Debug, Clone)]
pub struct Stream {
    generator: ChaCha12Rng,
    spare_normal: Option<f64>,
}

impl Stream {
    /// Opens the stream of `identity` under `seed`, at its beginning.
    ///
    /// The `ChaCha` key is the SHA-256 of both, so streams of different identities are independent.
    pub fn new(seed: u64, identity: &str) -> Self {
        let key = Sha256::new()
            .chain_update(DOMAIN)
            .chain_update(seed.to_le_bytes())
            .chain_update(identity.as_bytes())
            .finalize();
        Self { generator: ChaCha12Rng::from_seed(key.into()), spare_normal: None }
    }

    /// The next number of the uniform distribution on `[0, 1)`, a multiple of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        const UNIT: f64 = 1.0 / (1_u64 << 53) as f64;
        (self.generator.next_u64() >> 11) as f64 * UNIT
    }

    /// The next number of the standard normal distribution (Box and Muller 1958; at most 8.6 in magnitude).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare_normal.take() {
            return spare;
        }
        // 1 - u lies in (0, 1], where the logarithm is finite.
        let radius = (-2.0 * libm::log(1.0 - self.uniform())).sqrt();
        let (sine, cosine) = libm::sincos(std::f64::consts::TAU * self.uniform());
        self.spare_normal = Some(radius * sine);
        radius * cosine
    }

    /// The next `count` numbers of the standard normal distribution.
    pub fn normals(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.normal()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_values_never_change() {
        let mut stream = Stream::new(1, "search/0/1/0");
        let mut values = vec![stream.uniform(), stream.uniform()];
        values.extend(stream.normals(3));
        // Computed with an independent ChaCha12 in another language.
        let bits: Vec<u64> = values.into_iter().map(f64::to_bits).collect();
        assert_eq!(
            bits,
            [
                0x3fe2_3125_2e20_8e59,
                0x3fd1_5990_c612_a45e,
                0xbfb8_bf2b_7648_6c7d,
                0x3fea_2ea4_384e_cdb4,
                0xbfb7_a7c0_24ad_da44
            ],
            "{bits:#x?}"
        );
    }

    #[test]
    fn seed_and_identity_both_matter() {
        let first = |seed, identity| Stream::new(seed, identity).uniform().to_bits();
        assert_eq!(first(1, "a"), first(1, "a"));
        assert_ne!(first(1, "a"), first(2, "a"));
        assert_ne!(first(1, "a"), first(1, "b"));
    }

    #[test]
    fn moments_match_the_distributions() {
        let mut stream = Stream::new(7, "moments");
        let count = 100_000;
        let uniforms: Vec<f64> = (0..count).map(|_| stream.uniform()).collect();
        assert!(uniforms.iter().all(|u| (0.0..1.0).contains(u)));
        let normals = stream.normals(count);
        let moment = |values: &[f64], power| values.iter().map(|v| v.powi(power)).sum::<f64>() / count as f64;
        assert!((moment(&uniforms, 1) - 0.5).abs() < 0.005);
        assert!(moment(&normals, 1).abs() < 0.02);
        assert!((moment(&normals, 2) - 1.0).abs() < 0.03);
        assert!((moment(&normals, 4) - 3.0).abs() < 0.15);
    }
}
