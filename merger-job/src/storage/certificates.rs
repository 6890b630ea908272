//! Certificates to trust beside the system's: a file that a search or `AWS_CA_BUNDLE` names.

use std::fs;
use std::path::Path;

use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::error::{Fault, StorageError};

/// An HTTP client that trusts the certificates in the file, and those of the system.
pub(super) fn client(file: &Path) -> Result<SharedHttpClient, StorageError> {
    let fail =
        |fault| StorageError { location: format!("certificates {:?}", file.display().to_string()), fault };
    let bytes = fs::read(file).map_err(|error| fail(Fault::from_io(&error)))?;
    check(&bytes).map_err(|problem| fail(Fault::Refused(problem)))?;
    let trust = TrustStore::empty().with_native_roots(true).with_pem_certificate(bytes);
    let context = TlsContext::builder().with_trust_store(trust).build();
    let context = context.map_err(|error| fail(Fault::Refused(error.to_string())))?;
    Ok(Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(context).build_https())
}

/// The HTTP client panics over what it can't read, so everything it will do with the file is tried before.
fn check(bytes: &[u8]) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bytes) {
        let certificate = certificate.map_err(|error| format!("expected PEM certificates: {error}"))?;
        roots.add(certificate).map_err(|error| format!("expected PEM certificates: {error}"))?;
    }
    if roots.is_empty() { Err("expected PEM certificates, found none".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_no_certificate_is_refused_not_met_with_a_panic() {
        for text in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let problem = check(text.as_bytes()).unwrap_err();
            assert!(problem.starts_with("expected PEM certificates"), "{problem}");
        }
        let missing = client(Path::new("/nonexistent/ca.crt")).unwrap_err().to_string();
        assert!(missing.starts_with("certificates \"/nonexistent/ca.crt\": not found"), "{missing}");
    }
}
