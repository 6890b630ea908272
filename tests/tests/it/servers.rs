//! The test servers themselves: what the other tests rely on.

use mergesearch_tests::{Action, Kind, Proxy, Server};
use rstest::rstest;

#[rstest]
fn objects_come_back_and_lie_as_plain_files(#[values(Kind::Strict, Kind::Sloppy)] kind: Kind) {
    let server = Server::start(kind);
    let bucket = server.bucket("pool");
    bucket.put("a/b.bin", vec![7; 100_000]);
    assert_eq!(bucket.get("a/b.bin"), vec![7; 100_000]);
    assert_eq!(std::fs::read(server.file("pool", "a/b.bin")).unwrap(), vec![7; 100_000]);
    assert_eq!(bucket.keys("a"), ["a/b.bin"]);
}

#[test]
fn the_proxy_shows_requests_and_lets_them_pass() {
    let server = Server::start(Kind::Strict);
    let (sender, seen) = std::sync::mpsc::channel();
    let proxy = Proxy::start(server.address(), move |request| {
        sender.send(format!("{} {}", request.method, request.target)).unwrap();
        Action::Forward
    });
    let bucket = server.bucket_through(proxy.address(), "pool");
    bucket.put("big", vec![1; 3_000_000]);
    assert_eq!(bucket.get("big").len(), 3_000_000);
    let seen: Vec<String> = seen.try_iter().collect();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen[1].starts_with("PUT /pool/big") && seen[2].starts_with("GET /pool/big"), "{seen:?}");
}
