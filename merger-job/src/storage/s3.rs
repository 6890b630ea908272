//! S3 and what speaks its protocol. Trusts no server: length, range and version of every answer are compared with what
//! was asked for, since many stores ignore `If-Match` or `Range`.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::{Region, ResponseChecksumValidation, SharedHttpClient};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::ChecksumAlgorithm;
use bytes::Bytes;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use super::certificates;
use super::error::{Fault, StorageError};
use super::s3_fault::{self, root_cause};
use super::{Entry, Object, StorageOptions};
use crate::Location;

/// Attempts at one request, the first included; the waits between grow from about half a second.
const REQUEST_ATTEMPTS: u32 = 5;
/// Attempts at one range whose answer began well and broke off or came short.
const BODY_ATTEMPTS: u32 = 4;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Until the first byte of an answer.
const READ_TIMEOUT: Duration = Duration::from_mins(1);

/// Begins versions that are times. Real `ETag`s are quoted.
const MODIFIED: &str = "modified ";

/// What tells an object's versions apart: its `ETag`, or in stores that serve files that they didn't write, its time.
fn version(etag: Option<&str>, modified: Option<&DateTime>) -> Option<String> {
    match etag {
        Some(etag) if !etag.is_empty() => Some(etag.to_owned()),
        _ => modified.map(|time| format!("{MODIFIED}{time}")),
    }
}

/// A connection to S3, made when first needed.
#[derive(Debug)]
pub(super) struct S3 {
    options: StorageOptions,
    /// Trusts further certificates; the client's own when there are none.
    http: Option<SharedHttpClient>,
    client: OnceCell<Client>,
    cleanups: Mutex<JoinSet<()>>,
}

pub(super) fn failed(bucket: &str, key: &str, fault: Fault) -> StorageError {
    StorageError { location: format!("s3://{bucket}/{key}"), fault }
}

