//! Element types of safetensors files.

use std::fmt;
use std::str::FromStr;

mod float;

pub(crate) use float::Float;

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
            Self::F8_E4M3 => Some(Float::E4m3),
            Self::F8_E5M2 => Some(Float::E5m2),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for element in ALL {
            assert_eq!(element.to_string().parse(), Ok(element));
        }
        assert_eq!("F17".parse::<ElementType>(), Err(()));
    }
}
