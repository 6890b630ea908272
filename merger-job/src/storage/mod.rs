//! Local folders and S3 buckets behind one small set of operations; every read is of one pinned version of a file.

mod error;
mod local;
mod s3;
mod s3_fault;
mod upload;

use std::sync::Arc;

use bytes::Bytes;

pub use self::error::{Fault, StorageError};
use self::local::{PartialFile, blocking};
use self::s3::S3;
pub(crate) use self::upload::{MIN_PART, PARTS_IN_FLIGHT, Upload};
use crate::Location;

/// How to reach S3. The default asks the environment and the profile files, as the AWS tools do.
#[derive(Debug, Clone, Default)]
pub struct StorageOptions {
    /// The server's URL, for stores other than AWS. Default: `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, the profile.
    pub endpoint: Option<String>,
    /// Default: `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile, `us-east-1`.
    pub region: Option<String>,
    /// Whether the bucket goes in the path instead of the host name. Default: yes with an endpoint, no without.
    pub path_style: Option<bool>,
    /// The profile of the shared config and credentials files. Default: `AWS_PROFILE`, `default`.
    pub profile: Option<String>,
}

/// A file of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the folder.
    pub name: String,
    /// Bytes.
    pub size: u64,
}

/// One version of a file: what [`Stores::read`] reads, or fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Where it is.
    pub location: Location,
    /// Bytes.
    pub size: u64,
    /// The version: S3's `ETag`, or where there's none the time of the last change; for local files size, modification time and inode.
    pub etag: String,
}

impl Object {
    /// The last part of its location.
    pub fn name(&self) -> &str {
        match &self.location {
            Location::File(path) => path.file_name().and_then(|name| name.to_str()).unwrap_or_default(),
            Location::S3 { prefix, .. } => prefix.rsplit('/').next().unwrap_or_default(),
        }
    }
}

/// Access to local folders and to S3. Cheap to clone; connects to S3 on first use.
#[derive(Debug, Clone)]
pub struct Stores {
    s3: Arc<S3>,
}

impl Stores {
    /// Takes the options; nothing is asked yet. Fails when the endpoint is no http(s) URL.
    pub fn new(options: StorageOptions) -> Result<Self, StorageError> {
        Ok(Self { s3: Arc::new(S3::new(options)?) })
    }

    /// The files directly in the folder, by name. An S3 prefix without objects is an empty folder.
    pub async fn list(&self, folder: &Location) -> Result<Vec<Entry>, StorageError> {
        let mut entries = match folder {
            Location::File(path) => blocking(path.clone(), local::list).await?,
            Location::S3 { bucket, prefix } => Box::pin(self.s3.list(bucket, prefix)).await?,
        };
        entries.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(entries)
    }

    /// The file's present version.
    pub async fn head(&self, file: &Location) -> Result<Object, StorageError> {
        match file {
            Location::File(path) => blocking(path.clone(), local::head).await,
            Location::S3 { bucket, prefix } => Box::pin(self.s3.head(bucket, prefix)).await,
        }
    }

    /// Exactly `length` bytes from `offset` of that version of the file.
    pub async fn read(&self, object: &Object, offset: u64, length: usize) -> Result<Bytes, StorageError> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        match &object.location {
            Location::File(path) => {
                let object = object.clone();
                blocking(path.clone(), move |path| local::read(path, &object, offset, length)).await
            }
            Location::S3 { .. } => Box::pin(self.s3.read(object, offset, length)).await,
        }
    }

    /// Writes a small file at once: afterwards it is there whole, or as it was before.
    pub async fn put(&self, file: &Location, bytes: Bytes) -> Result<(), StorageError> {
        match file {
            Location::File(path) => {
                blocking(path.clone(), move |path| {
                    let mut partial = PartialFile::create(path)?;
                    partial.write(&bytes)?;
                    partial.finish()
                })
                .await
            }
            Location::S3 { bucket, prefix } => Box::pin(self.s3.put(bucket, prefix, bytes)).await,
        }
    }

    /// Removes the file if it's there.
    pub async fn delete(&self, file: &Location) -> Result<(), StorageError> {
        match file {
            Location::File(path) => blocking(path.clone(), local::delete).await,
            Location::S3 { bucket, prefix } => Box::pin(self.s3.delete(bucket, prefix)).await,
        }
    }

    /// Fails when nothing can be written below the folder. Leaves nothing behind but the empty local folder.
    pub async fn check_writable(&self, folder: &Location) -> Result<(), StorageError> {
        match folder {
            Location::File(path) => blocking(path.clone(), local::check_writable).await,
            Location::S3 { bucket, prefix } => Box::pin(self.s3.check_writable(bucket, prefix)).await,
        }
    }

    /// Begins a large file, which becomes visible when the writer is finished. `part_size` is the size of the parts
    /// of an S3 upload, at least 5 MiB.
    pub(crate) async fn write(&self, file: &Location, part_size: usize) -> Result<Writer, StorageError> {
        match file {
            Location::File(path) => {
                let partial = blocking(path.clone(), PartialFile::create).await?;
                Ok(Writer::File { location: path.clone(), partial: Some(partial) })
            }
            Location::S3 { bucket, prefix } => {
                Ok(Writer::S3(Upload::new(Arc::clone(&self.s3), bucket, prefix, part_size)))
            }
        }
    }

    /// Waits until the uploads of writers that were dropped unfinished are aborted. Call it before the runtime ends.
    pub async fn close(&self) {
        self.s3.finish_cleanups().await;
    }
}

/// A large file being written, invisible until finished; dropped, it leaves nothing behind.
#[derive(Debug)]
pub(crate) enum Writer {
    /// Under a temporary name.
    File {
        /// The final name.
        location: std::path::PathBuf,
        /// `None` only while a write is running, and after one failed.
        partial: Option<PartialFile>,
    },
    /// A multipart upload.
    S3(Upload),
}

impl Writer {
    /// Appends.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        match self {
            Self::File { location, partial } => {
                let Some(mut file) = partial.take() else { return Ok(()) };
                let file = blocking(location.clone(), move |_| file.write(&bytes).map(|()| file)).await?;
                *partial = Some(file);
                Ok(())
            }
            Self::S3(upload) => Box::pin(upload.write(bytes)).await,
        }
    }

    /// Makes the file visible, whole.
    pub(crate) async fn finish(self) -> Result<(), StorageError> {
        match self {
            Self::File { location, partial: Some(partial) } => blocking(location, |_| partial.finish()).await,
            Self::File { location, partial: None } => Err(StorageError {
                location: Location::File(location).to_string(),
                fault: Fault::Failed("an earlier write failed".to_owned()),
            }),
            Self::S3(upload) => Box::pin(upload.finish()).await,
        }
    }
}
