//! Where a folder of files is: a local folder or a prefix of an S3 bucket, written as a URI.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

/// A folder on this machine or in object storage.
///
/// Parsed from `file:///absolute/folder`, a bare absolute path, or `s3://bucket/prefix`; shown as a URI.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Location {
    /// A folder of the local file system, absolute.
    File(PathBuf),
    /// All objects of a bucket whose keys begin with `prefix/`.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// Without a slash at either end; empty for the whole bucket.
        prefix: String,
    },
}

/// Why a text is no [`Location`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LocationError {
    /// A scheme of the cluster's own.
    #[error(
        "location {0:?}: pvc:// works only on a cluster; here use file:///absolute/folder or s3://bucket/prefix"
    )]
    ClusterOnly(String),
    /// No scheme, or one that isn't known.
    #[error("location {0:?}: expected file:///absolute/folder or s3://bucket/prefix")]
    UnknownScheme(String),
    /// A `file://` URI with a host, or a relative path.
    #[error("location {0:?}: expected an absolute folder, as in file:///data/checkpoint")]
    NotAbsolute(String),
    /// An `s3://` URI with no or a malformed bucket.
    #[error("location {0:?}: expected a bucket of 3 to 63 of a-z, 0-9, '.', '-' after s3://")]
    BadBucket(String),
    /// A `pvc://` URI whose claim or path leaves its folder.
    #[error("location {0:?}: expected pvc://claim/path with the name of a claim and without '..' parts")]
    BadClaim(String),
    /// An empty, `.` or `..` part, or a control character.
    #[error(
        "location {0:?}: expected a prefix without empty, '.' or '..' parts and without control characters"
    )]
    BadPrefix(String),
}

impl Location {
    /// This location's file or sub-folder of that name. The name is trusted: names from checkpoints are checked before.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        match self {
            Self::File(folder) => Self::File(folder.join(name)),
            Self::S3 { bucket, prefix } if prefix.is_empty() => {
                Self::S3 { bucket: bucket.clone(), prefix: name.to_owned() }
            }
            Self::S3 { bucket, prefix } => {
                Self::S3 { bucket: bucket.clone(), prefix: format!("{prefix}/{name}") }
            }
        }
    }

    /// Like parsing, where persistent volume claims are mounted in a folder, each under its own name.
    pub(crate) fn parse_with_claims(text: &str, claims: &Path) -> Result<Self, LocationError> {
        let Some(rest) = text.strip_prefix("pvc://") else { return text.parse() };
        let path = Path::new(rest);
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        let claim = rest.split('/').next().unwrap_or_default();
        if claim.is_empty() || claim == "." || !path.components().all(plain) {
            return Err(LocationError::BadClaim(text.to_owned()));
        }
        Ok(Self::File(normal(&claims.join(path))))
    }

    fn parse_s3(text: &str, rest: &str) -> Result<Self, LocationError> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let bucket_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(bucket_byte) {
            return Err(LocationError::BadBucket(text.to_owned()));
        }
        let prefix = prefix.trim_end_matches('/');
        let bad_part = |part: &str| matches!(part, "" | "." | "..") || part.chars().any(char::is_control);
        if !prefix.is_empty() && prefix.split('/').any(bad_part) {
            return Err(LocationError::BadPrefix(text.to_owned()));
        }
        Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(rest) = text.strip_prefix("s3://") {
            return Self::parse_s3(text, rest);
        }
        if text.starts_with("file:") {
            let path = url::Url::parse(text).ok().and_then(|url| url.to_file_path().ok());
            return match path {
                Some(path) if text.starts_with("file:///") => Ok(Self::File(normal(&path))),
                _ => Err(LocationError::NotAbsolute(text.to_owned())),
            };
        }
        if text.starts_with("pvc://") {
            return Err(LocationError::ClusterOnly(text.to_owned()));
        }
        if Path::new(text).is_absolute() {
            return Ok(Self::File(normal(Path::new(text))));
        }
        Err(LocationError::UnknownScheme(text.to_owned()))
    }
}

/// The path without `.` parts and trailing slashes; `..` stays, since it can't be resolved without the file system.
fn normal(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, Component::CurDir)).collect()
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => match url::Url::from_file_path(path) {
                Ok(url) => formatter.write_str(url.as_str()),
                Err(()) => write!(formatter, "{}", path.display()),
            },
            Self::S3 { bucket, prefix } => write!(formatter, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_and_absolute_paths_are_read_and_shown_as_uris() {
        for (text, shown) in [
            ("file:///data/a%20b/", "file:///data/a%20b"),
            ("/data/./a", "file:///data/a"),
            ("s3://pool/run-1/step-100/", "s3://pool/run-1/step-100"),
            ("s3://pool", "s3://pool/"),
        ] {
            assert_eq!(text.parse::<Location>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn other_schemes_are_refused_naming_the_known_ones() {
        let message = |text: &str| text.parse::<Location>().unwrap_err().to_string();
        assert_eq!(
            message("gs://b/p"),
            "location \"gs://b/p\": expected file:///absolute/folder or s3://bucket/prefix"
        );
        assert!(message("pvc://claim/a").contains("only on a cluster"));
        assert!(message("models/a").contains("expected file:///"));
        assert!(message("file://host/a").contains("absolute"));
        assert!(message("s3://").contains("bucket"));
        assert!(message("s3://pool/../other").contains(".."));
    }

    #[test]
    fn claims_lie_in_their_folder_and_nothing_leaves_it() {
        let parse = |text: &str| Location::parse_with_claims(text, Path::new("/claims"));
        assert_eq!(parse("pvc://models/sft/1/").unwrap().to_string(), "file:///claims/models/sft/1");
        assert_eq!(parse("pvc://models").unwrap().to_string(), "file:///claims/models");
        assert_eq!(parse("s3://pool/a").unwrap().to_string(), "s3://pool/a");
        for text in ["pvc://", "pvc:///etc", "pvc://../etc", "pvc://./etc", "pvc://models/../../etc"] {
            assert_eq!(parse(text), Err(LocationError::BadClaim(text.to_owned())));
        }
    }

    #[test]
    fn joining_adds_one_part() {
        let joined = |text: &str| text.parse::<Location>().unwrap().join("config.json").to_string();
        assert_eq!(joined("file:///a"), "file:///a/config.json");
        assert_eq!(joined("s3://pool"), "s3://pool/config.json");
        assert_eq!(joined("s3://pool/x"), "s3://pool/x/config.json");
    }
}
