//! A proxy between a program and a server that lets a test act before a request goes on, or answer in the server's place.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// The head of a request on its way to the server.
#[derive(Debug)]
pub struct Request {
    /// `GET`, `PUT`...
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The value of the `Range` header; empty without one.
    pub range: String,
    content_length: u64,
    head: Vec<u8>,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Action {
    /// The server answers it.
    Forward,
    /// The server answers it, but the connection breaks after so many bytes of the answer, its head included.
    CutAfter(u64),
    /// This status answers it, with S3's error code in the body, and the server never sees it.
    Answer(u16, &'static str),
}

/// A proxy on a loopback port of its own; stops accepting on drop.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

type Decide = Arc<Mutex<dyn FnMut(&Request) -> Action + Send>>;

impl Proxy {
    /// Forwards to the server what `decide` lets through. `decide` sees one request at a time.
    pub fn start(server: SocketAddr, decide: impl FnMut(&Request) -> Action + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let stopped = Arc::new(AtomicBool::new(false));
        let (decide, stop): (Decide, _) = (Arc::new(Mutex::new(decide)), Arc::clone(&stopped));
        thread::spawn(move || {
            for client in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let decide = Arc::clone(&decide);
                // Either side may close its connection at any time; the program's own errors tell a test what it needs.
                thread::spawn(move || client.and_then(|client| serve(&client, server, &decide)));
            }
        });
        Self { address, stopped }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _woken = TcpStream::connect(self.address);
    }
}

fn serve(client: &TcpStream, server: SocketAddr, decide: &Decide) -> io::Result<()> {
    let upstream = TcpStream::connect(server)?;
    let allowance = Arc::new(AtomicU64::new(u64::MAX));
    let answers = {
        let (upstream, client, allowance) =
            (upstream.try_clone()?, client.try_clone()?, Arc::clone(&allowance));
        thread::spawn(move || copy_answers(&upstream, &client, &allowance))
    };
    let mut requests = BufReader::new(client.try_clone()?);
    while let Some(request) = Request::read(&mut requests)? {
        let action = decide.lock().unwrap_or_else(PoisonError::into_inner)(&request);
        match action {
            Action::Forward => {}
            Action::CutAfter(bytes) => allowance.store(bytes, Ordering::SeqCst),
            Action::Answer(status, code) => {
                answer(client, status, code)?;
                break;
            }
        }
        let mut upstream = &upstream;
        upstream.write_all(&request.head)?;
        io::copy(&mut requests.by_ref().take(request.content_length), &mut upstream)?;
    }
    upstream.shutdown(Shutdown::Both)?;
    let _copied = answers.join();
    Ok(())
}

/// Copies until either side closes or the allowance is used up, and then closes both.
fn copy_answers(mut upstream: &TcpStream, mut client: &TcpStream, allowance: &AtomicU64) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let copied = loop {
        let count = upstream.read(&mut buffer)?;
        let allowed = allowance.load(Ordering::SeqCst);
        let passed = usize::try_from(allowed).map_or(count, |allowed| count.min(allowed));
        if allowed != u64::MAX {
            allowance.store(allowed - passed as u64, Ordering::SeqCst);
        }
        let written = client.write_all(&buffer[..passed]);
        if count == 0 || passed < count || written.is_err() {
            break written;
        }
    };
    client.shutdown(Shutdown::Both)?;
    upstream.shutdown(Shutdown::Both)?;
    copied
}

fn answer(mut client: &TcpStream, status: u16, code: &str) -> io::Result<()> {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{code}</Message></Error>");
    write!(
        client,
        "HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

impl Request {
    /// `None` when the client has closed its connection between requests.
    fn read(requests: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if requests.read_until(b'\n', &mut head)? == 0 {
                return Ok(None);
            }
        }
        let text = String::from_utf8_lossy(&head);
        let mut lines = text.lines();
        let mut first = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
        let header = |wanted: &str| {
            let mut named = lines.clone().filter_map(|line| line.split_once(':'));
            named
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
                .map(|(_, value)| value.trim().to_owned())
        };
        Ok(Some(Self {
            method: first.next().unwrap_or_default(),
            target: first.next().unwrap_or_default(),
            range: header("range").unwrap_or_default(),
            content_length: header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0),
            head,
        }))
    }
}
