//! The floating-point types that can be merged, and their exact conversion to and from f64.
#![expect(clippy::inline_always, reason = "parts of kernels, which are compiled for several processors")]

use mergesearch_recipe as recipe;

use super::ElementType;

/// A floating-point type that can be merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Float {
    /// 8 bits, no infinities (OCP FP8, `float8_e4m3fn`).
    E4m3,
    /// 8 bits, with infinities (OCP FP8, `float8_e5m2`).
    E5m2,
    Bf16,
    F16,
    F32,
    F64,
}

impl Float {
    /// Bytes of one element.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::E4m3 | Self::E5m2 => 1,
            Self::Bf16 | Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// The safetensors type.
    pub(crate) const fn element_type(self) -> ElementType {
        match self {
            Self::E4m3 => ElementType::F8_E4M3,
            Self::E5m2 => ElementType::F8_E5M2,
            Self::Bf16 => ElementType::BF16,
            Self::F16 => ElementType::F16,
            Self::F32 => ElementType::F32,
            Self::F64 => ElementType::F64,
        }
    }

    /// The name in `config.json`.
    pub(crate) const fn torch_name(self) -> &'static str {
        match self {
            Self::E4m3 => "float8_e4m3fn",
            Self::E5m2 => "float8_e5m2",
            Self::Bf16 => "bfloat16",
            Self::F16 => "float16",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }

    /// Reads little-endian elements; every value of these types is exact in f64. Takes as many elements as the shorter
    /// side has.
    #[inline(always)]
    pub(crate) fn decode(self, bytes: &[u8], values: &mut [f64]) {
        #[inline(always)]
        fn each<const N: usize>(bytes: &[u8], values: &mut [f64], read: impl Fn([u8; N]) -> f64) {
            for (value, element) in values.iter_mut().zip(bytes.as_chunks::<N>().0) {
                *value = read(*element);
            }
        }
        match self {
            Self::E4m3 => each(bytes, values, |[element]| e4m3_to_f64(element)),
            Self::E5m2 => each(bytes, values, |[element]| f16_to_f64(u16::from(element) << 8)),
            Self::Bf16 => each(bytes, values, |element| {
                f64::from(f32::from_bits(u32::from(u16::from_le_bytes(element)) << 16))
            }),
            Self::F16 => each(bytes, values, |element| f16_to_f64(u16::from_le_bytes(element))),
            Self::F32 => each(bytes, values, |element| f64::from(f32::from_le_bytes(element))),
            Self::F64 => each(bytes, values, f64::from_le_bytes),
        }
    }

    /// Writes the values over the bytes, each rounded once to nearest, ties to even. What is too large becomes infinite,
    /// in [`Float::E4m3`] NaN.
    #[inline(always)]
    pub(crate) fn encode(self, values: &[f64], bytes: &mut [u8]) {
        #[inline(always)]
        fn each<const N: usize>(values: &[f64], bytes: &mut [u8], write: impl Fn(f64) -> [u8; N]) {
            for (value, element) in values.iter().zip(bytes.as_chunks_mut::<N>().0) {
                *element = write(*value);
            }
        }
        match self {
            Self::E4m3 => each(values, bytes, |value| [to_e4m3(value)]),
            Self::E5m2 => each(values, bytes, |value| [to_e5m2(value)]),
            Self::Bf16 => each(values, bytes, |value| to_bf16(value).to_le_bytes()),
            Self::F16 => each(values, bytes, |value| to_f16(value).to_le_bytes()),
            // Rust's `as` rounds to nearest, ties to even.
            Self::F32 => each(values, bytes, |value| (value as f32).to_le_bytes()),
            Self::F64 => each(values, bytes, f64::to_le_bytes),
        }
    }

