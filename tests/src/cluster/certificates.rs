//! A cluster's own certificate authority, and the kubeconfig files of those who may talk to its API server.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use serde_json::json;

/// Who a client certificate says its bearer is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity<'a> {
    pub(crate) user: &'a str,
    pub(crate) group: Option<&'a str>,
}

impl Identity<'_> {
    /// Whom role-based access control does not hold back.
    pub(crate) const ADMINISTRATOR: Identity<'static> =
        Identity { user: "administrator", group: Some("system:masters") };
}

/// The authority, which signs into the folder `pki` of a cluster.
pub(crate) struct Authority {
    folder: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Makes the authority and the key that signs the tokens of service accounts.
    pub(crate) fn make(folder: PathBuf) -> Self {
        fs::create_dir(&folder).unwrap();
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, "mergesearch test cluster");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        let tokens = KeyPair::generate().unwrap();
        fs::write(folder.join("authority.crt"), issuer.pem()).unwrap();
        fs::write(folder.join("tokens.key"), tokens.serialize_pem()).unwrap();
        fs::write(folder.join("tokens.pub"), tokens.public_key_pem()).unwrap();
        Self { folder, issuer }
    }

    /// A file in the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes `NAME.crt` and `NAME.key` for a server with these names and addresses.
    pub(crate) fn sign_server(&self, name: &str, subjects: &[&str]) {
        let subjects: Vec<String> = subjects.iter().map(ToString::to_string).collect();
        let mut parameters = CertificateParams::new(subjects).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(name, parameters);
    }

    /// Writes `NAME.crt` and `NAME.key` for a client.
    pub(crate) fn sign_client(&self, name: &str, identity: Identity<'_>) {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, identity.user);
        if let Some(group) = identity.group {
            parameters.distinguished_name.push(DnType::OrganizationName, group);
        }
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(name, parameters);
    }

    fn sign(&self, name: &str, mut parameters: CertificateParams) {
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.file(&format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    /// Signs for a client and writes a kubeconfig with which it reaches the API server at `https://ADDRESS`.
    pub(crate) fn write_kubeconfig(&self, file: &Path, address: &str, identity: Identity<'_>) {
        let name = file.file_stem().unwrap().to_str().unwrap();
        self.sign_client(name, identity);
        let data = |name: &str| STANDARD.encode(fs::read(self.file(name)).unwrap());
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": identity.user}}],
            "clusters": [{"name": "test", "cluster": {
                "server": format!("https://{address}"),
                "certificate-authority-data": data("authority.crt"),
            }}],
            "users": [{"name": identity.user, "user": {
                "client-certificate-data": data(&format!("{name}.crt")),
                "client-key-data": data(&format!("{name}.key")),
            }}],
        });
        fs::write(file, serde_json::to_vec_pretty(&kubeconfig).unwrap()).unwrap();
    }
}
