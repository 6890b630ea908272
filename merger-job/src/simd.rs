//! Runs arithmetic with the widest vector instructions of the processor, chosen when the program runs.
//!
//! A kernel is ordinary safe Rust over slices, written so that the compiler makes vectors of it. It is compiled once for
//! each [`Level`]; every level computes the same operations in the same order, so results don't depend on the processor.
#![expect(
    unsafe_code,
    reason = "calling a function compiled for instructions that the processor was asked for"
)]

use std::sync::OnceLock;

/// Arithmetic over slices. Whatever `run` calls has to be inlined into it, or it is compiled for any processor.
pub(crate) trait Kernel {
    /// What comes out.
    type Output;

    /// Computes. Implementations are `#[inline(always)]`.
    fn run(self) -> Self::Output;
}

/// Sets of vector instructions. On ARM the portable one uses NEON, which every 64-bit ARM has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// What the target always has.
    Portable,
    /// 256-bit vectors of x86-64.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 512-bit vectors of x86-64.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// The levels that this processor has, the widest last.
    pub(crate) fn available() -> Vec<Self> {
        #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "only x86-64 has more"))]
        let mut levels = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                levels.push(Self::Avx2);
            }
            if has_avx512() {
                levels.push(Self::Avx512);
            }
        }
        levels
    }

    /// The widest level of this processor.
    pub(crate) fn best() -> Self {
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(|| Self::available().pop().unwrap_or(Self::Portable))
    }
}

/// Runs the kernel at the widest level that the processor has.
pub(crate) fn run<K: Kernel>(kernel: K) -> K::Output {
    run_at(Level::best(), kernel)
}

/// Runs the kernel at a level, which has to be one of [`Level::available`]; at another it runs portably.
pub(crate) fn run_at<K: Kernel>(level: Level, kernel: K) -> K::Output {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 if is_x86_feature_detected!("avx2") => {
            // SAFETY: the processor has AVX2; it was asked in this very arm.
            unsafe { avx2(kernel) }
        }
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 if has_avx512() => {
            // SAFETY: the processor has the four sets; it was asked in this very arm.
            unsafe { avx512(kernel) }
        }
        _ => kernel.run(),
    }
}

/// The four sets of 512-bit instructions that every server processor with any has.
#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}
