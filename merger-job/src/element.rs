//! Element types of safetensors files, and their exact conversion to and from f64.

use std::fmt;
use std::str::FromStr;

use half::f16;
use mergesearch_recipe as recipe;

/// An element type under its safetensors name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the variants are the format's own names")]
#[expect(non_camel_case_types, reason = "the variants are the format's own names")]
pub enum ElementType {
    // In the order that safetensors sorts a file's tensors by, last first.
    BOOL,
    F4,
    F6_E2M3,
    F6_E3M2,
    U8,
    I8,
    F8_E5M2,
    F8_E4M3,
    F8_E8M0,
    F8_E4M3FNUZ,
    F8_E5M2FNUZ,
    I16,
    U16,
    F16,
    BF16,
    I32,
    U32,
    F32,
    C64,
    F64,
    I64,
    U64,
}

const ALL: [ElementType; 22] = {
    use ElementType::{
        BF16, BOOL, C64, F4, F6_E2M3, F6_E3M2, F8_E4M3, F8_E4M3FNUZ, F8_E5M2, F8_E5M2FNUZ, F8_E8M0, F16, F32,
        F64, I8, I16, I32, I64, U8, U16, U32, U64,
    };
    [
        BOOL,
        F4,
        F6_E2M3,
        F6_E3M2,
        U8,
        I8,
        F8_E5M2,
        F8_E4M3,
        F8_E8M0,
        F8_E4M3FNUZ,
        F8_E5M2FNUZ,
        I16,
        U16,
        F16,
        BF16,
        I32,
        U32,
        F32,
        C64,
        F64,
        I64,
        U64,
    ]
};

impl ElementType {
    /// Bits of one element.
    pub const fn bits(self) -> u64 {
        match self {
            Self::F4 => 4,
            Self::F6_E2M3 | Self::F6_E3M2 => 6,
            Self::BOOL
            | Self::U8
            | Self::I8
            | Self::F8_E5M2
            | Self::F8_E4M3
            | Self::F8_E8M0
            | Self::F8_E4M3FNUZ
            | Self::F8_E5M2FNUZ => 8,
            Self::I16 | Self::U16 | Self::F16 | Self::BF16 => 16,
            Self::I32 | Self::U32 | Self::F32 => 32,
            Self::C64 | Self::F64 | Self::I64 | Self::U64 => 64,
        }
    }

    /// The type to compute with, or `None` for those that aren't weights.
    pub(crate) const fn float(self) -> Option<Float> {
        match self {
            Self::BF16 => Some(Float::Bf16),
            Self::F16 => Some(Float::F16),
            Self::F32 => Some(Float::F32),
            Self::F64 => Some(Float::F64),
            _ => None,
        }
    }

    /// Whether it holds numbers that are never merged: integers and truth values.
    pub(crate) const fn is_discrete(self) -> bool {
        matches!(
            self,
            Self::BOOL
                | Self::U8
                | Self::I8
                | Self::I16
                | Self::U16
                | Self::I32
                | Self::U32
                | Self::I64
                | Self::U64
        )
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

impl FromStr for ElementType {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        ALL.into_iter().find(|candidate| format!("{candidate:?}") == name).ok_or(())
    }
}

/// A floating-point type that can be merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Float {
    Bf16,
    F16,
    F32,
    F64,
}

impl Float {
    /// Bytes of one element.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Bf16 | Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// The safetensors type.
    pub(crate) const fn element_type(self) -> ElementType {
        match self {
            Self::Bf16 => ElementType::BF16,
            Self::F16 => ElementType::F16,
            Self::F32 => ElementType::F32,
            Self::F64 => ElementType::F64,
        }
    }

    /// The name in `config.json`.
    pub(crate) const fn torch_name(self) -> &'static str {
        match self {
            Self::Bf16 => "bfloat16",
            Self::F16 => "float16",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }

