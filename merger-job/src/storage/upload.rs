//! One object being uploaded in parts, a few at a time; dropped or failed, the upload is aborted.

use std::sync::Arc;

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use tokio::task::JoinSet;

use super::error::{Fault, StorageError};
use super::s3::{S3, failed};
use super::s3_fault;

/// Smallest part of an S3 upload, but for the last.
pub(crate) const MIN_PART: u64 = 5 << 20;

/// How a large object is uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts {
    /// Bytes of a part.
    pub(crate) size: usize,
    /// Parts on their way at the same time; one more is being filled.
    pub(crate) in_flight: usize,
}

impl Parts {
    /// Most parts on their way at the same time: more are no faster.
    pub(crate) const MOST: usize = 3;
    /// What takes the least memory.
    pub(crate) const LEAST: Self = Self { size: MIN_PART as usize, in_flight: 1 };
}

/// An object being written.
#[derive(Debug)]
pub(crate) struct Upload {
    s3: Arc<S3>,
    bucket: String,
    key: String,
    parts: Parts,
    /// The upload's id; none as long as everything fits one part.
    id: Option<String>,
    buffer: BytesMut,
    parts_begun: i32,
    in_flight: JoinSet<Result<CompletedPart, StorageError>>,
    done: Vec<CompletedPart>,
    written: u64,
}

impl Upload {
    pub(super) fn new(s3: Arc<S3>, bucket: &str, key: &str, parts: Parts) -> Self {
        Self {
            s3,
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            parts,
            id: None,
            buffer: BytesMut::new(),
            parts_begun: 0,
            in_flight: JoinSet::new(),
            done: Vec::new(),
            written: 0,
        }
    }

    pub(super) async fn write(&mut self, mut bytes: Bytes) -> Result<(), StorageError> {
        self.written += bytes.len() as u64;
        while !bytes.is_empty() {
            // A full part is sent only when more follows, so that a small object never needs an upload of parts.
            if self.buffer.len() == self.parts.size {
                self.send_part().await?;
            }
            let room = self.parts.size - self.buffer.len();
            self.buffer.extend_from_slice(&bytes.split_to(room.min(bytes.len())));
        }
        Ok(())
    }

    async fn send_part(&mut self) -> Result<(), StorageError> {
        let id = if let Some(id) = &self.id {
            id.clone()
        } else {
            let id = self.s3.begin_upload(&self.bucket, &self.key).await?;
            self.id.insert(id).clone()
        };
        while self.in_flight.len() >= self.parts.in_flight {
            self.finish_part().await?;
        }
        self.parts_begun += 1;
        let number = self.parts_begun;
        let body = std::mem::take(&mut self.buffer).freeze();
        let (s3, bucket, key) = (Arc::clone(&self.s3), self.bucket.clone(), self.key.clone());
        self.in_flight.spawn(async move {
            let request = s3.client().await.upload_part().bucket(&bucket).key(&key).upload_id(id);
            let request = request.part_number(number).body(body.into());
            let answer =
                request.send().await.map_err(|error| failed(&bucket, &key, s3_fault::read(&error)))?;
            Ok(CompletedPart::builder()
                .part_number(number)
                .set_e_tag(answer.e_tag)
                .set_checksum_crc32(answer.checksum_crc32)
                .build())
        });
        Ok(())
    }

    async fn finish_part(&mut self) -> Result<(), StorageError> {
        match self.in_flight.join_next().await {
            Some(Ok(part)) => self.done.push(part?),
            Some(Err(error)) => {
                return Err(failed(&self.bucket, &self.key, Fault::Failed(error.to_string())));
            }
            None => {}
        }
        Ok(())
    }

    pub(super) async fn finish(mut self) -> Result<(), StorageError> {
        if self.id.is_none() {
            let body = std::mem::take(&mut self.buffer).freeze();
            return self.s3.put(&self.bucket, &self.key, body).await;
        }
        self.send_part().await?;
        while !self.in_flight.is_empty() {
            self.finish_part().await?;
        }
        self.done.sort_by_key(CompletedPart::part_number);
        let parts = std::mem::take(&mut self.done);
        let upload = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = self.s3.client().await.complete_multipart_upload();
        let request = request.bucket(&self.bucket).key(&self.key).set_upload_id(self.id.clone());
        request
            .multipart_upload(upload)
            .send()
            .await
            .map_err(|error| failed(&self.bucket, &self.key, s3_fault::read(&error)))?;
        self.id = None;
        let size = self.s3.head(&self.bucket, &self.key).await?.size;
        if size == self.written {
            Ok(())
        } else {
            let fault = format!("wrote {} bytes, the server has {size}", self.written);
            Err(failed(&self.bucket, &self.key, Fault::Failed(fault)))
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            let (s3, bucket, key) = (Arc::clone(&self.s3), self.bucket.clone(), self.key.clone());
            let mut in_flight = std::mem::take(&mut self.in_flight);
            self.s3.clean_up(async move {
                // Parts that arrive after the abort would stay and be billed.
                in_flight.shutdown().await;
                // Best effort: a bucket's lifecycle rule removes what an unreachable server keeps.
                let _ = s3.abort_upload(&bucket, &key, &id).await;
            });
        }
    }
}
