//! Locations of checkpoints and results: the URIs of a manifest, parsed.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `s3://bucket/prefix`.
    S3 {
        /// The bucket.
        bucket: String,
        /// The prefix without slashes at its ends; may be empty.
        prefix: String,
    },
    /// `file:///absolute/folder`, or `file://./folder` relative to the manifest.
    File(PathBuf),
    /// `pvc://claim/path`, a folder on a persistent volume claim.
    Claim {
        /// The claim's name.
        claim: String,
        /// The path within the volume, without slashes at its ends; may be empty.
        path: String,
    },
}

/// Why a text is no location, as the end of a sentence about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    /// No scheme or one that is not known.
    #[error(
        "expected a URI of s3:// (object storage), file:// (local runs) or pvc:// (cluster), found {0:?}"
    )]
    Scheme(String),
    /// `s3://` without a usable bucket.
    #[error("expected s3://bucket/prefix with a bucket of 3 to 63 of a-z, 0-9, '.' and '-', found {0:?}")]
    Bucket(String),
    /// `file://` with a host, or without a path.
    #[error("expected file:///absolute/folder or file://./folder relative to the manifest, found {0:?}")]
    File(String),
    /// `pvc://` without a usable claim.
    #[error("expected pvc://claim/path with the name of a persistent volume claim, found {0:?}")]
    Claim(String),
    /// The path leaves its folder.
    #[error("expected a path without '..', found {0:?}")]
    Parent(String),
}

impl Location {
    /// Parses a URI of one of the three schemes.
    pub fn parse(uri: &str) -> Result<Self, LocationError> {
        let (scheme, rest) = uri.split_once("://").ok_or_else(|| LocationError::Scheme(uri.to_owned()))?;
        let (first, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_matches('/').to_owned();
        let location = match scheme {
            "s3" if is_name(first, 3, 63) => Self::S3 { bucket: first.to_owned(), prefix: path },
            "s3" => return Err(LocationError::Bucket(uri.to_owned())),
            "pvc" if is_name(first, 1, 253) => Self::Claim { claim: first.to_owned(), path },
            "pvc" => return Err(LocationError::Claim(uri.to_owned())),
            // Relative paths may leave the manifest's folder: it is the user's own machine.
            "file" if rest.starts_with('/') || matches!(first, "." | "..") => {
                return Ok(Self::File(PathBuf::from(rest)));
            }
            "file" => return Err(LocationError::File(uri.to_owned())),
            _ => return Err(LocationError::Scheme(uri.to_owned())),
        };
        let climbs = rest.split('/').any(|part| part == "..");
        if climbs { Err(LocationError::Parent(uri.to_owned())) } else { Ok(location) }
    }

    /// The location with a relative file path resolved against `folder`, the one that holds the manifest.
    #[must_use]
    pub fn resolve(self, folder: &Path) -> Self {
        match self {
            Self::File(path) => {
                // `join` of an absolute path is that path; the components drop `./`.
                Self::File(folder.join(path).components().collect())
            }
            other => other,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, prefix } => write!(formatter, "s3://{bucket}/{prefix}"),
            Self::File(path) => write!(formatter, "file://{}", path.display()),
            Self::Claim { claim, path } => write!(formatter, "pvc://{claim}/{path}"),
        }
    }
}

/// Whether a text is a bucket's or an object's name: lower-case letters, digits, dots and dashes within.
fn is_name(text: &str, least: usize, most: usize) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.' || byte == b'-';
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    (least..=most).contains(&bytes.len())
        && bytes.iter().all(|&byte| inner(byte))
        && edge(bytes.first())
        && edge(bytes.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read_and_written() {
        for uri in [
            "s3://bucket/a/b",
            "s3://my.bucket-1/",
            "file:///data/pool",
            "file://./pool/a",
            "pvc://claim/a/b",
        ] {
            assert_eq!(Location::parse(uri).unwrap().to_string(), uri);
        }
        let relative = Location::parse("file://./pool/a").unwrap().resolve(Path::new("/home/me/search"));
        assert_eq!(relative, Location::File(PathBuf::from("/home/me/search/pool/a")));
        let absolute = Location::parse("file:///pool/a").unwrap().resolve(Path::new("/home/me"));
        assert_eq!(absolute, Location::File(PathBuf::from("/pool/a")));
    }

    #[test]
    fn what_is_no_location_says_what_was_expected() {
        let message = |uri: &str| Location::parse(uri).unwrap_err().to_string();
        assert!(message("gs://bucket/a").starts_with("expected a URI of s3://"));
        assert!(message("/data/pool").starts_with("expected a URI of s3://"));
        assert!(message("s3:///a").starts_with("expected s3://bucket/prefix"));
        assert!(message("s3://Bucket/a").starts_with("expected s3://bucket/prefix"));
        assert!(message("file://host/a").starts_with("expected file:///absolute/folder"));
        assert!(message("file://").starts_with("expected file:///absolute/folder"));
        assert!(message("pvc:///a").starts_with("expected pvc://claim/path"));
        assert!(message("pvc://claim/../a").starts_with("expected a path without '..'"));
        assert!(message("s3://bucket/a/../../b").starts_with("expected a path without '..'"));
    }
}