impl S3 {
    pub(super) fn new(options: StorageOptions) -> Result<Self, StorageError> {
        if let Some(endpoint) = &options.endpoint {
            let url = url::Url::parse(endpoint).ok();
            if !url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
                let fault = Fault::Refused("expected an endpoint like https://host:port".to_owned());
                return Err(StorageError { location: format!("endpoint {endpoint:?}"), fault });
            }
        }
        let bundle = std::env::var_os("AWS_CA_BUNDLE").filter(|file| !file.is_empty()).map(PathBuf::from);
        let bundle = options.certificates.clone().or(bundle);
        let http = bundle.map(|file| certificates::client(&file)).transpose()?;
        Ok(Self { options, http, client: OnceCell::new(), cleanups: Mutex::default() })
    }

    pub(super) async fn client(&self) -> &Client {
        self.client.get_or_init(|| self.connect()).await
    }

    async fn connect(&self) -> Client {
        let StorageOptions { endpoint, region, path_style, profile, .. } = &self.options;
        let mut profile_region = ProfileFileRegionProvider::builder();
        // The metadata service of a cloud machine is not asked: elsewhere that costs seconds, and pods have AWS_REGION.
        if let Some(profile) = profile {
            profile_region = profile_region.profile_name(profile);
        }
        let region = RegionProviderChain::first_try(region.clone().map(Region::new))
            .or_else(EnvironmentVariableRegionProvider::new())
            .or_else(profile_region.build())
            .or_else(Region::from_static("us-east-1"));
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT);
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(region)
            .retry_config(RetryConfig::standard().with_max_attempts(REQUEST_ATTEMPTS))
            .timeout_config(timeouts.build());
        if let Some(http) = &self.http {
            loader = loader.http_client(http.clone());
        }
        if let Some(endpoint) = endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(profile) = profile {
            loader = loader.profile_name(profile);
        }
        let shared = loader.load().await;
        let has_endpoint =
            shared.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some();
        let config = aws_sdk_s3::config::Builder::from(&shared)
            .force_path_style(path_style.unwrap_or(has_endpoint))
            // Some stores answer a range with the whole object's checksum; length, range and version are checked here.
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        Client::from_conf(config.build())
    }

    pub(super) async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<Entry>, StorageError> {
        let folder = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let request = self.client().await.list_objects_v2().bucket(bucket).prefix(&folder).delimiter("/");
        let mut pages = request.into_paginator().send();
        let mut entries = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed(bucket, prefix, s3_fault::read(&error)))?;
            for object in page.contents() {
                let name = object.key().and_then(|key| key.strip_prefix(&folder)).unwrap_or_default();
                if !name.is_empty() && !name.contains('/') {
                    entries.push(Entry {
                        name: name.to_owned(),
                        size: u64::try_from(object.size().unwrap_or(0)).unwrap_or(0),
                    });
                }
            }
        }
        Ok(entries)
    }

    pub(super) async fn head(&self, bucket: &str, key: &str) -> Result<Object, StorageError> {
        let request = self.client().await.head_object().bucket(bucket).key(key);
        let head = request.send().await.map_err(|error| failed(bucket, key, s3_fault::read(&error)))?;
        let size = head.content_length().and_then(|length| u64::try_from(length).ok());
        match (size, version(head.e_tag(), head.last_modified())) {
            (Some(size), Some(etag)) => {
                let location = Location::S3 { bucket: bucket.to_owned(), prefix: key.to_owned() };
                Ok(Object { location, size, etag })
            }
            _ => Err(failed(
                bucket,
                key,
                Fault::Refused("the server gives no size, or neither ETag nor Last-Modified".to_owned()),
            )),
        }
    }

    pub(super) async fn read(
        &self,
        object: &Object,
        offset: u64,
        length: usize,
    ) -> Result<Bytes, StorageError> {
        let mut attempt = 1;
        loop {
            match self.read_once(object, offset, length).await {
                Ok(bytes) => return Ok(bytes),
                Err(ReadFault::Body(_)) if attempt < BODY_ATTEMPTS => {
                    tokio::time::sleep(Duration::from_millis(100) * 3_u32.pow(attempt)).await;
                    attempt += 1;
                }
                Err(ReadFault::Body(fault) | ReadFault::Request(fault)) => {
                    return Err(StorageError { location: object.location.to_string(), fault });
                }
            }
        }
    }

    async fn read_once(&self, object: &Object, offset: u64, length: usize) -> Result<Bytes, ReadFault> {
        let Location::S3 { bucket, prefix: key } = &object.location else {
            return Err(ReadFault::Request(Fault::Refused("expected an s3:// location".to_owned())));
        };
        let end = offset + length as u64;
        let if_match = (!object.etag.starts_with(MODIFIED)).then(|| object.etag.clone());
        let request = self.client().await.get_object().bucket(bucket).key(key);
        let request = request.range(format!("bytes={offset}-{}", end - 1)).set_if_match(if_match);
        let mut answer = request.send().await.map_err(|error| {
            let status = error.raw_response().map(|response| response.status().as_u16());
            ReadFault::Request(match status {
                Some(412) => {
                    Fault::Changed { pinned: object.etag.clone(), found: "another version".to_owned() }
                }
                Some(416) => {
                    Fault::Changed { pinned: object.etag.clone(), found: "a shorter file".to_owned() }
                }
                _ => s3_fault::read(&error),
            })
        })?;
        check_answer(&answer, object, offset, end)?;
        let mut buffer = Vec::with_capacity(length);
        loop {
            match answer.body.try_next().await {
                Ok(Some(part)) if buffer.len() + part.len() <= length => buffer.extend_from_slice(&part),
                Ok(Some(part)) => {
                    let got = (buffer.len() + part.len()) as u64;
                    return Err(ReadFault::Body(Fault::WrongLength { expected: length as u64, got }));
                }
                Ok(None) if buffer.len() == length => return Ok(Bytes::from(buffer)),
                Ok(None) => {
                    let got = buffer.len() as u64;
                    return Err(ReadFault::Body(Fault::WrongLength { expected: length as u64, got }));
                }
                Err(error) => return Err(ReadFault::Body(Fault::Failed(root_cause(&error)))),
            }
        }
    }

    pub(super) async fn put(&self, bucket: &str, key: &str, bytes: Bytes) -> Result<(), StorageError> {
        let request = self.client().await.put_object().bucket(bucket).key(key).body(bytes.into());
        request.send().await.map_err(|error| failed(bucket, key, s3_fault::read(&error)))?;
        Ok(())
    }

    pub(super) async fn delete(&self, bucket: &str, key: &str) -> Result<(), StorageError> {
        let request = self.client().await.delete_object().bucket(bucket).key(key);
        gone(request.send().await).map_err(|fault| failed(bucket, key, fault))
    }

    /// Begins and aborts an upload: needs the permission to write, and leaves no object.
    pub(super) async fn check_writable(&self, bucket: &str, prefix: &str) -> Result<(), StorageError> {
        let key = if prefix.is_empty() { ".write-test".to_owned() } else { format!("{prefix}/.write-test") };
        let upload = self.begin_upload(bucket, &key).await?;
        self.abort_upload(bucket, &key, &upload).await
    }

    pub(super) async fn begin_upload(&self, bucket: &str, key: &str) -> Result<String, StorageError> {
        let request = self.client().await.create_multipart_upload().bucket(bucket).key(key);
        // The client sends a CRC32 with each part; a strict store accepts them at the end only when announced here.
        let request = request.checksum_algorithm(ChecksumAlgorithm::Crc32);
        let id = match request.send().await {
            Ok(answer) => answer.upload_id,
            // Some stores name the answer's outer element otherwise, and the client gives up over it.
            Err(error) => match error.raw_response().and_then(upload_id) {
                Some(id) => Some(id),
                None => return Err(failed(bucket, key, s3_fault::read(&error))),
            },
        };
        id.ok_or_else(|| {
            failed(bucket, key, Fault::Refused("the server began an upload without an id".to_owned()))
        })
    }

    pub(super) async fn abort_upload(
        &self,
        bucket: &str,
        key: &str,
        upload: &str,
    ) -> Result<(), StorageError> {
        let request = self.client().await.abort_multipart_upload().bucket(bucket).key(key).upload_id(upload);
        gone(request.send().await).map_err(|fault| failed(bucket, key, fault))
    }

    /// Runs the work beside whatever goes on; [`S3::finish_cleanups`] waits for it.
    pub(super) fn clean_up(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let (Ok(runtime), Ok(mut cleanups)) = (tokio::runtime::Handle::try_current(), self.cleanups.lock())
        {
            cleanups.spawn_on(work, &runtime);
        }
    }

    pub(super) async fn finish_cleanups(&self) {
        let mut cleanups = match self.cleanups.lock() {
            Ok(mut cleanups) => std::mem::take(&mut *cleanups),
            Err(_) => return,
        };
        while cleanups.join_next().await.is_some() {}
    }
}

