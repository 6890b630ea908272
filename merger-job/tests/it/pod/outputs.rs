//! Publish and cleanup: what a search leaves for good, and what goes with it.

use std::fs;

use mergesearch_search::contract::{
    CleanupRequest, FaultClass, Message, PublishRequest, Request, StorageAccess,
};

use super::{Pods, search, trial};
use crate::pools;

fn publish(pods: &Pods) -> PublishRequest {
    PublishRequest {
        search: search(),
        storage: StorageAccess::default(),
        trial: trial(),
        recipe: pods.recipe(),
        fingerprints: pods.trial_request().fingerprints,
        scores: vec![("sorting/exact_match".to_owned(), "0.753 ± 0.011".to_owned())],
        max_shard_size: 5_000_000_000,
        memory: None,
        output: "pvc://models/published/g0004-c012".to_owned(),
    }
}

#[test]
fn a_merge_is_published_once_with_its_card() {
    let pods = Pods::new();
    let request = publish(&pods);
    let published = Some(Message::Published { uri: request.output.clone() });
    let folder = pods.folder.path("claims/models/published/g0004-c012");
    // What an interrupted attempt left does not look complete and is replaced.
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("model.safetensors"), "half").unwrap();
    assert_eq!(pods.run("publish", &Request::Publish(Box::new(request.clone())), 0), published);
    let card = fs::read_to_string(folder.join("README.md")).unwrap();
    assert!(card.contains("# Merge g0004-c012"), "{card}");
    assert!(card.contains("| sorting/exact_match | 0.753 ± 0.011 |"), "{card}");
    let model = pools::read(&folder);

    // Published is published, also when the pool is gone by now.
    fs::remove_dir_all(pods.folder.path("b")).unwrap();
    assert_eq!(pods.run("publish", &Request::Publish(Box::new(request.clone())), 0), published);
    assert_eq!(pools::read(&folder), model);
}

#[test]
fn another_whole_model_is_never_replaced() {
    let pods = Pods::new();
    let mut request = publish(&pods);
    pods.run("publish", &Request::Publish(Box::new(request.clone())), 0);
    request.recipe.groups[0].weights = vec![0.5, 0.5];
    let (class, message) = pods.fault("publish", &Request::Publish(Box::new(request)), 65);
    assert_eq!(class, FaultClass::Input);
    assert!(message.contains("there is a model already"), "{message}");
}

#[test]
fn a_changed_pool_is_not_published() {
    let pods = Pods::new();
    let mut request = publish(&pods);
    request.fingerprints[1] = "0123456789".to_owned();
    let (class, message) = pods.fault("publish", &Request::Publish(Box::new(request)), 66);
    assert_eq!(class, FaultClass::PoolChanged);
    assert!(message.contains("checkpoint b"), "{message}");
}

#[test]
fn cleanup_deletes_the_searchs_own_folder_and_nothing_else() {
    let pods = Pods::new();
    let cleanup = |folder: String| {
        Request::Cleanup(CleanupRequest {
            search: search(),
            storage: StorageAccess::default(),
            folders: vec![folder],
        })
    };
    for uid in ["1-2", "3-4"] {
        let folder = pods.folder.path("output/team/recycle").join(uid).join("trials/uniform");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("report.json"), "{}").unwrap();
    }
    let own = search().folder(&pods.folder.uri("output"));
    for _ in 0..2 {
        assert_eq!(pods.run("cleanup", &cleanup(own.clone()), 0), Some(Message::Done));
    }
    let left = fs::read_dir(pods.folder.path("output/team/recycle")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["3-4"]);
    for other in ["output", "output/team/recycle", "output/team/recycle/3-4"] {
        let (class, message) = pods.fault("cleanup", &cleanup(pods.folder.uri(other)), 65);
        assert_eq!(class, FaultClass::Input);
        assert!(message.contains("/team/recycle/1-2"), "{message}");
    }
    assert!(pods.folder.path("output/team/recycle/3-4/trials/uniform/report.json").exists());
}
