//! What holds for every Job, and who wins where several parties have a say.

use std::collections::BTreeMap;

use mergesearch_crds::{EVALUATOR, labels};
use mergesearch_search::contract::Request;

use super::super::{evaluator_hash, published_uri, recipe_hash};
use super::restricted::violations;
use super::*;

/// A security context of the evaluator's container, of its pod, or of both.
fn with_security(container: &str, pod: &str) -> Made {
    search(&[
        (
            "            resources:",
            &format!("            securityContext: {container}\n            resources:"),
        ),
        ("        containers:", &format!("        securityContext: {pod}\n        containers:")),
    ])
}

fn plain_trial(made: &Made) -> Job {
    made.job(&Work::Trial(made.trial("g0004-c012", &[Stage::Search])), 0)
}

#[test]
fn namespaces_that_enforce_restricted_accept_every_pod() {
    let server =
        "        initContainers: [{name: server, image: vllm, restartPolicy: Always}]\n        containers:";
    let claim = "pvc://pool/sft";
    let searches = vec![
        search(&[]),
        search(&[("        containers:", server), ("s3://models/sft", claim)]),
        with_security("{runAsUser: 1000}", "{fsGroup: 2000}"),
        search(&[borrowed(&handing_over("claimName: scratch", 2))]),
        search(&[borrowed(&handing_over("uri: 's3://scratch/a'", 2))]),
        with_security("{capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}}", "{runAsUser: 1000}"),
    ];
    for made in searches {
        for work in made.works() {
            let job = made.job(&work, 0);
            assert_eq!(violations(pod(&job)), Vec::<String>::new(), "{:?}", work.role());
        }
    }
}

fn borrowed<'a>((from, to): &'a (&'static str, String)) -> (&'a str, &'a str) {
    (from, to)
}

#[test]
fn pods_that_share_a_merge_are_told_apart_by_their_index() {
    let made = search(&[borrowed(&handing_over("uri: 's3://scratch/a/'", 3))]);
    let job = made.job(&made.generation(), 1);
    let spec = job.spec.as_ref().unwrap();
    assert_eq!((spec.parallelism, spec.completions), (Some(3), Some(3)));
    assert_eq!(spec.completion_mode.as_deref(), Some("Indexed"));
    assert_eq!(spec.backoff_limit, Some(6));
    let annotations = job.metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations[labels::MERGES], "g0004-c012,g0004-c013");
    let Request::Merge(request) = made.blueprint().request(&made.generation(), 1) else { panic!() };
    assert_eq!(request.parts, 3);
    let outputs: Vec<&str> = request.candidates.iter().map(|one| one.output.as_str()).collect();
    let folder = "s3://scratch/a/team/recycle/5d5b9a4e-0b1f-4b8f-8a55-0f6a3c1a7f10/candidates";
    assert_eq!(outputs, [format!("{folder}/g0004-c012"), format!("{folder}/g0004-c013")]);
    // What is evaluated is what was merged, and what is left at the end goes.
    let trial = Work::Trial(made.trial("g0004-c013", &[Stage::Search]));
    let Request::Trial(request) = made.blueprint().request(&trial, 0) else { panic!() };
    assert_eq!(request.candidate.as_deref(), Some(outputs[1]));
    let Request::Cleanup(request) = made.blueprint().request(&Work::Discard, 0) else { panic!() };
    assert_eq!(request.folders, [folder]);
    assert!(request.search.owns(folder));
}

