//! A pool on a server, a recipe that merges it, and the same merge made locally to compare with.

use std::fs;
use std::path::{Path, PathBuf};

use mergesearch_tests::{Bucket, Finished, Kind, Pool, Server, Shape, file_uri, folder_bytes, merger};
use tempfile::TempDir;

/// 24 MiB a checkpoint: several parts of an upload, and many ranges of a source.
pub(crate) const SEVERAL_PARTS: Shape =
    Shape { layers: 4, hidden: 512, feed_forward: 1024, vocabulary: 2048, shards: 1 };

/// Under 1 MiB a checkpoint, for tests of what goes wrong.
pub(crate) const SMALL: Shape =
    Shape { layers: 2, hidden: 128, feed_forward: 256, vocabulary: 256, shards: 1 };

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) bucket: Bucket,
    pub(crate) pool: Pool,
    folder: TempDir,
}

impl World {
    /// Two checkpoints, `a` and `b`, under `s3://pool/`.
    pub(crate) fn new(kind: Kind, shape: Shape) -> Self {
        let (server, pool) = (Server::start(kind), Pool::generate(shape, 2));
        let bucket = server.bucket("pool");
        for name in pool.names() {
            bucket.put_folder(name, &pool.folder(name));
        }
        Self { server, bucket, pool, folder: TempDir::with_prefix("mergesearch-world-").unwrap() }
    }

    /// A local folder of its own.
    pub(crate) fn local(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a linear recipe over sources on the server.
    pub(crate) fn recipe(&self) -> PathBuf {
        self.write_recipe("remote.yaml", |name| self.bucket.uri(name))
    }

    fn write_recipe(&self, file: &str, uri: impl Fn(&str) -> String) -> PathBuf {
        let path = self.local(file);
        fs::write(&path, self.pool.linear_recipe(uri)).unwrap();
        path
    }

    /// The model that the merge of local folders makes.
    pub(crate) fn merged_locally(&self, options: &[&str]) -> Vec<(String, Vec<u8>)> {
        let recipe = self.write_recipe("local.yaml", |name| file_uri(&self.pool.folder(name)));
        let output = self.local("local");
        merge(&recipe, &file_uri(&output), Vec::new(), options).assert_code(0);
        model(folder_bytes(&output))
    }
}

/// Runs `merger merge`.
pub(crate) fn merge(
    recipe: &Path,
    output: &str,
    environment: Vec<(&'static str, String)>,
    options: &[&str],
) -> Finished {
    let recipe = recipe.to_str().unwrap();
    merger().args(["merge", "--recipe", recipe, "--output", output]).args(options).envs(environment).run()
}

/// Without the files that name the sources, which differ between places.
pub(crate) fn model(files: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    let is_model = |name: &str| matches!(name.rsplit('.').next(), Some("safetensors" | "json"));
    let mut files: Vec<_> = files.into_iter().filter(|(name, _)| is_model(name)).collect();
    for (_, bytes) in &mut files {
        blank_digest(bytes);
    }
    files
}

/// Takes out what says where a file's sources lie, and which versions they were.
fn blank_digest(bytes: &mut [u8]) {
    let key = b"\"mergesearch.merge\":\"";
    let header = &bytes[..bytes.len().min(4096)];
    if let Some(found) = header.windows(key.len()).position(|window| window == key) {
        bytes[found + key.len()..found + key.len() + 64].fill(b'0');
    }
}

/// The names and sizes of two models, and whether their bytes are equal: a difference of megabytes is no use printed.
#[track_caller]
pub(crate) fn assert_same_model(left: &[(String, Vec<u8>)], right: &[(String, Vec<u8>)]) {
    let sizes = |files: &[(String, Vec<u8>)]| -> Vec<_> {
        files.iter().map(|(name, bytes)| (name.clone(), bytes.len())).collect()
    };
    assert_eq!(sizes(left), sizes(right));
    assert!(left.iter().any(|(name, _)| name.ends_with(".safetensors")), "no weights: {:?}", sizes(left));
    for ((name, left), (_, right)) in left.iter().zip(right) {
        let differing = left.iter().zip(right).position(|(left, right)| left != right);
        assert_eq!(differing, None, "{name} differs from this byte on");
    }
}

/// Whether a request reads a checkpoint's weights beyond the header.
pub(crate) fn reads_weights(request: &mergesearch_tests::Request, checkpoint: &str, header: u64) -> bool {
    let start =
        request.range.trim_start_matches("bytes=").split('-').next().and_then(|start| start.parse().ok());
    request.method == "GET"
        && request.target.contains(&format!("/{checkpoint}/"))
        && request.target.contains(".safetensors")
        && start.is_some_and(|start: u64| start >= header)
}

/// Bytes before the first tensor of a safetensors file.
pub(crate) fn header_size(file: &Path) -> u64 {
    let bytes = fs::read(file).unwrap();
    8 + u64::from_le_bytes(bytes[..8].try_into().unwrap())
}
