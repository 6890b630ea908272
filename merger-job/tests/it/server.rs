//! A small S3 server for reading that can be told to misbehave as real ones do.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the server does wrong, in answers about tensors' bytes (not headers), as often as it is told to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mischief {
    None,
    /// Closes the connection in the middle of a body.
    BreaksOff,
    /// Sends fewer bytes than asked for, and says so.
    SendsLess,
    /// Answers 503.
    Busy,
    /// Sends the whole object.
    IgnoresRange,
    /// Sends another version's bytes with its tag although the request says If-Match.
    IgnoresIfMatch,
    /// Sends another range than asked for.
    WrongRange,
}

struct Server {
    folder: PathBuf,
    mischief: Mischief,
    left: AtomicUsize,
}

/// Serves the folder's sub-folders as prefixes of every bucket; returns the endpoint's URL. Ends with the process.
pub(crate) fn serve(folder: &Path, mischief: Mischief, times: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = Arc::new(Server { folder: folder.to_owned(), mischief, left: AtomicUsize::new(times) });
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let server = Arc::clone(&server);
            std::thread::spawn(move || server.connection(&stream));
        }
    });
    format!("http://{address}")
}

impl Server {
    fn connection(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some((line, headers)) = request(&mut reader) {
            if !self.answer(&line, &headers, stream) {
                return;
            }
        }
    }

    /// Whether the connection can go on.
    fn answer(&self, line: &str, headers: &str, mut stream: &TcpStream) -> bool {
        let mut parts = line.split(' ');
        let (method, target) = (parts.next().unwrap(), parts.next().unwrap());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if let Some(prefix) = query.split('&').find_map(|part| part.strip_prefix("prefix=")) {
            let body = self.list(&prefix.replace("%2F", "/"));
            return send(stream, "200 OK", &[], body.as_bytes());
        }
        // Without the bucket.
        let key = path.trim_start_matches('/').split_once('/').unwrap().1;
        let Ok(bytes) = fs::read(self.folder.join(key)) else {
            let body = "<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>";
            return send(stream, "404 Not Found", &[], body.as_bytes());
        };
        let tag = "ETag: \"one\"".to_owned();
        if method == "HEAD" {
            let head = format!("HTTP/1.1 200 OK\r\n{tag}\r\nContent-Length: {}\r\n\r\n", bytes.len());
            return stream.write_all(head.as_bytes()).is_ok();
        }
        let Some((first, last)) = range(headers) else {
            return send(stream, "200 OK", &[tag], &bytes);
        };
        let total = bytes.len();
        let content_range =
            |first: usize, last: usize| format!("Content-Range: bytes {first}-{last}/{total}");
        let body = &bytes[first..=last];
        // Headers begin at the first bytes of a file.
        let about_tensors = key.ends_with(".safetensors") && first > 8;
        let left = about_tensors
            .then(|| self.left.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)));
        let mischief = if matches!(left, Some(Ok(_))) { self.mischief } else { Mischief::None };
        let ok = "206 Partial Content";
        match mischief {
            Mischief::None => send(stream, ok, &[tag, content_range(first, last)], body),
            Mischief::BreaksOff => {
                let head = format!(
                    "HTTP/1.1 {ok}\r\n{tag}\r\n{}\r\nContent-Length: {}\r\n\r\n",
                    content_range(first, last),
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.write_all(&body[..body.len() / 2]);
                false
            }
            Mischief::SendsLess => send(stream, ok, &[tag, content_range(first, last)], &body[1..]),
            Mischief::Busy => {
                let body = "<Error><Code>SlowDown</Code><Message>busy</Message></Error>";
                send(stream, "503 Slow Down", &[], body.as_bytes())
            }
            Mischief::IgnoresRange => send(stream, "200 OK", &[tag], &bytes),
            Mischief::IgnoresIfMatch => {
                let other: Vec<u8> = body.iter().map(|byte| !byte).collect();
                send(stream, ok, &["ETag: \"two\"".to_owned(), content_range(first, last)], &other)
            }
            Mischief::WrongRange => {
                let range = content_range(first - 1, last - 1);
                send(stream, ok, &[tag, range], &bytes[first - 1..last])
            }
        }
    }

    fn list(&self, prefix: &str) -> String {
        let mut body = format!("<ListBucketResult><Prefix>{prefix}</Prefix><IsTruncated>false</IsTruncated>");
        for entry in fs::read_dir(self.folder.join(prefix)).into_iter().flatten().flatten() {
            let (name, size) = (entry.file_name(), entry.metadata().unwrap().len());
            let key = format!("{prefix}{}", name.to_str().unwrap());
            write!(body, "<Contents><Key>{key}</Key><Size>{size}</Size></Contents>").unwrap();
        }
        body + "</ListBucketResult>"
    }
}

/// The request line and the headers in lower case.
fn request(reader: &mut BufReader<&TcpStream>) -> Option<(String, String)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut headers = String::new();
    while reader.read_line(&mut headers).ok()? > 2 {}
    let headers = headers.to_lowercase();
    let length = header(&headers, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    reader.take(length).read_to_end(&mut Vec::new()).ok()?;
    Some((line, headers))
}

fn header<'a>(headers: &'a str, name: &str) -> Option<&'a str> {
    headers.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn range(headers: &str) -> Option<(usize, usize)> {
    let (first, last) = header(headers, "range")?.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

fn send(mut stream: &TcpStream, status: &str, headers: &[String], body: &[u8]) -> bool {
    let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).is_ok()
}