    /// Whether any element is NaN or infinite.
    #[inline(always)]
    pub(crate) fn has_special(self, bytes: &[u8]) -> bool {
        #[inline(always)]
        fn any<const N: usize>(bytes: &[u8], is_special: impl Fn([u8; N]) -> bool) -> bool {
            // Not `any`: without a way out in the middle it is a loop of vectors.
            bytes.as_chunks::<N>().0.iter().fold(false, |found, element| found | is_special(*element))
        }
        match self {
            Self::E4m3 => any(bytes, |[element]| element & 0x7f == 0x7f),
            Self::E5m2 => any(bytes, |[element]| element & 0x7f >= 0x7c),
            Self::Bf16 => any(bytes, |element| u16::from_le_bytes(element) & 0x7fff >= 0x7f80),
            Self::F16 => any(bytes, |element| u16::from_le_bytes(element) & 0x7fff >= 0x7c00),
            Self::F32 => any(bytes, |element| u32::from_le_bytes(element) & 0x7fff_ffff >= 0x7f80_0000),
            Self::F64 => any(bytes, |element| u64::from_le_bytes(element) & (u64::MAX >> 1) >= 0x7ff << 52),
        }
    }
}

/// Rounds to numbers of `FRACTION` bits after the leading one whose smallest normal number is `2^MIN_EXPONENT`: to
/// nearest, ties to even, the sign of zero kept. Numbers past the format's largest come out past it; NaN stays NaN.
///
/// Adding a number whose last place is the wanted one makes the processor round there, once; straight from f64, as
/// through f32 it would be rounded twice.
#[inline(always)]
fn round<const FRACTION: i32, const MIN_EXPONENT: i32>(value: f64) -> f64 {
    let smallest = power_of_two(MIN_EXPONENT);
    let largest = power_of_two(200);
    let magnitude = value.abs();
    let magnitude = if magnitude < smallest { smallest } else { magnitude };
    let magnitude = if magnitude > largest { largest } else { magnitude };
    // 1.5 * 2^(exponent + 52 - FRACTION): the half keeps sums with negative values in the same binade.
    let exponent = magnitude.to_bits() & (0x7ff << 52);
    let coarse = f64::from_bits((exponent + (((52 - FRACTION) as u64) << 52)) | 1 << 51);
    let rounded = (value + coarse) - coarse;
    rounded.copysign(value)
}

const fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// 2 to the power of `exponent` in f32.
const fn small_power_of_two(exponent: i32) -> f32 {
    f32::from_bits(((exponent + 127) as u32) << 23)
}

/// The nearest bfloat16, ties to even.
#[inline(always)]
pub(crate) fn to_bf16(value: f64) -> u16 {
    // What was rounded has no bits below those of bfloat16, the upper half of f32.
    ((round::<7, -126>(value) as f32).to_bits() >> 16) as u16
}

/// The nearest IEEE half, ties to even.
#[inline(always)]
pub(crate) fn to_f16(value: f64) -> u16 {
    let rounded = round::<10, -14>(value) as f32;
    half_bits(rounded)
}

/// The bits of a half whose value is exact in f32.
#[inline(always)]
fn half_bits(exact: f32) -> u16 {
    let sign = (exact.to_bits() >> 16) & 0x8000;
    // Moves the exponent's bias from f32's to that of halves; subnormal halves become subnormal numbers.
    let moved = (exact.abs() * small_power_of_two(-112)).to_bits() >> 13;
    let finite = if moved > 0x7c00 { 0x7c00 } else { moved };
    let magnitude = if exact.is_nan() { 0x7e00 } else { finite };
    (sign | magnitude) as u16
}

/// The nearest `float8_e5m2`, ties to even: the upper byte of a half.
#[inline(always)]
fn to_e5m2(value: f64) -> u8 {
    (half_bits(round::<2, -14>(value) as f32) >> 8) as u8
}

/// The nearest `float8_e4m3fn`, ties to even; its largest number is 448.
#[inline(always)]
fn to_e4m3(value: f64) -> u8 {
    let exact = round::<3, -6>(value) as f32;
    let sign = (exact.to_bits() >> 24) & 0x80;
    let moved = (exact.abs() * small_power_of_two(-120)).to_bits() >> 20;
    let magnitude = if exact.abs() <= 448.0 { moved } else { 0x7f };
    (sign | magnitude) as u8
}