#[test]
fn a_candidate_on_a_claim_is_mounted_and_only_ours_may_delete_it() {
    let made =
        search(&[borrowed(&handing_over("claimName: scratch", 1)), ("s3://models/sft", "pvc://pool/sft")]);
    let job = plain_trial(&made);
    let mounts = |name: &str| container(&job, name).volume_mounts.clone().unwrap();
    let model = mounts(EVALUATOR).into_iter().find(|mount| mount.mount_path == "/mergesearch/model").unwrap();
    assert_eq!(model.read_only, Some(true));
    let path = "team/recycle/5d5b9a4e-0b1f-4b8f-8a55-0f6a3c1a7f10/candidates/g0004-c012";
    assert_eq!(model.sub_path.as_deref(), Some(path));
    for name in [labels::FETCH_CONTAINER, labels::REPORT_CONTAINER] {
        let claim = mounts(name).into_iter().find(|mount| mount.mount_path == "/mergesearch/claims/scratch");
        assert_eq!(claim.unwrap().read_only, None, "{name}");
    }
    // The pool is not where evaluations are.
    let claims = |job: &Job| -> Vec<String> {
        let volumes = pod(job).volumes.clone().unwrap_or_default();
        let claims = volumes.into_iter().filter_map(|volume| volume.persistent_volume_claim);
        claims.map(|claim| claim.claim_name).collect()
    };
    assert_eq!(claims(&job), ["scratch"]);
    assert_eq!(claims(&made.job(&made.generation(), 0)), ["pool", "scratch"]);
    assert_eq!(claims(&made.job(&Work::Discard, 0)), ["scratch"]);
    assert_eq!(claims(&made.job(&made.publish(), 0)), ["pool"]);
}

#[test]
fn no_pod_has_a_token_and_all_of_ours_have_requests_and_a_read_only_root() {
    let made = search(&[]);
    for work in made.works() {
        let job = made.job(&work, 0);
        assert_eq!(pod(&job).automount_service_account_token, Some(false));
        for container in containers(pod(&job)).filter(|container| !container.name.starts_with(EVALUATOR)) {
            let context = container.security_context.as_ref().unwrap();
            assert_eq!(context.read_only_root_filesystem, Some(true), "{}", container.name);
            let requests = container.resources.as_ref().unwrap().requests.as_ref().unwrap();
            assert!(requests.contains_key("cpu") && requests.contains_key("memory"), "{}", container.name);
        }
    }
}

#[test]
fn ours_run_as_the_user_of_the_evaluator_even_if_that_is_root() {
    let made = with_security("{runAsUser: 0}", "{}");
    let job = plain_trial(&made);
    let context = |name: &str| container(&job, name).security_context.clone().unwrap();
    for name in [labels::MERGE_CONTAINER, labels::REPORT_CONTAINER, EVALUATOR] {
        assert_eq!(
            (context(name).run_as_user, context(name).run_as_non_root),
            (Some(0), Some(false)),
            "{name}"
        );
    }
    let made = with_security("{}", "{runAsUser: 1000}");
    let security = pod(&plain_trial(&made)).security_context.clone().unwrap();
    // The user's own group is that of its image.
    assert_eq!(
        (security.run_as_user, security.run_as_group, security.fs_group),
        (Some(1000), None, Some(65532))
    );
}

#[test]
fn what_a_template_says_of_privileges_stays() {
    let context = |text: &str| {
        let job = plain_trial(&with_security(text, "{}"));
        container(&job, EVALUATOR).security_context.clone().unwrap()
    };
    let privileged = context("{privileged: true}");
    assert_eq!((privileged.allow_privilege_escalation, privileged.capabilities), (None, None));
    let admin = context("{capabilities: {add: [SYS_ADMIN]}}");
    assert_eq!(admin.allow_privilege_escalation, None);
    assert_eq!(admin.capabilities.unwrap().drop, None);
}

#[test]
fn every_container_of_ours_reads_its_request_from_its_environment() {
    let made = search(&[("s3://models/sft", "s3://models/$(HOME)/sft")]);
    for work in made.works() {
        let job = made.job(&work, 2);
        let expected = made.blueprint().request(&work, 2);
        for container in containers(pod(&job)).filter(|container| !container.name.starts_with(EVALUATOR)) {
            let read = Request::from_environment(|name| value(container, name).map(str::to_owned)).unwrap();
            assert_eq!(read, expected);
        }
        let Request::Trial(request) = expected else { continue };
        assert_eq!(request.fingerprints, ["of-sft", "of-dpo"]);
        assert_eq!(request.recipe_hash, recipe_hash(&request.recipe));
        assert_eq!(request.memory, Some(3 << 30));
    }
}

