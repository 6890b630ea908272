//! `spec.storage`: where results go and how object storage is reached.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{cel, defaults};

/// Where results go and how object storage is reached.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[schemars(extend("x-kubernetes-validations" = cel::storage()))]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// The prefix that everything is written under: reports, and published checkpoints unless `publish.uri` says
    /// otherwise. `s3://bucket/prefix`; for local runs also `file:///absolute/folder` or `file://./folder`, relative to
    /// the manifest. Immutable. Example: `s3://models/searches`.
    #[schemars(length(min = 1, max = 1024))]
    pub output: String,
    /// The server of S3-compatible storage. Default: Amazon's. Mutable. Example: `https://minio.storage.svc:9000`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub endpoint: Option<String>,
    /// The region. Default: from the environment, else `us-east-1`. Mutable. Example: `eu-central-1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub region: Option<String>,
    /// Whether the bucket goes into the path of a request and not into its host name, as most servers other than Amazon's
    /// need. Default: `true` with an `endpoint`, else `false`. Mutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
    /// Certificates to trust, for a server with a private authority: a key of a `ConfigMap`. Local runs use
    /// `AWS_CA_BUNDLE`. Default: the system's. Mutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,
    /// The Secret with `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and perhaps `AWS_SESSION_TOKEN`. Only pods read it.
    /// Default: workload identity. Local runs use the environment or a profile. Mutable. Example: `s3-credentials`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub credentials_secret: Option<String>,
    /// The service account of every pod, for workload identity. Equal to that of the evaluator's template unless one of
    /// the two is left out. Default: the template's. Mutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: Option<String>,
    /// What happens to a search's artifacts when it is deleted: `Retain` or `Delete`. Default: `Retain`. Mutable.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// A key of a `ConfigMap` that holds certificates in PEM form.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CaBundle {
    /// The name of the `ConfigMap`. Mutable.
    #[schemars(length(min = 1, max = 253))]
    pub config_map: String,
    /// The key in it. Default: `ca.crt`. Mutable.
    #[serde(default = "defaults::ca_bundle_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// What happens to artifacts when a search is deleted.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// They stay.
    #[default]
    Retain,
    /// They are deleted.
    Delete,
}
