//! What the search engine gets from a manifest.

use mergesearch_crds::{Manifest, MergeSearch, Place, Plan, SearchConfigError, search_config};
use mergesearch_search::cma::Stagnation;
use mergesearch_search::{Bound, ContributionOf, Granularity, Lambda, Reference, Search, Stage};

fn read(text: &str, place: Place) -> MergeSearch {
    Manifest::parse(text, place).unwrap_or_else(|errors| panic!("{errors}")).resource
}

fn full() -> MergeSearch {
    read(include_str!("../../examples/full.yaml"), Place::Cluster)
}

fn small() -> MergeSearch {
    read(include_str!("../../examples/small.yaml"), Place::Local)
}

#[test]
fn every_field_of_the_full_example_arrives() {
    let config = search_config(&full(), 32).unwrap();
    assert_eq!(config.checkpoints.len(), 4);
    assert_eq!(config.base.as_ref().unwrap().name.as_str(), "pretrained");
    assert_eq!(config.granularity.group_count(), 2);
    assert!(matches!(config.lambda, Some(Lambda::Searched(_))));
    let own = &config.baselines[0];
    assert_eq!((own.name.as_str(), own.weights.as_slice()), ("production", &[0.7, 0.3, 0.0, 0.0][..]));
    let metric = |objective: usize, stage: Stage| config.objectives[objective].metric[&stage].to_string();
    assert_eq!(metric(1, Stage::Search), "humaneval_dev/pass@1");
    assert_eq!(metric(1, Stage::Test), "humaneval/pass@1");
    assert_eq!(config.objectives[0].constraint, Some(Bound::Relative { to: Reference::Base, delta: -0.005 }));
    assert_eq!(config.objectives[2].constraint, Some(Bound::Absolute(7.5)));
    assert_eq!(config.stop.tolstagnation, Stagnation::Generations(200));
    assert_eq!((config.population_size, config.sigma, config.greedy_steps), (Some(12), Some(0.1), 15));
    assert_eq!(config.contribution, Some(ContributionOf::Best));
    let budget = &config.budget;
    assert_eq!(budget.max_seconds, Some(36.0 * 3600.0));
    assert_eq!(budget.max_gpu_seconds, Some(400.0 * 3600.0));
    assert!((budget.trial_gpu_seconds - 3600.0).abs() < 1e-9);
}

/// The engine has rules of its own: none may refuse what ours let through.
#[test]
fn the_engine_accepts_what_the_rules_accept() {
    for resource in [full(), small()] {
        Search::new(search_config(&resource, 32).unwrap()).unwrap();
    }
}

#[test]
fn the_plan_is_what_the_engine_does() {
    for resource in [full(), small()] {
        let mut search = Search::new(search_config(&resource, 32).unwrap()).unwrap();
        let plan = Plan::of(&resource.spec);
        assert_eq!((search.dimension(), search.population_size()), (plan.dimensions, plan.population));
        let soups = [2, 4, 8].iter().filter(|&&size| size < resource.spec.pool.checkpoints.len()).count();
        assert_eq!(search.trials(1000).len(), plan.baselines - soups);
    }
}

#[test]
fn blocks_need_as_many_layers() {
    assert_eq!(search_config(&full(), 1), Err(SearchConfigError::Layers { blocks: 2, layers: 1 }));
    assert!(matches!(search_config(&full(), 5).unwrap().granularity, Granularity::Blocks(_)));
}

#[test]
fn servers_beside_the_evaluator_hold_gpus_too() {
    let mut resource = full();
    let pod = resource.spec.evaluation.template.spec.as_mut().unwrap();
    let mut server = pod.containers[0].clone();
    server.name = "vllm".to_owned();
    let mut step = server.clone();
    step.name = "warm-up".to_owned();
    server.restart_policy = Some("Always".to_owned());
    pod.init_containers = Some(vec![server, step]);
    assert_eq!(resource.spec.evaluation.gpus(), 2);
}

#[test]
fn relative_files_are_meant_from_the_manifest() {
    let mut resource = small();
    resource.spec.pool.checkpoints[0].uri = "file://../pool/a".to_owned();
    resource.spec.resolve_files(std::path::Path::new("/home/me/search"));
    assert_eq!(resource.spec.pool.checkpoints[0].uri, "file:///home/me/search/../pool/a");
    assert_eq!(resource.spec.pool.checkpoints[1].uri, "file:///pool/b");
    assert_eq!(resource.spec.storage.output, "file:///home/me/search/out");
}
