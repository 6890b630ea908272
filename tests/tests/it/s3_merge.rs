//! Merges from S3 to S3 make the same bytes as merges of local folders, on a strict and on a sloppy server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mergesearch_tests::{Action, Kind, Proxy, Shape, file_uri, folder_bytes};
use rstest::rstest;

use crate::world::{SEVERAL_PARTS, SMALL, World, assert_same_model, merge, model};

#[rstest]
fn a_single_file_goes_up_in_parts(#[values(Kind::Strict, Kind::Sloppy)] kind: Kind) {
    let world = World::new(kind, SEVERAL_PARTS);
    let parts = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&parts);
    let proxy = Proxy::start(world.server.address(), move |request| {
        if request.method == "PUT" && request.target.contains("partNumber=") {
            counter.fetch_add(1, Ordering::SeqCst);
        }
        Action::Forward
    });
    let environment = world.server.environment_through(proxy.address());
    merge(&world.recipe(), &world.bucket.uri("merged"), environment, &["--memory-budget", "128MiB"])
        .assert_code(0);
    assert_same_model(&model(world.bucket.folder_bytes("merged")), &world.merged_locally(&[]));
    assert!(parts.load(Ordering::SeqCst) >= 3, "{parts:?} parts");
}

#[rstest]
fn shards_become_other_shards(#[values(Kind::Strict, Kind::Sloppy)] kind: Kind) {
    let world = World::new(kind, Shape { shards: 3, ..SEVERAL_PARTS });
    let options = ["--max-shard-size", "7MiB"];
    merge(&world.recipe(), &world.bucket.uri("merged"), world.server.environment(), &options).assert_code(0);
    let merged = model(world.bucket.folder_bytes("merged"));
    assert_same_model(&merged, &world.merged_locally(&options));
    let shards = merged.iter().filter(|(name, _)| name.ends_with(".safetensors")).count();
    assert!(shards >= 4, "{shards} shards");
}

#[rstest]
fn sources_on_s3_can_be_merged_into_a_local_folder(#[values(Kind::Strict, Kind::Sloppy)] kind: Kind) {
    let world = World::new(kind, SMALL);
    let output = world.local("from-s3");
    merge(&world.recipe(), &file_uri(&output), world.server.environment(), &[]).assert_code(0);
    assert_same_model(&model(folder_bytes(&output)), &world.merged_locally(&[]));
}

#[rstest]
fn a_complete_model_is_not_overwritten_unasked(#[values(Kind::Strict, Kind::Sloppy)] kind: Kind) {
    let world = World::new(kind, SMALL);
    let output = world.bucket.uri("merged");
    let (recipe, environment) = (world.recipe(), world.server.environment());
    merge(&recipe, &output, environment.clone(), &[]).assert_code(0);
    merge(&recipe, &output, environment.clone(), &[]).assert_fails(65, &["merged", "overwrit"]);
    merge(&recipe, &output, environment, &["--overwrite"]).assert_code(0);
}