/// The upload's id in the text of a successful answer.
fn upload_id(answer: &HttpResponse) -> Option<String> {
    let text = std::str::from_utf8(answer.body().bytes()?).ok()?;
    let (_, rest) = text.split_once("<UploadId>").filter(|_| answer.status().is_success())?;
    let (id, _) = rest.split_once("</UploadId>")?;
    (!id.is_empty() && !id.contains('&')).then(|| id.to_owned())
}

/// Whether something is gone after a request to remove it. Some stores answer 200 where the client waits for 204.
fn gone<T, E>(answer: Result<T, SdkError<E, HttpResponse>>) -> Result<(), Fault>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let Err(error) = answer else { return Ok(()) };
    if error.raw_response().is_some_and(|response| response.status().is_success()) {
        return Ok(());
    }
    match s3_fault::read(&error) {
        Fault::NotFound(_) => Ok(()),
        fault => Err(fault),
    }
}

/// Whether the client has already tried again (a request) or not yet (an answer that broke off).
enum ReadFault {
    Request(Fault),
    Body(Fault),
}

/// Fails unless the answer is the bytes `offset..end` of the pinned version.
fn check_answer(answer: &GetObjectOutput, object: &Object, offset: u64, end: u64) -> Result<(), ReadFault> {
    let found = version(answer.e_tag(), answer.last_modified()).unwrap_or_default();
    if found != object.etag {
        let fault = Fault::Changed { pinned: object.etag.clone(), found };
        return Err(ReadFault::Request(fault));
    }
    if let Some(range) = answer.content_range() {
        let expected = format!("bytes {offset}-{}/{}", end - 1, object.size);
        if range.trim() != expected {
            let fault = format!("expected the range {expected:?}, got {range:?}");
            return Err(ReadFault::Body(Fault::Failed(fault)));
        }
    } else if offset != 0 || end != object.size {
        return Err(ReadFault::Request(Fault::Refused("the server ignores ranges".to_owned())));
    }
    match answer.content_length().and_then(|length| u64::try_from(length).ok()) {
        Some(got) if got != end - offset => {
            Err(ReadFault::Body(Fault::WrongLength { expected: end - offset, got }))
        }
        _ => Ok(()),
    }
}
