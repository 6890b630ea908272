//! Reads the AWS client's errors: what happened in one clause, and whether asking again can help.

use std::error::Error;
use std::fmt::Debug;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::error::Fault;
use crate::printable;

/// What a failed request means.
pub(super) fn read<E>(error: &SdkError<E, HttpResponse>) -> Fault
where
    E: ProvideErrorMetadata + Debug + Error + 'static,
{
    match error {
        SdkError::ServiceError(service) => match service.raw().status().as_u16() {
            status @ 200..=299 if service.err().code().is_none() => Fault::Failed(format!(
                "an answer that isn't understood, HTTP {status}: {}",
                root_cause(error)
            )),
            status => from_service(
                status,
                service.err().code().unwrap_or_default(),
                service.err().message().unwrap_or_default(),
            ),
        },
        SdkError::TimeoutError(_) => Fault::Unreachable("timed out".to_owned()),
        SdkError::ResponseError(response) => match response.raw().status().as_u16() {
            status @ (200..=299 | 500..) => Fault::Failed(format!("HTTP {status}: {}", root_cause(error))),
            status => from_service(status, "", &root_cause(error)),
        },
        SdkError::ConstructionFailure(_) | SdkError::DispatchFailure(_) => {
            let trail = trail(error).join("\n");
            // What else goes wrong on the way to credentials (a metadata service that doesn't answer) may pass.
            let lacking = ["no credentials", "provider was not enabled", "not properly configured"];
            if lacking.iter().any(|words| trail.contains(words)) {
                Fault::NoCredentials(root_cause(error))
            } else if matches!(error, SdkError::ConstructionFailure(_)) {
                Fault::Refused(root_cause(error))
            } else {
                Fault::Unreachable(root_cause(error))
            }
        }
        _ => Fault::Failed(root_cause(error)),
    }
}

/// What the error of one object among many means.
pub(super) fn of_code(code: &str, message: &str) -> Fault {
    from_service(if code == "AccessDenied" { 403 } else { 400 }, code, message)
}

/// A server's answer: HTTP status, S3 error code and message, the latter two possibly empty.
fn from_service(status: u16, code: &str, message: &str) -> Fault {
    let detail = match (code, message) {
        ("", "") => format!("HTTP {status}"),
        (code, "") | ("", code) => format!("HTTP {status}: {code}"),
        (code, message) => format!("{code}: {message}"),
    };
    let detail = printable(&detail);
    match (status, code) {
        (_, "SlowDown" | "RequestTimeout" | "InternalError" | "ExpiredToken") => Fault::Failed(detail),
        (_, "NoSuchKey" | "NoSuchBucket" | "NotFound") | (404, _) => Fault::NotFound(detail),
        (401 | 403, _) => Fault::AccessDenied(detail),
        (301 | 307, _) => Fault::Refused(format!("the bucket is in another region or endpoint: {detail}")),
        (408 | 429 | 500.., _) => Fault::Failed(detail),
        _ => Fault::Refused(detail),
    }
}

/// Every message from the error to its root.
fn trail(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut messages = vec![error.to_string()];
    let mut next = error.source();
    while let Some(source) = next {
        messages.push(source.to_string());
        next = source.source();
    }
    messages
}

/// The first line of the innermost message, which is the one that says what happened.
pub(super) fn root_cause(error: &(dyn Error + 'static)) -> String {
    let message = trail(error).pop().unwrap_or_default();
    printable(message.lines().next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_apart_by_whether_a_retry_helps() {
        for (status, code, transient) in [
            (403, "AccessDenied", false),
            (403, "SignatureDoesNotMatch", false),
            (403, "", false),
            (404, "NoSuchKey", false),
            (404, "", false),
            (400, "InvalidArgument", false),
            (301, "PermanentRedirect", false),
            (400, "ExpiredToken", true),
            (400, "RequestTimeout", true),
            (429, "", true),
            (503, "SlowDown", true),
            (500, "InternalError", true),
        ] {
            assert_eq!(from_service(status, code, "").is_transient(), transient, "{status} {code}");
        }
        assert_eq!(
            from_service(404, "NoSuchKey", "The key does not exist").to_string(),
            "not found (NoSuchKey: The key does not exist)"
        );
    }
}