    /// Reads little-endian elements; every value of the four types is exact in f64. Takes as many elements as the
    /// shorter side has.
    pub(crate) fn decode(self, bytes: &[u8], values: &mut [f64]) {
        fn each<const N: usize>(bytes: &[u8], values: &mut [f64], read: impl Fn([u8; N]) -> f64) {
            for (value, element) in values.iter_mut().zip(bytes.as_chunks::<N>().0) {
                *value = read(*element);
            }
        }
        match self {
            Self::Bf16 => each(bytes, values, |element| {
                f64::from(f32::from_bits(u32::from(u16::from_le_bytes(element)) << 16))
            }),
            Self::F16 => each(bytes, values, |element| f16::from_le_bytes(element).to_f64()),
            Self::F32 => each(bytes, values, |element| f64::from(f32::from_le_bytes(element))),
            Self::F64 => each(bytes, values, f64::from_le_bytes),
        }
    }

    /// Appends the values, each rounded once to nearest, ties to even.
    pub(crate) fn encode(self, values: &[f64], bytes: &mut Vec<u8>) {
        match self {
            Self::Bf16 => bytes.extend(values.iter().flat_map(|&value| to_bf16(value).to_le_bytes())),
            Self::F16 => bytes.extend(values.iter().flat_map(|&value| to_f16(value).to_le_bytes())),
            // Rust's `as` rounds to nearest, ties to even.
            Self::F32 => bytes.extend(values.iter().flat_map(|&value| (value as f32).to_le_bytes())),
            Self::F64 => bytes.extend(values.iter().flat_map(|&value| value.to_le_bytes())),
        }
    }
}

impl From<recipe::Dtype> for Float {
    fn from(dtype: recipe::Dtype) -> Self {
        match dtype {
            recipe::Dtype::Bfloat16 => Self::Bf16,
            recipe::Dtype::Float16 => Self::F16,
            recipe::Dtype::Float32 => Self::F32,
            recipe::Dtype::Float64 => Self::F64,
        }
    }
}

impl From<Float> for recipe::Dtype {
    fn from(float: Float) -> Self {
        match float {
            Float::Bf16 => Self::Bfloat16,
            Float::F16 => Self::Float16,
            Float::F32 => Self::Float32,
            Float::F64 => Self::Float64,
        }
    }
}

/// The nearest bfloat16, ties to even, straight from f64: through f32 it would be rounded twice.
pub(crate) fn to_bf16(value: f64) -> u16 {
    narrow::<8, 7>(value)
}

/// The nearest IEEE half, ties to even, straight from f64.
pub(crate) fn to_f16(value: f64) -> u16 {
    narrow::<5, 10>(value)
}

/// Rounds to a 16-bit format of that many exponent and fraction bits. NaN stays a (quiet) NaN of the same sign.
fn narrow<const EXPONENT: u32, const FRACTION: u32>(value: f64) -> u16 {
    let sign = ((value.to_bits() >> 48) & 0x8000) as u16;
    let magnitude = value.to_bits() & (u64::MAX >> 1);
    let infinity = ((1_u64 << EXPONENT) - 1) << FRACTION;
    if magnitude > f64::INFINITY.to_bits() {
        return sign | (infinity | 1 << (FRACTION - 1)) as u16;
    }
    let bias = (1_u64 << (EXPONENT - 1)) - 1;
    let exponent = magnitude >> 52;
    // The exponent field of the smallest normal number of the narrow format, as f64 writes it.
    let smallest_normal = 1023 - bias + 1;
    let (significand, shift) = if exponent >= smallest_normal {
        (magnitude - ((1023 - bias) << 52), u64::from(52 - FRACTION))
    } else {
        // Subnormal in the narrow format: the leading one becomes explicit and moves right with the exponent.
        let significand = (magnitude & ((1 << 52) - 1)) | 1 << 52;
        (significand, u64::from(52 - FRACTION) + smallest_normal - exponent)
    };
    if shift > 53 {
        // Less than half of the smallest subnormal.
        return sign;
    }
    let half = 1_u64 << (shift - 1);
    let odd = (significand >> shift) & 1;
    // A carry out of the fraction raises the exponent, as it should.
    let rounded = (significand + half - 1 + odd) >> shift;
    sign | rounded.min(infinity) as u16
}