#[inline(always)]
fn f16_to_f64(bits: u16) -> f64 {
    let magnitude = u32::from(bits & 0x7fff) << 13;
    let finite = (f32::from_bits(magnitude) * small_power_of_two(112)).to_bits();
    let magnitude = if magnitude >= 0x7c00 << 13 { magnitude | 0x7f80_0000 } else { finite };
    f64::from(f32::from_bits(magnitude | u32::from(bits & 0x8000) << 16))
}

#[inline(always)]
fn e4m3_to_f64(bits: u8) -> f64 {
    let magnitude = u32::from(bits & 0x7f);
    let finite = (f32::from_bits(magnitude << 20) * small_power_of_two(120)).to_bits();
    let magnitude = if magnitude == 0x7f { 0x7fc0_0000 } else { finite };
    f64::from(f32::from_bits(magnitude | u32::from(bits & 0x80) << 24))
}

impl From<recipe::Dtype> for Float {
    fn from(dtype: recipe::Dtype) -> Self {
        match dtype {
            recipe::Dtype::Bfloat16 => Self::Bf16,
            recipe::Dtype::Float16 => Self::F16,
            recipe::Dtype::Float32 => Self::F32,
            recipe::Dtype::Float64 => Self::F64,
            recipe::Dtype::Float8E4m3fn => Self::E4m3,
            recipe::Dtype::Float8E5m2 => Self::E5m2,
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
            Float::E4m3 => Self::Float8E4m3fn,
            Float::E5m2 => Self::Float8E5m2,
        }
    }
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};
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

    /// Every finite value of a type of 8 bits with how it is written, by its definition: sign, exponent, fraction.
    fn values_of_8_bits(fraction_bits: u32, bias: i32, last: u8) -> Vec<(f64, u8)> {
        let value = |bits: u8| {
            let fraction = f64::from(bits & ((1 << fraction_bits) - 1)) / f64::from(1 << fraction_bits);
            match i32::from(bits >> fraction_bits) {
                0 => fraction * 2f64.powi(1 - bias),
                exponent => (1.0 + fraction) * 2f64.powi(exponent - bias),
            }
        };
        (0..=last).map(|bits| (value(bits), bits)).collect()
    }

    #[test]
    fn types_of_8_bits_are_rounded_right_at_every_border() {
        for (float, values, beyond) in [
            (Float::E4m3, values_of_8_bits(3, 7, 0x7e), 0x7f),
            (Float::E5m2, values_of_8_bits(2, 15, 0x7b), 0x7c),
        ] {
            let encode = |value: f64| {
                let mut bytes = [0];
                float.encode(&[value], &mut bytes);
                bytes[0]
            };
            let decode = |bits: u8| {
                let mut values = [0.0];
                float.decode(&[bits], &mut values);
                values[0]
            };
            for (pair, &(from, low)) in values.windows(2).map(Some).chain([None]).zip(&values) {
                assert_eq!((encode(from), encode(-from)), (low, low | 0x80));
                assert_eq!((decode(low), decode(low | 0x80)), (from, -from));
                let (to, high) =
                    pair.map_or((from + (from - values[values.len() - 2].0), beyond), |pair| pair[1]);
                let midpoint = from.midpoint(to);
                let even = if low % 2 == 0 { low } else { high };
                for (value, expected) in
                    [(midpoint.next_down(), low), (midpoint, even), (midpoint.next_up(), high)]
                {
                    assert_eq!(encode(value), expected, "{value:e} between {from:e} and {to:e}");
                    assert_eq!(encode(-value), expected | 0x80, "-{value:e}");
                }
            }
            assert!(decode(encode(f64::NAN)).is_nan());
            assert_eq!(encode(f64::INFINITY), beyond);
            assert_eq!(encode(-1e300), beyond | 0x80);
        }
        let mut values = [0.0; 2];
        Float::E5m2.decode(&[0x7c, 0xfc], &mut values);
        assert!(values[0] == f64::INFINITY && values[1] == f64::NEG_INFINITY);
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
                let mut bytes = [0; 2];
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
