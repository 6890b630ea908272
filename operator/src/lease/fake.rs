//! An API server that knows one Lease, with optimistic locking as the real one has, and faults on demand.

use std::convert::Infallible;
use std::future;
use std::sync::{Arc, Mutex};

use axum::http::{Method, Request, Response, StatusCode};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower::service_fn;

use super::{NAME, step};

/// Clones share the Lease.
#[derive(Clone, Default)]
pub(super) struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    lease: Option<Lease>,
    version: u64,
    writes: usize,
    fault: Option<Fault>,
}

/// What the server does wrong.
#[derive(Clone)]
pub(super) enum Fault {
    /// It refuses everything with a status.
    Refuse(StatusCode),
    /// It never answers.
    Silent,
    /// It does what the next write asks, and does not answer it.
    AnswerLost,
    /// Another's write arrives just before the next one.
    Overtaken(Box<Lease>),
    /// The holder of this name renews before every read.
    Renewing(&'static str),
}

impl Server {
    pub(super) fn client(&self) -> Client {
        let server = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let method = request.method().clone();
                let bytes = request.into_body().collect_bytes().await.unwrap();
                let answer = server.answer(&method, &bytes);
                match answer {
                    Some((status, body)) => {
                        let body = Body::from(serde_json::to_vec(&body).unwrap());
                        Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
                    }
                    None => future::pending().await,
                }
            }
        });
        Client::new(service, "default")
    }

    /// The Lease as stored.
    pub(super) fn lease(&self) -> Option<Lease> {
        self.0.lock().unwrap().lease.clone()
    }

    /// How many writes were done.
    pub(super) fn writes(&self) -> usize {
        self.0.lock().unwrap().writes
    }

    /// Stores a Lease past all locking.
    pub(super) fn store(&self, lease: Option<Lease>) {
        self.0.lock().unwrap().store(lease);
    }

    pub(super) fn fail(&self, fault: Option<Fault>) {
        self.0.lock().unwrap().fault = fault;
    }

    fn answer(&self, method: &Method, body: &[u8]) -> Option<(StatusCode, Value)> {
        let mut state = self.0.lock().unwrap();
        let write = *method != Method::GET;
        match state.fault.clone() {
            Some(Fault::Silent) => None,
            Some(Fault::Refuse(status)) => Some(refusal(status)),
            Some(Fault::AnswerLost) if write => {
                state.fault = None;
                state.write(method, body);
                None
            }
            Some(Fault::Overtaken(lease)) if write => {
                state.fault = None;
                state.store(Some(*lease));
                Some(state.write(method, body))
            }
            Some(Fault::Renewing(holder)) if !write => {
                let lease = step::claimed(state.lease.as_ref(), holder, Timestamp::now());
                state.store(Some(lease));
                Some(state.read())
            }
            _ if write => Some(state.write(method, body)),
            _ => Some(state.read()),
        }
    }
}

impl State {
    fn store(&mut self, lease: Option<Lease>) {
        self.version += 1;
        self.lease = lease.map(|mut lease| {
            lease.metadata.resource_version = Some(self.version.to_string());
            lease
        });
    }

    fn read(&self) -> (StatusCode, Value) {
        match &self.lease {
            Some(lease) => (StatusCode::OK, serde_json::to_value(lease).unwrap()),
            None => refusal(StatusCode::NOT_FOUND),
        }
    }

    fn write(&mut self, method: &Method, body: &[u8]) -> (StatusCode, Value) {
        let lease: Lease = serde_json::from_slice(body).unwrap();
        assert_eq!(lease.metadata.name.as_deref(), Some(NAME));
        match (method, &self.lease) {
            (&Method::POST, None) => {}
            (&Method::PUT, Some(stored)) => {
                assert!(lease.metadata.resource_version.is_some(), "a write without optimistic locking");
                if stored.metadata.resource_version != lease.metadata.resource_version {
                    return refusal(StatusCode::CONFLICT);
                }
            }
            (&Method::POST, Some(_)) => return refusal(StatusCode::CONFLICT),
            (&Method::PUT, None) => return refusal(StatusCode::NOT_FOUND),
            (other, _) => panic!("an unexpected {other}"),
        }
        self.writes += 1;
        self.store(Some(lease));
        self.read()
    }
}

/// A `Status` as the API server words it.
fn refusal(status: StatusCode) -> (StatusCode, Value) {
    let reason = match status {
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::CONFLICT => "Conflict",
        StatusCode::FORBIDDEN => "Forbidden",
        _ => "InternalError",
    };
    let message = format!("leases: {reason}");
    let code = status.as_u16();
    (
        status,
        json!({"kind": "Status", "status": "Failure", "message": message, "reason": reason, "code": code}),
    )
}
