//! Local folders and S3 buckets behind one small set of operations; every read is of one pinned version of a file.

mod certificates;
mod error;
mod local;
mod s3;
mod s3_fault;
mod s3_folder;
mod upload;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt as _;

pub use self::error::{Fault, StorageError};
use self::local::{PartialFile, blocking};
pub(crate) use self::local::{PinnedFile, PlacedFile};
use self::s3::S3;
pub(crate) use self::upload::{MIN_PART, Parts, Upload};
use crate::{Location, LocationError};

/// Bytes that a copied file is read in.
const PIECE: usize = 1 << 20;

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
    /// A file of PEM certificates to trust beside the system's. Default: `AWS_CA_BUNDLE`.
    pub certificates: Option<PathBuf>,
    /// The folder in which persistent volume claims are mounted, each under its own name. Default: none, and locations
    /// of `pvc://` are refused.
    pub claims: Option<PathBuf>,
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
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
    claims: Option<Arc<Path>>,
}

impl Stores {
    /// Takes the options; nothing is asked yet. Fails when the endpoint is no http(s) URL, or the file of certificates
    /// none.
    pub fn new(mut options: StorageOptions) -> Result<Self, StorageError> {
        let claims = options.claims.take().map(Into::into);
        Ok(Self { s3: Arc::new(S3::new(options)?), claims })
    }

    /// Where a URI leads from here: as [`Location`] says, and `pvc://claim/path` into the folder of claims.
    pub fn locate(&self, uri: &str) -> Result<Location, LocationError> {
        match &self.claims {
            Some(claims) => Location::parse_with_claims(uri, claims),
            None => uri.parse(),
        }
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

    /// A file of this machine, opened to be read in pieces of a stretch of `length` bytes from `offset`; `None` for an object
    /// of S3, which is read as a whole stretch ([`Stores::read`]).
    pub(crate) async fn open_pinned(
        &self,
        object: &Object,
        offset: u64,
        length: u64,
    ) -> Result<Option<PinnedFile>, StorageError> {
        match &object.location {
            Location::File(path) => {
                let object = object.clone();
                blocking(path.clone(), move |path| PinnedFile::open(path, &object, offset, length))
                    .await
                    .map(Some)
            }
            Location::S3 { .. } => Ok(None),
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

    /// A whole small file. Fails when it has more than `limit` bytes.
    pub async fn get(&self, file: &Location, limit: u64) -> Result<Bytes, StorageError> {
        let object = self.head(file).await?;
        if object.size > limit {
            let fault = Fault::Refused(format!("it has {} bytes, expected at most {limit}", object.size));
            return Err(StorageError { location: file.to_string(), fault });
        }
        self.read(&object, 0, object.size as usize).await
    }

    /// Copies a file of this machine, in pieces, to a file that becomes visible whole.
    pub async fn upload(&self, source: &Path, target: &Location) -> Result<(), StorageError> {
        let fail = |error: &std::io::Error| StorageError {
            location: Location::File(source.to_owned()).to_string(),
            fault: Fault::from_io(error),
        };
        let mut file = tokio::fs::File::open(source).await.map_err(|error| fail(&error))?;
        let mut writer = self.write(target, Parts::LEAST).await?;
        loop {
            let mut piece = BytesMut::with_capacity(PIECE);
            if file.read_buf(&mut piece).await.map_err(|error| fail(&error))? == 0 {
                return writer.finish().await;
            }
            writer.write(piece.freeze()).await?;
        }
    }

    /// Removes the folder with everything below it, if it's there. A whole bucket is refused.
    pub async fn delete_folder(&self, folder: &Location) -> Result<(), StorageError> {
        match folder {
            Location::File(path) => blocking(path.clone(), local::delete_folder).await,
            Location::S3 { bucket, prefix } => Box::pin(self.s3.delete_folder(bucket, prefix)).await,
        }
    }

    /// Fails when nothing can be written below the folder. Leaves nothing behind but the empty local folder.
    pub async fn check_writable(&self, folder: &Location) -> Result<(), StorageError> {
        match folder {
            Location::File(path) => blocking(path.clone(), local::check_writable).await,
            Location::S3 { bucket, prefix } => Box::pin(self.s3.check_writable(bucket, prefix)).await,
        }
    }

    /// Begins a large file, which becomes visible when the writer is finished. `parts` are those
    /// of an S3 upload.
    pub(crate) async fn write(&self, file: &Location, parts: Parts) -> Result<Writer, StorageError> {
        match file {
            Location::File(path) => {
                let partial = blocking(path.clone(), PartialFile::create).await?;
                Ok(Writer::File { location: path.clone(), partial: Some(partial) })
            }
            Location::S3 { bucket, prefix } => {
                Ok(Writer::S3(Upload::new(Arc::clone(&self.s3), bucket, prefix, parts)))
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
    /// The file, to be written at any place, if it lies on this machine.
    pub(crate) fn placed(&self) -> Option<PlacedFile> {
        match self {
            Self::File { partial, .. } => partial.as_ref().map(PartialFile::placed),
            Self::S3(_) => None,
        }
    }

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
