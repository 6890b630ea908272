//! A bucket as a test sees it: put, get and list objects, and list uploads that were begun and not ended.

use std::fs;
use std::path::Path;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use tokio::runtime::Runtime;

/// A bucket on a test server.
#[derive(Debug)]
pub struct Bucket {
    runtime: Runtime,
    client: Client,
    name: String,
}

impl Bucket {
    pub(crate) fn open(endpoint: &str, access_key: &str, secret_key: &str, name: &str) -> Self {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new(access_key, secret_key, None, None, "test"))
            .force_path_style(true)
            .build();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, client: Client::from_conf(config), name: name.to_owned() }
    }

    pub(crate) fn create(&self) {
        self.runtime.block_on(self.client.create_bucket().bucket(&self.name).send()).unwrap();
    }

    /// The URI of a folder in the bucket.
    pub fn uri(&self, prefix: &str) -> String {
        format!("s3://{}/{prefix}", self.name)
    }

    /// Writes one object.
    pub fn put(&self, key: &str, bytes: Vec<u8>) {
        let request = self.client.put_object().bucket(&self.name).key(key).body(bytes.into());
        self.runtime.block_on(request.send()).unwrap();
    }

    /// Writes every file of a flat folder as an object below the prefix.
    pub fn put_folder(&self, prefix: &str, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            self.put(&format!("{prefix}/{name}"), fs::read(entry.path()).unwrap());
        }
    }

    /// One object's bytes.
    pub fn get(&self, key: &str) -> Vec<u8> {
        self.runtime.block_on(async {
            let answer = self.client.get_object().bucket(&self.name).key(key).send().await.unwrap();
            answer.body.collect().await.unwrap().to_vec()
        })
    }

    /// The keys below the prefix, in order; at most 1,000.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let request = self.client.list_objects_v2().bucket(&self.name).prefix(format!("{prefix}/"));
        let answer = self.runtime.block_on(request.send()).unwrap();
        answer.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect()
    }

    /// The objects below the prefix as name and bytes, in order.
    pub fn folder_bytes(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let name = |key: &str| key.rsplit('/').next().unwrap_or_default().to_owned();
        self.keys(prefix).iter().map(|key| (name(key), self.get(key))).collect()
    }

    /// The number of uploads in parts that were begun and neither completed nor aborted.
    pub fn dangling_uploads(&self) -> usize {
        let request = self.client.list_multipart_uploads().bucket(&self.name);
        self.runtime.block_on(request.send()).unwrap().uploads().len()
    }
}
