//! What can go wrong between us and storage, told apart by whether trying again can help.

use std::io;

/// A failed storage operation on one file or object.
#[derive(Debug, thiserror::Error)]
#[error("{location}: {fault}")]
pub struct StorageError {
    /// The file, object or folder, as a URI.
    pub location: String,
    /// What happened.
    pub fault: Fault,
}

/// What happened to a storage operation.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// No such file, folder, object or bucket.
    #[error("not found ({0})")]
    NotFound(String),
    /// The credentials don't allow it, or the file's mode doesn't.
    #[error("access denied ({0})")]
    AccessDenied(String),
    /// There are no credentials to ask with.
    #[error(
        "no usable credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile ({0})"
    )]
    NoCredentials(String),
    /// Read once as one thing, now another.
    #[error("changed while in use: expected version {pinned}, found {found}")]
    Changed {
        /// Version seen first.
        pinned: String,
        /// Version seen now.
        found: String,
    },
    /// A file where a folder is needed or the reverse, or a request the server can't accept however often it's asked.
    #[error("refused ({0})")]
    Refused(String),
    /// The file system has no space left.
    #[error("no space left on the device")]
    Full,
    /// Connection refused, name not resolved, timeout.
    #[error("can't be reached ({0})")]
    Unreachable(String),
    /// The server failed or asked to slow down, or a device failed.
    #[error("storage failed ({0})")]
    Failed(String),
    /// The answer had another length than the range asked for.
    #[error("expected {expected} bytes of the range, got {got}")]
    WrongLength {
        /// Bytes asked for.
        expected: u64,
        /// Bytes that came.
        got: u64,
    },
}

impl Fault {
    /// Whether the same operation may succeed later.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Full | Self::Unreachable(_) | Self::Failed(_) | Self::WrongLength { .. } => true,
            Self::NotFound(_)
            | Self::AccessDenied(_)
            | Self::NoCredentials(_)
            | Self::Changed { .. }
            | Self::Refused(_) => false,
        }
    }

    /// Reads an operating system error.
    pub fn from_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound("no such file or folder".to_owned()),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::AccessDenied(error.to_string())
            }
            io::ErrorKind::NotADirectory
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::FileTooLarge => Self::Refused(error.to_string()),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Failed(error.to_string()),
        }
    }
}
