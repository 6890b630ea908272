//! Reads and writes the header of a safetensors file, believing nothing it says before it is checked.
//!
//! A file is eight bytes of header length (little-endian), the header (JSON, padded with spaces), then the tensors'
//! bytes. The checks are those of the safetensors library (offsets contiguous from 0, without overlap or hole, sizes
//! that match shape and type), and more: no repeated key, no unknown field, and the file exactly as long as it says.

use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Write};

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use crate::ElementType;
use crate::printable;
use crate::unique_map::UniqueMap;

/// Longest header that is read, as in the safetensors library.
pub(crate) const MAX_HEADER: u64 = 100_000_000;
/// Bytes of the length before the header.
pub(crate) const LENGTH_BYTES: u64 = 8;

/// One tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tensor {
    /// Its name.
    pub(crate) name: String,
    /// Type of its elements.
    pub(crate) element: ElementType,
    /// Extents, outermost first; empty for a single number.
    pub(crate) shape: Vec<u64>,
    /// Where its bytes begin, counted from the end of the header.
    pub(crate) begin: u64,
    /// One past its last byte.
    pub(crate) end: u64,
}

/// Why a safetensors file can't be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// Not even a header length.
    #[error("expected at least 8 bytes, the file has {0}")]
    TooShort(u64),
    /// A length that no real header has.
    #[error("the header claims {0} bytes, expected at most {MAX_HEADER}")]
    TooLarge(u64),
    /// The header ends past the file.
    #[error("the header claims {header} bytes, the file has only {file}")]
    CutInHeader {
        /// Bytes claimed.
        header: u64,
        /// Bytes of the file.
        file: u64,
    },
    /// No JSON, a repeated key, a missing or an unknown field.
    #[error("the header isn't valid: {0}")]
    Json(String),
    /// A type that the format doesn't have.
    #[error("tensor {tensor:?}: unknown dtype {dtype:?}")]
    UnknownDtype {
        /// The tensor.
        tensor: String,
        /// What stands there.
        dtype: String,
    },
    /// A number of elements or bytes past 64 bits, or no whole number of bytes.
    #[error("tensor {tensor:?}: shape {shape:?} of {element} has no size in bytes")]
    Size {
        /// The tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<u64>,
        /// Its type.
        element: ElementType,
    },
    /// Shape and offsets disagree.
    #[error(
        "tensor {tensor:?}: shape {shape:?} of {element} needs {expected} bytes, its offsets {begin}..{end} differ"
    )]
    Offsets {
        /// The tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<u64>,
        /// Its type.
        element: ElementType,
        /// Bytes by shape and type.
        expected: u64,
        /// First byte.
        begin: u64,
        /// One past the last byte.
        end: u64,
    },
    /// An overlap or a hole between tensors.
    #[error(
        "tensor {tensor:?}: begins at byte {begin}, expected {expected}, where the tensor before it ends"
    )]
    NotContiguous {
        /// The tensor.
        tensor: String,
        /// Where it begins.
        begin: u64,
        /// Where the one before ends.
        expected: u64,
    },
    /// The file is shorter (cut) or longer than header and tensors.
    #[error("expected {expected} bytes by its header, the file has {file}")]
    FileSize {
        /// Length by header and offsets.
        expected: u64,
        /// Bytes of the file.
        file: u64,
    },
}

/// The header's length from the file's first eight bytes.
pub(crate) fn header_length(first: [u8; 8], file_size: u64) -> Result<u64, HeaderError> {
    let length = u64::from_le_bytes(first);
    if length > MAX_HEADER {
        return Err(HeaderError::TooLarge(length));
    }
    if LENGTH_BYTES + length > file_size {
        return Err(HeaderError::CutInHeader { header: length, file: file_size });
    }
    Ok(length)
}

/// The tensors of a file of that size, in the order of their bytes, from its header without the length.
pub(crate) fn parse(header: &[u8], file_size: u64) -> Result<Vec<Tensor>, HeaderError> {
    let Tensors(entries) =
        serde_json::from_slice(header).map_err(|error| HeaderError::Json(printable(&error.to_string())))?;
    let mut tensors =
        entries.into_iter().map(|(name, info)| tensor(name, info)).collect::<Result<Vec<_>, _>>()?;
    tensors.sort_by_key(|tensor| (tensor.begin, tensor.end));
    let mut expected = 0;
    for tensor in &tensors {
        if tensor.begin != expected {
            return Err(HeaderError::NotContiguous {
                tensor: tensor.name.clone(),
                begin: tensor.begin,
                expected,
            });
        }
        expected = tensor.end;
    }
    let total = (LENGTH_BYTES + header.len() as u64).saturating_add(expected);
    if total == file_size {
        Ok(tensors)
    } else {
        Err(HeaderError::FileSize { expected: total, file: file_size })
    }
}

/// Length and header of a file with these tensors, which stand in the order of their bytes, and texts about it.
pub(crate) fn write(tensors: &[Tensor], metadata: &BTreeMap<String, String>) -> Vec<u8> {
    use serde_json::{Value, json};
    let mut text = format!("{{\"__metadata__\":{}", json!(metadata));
    for tensor in tensors {
        // Written by hand to keep the order of the bytes, as the safetensors library does; a String takes every write.
        let _ = write!(
            text,
            ",{}:{{\"dtype\":\"{}\",\"shape\":{},\"data_offsets\":[{},{}]}}",
            Value::from(tensor.name.as_str()),
            tensor.element,
            Value::from(tensor.shape.as_slice()),
            tensor.begin,
            tensor.end
        );
    }
    text.push('}');
    let mut header = text.into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut header);
    bytes
}

/// Bytes of a tensor, or `None` past 64 bits or for a broken byte.
pub(crate) fn byte_size(element: ElementType, shape: &[u64]) -> Option<u64> {
    let elements = shape.iter().try_fold(1_u64, |product, &extent| product.checked_mul(extent))?;
    let bits = elements.checked_mul(element.bits())?;
    (bits % 8 == 0).then_some(bits / 8)
}

fn tensor(name: String, info: TensorInfo) -> Result<Tensor, HeaderError> {
    let TensorInfo { dtype, shape, data_offsets: (begin, end) } = info;
    let Ok(element) = dtype.parse::<ElementType>() else {
        return Err(HeaderError::UnknownDtype { tensor: name, dtype });
    };
    match byte_size(element, &shape) {
        None => Err(HeaderError::Size { tensor: name, shape, element }),
        Some(expected) if begin.checked_add(expected) != Some(end) => {
            Err(HeaderError::Offsets { tensor: name, shape, element, expected, begin, end })
        }
        Some(_) => Ok(Tensor { name, element, shape, begin, end }),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TensorInfo {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The header's tensors; free texts about the file under `__metadata__` are checked and left out.
struct Tensors(Vec<(String, TensorInfo)>);

impl<'de> Deserialize<'de> for Tensors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Tensors;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tensors, A::Error> {
                let mut keys = HashSet::new();
                let mut tensors = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    if !keys.insert(key.clone()) {
                        return Err(A::Error::custom(format!("key {key:?} stands twice")));
                    }
                    if key == "__metadata__" {
                        map.next_value::<UniqueMap<String>>()?;
                    } else {
                        tensors.push((key, map.next_value()?));
                    }
                }
                Ok(Tensors(tensors))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
