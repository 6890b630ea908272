//! Whole folders of S3: everything below a prefix, listed and deleted.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::error::{Fault, StorageError};
use super::s3::{S3, failed};
use super::s3_fault;

/// Requests at the same time where a store deletes only one object at a time.
const DELETES_AT_ONCE: usize = 16;
/// Looks at a folder after which it must be empty: others may have written while it was deleted.
const PASSES: usize = 4;

impl S3 {
    /// Deletes every object whose key begins with `prefix/`, and aborts the uploads that were begun there.
    pub(super) async fn delete_folder(&self, bucket: &str, prefix: &str) -> Result<(), StorageError> {
        if prefix.is_empty() {
            let fault = Fault::Refused("a whole bucket is never deleted; expected a folder in it".to_owned());
            return Err(failed(bucket, prefix, fault));
        }
        let folder = format!("{prefix}/");
        self.abort_uploads(bucket, &folder).await;
        for _ in 0..PASSES {
            if self.delete_pass(bucket, &folder).await? == 0 {
                return Ok(());
            }
        }
        let fault = Fault::Failed("objects appear as fast as they are deleted".to_owned());
        Err(failed(bucket, prefix, fault))
    }

    /// Deletes what is there now and says how much it was.
    async fn delete_pass(&self, bucket: &str, folder: &str) -> Result<usize, StorageError> {
        let request = self.client().await.list_objects_v2().bucket(bucket).prefix(folder);
        let mut pages = request.into_paginator().send();
        let mut deleted = 0;
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                Err(error) => match s3_fault::read(&error) {
                    // Some stores know no prefix without objects.
                    Fault::NotFound(_)
                        if error.as_service_error().is_none_or(|error| !error.is_no_such_bucket()) =>
                    {
                        return Ok(deleted);
                    }
                    fault => return Err(failed(bucket, folder, fault)),
                },
            };
            let keys: Vec<String> =
                page.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect();
            deleted += keys.len();
            self.delete_batch(bucket, folder, keys).await?;
        }
        Ok(deleted)
    }

    /// Deletes a page of objects in one request, or one by one in stores that can't.
    async fn delete_batch(&self, bucket: &str, folder: &str, keys: Vec<String>) -> Result<(), StorageError> {
        if keys.is_empty() {
            return Ok(());
        }
        let identifiers = keys.iter().map(|key| ObjectIdentifier::builder().key(key).build());
        let delete = identifiers
            .collect::<Result<_, _>>()
            .and_then(|objects| Delete::builder().set_objects(Some(objects)).quiet(true).build())
            .map_err(|error| failed(bucket, folder, Fault::Refused(error.to_string())))?;
        let answer = self.client().await.delete_objects().bucket(bucket).delete(delete).send().await;
        match answer {
            Ok(answer) => match answer.errors().first() {
                Some(error) => {
                    let (code, message) = (error.code(), error.message());
                    let fault = s3_fault::of_code(code.unwrap_or_default(), message.unwrap_or_default());
                    Err(failed(bucket, error.key().unwrap_or(folder), fault))
                }
                None => Ok(()),
            },
            Err(error) => {
                let status = error.raw_response().map(|response| response.status().as_u16());
                match (status, s3_fault::read(&error)) {
                    (Some(501), _) | (Some(400 | 405), Fault::Refused(_)) => {
                        stream::iter(keys.iter().map(|key| self.delete(bucket, key)))
                            .buffer_unordered(DELETES_AT_ONCE)
                            .try_collect()
                            .await
                    }
                    (_, fault) => Err(failed(bucket, folder, fault)),
                }
            }
        }
    }

    /// Best effort: not every store lists uploads, and none shows them among the objects.
    async fn abort_uploads(&self, bucket: &str, folder: &str) {
        let request = self.client().await.list_multipart_uploads().bucket(bucket).prefix(folder);
        let Ok(answer) = request.send().await else { return };
        for upload in answer.uploads() {
            if let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) {
                let _ = self.abort_upload(bucket, key, id).await;
            }
        }
    }
}