#[cfg(test)]
mod tests {
    use half::bf16;
    use proptest::prelude::*;

    use super::*;

    /// Checks `narrow` at and around every border between two neighbouring values of a 16-bit format, where all
    /// mistakes of rounding show: the value itself, the midpoint, and the f64 next to the midpoint on either side.
    fn check_every_border(narrow: fn(f64) -> u16, widen: fn(u16) -> f64, infinity: u16) {
        for low in 0..infinity {
            let high = low + 1;
            let (from, to) = (widen(low), widen(high));
            assert_eq!(narrow(from), low);
            // Past the largest finite value the border to infinity is where the next value would be halfway.
            let to = if high == infinity { from + (from - widen(low - 1)) } else { to };
            let midpoint = from + (to - from) / 2.0;
            let even = if low % 2 == 0 { low } else { high };
            for (value, expected) in
                [(midpoint.next_down(), low), (midpoint, even), (midpoint.next_up(), high)]
            {
                assert_eq!(narrow(value), expected, "{value:e} between {from:e} and {to:e}");
                assert_eq!(narrow(-value), expected | 0x8000, "-{value:e}");
            }
        }
        assert_eq!(narrow(f64::INFINITY), infinity);
        assert_eq!(narrow(f64::MAX), infinity);
        assert_eq!(narrow(f64::NEG_INFINITY), infinity | 0x8000);
        assert_eq!(narrow(f64::MIN_POSITIVE), 0);
        assert_eq!(narrow(f64::from_bits(1)), 0);
        assert_eq!(narrow(-0.0), 0x8000);
        assert!(widen(narrow(f64::NAN)).is_nan());
        assert!(widen(narrow(f64::from_bits(0x7ff0_0000_0000_0001))).is_nan());
    }

    #[test]
    fn bf16_is_rounded_right_at_every_border() {
        check_every_border(to_bf16, |bits| bf16::from_bits(bits).to_f64(), 0x7f80);
    }

    #[test]
    fn f16_is_rounded_right_at_every_border() {
        check_every_border(to_f16, |bits| f16::from_bits(bits).to_f64(), 0x7c00);
    }

    #[test]
    fn going_through_f32_would_round_twice() {
        // Just above the midpoint of 1 and its bf16 neighbour, by less than f32 can hold.
        let value = 1.0 + 2f64.powi(-8) + 2f64.powi(-40);
        assert_eq!(to_bf16(value), 0x3f81);
        assert_eq!(to_bf16(f64::from(value as f32)), 0x3f80);
    }

    #[test]
    fn every_16_bit_value_survives_the_way_to_f64_and_back() {
        for float in [Float::Bf16, Float::F16] {
            for bits in 0..=u16::MAX {
                let mut value = [0.0];
                float.decode(&bits.to_le_bytes(), &mut value);
                let mut bytes = Vec::new();
                float.encode(&value, &mut bytes);
                if value[0].is_nan() {
                    float.decode(&bytes, &mut value);
                    assert!(value[0].is_nan());
                } else {
                    assert_eq!(bytes, bits.to_le_bytes());
                }
            }
        }
    }

    #[test]
    fn names_are_read_back() {
        for element in ALL {
            assert_eq!(element.to_string().parse(), Ok(element));
        }
        assert_eq!("F17".parse::<ElementType>(), Err(()));
    }

    proptest! {
        #[test]
        fn rounding_picks_the_nearest(value in proptest::num::f64::NORMAL) {
            let value = value.clamp(-1e38, 1e38);
            let rounded = bf16::from_bits(to_bf16(value)).to_f64();
            for neighbour in [to_bf16(value).wrapping_add(1), to_bf16(value).wrapping_sub(1)] {
                let other = bf16::from_bits(neighbour).to_f64();
                prop_assert!(other.is_nan() || (value - rounded).abs() <= (value - other).abs());
            }
        }
    }
}