#[test]
fn fingerprints_follow_the_recipe_and_are_whole_or_none() {
    let mut made =
        search(&[("  objectives:", "    base: {name: base, uri: 's3://models/base'}\n  objectives:")]);
    let mut trial = made.trial("base", &[Stage::Search]);
    let fingerprints = |made: &Made, trial: &Trial| {
        let request = made.blueprint().request(&Work::Trial(trial.clone()), 0);
        let Request::Trial(request) = request else { panic!() };
        request.fingerprints
    };
    assert_eq!(fingerprints(&made, &trial), ["of-sft", "of-dpo", "of-base"]);
    trial.recipe.checkpoints = vec![made.config.base.clone().unwrap()];
    trial.recipe.base = None;
    assert_eq!(fingerprints(&made, &trial), ["of-base"]);
    made.start.fingerprints.truncate(2);
    assert!(fingerprints(&made, &trial).is_empty());
}

#[test]
fn credentials_and_requests_stay_with_containers_of_ours() {
    let made = search(&[("storage: {", "storage: {credentialsSecret: s3, ")]);
    let job = plain_trial(&made);
    for own in containers(pod(&job)) {
        let of_user = own.name == EVALUATOR;
        let names: Vec<_> = own.env.iter().flatten().map(|variable| variable.name.as_str()).collect();
        for secret in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MERGESEARCH_REQUEST"] {
            assert_eq!(names.contains(&secret), !of_user, "{}: {names:?}", own.name);
        }
    }
}

#[test]
fn variables_of_the_user_win_but_for_the_request() {
    let made = search(&[
        (
            "storage: {",
            "execution: {merger: {env: [{name: AWS_ACCESS_KEY_ID, value: mine}, {name: MERGESEARCH_REQUEST, value: '{}'}]}}\n  storage: {credentialsSecret: s3, ",
        ),
        (
            "            resources:",
            "            env: [{name: HOME, value: /home/me}, {name: MODEL, value: '$(MERGESEARCH_MODEL_DIR)/x'}]\n            resources:",
        ),
    ]);
    let job = plain_trial(&made);
    for own in containers(pod(&job)) {
        let mut count = BTreeMap::new();
        for variable in own.env.iter().flatten() {
            *count.entry(variable.name.as_str()).or_insert(0) += 1;
        }
        assert!(count.values().all(|&count| count == 1), "{}: {count:?}", own.name);
    }
    let merge = container(&job, labels::MERGE_CONTAINER);
    assert_eq!(value(merge, "AWS_ACCESS_KEY_ID"), Some("mine"));
    assert_ne!(value(merge, "MERGESEARCH_REQUEST"), Some("{}"));
    let evaluator = container(&job, EVALUATOR);
    assert_eq!(value(evaluator, "HOME"), Some("/home/me"));
    // Kubernetes expands only what was set before.
    let place =
        |name: &str| evaluator.env.iter().flatten().position(|variable| variable.name == name).unwrap();
    assert!(place(labels::MODEL_DIR) < place("MODEL"));
}

#[test]
fn each_stage_has_a_container_and_a_folder_of_its_own() {
    let made = search(&[]);
    let job = made.job(&Work::Trial(made.trial("final-uniform", &[Stage::Test, Stage::HeldOut])), 0);
    let names: Vec<_> = containers(pod(&job)).map(|container| container.name.as_str()).collect();
    assert_eq!(names, ["merge", "evaluator", labels::HELD_OUT_CONTAINER, "report"]);
    for (name, stage) in [(EVALUATOR, "test"), (labels::HELD_OUT_CONTAINER, "heldout")] {
        let evaluator = container(&job, name);
        assert_eq!(value(evaluator, labels::STAGE_VARIABLE), Some(stage));
        let folder = value(evaluator, labels::RESULTS_DIR).unwrap();
        let mounts = evaluator.volume_mounts.as_ref().unwrap();
        let results = mounts.iter().find(|mount| mount.mount_path == folder).unwrap();
        assert_eq!(results.sub_path.as_deref(), Some(stage));
    }
}

