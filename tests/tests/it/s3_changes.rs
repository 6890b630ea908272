//! A source that changes while it is merged is an error, never a wrong byte, also on a server that ignores `If-Match`.

use std::fs::{self, File};

use mergesearch_tests::{Action, Finished, Kind, Proxy, Request, file_uri};
use rstest::rstest;

use crate::world::{SMALL, World, header_size, merge, reads_weights};

/// Merges into a local folder while `act` runs once, just before the first read of checkpoint `a`'s weights.
fn merge_while(world: &World, act: impl FnOnce() + Send + 'static) -> Finished {
    let header = header_size(&world.pool.folder("a").join("model.safetensors"));
    let mut act = Some(act);
    let proxy = Proxy::start(world.server.address(), move |request: &Request| {
        if reads_weights(request, "a", header)
            && let Some(act) = act.take()
        {
            act();
        }
        Action::Forward
    });
    let output = file_uri(&world.local("merged"));
    merge(&world.recipe(), &output, world.server.environment_through(proxy.address()), &[])
}

#[track_caller]
fn assert_incomplete(world: &World) {
    let config = world.local("merged").join("config.json");
    assert!(!config.exists(), "a merge that failed looks complete");
}

#[rstest]
fn an_object_put_anew_between_preflight_and_merge_is_an_error(
    #[values(Kind::Strict, Kind::Sloppy)] kind: Kind,
) {
    let world = World::new(kind, SMALL);
    // Of the same size: only the version tells.
    let other = fs::read(world.pool.folder("b").join("model.safetensors")).unwrap();
    let bucket = world.server.existing_bucket("pool");
    let failed = merge_while(&world, move || bucket.put("a/model.safetensors", other));
    failed.assert_fails(65, &["s3://pool/a/model.safetensors", "changed while in use"]);
    assert_incomplete(&world);
}

#[rstest]
fn an_object_cut_short_behind_the_servers_back_is_an_error(#[values(Kind::Strict, Kind::Sloppy)] kind: Kind) {
    let world = World::new(kind, SMALL);
    let file = world.server.file("pool", "a/model.safetensors");
    let half = fs::metadata(&file).unwrap().len() / 2;
    let failed = merge_while(&world, move || {
        File::options().write(true).open(&file).unwrap().set_len(half).unwrap();
    });
    assert!(matches!(failed.code, Some(65 | 75)), "{failed:?}");
    assert!(failed.stderr.contains("a/model.safetensors"), "{}", failed.stderr);
    assert_incomplete(&world);
}

#[rstest]
fn an_object_cut_short_before_the_merge_is_bad_input(#[values(Kind::Strict, Kind::Sloppy)] kind: Kind) {
    let world = World::new(kind, SMALL);
    let whole = world.bucket.get("a/model.safetensors");
    world.bucket.put("a/model.safetensors", whole[..whole.len() - 2].to_vec());
    let failed = merge_while(&world, || {});
    failed.assert_fails(65, &["checkpoint a", "model.safetensors"]);
    assert_incomplete(&world);
}

#[rstest]
fn an_object_that_disappears_is_an_error(#[values(Kind::Strict, Kind::Sloppy)] kind: Kind) {
    let world = World::new(kind, SMALL);
    let file = world.server.file("pool", "a/model.safetensors");
    let failed = merge_while(&world, move || fs::remove_file(file).unwrap());
    failed.assert_fails(65, &["s3://pool/a/model.safetensors", "not found"]);
    assert_incomplete(&world);
}
