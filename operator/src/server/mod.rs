//! What the operator answers over HTTP: `/healthz`, `/readyz` and `/metrics`.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::metrics::{self, Metrics};

mod health;

pub use health::{Heartbeat, Readiness};

/// Why the server can't answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is taken or not this machine's.
    #[error("can't listen on {address}, which --listen names: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The server ended.
    #[error("the server of /healthz, /readyz and /metrics ended: {0}")]
    Serve(#[from] io::Error),
}

/// What is served.
#[derive(Debug, Clone)]
pub struct Server {
    /// For `/healthz`.
    pub heartbeat: Heartbeat,
    /// For `/readyz`.
    pub readiness: Readiness,
    /// For `/metrics`.
    pub metrics: Metrics,
}

/// Takes an address; requests wait until [`Server::serve`]. Fails when another process has the address.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

impl Server {
    /// Answers requests until `shutdown` resolves, and ends when the requests under way are answered.
    ///
    /// A client that does not read its answer holds the end up: a process that has nothing else to do need not wait.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Error> {
        axum::serve(listener, self.router()).with_graceful_shutdown(shutdown).await?;
        Ok(())
    }

    fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(exposition))
            .with_state(self)
    }
}

async fn healthz(State(server): State<Server>) -> (StatusCode, String) {
    match server.heartbeat.silent_too_long() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(silence) => {
            let seconds = silence.as_secs();
            (StatusCode::SERVICE_UNAVAILABLE, format!("the main loop has not moved for {seconds} s\n"))
        }
    }
}

async fn readyz(State(server): State<Server>) -> (StatusCode, String) {
    let missing = server.readiness.missing();
    if missing.is_empty() {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    let lines: Vec<String> = missing.into_iter().map(|(what, why)| format!("{what}: {why}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, lines.concat())
}

async fn exposition(
    State(server): State<Server>,
) -> Result<([(HeaderName, &'static str); 1], Vec<u8>), (StatusCode, String)> {
    match server.metrics.exposition() {
        Ok(text) => Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text)),
        Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::*;

    /// A server on a port of its own, and what ends it.
    struct Running {
        address: SocketAddr,
        server: Server,
        stop: oneshot::Sender<()>,
        task: JoinHandle<Result<(), Error>>,
    }

    async fn running(heartbeat: Heartbeat, readiness: Readiness) -> Running {
        let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server { heartbeat, readiness, metrics: Metrics::new().unwrap() };
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move {
            let _ = stopped.await;
        };
        let task = tokio::spawn(server.clone().serve(listener, shutdown));
        Running { address, server, stop, task }
    }

    /// The status line, the headers in lower case, and the body.
    async fn get(address: SocketAddr, path: &str) -> (String, String, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let (status, headers) = head.split_once("\r\n").unwrap();
        (status.to_owned(), headers.to_lowercase(), body.to_owned())
    }

    #[tokio::test]
    async fn a_process_whose_loop_moves_is_healthy_before_it_is_ready() {
        let running =
            running(Heartbeat::new(Duration::MAX), Readiness::waiting_for([("lease", "not asked for yet")]))
                .await;
        let (status, _, body) = get(running.address, "/healthz").await;
        assert_eq!((status.as_str(), body.as_str()), ("HTTP/1.1 200 OK", "ok\n"));
    }

    #[tokio::test]
    async fn a_loop_that_stands_still_is_not_healthy() {
        let running = running(Heartbeat::new(Duration::ZERO), Readiness::default()).await;
        let (status, _, body) = get(running.address, "/healthz").await;
        assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
        assert!(body.starts_with("the main loop has not moved"), "{body}");
    }

    #[tokio::test]
    async fn readiness_names_what_is_missing_and_why() {
        let waiting = [("caches", "not listed yet"), ("lease", "not asked for yet")];
        let running = running(Heartbeat::new(Duration::MAX), Readiness::waiting_for(waiting)).await;
        let readiness = running.server.readiness.clone();
        let (status, _, body) = get(running.address, "/readyz").await;
        assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
        assert_eq!(body, "caches: not listed yet\nlease: not asked for yet\n");

        readiness.met("caches");
        readiness.wait_for("lease", "forbidden");
        assert_eq!(get(running.address, "/readyz").await.2, "lease: forbidden\n");

        readiness.met("lease");
        let (status, _, body) = get(running.address, "/readyz").await;
        assert_eq!((status.as_str(), body.as_str()), ("HTTP/1.1 200 OK", "ok\n"));
    }

    #[tokio::test]
    async fn metrics_are_served_as_the_text_format() {
        let running = running(Heartbeat::new(Duration::MAX), Readiness::default()).await;
        running.server.metrics.set_leader(true);
        let (status, headers, body) = get(running.address, "/metrics").await;
        assert_eq!(status, "HTTP/1.1 200 OK");
        assert!(headers.contains("content-type: text/plain; version=0.0.4"), "{headers}");
        assert!(body.contains("\nmergesearch_leader 1\n"), "{body}");
    }

    #[tokio::test]
    async fn shutdown_ends_the_server_and_frees_the_address() {
        let running = running(Heartbeat::new(Duration::MAX), Readiness::default()).await;
        let taken = listen(running.address).await.unwrap_err().to_string();
        assert!(taken.starts_with(&format!("can't listen on {}", running.address)), "{taken}");
        running.stop.send(()).unwrap();
        running.task.await.unwrap().unwrap();
        listen(running.address).await.unwrap();
    }
}