#[test]
fn memory_of_a_merge_leaves_room_for_a_candidate_in_memory() {
    let memory = |execution: &str| {
        let made = search(&[("  storage:", &format!("  execution: {execution}\n  storage:"))]);
        let work = Work::Trial(made.trial("uniform", &[Stage::Search]));
        let Request::Trial(request) = made.blueprint().request(&work, 0) else { panic!() };
        request.memory
    };
    assert_eq!(memory("{}"), Some(3 << 30));
    assert_eq!(memory("{merger: {resources: {limits: {memory: 2Gi}}}}"), Some(3 << 29));
    // 4 GiB are left beside a candidate of 10 GiB and a tenth.
    assert_eq!(memory("{scratch: {medium: Memory}}"), Some(3 << 30));
    let limited = "{scratch: {medium: Memory, sizeLimit: 6Gi}, merger: {resources: {limits: {memory: 8Gi}}}}";
    assert_eq!(memory(limited), Some(3 << 29));
    assert_eq!(memory("{scratch: {medium: Memory}, merger: {resources: {limits: {memory: 8Gi}}}}"), None);
}

#[test]
fn a_candidate_has_a_volume_of_the_kind_asked_for() {
    let of = |execution: &str| {
        let made = search(&[("  storage:", &format!("  execution: {execution}\n  storage:"))]);
        let job = plain_trial(&made);
        let requests = container(&job, labels::MERGE_CONTAINER).resources.clone().unwrap().requests.unwrap();
        let disk = requests.get("ephemeral-storage").map(|amount| amount.0.clone());
        (pod(&job).volumes.clone().unwrap().swap_remove(0), disk)
    };
    let (disk, requested) = of("{}");
    assert_eq!(disk.empty_dir.unwrap().size_limit.unwrap().0, "11264Mi");
    assert_eq!(requested.as_deref(), Some("11264Mi"));
    let (disk, requested) = of("{scratch: {sizeLimit: 20Gi}}");
    assert_eq!(disk.empty_dir.unwrap().size_limit.unwrap().0, "20Gi");
    assert_eq!(requested.as_deref(), Some("20Gi"));
    let (memory, requested) = of("{scratch: {medium: Memory}}");
    assert_eq!((memory.empty_dir.unwrap().medium.as_deref(), requested), (Some("Memory"), None));
    let claim = "{spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Ti}}}}";
    let (claim, requested) = of(&format!("{{scratch: {{volumeClaimTemplate: {claim}}}}}"));
    assert!(claim.ephemeral.unwrap().volume_claim_template.is_some() && requested.is_none());
}

#[test]
fn merges_are_published_in_folders_named_after_their_trials() {
    let trial = "g0004-c012".parse().unwrap();
    let made = search(&[]);
    let uid = made.resource.metadata.uid.as_deref().unwrap();
    let own = format!("s3://models/searches/team/recycle/{uid}/published/g0004-c012");
    assert_eq!(published_uri(&made.resource, &trial), own);
    let made = search(&[("  storage:", "  publish: {uri: 's3://published/'}\n  storage:")]);
    assert_eq!(published_uri(&made.resource, &trial), "s3://published/g0004-c012");
}

#[test]
fn the_evaluator_is_known_by_what_it_runs_and_by_nothing_else() {
    let made = search(&[]);
    let evaluator = made.resource.spec.evaluation.evaluator().unwrap();
    let hash = evaluator_hash(evaluator);
    let changed = |change: fn(&mut Container)| {
        let mut other = evaluator.clone();
        change(&mut other);
        evaluator_hash(&other) != hash
    };
    assert!(changed(|other| other.image = Some("registry.example/evaluator:2".to_owned())));
    assert!(changed(|other| other.command = Some(vec!["other".to_owned()])));
    assert!(changed(|other| other.args = Some(vec!["--fast".to_owned()])));
    assert!(changed(|other| other.env = Some(vec![super::super::environment::variable("SHOTS", "5")])));
    assert!(!changed(|other| other.resources = None));
    assert!(!changed(|other| other.args = Some(Vec::new())));
}
