//! Container images for tests, made from a few files without a registry or an engine.

use std::fs::{self, File};
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

/// An image with one layer.
pub struct Image {
    reference: String,
    layer: Builder<Vec<u8>>,
    entrypoint: Vec<String>,
}

impl Image {
    /// An image without files. `reference` has a domain and a tag, as `mergesearch.test/busybox:1` has.
    pub fn new(reference: &str) -> Self {
        Self { reference: reference.to_owned(), layer: Builder::new(Vec::new()), entrypoint: Vec::new() }
    }

    /// Adds a program under an absolute path.
    #[must_use]
    pub fn program(mut self, path: &str, file: &Path) -> Self {
        let bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        add(&mut self.layer, path, &bytes, 0o755);
        self
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn link(mut self, path: &str, target: &str) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        self.layer.append_link(&mut header, path.trim_start_matches('/'), target).unwrap();
        self
    }

    /// Sets what runs unless a pod says otherwise.
    #[must_use]
    pub fn entrypoint(mut self, words: &[&str]) -> Self {
        self.entrypoint = words.iter().map(ToString::to_string).collect();
        self
    }

    /// Writes an OCI archive, for [`Node::import_image`](super::Node::import_image).
    pub fn write(self, archive: &Path) {
        let layer = self.layer.into_inner().unwrap();
        let config = json!({
            "architecture": match std::env::consts::ARCH { "aarch64" => "arm64", _ => "amd64" },
            "os": "linux",
            "config": {"Entrypoint": self.entrypoint, "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", digest(&layer))]},
        });
        let mut tar = Builder::new(File::create(archive).unwrap());
        let layer = add_blob(&mut tar, "layer.v1.tar", &layer);
        let config = add_blob(&mut tar, "config.v1+json", config.to_string().as_bytes());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config,
            "layers": [layer],
        });
        let mut manifest = add_blob(&mut tar, "manifest.v1+json", manifest.to_string().as_bytes());
        manifest["annotations"] = json!({"io.containerd.image.name": self.reference});
        let index = json!({"schemaVersion": 2, "manifests": [manifest]});
        add(&mut tar, "index.json", index.to_string().as_bytes(), 0o644);
        add(&mut tar, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#, 0o644);
        tar.finish().unwrap();
    }
}

/// Adds a blob and returns its description.
fn add_blob(tar: &mut Builder<File>, kind: &str, bytes: &[u8]) -> Value {
    let digest = digest(bytes);
    add(tar, &format!("blobs/sha256/{digest}"), bytes, 0o644);
    json!({
        "mediaType": format!("application/vnd.oci.image.{kind}"),
        "digest": format!("sha256:{digest}"),
        "size": bytes.len(),
    })
}

fn add(tar: &mut Builder<impl std::io::Write>, path: &str, bytes: &[u8], mode: u32) {
    let mut header = Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    tar.append_data(&mut header, path.trim_start_matches('/'), bytes).unwrap();
}

fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}
