//! Wrong access, missing things and a server in trouble: one clear sentence, the right exit code, nothing left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mergesearch_tests::{Action, Kind, Proxy, Request, Shape, file_uri, folder_bytes};
use rstest::rstest;

use crate::world::{
    SEVERAL_PARTS, SMALL, World, assert_same_model, header_size, merge, model, reads_weights,
};

#[rstest]
fn a_wrong_secret_is_access_denied(#[values(Kind::Strict, Kind::Sloppy)] kind: Kind) {
    let world = World::new(kind, SMALL);
    let mut environment = world.server.environment();
    environment.push(("AWS_SECRET_ACCESS_KEY", "wrong".to_owned()));
    let failed = merge(&world.recipe(), &world.bucket.uri("merged"), environment, &[]);
    failed.assert_fails(65, &["checkpoint a", "s3://pool/a", "access denied"]);
}

#[test]
fn no_credentials_say_how_to_give_some() {
    let world = World::new(Kind::Strict, SMALL);
    let mut environment = world.server.environment();
    environment.retain(|(name, _)| !name.contains("ACCESS_KEY"));
    let failed = merge(&world.recipe(), &world.bucket.uri("merged"), environment, &[]);
    failed.assert_fails(65, &["s3://pool/a", "AWS_ACCESS_KEY_ID"]);
}

#[rstest]
fn missing_buckets_and_folders_are_named(
    #[values(Kind::Strict, Kind::Sloppy)] kind: Kind,
    #[values("s3://nowhere/a", "s3://pool/nothing")] source: &str,
) {
    let world = World::new(kind, SMALL);
    let recipe = world.local("missing.yaml");
    let uri = |name: &str| if name == "b" { source.to_owned() } else { world.bucket.uri(name) };
    std::fs::write(&recipe, world.pool.linear_recipe(uri)).unwrap();
    let failed = merge(&recipe, &world.bucket.uri("merged"), world.server.environment(), &[]);
    failed.assert_fails(65, &[source]);
}

#[rstest]
fn a_missing_output_bucket_is_found_before_the_merge(#[values(Kind::Strict, Kind::Sloppy)] kind: Kind) {
    let world = World::new(kind, SMALL);
    let failed = merge(&world.recipe(), "s3://nowhere/merged", world.server.environment(), &[]);
    failed.assert_fails(65, &["s3://nowhere/merged"]);
}

#[test]
fn a_busy_server_is_asked_again() {
    let world = World::new(Kind::Strict, SMALL);
    let mut requests = 0;
    let proxy = Proxy::start(world.server.address(), move |_| {
        requests += 1;
        if requests % 4 == 1 { Action::Answer(503, "SlowDown") } else { Action::Forward }
    });
    let environment = world.server.environment_through(proxy.address());
    merge(&world.recipe(), &world.bucket.uri("merged"), environment, &[]).assert_code(0);
    assert_same_model(&model(world.bucket.folder_bytes("merged")), &world.merged_locally(&[]));
}

#[test]
fn answers_that_break_off_are_read_again() {
    let world = World::new(Kind::Strict, SMALL);
    let header = header_size(&world.pool.folder("a").join("model.safetensors"));
    let mut cuts = 0;
    let proxy = Proxy::start(world.server.address(), move |request| {
        if reads_weights(request, "b", header) && cuts < 2 {
            cuts += 1;
            return Action::CutAfter(10_000);
        }
        Action::Forward
    });
    let output = world.local("merged");
    let environment = world.server.environment_through(proxy.address());
    merge(&world.recipe(), &file_uri(&output), environment, &[]).assert_code(0);
    assert_same_model(&model(folder_bytes(&output)), &world.merged_locally(&[]));
}

#[test]
fn a_server_that_stays_busy_is_a_transient_fault() {
    let world = World::new(Kind::Strict, SMALL);
    let proxy = Proxy::start(world.server.address(), |_| Action::Answer(503, "SlowDown"));
    let environment = world.server.environment_through(proxy.address());
    let failed = merge(&world.recipe(), &world.bucket.uri("merged"), environment, &[]);
    failed.assert_fails(75, &["s3://pool/a"]);
}

#[test]
fn a_server_that_is_not_there_is_a_transient_fault() {
    let world = World::new(Kind::Strict, SMALL);
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let environment = world.server.environment_through(address);
    let failed = merge(&world.recipe(), &world.bucket.uri("merged"), environment, &[]);
    failed.assert_fails(75, &["s3://pool/a"]);
}

/// What fails once weights are on their way, and with which code the merge ends.
#[rstest]
#[case::reading("GET", 403, "AccessDenied", 65)]
#[case::writing("PUT", 403, "AccessDenied", 65)]
#[case::writing_to_a_broken_server("PUT", 500, "InternalError", 75)]
fn a_merge_that_fails_midway_leaves_no_upload_and_no_model(
    #[case] method: &'static str,
    #[case] status: u16,
    #[case] code: &'static str,
    #[case] exit: i32,
) {
    let world = World::new(Kind::Strict, Shape { shards: 1, ..SEVERAL_PARTS });
    let header = header_size(&world.pool.folder("a").join("model.safetensors"));
    let begun = Arc::new(AtomicUsize::new(0));
    let uploads = Arc::clone(&begun);
    let proxy = Proxy::start(world.server.address(), move |request: &Request| {
        let is_part = request.target.contains("partNumber=");
        uploads.fetch_add(usize::from(is_part), Ordering::SeqCst);
        let midway = uploads.load(Ordering::SeqCst) > 1;
        let chosen = request.method == method && (is_part || reads_weights(request, "a", header));
        if chosen && midway { Action::Answer(status, code) } else { Action::Forward }
    });
    let environment = world.server.environment_through(proxy.address());
    // So little memory that reading goes on when the first parts are up.
    let options = ["--memory-budget", "128MiB"];
    merge(&world.recipe(), &world.bucket.uri("merged"), environment, &options).assert_code(exit);
    assert!(begun.load(Ordering::SeqCst) > 1, "the merge never got as far as a second part");
    assert_eq!(world.bucket.dangling_uploads(), 0);
    let left = world.bucket.keys("merged");
    assert!(!left.iter().any(|key| key.ends_with("config.json") || key.contains(".safetensors")), "{left:?}");
}
