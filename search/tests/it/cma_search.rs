//! CMA-ES as a search: it finds optima within a budget, and a snapshot is as good as a replay.
//!
//! The budgets are a fifth above what pycma 4 needs on average for the same functions, starts and targets.

use mergesearch_search::cma::{Cma, CmaConfig, CmaError, Evaluated, Stagnation, StopCriteria, StopReason};
use mergesearch_search::random::Stream;

/// Stops only for numerical reasons, so that precision can be measured.
fn precise() -> StopCriteria {
    StopCriteria { tolx: Some(1e-12), tolstagnation: Stagnation::Off, ..StopCriteria::default() }
}

fn generation(cma: &Cma, seed: u64, objective: impl Fn(&[f64]) -> f64) -> Vec<Evaluated> {
    (0..cma.population_size())
        .map(|index| {
            let mut stream = Stream::new(seed, &format!("{}/{index}", cma.generation()));
            let x = cma.sample(&mut stream);
            let fitness = objective(&x);
            Evaluated { x, fitness }
        })
        .collect()
}

/// Evaluations until a sample is better than `target`; none when `budget` runs out.
fn evaluations_to(
    config: CmaConfig,
    seed: u64,
    target: f64,
    budget: usize,
    objective: impl Fn(&[f64]) -> f64 + Copy,
) -> Option<usize> {
    let mut cma = Cma::new(config).unwrap();
    let mut evaluations = 0;
    while evaluations < budget {
        let population = generation(&cma, seed, objective);
        evaluations += population.len();
        if population.iter().any(|one| one.fitness < target) {
            return Some(evaluations);
        }
        cma.tell(&population).unwrap();
    }
    None
}

fn sphere(x: &[f64]) -> f64 {
    x.iter().map(|v| v * v).sum()
}

/// A sphere whose optimum is not the origin, where floating-point numbers are arbitrarily fine.
fn away(x: &[f64]) -> f64 {
    x.iter().map(|v| (v - 2.0).powi(2)).sum()
}

/// Condition number 1e6.
fn ellipsoid(x: &[f64]) -> f64 {
    let last = (x.len() - 1).max(1) as f64;
    x.iter().enumerate().map(|(i, v)| 1e6_f64.powf(i as f64 / last) * v * v).sum()
}

fn rosenbrock(x: &[f64]) -> f64 {
    x.windows(2).map(|w| 100.0 * (w[0] * w[0] - w[1]).powi(2) + (w[0] - 1.0).powi(2)).sum()
}

fn assert_solved(config: &CmaConfig, target: f64, budget: usize, objective: impl Fn(&[f64]) -> f64 + Copy) {
    let used: Vec<_> =
        (1..=5).map(|seed| evaluations_to(config.clone(), seed, target, budget, objective)).collect();
    assert!(used.iter().all(Option::is_some), "budget {budget}: {used:?}");
}

#[test]
fn one_dimension_is_searched() {
    assert_solved(&CmaConfig::new(vec![3.0], 1.0), 1e-12, 300, sphere);
}

#[test]
fn the_sphere_is_solved_within_the_usual_budget() {
    assert_solved(&CmaConfig::new(vec![1.0; 15], 0.5), 1e-10, 3_200, sphere);
}

#[test]
fn the_ellipsoid_is_solved_within_the_usual_budget() {
    assert_solved(&CmaConfig::new(vec![1.0; 10], 0.5), 1e-8, 5_000, ellipsoid);
}

#[test]
fn rosenbrocks_valley_is_followed() {
    let config = CmaConfig::new(vec![0.0; 8], 0.3);
    let solved =
        (1..=5).filter(|&seed| evaluations_to(config.clone(), seed, 1e-8, 5_000, rosenbrock).is_some());
    // The function has a local optimum that a minority of runs may end in.
    assert!(solved.count() >= 4);
}

#[test]
fn the_separable_variant_solves_a_large_separable_problem() {
    let config = CmaConfig::new(vec![1.0; 120], 0.5);
    assert!(evaluations_to(config, 1, 1e-6, 37_000, ellipsoid).is_some());
}

#[test]
fn initial_scales_are_the_first_standard_deviations() {
    let config = CmaConfig { scales: vec![1.0, 4.0], ..CmaConfig::new(vec![0.0, 10.0], 0.5) };
    let cma = Cma::new(config).unwrap();
    assert_eq!(cma.standard_deviations(), [0.5, 2.0]);
    let mut stream = Stream::new(1, "scales");
    let samples: Vec<Vec<f64>> = (0..20_000).map(|_| cma.sample(&mut stream)).collect();
    for (axis, mean, deviation) in [(0, 0.0, 0.5), (1, 10.0, 2.0)] {
        let squares: f64 = samples.iter().map(|x| (x[axis] - mean).powi(2)).sum();
        assert!(((squares / 20_000.0_f64).sqrt() / deviation - 1.0).abs() < 0.02);
    }
}

#[test]
fn a_restored_snapshot_continues_bit_for_bit() {
    for n in [1, 7, 120] {
        let mut replayed = Cma::new(CmaConfig::new(vec![1.0; n], 0.3)).unwrap();
        for _ in 0..10 {
            replayed.tell(&generation(&replayed, 3, ellipsoid)).unwrap();
        }
        let text = serde_json::to_string(&replayed).unwrap();
        let mut restored: Cma = serde_json::from_str(&text).unwrap();
        assert_eq!(restored, replayed);
        for _ in 0..5 {
            replayed.tell(&generation(&replayed, 3, ellipsoid)).unwrap();
            restored.tell(&generation(&restored, 3, ellipsoid)).unwrap();
        }
        assert_eq!(serde_json::to_string(&restored).unwrap(), serde_json::to_string(&replayed).unwrap());
    }
}

/// The same bits on every machine, in every build profile: nothing but portable arithmetic steers.
#[test]
fn golden_states_never_change() {
    let after_30_generations = [3, 12].map(|n| {
        let mut cma = Cma::new(CmaConfig::new(vec![0.0; n], 0.3)).unwrap();
        for _ in 0..30 {
            cma.tell(&generation(&cma, 11, valley)).unwrap();
        }
        [cma.sigma(), cma.mean()[n - 1], cma.covariance(n - 1, 0), cma.axis_lengths()[0]].map(f64::to_bits)
    });
    let golden = [
        [0x3fb4_e24d_7382_5789, 0x3fc4_0880_19b8_901d, 0x3fbb_0917_9ca9_794a, 0x3fca_37dc_6f74_0b74],
        [0x3fab_d470_3a3a_2d08, 0x3f5c_f0bc_3b6e_0378, 0x3fc0_5045_e090_1c2b, 0x3ff3_6311_3f26_3814],
    ];
    assert_eq!(after_30_generations, golden, "{after_30_generations:#x?}");
}

/// Rosenbrock's function in additions and multiplications only.
fn valley(x: &[f64]) -> f64 {
    let term = |a: f64, b: f64| 100.0 * (a * a - b) * (a * a - b) + (a - 1.0) * (a - 1.0);
    x.windows(2).map(|w| term(w[0], w[1])).sum()
}

#[test]
fn failed_evaluations_rank_last_and_do_not_harm_the_state() {
    let mut cma = Cma::new(CmaConfig { stop: precise(), ..CmaConfig::new(vec![1.0; 5], 0.3) }).unwrap();
    for round in 0..150 {
        let mut population = generation(&cma, 5, sphere);
        population[round % 8].fitness = f64::INFINITY;
        cma.tell(&population).unwrap();
    }
    assert_eq!(serde_json::from_str::<Cma>(&serde_json::to_string(&cma).unwrap()).unwrap(), cma);
    assert!(sphere(cma.mean()) < 1e-8, "{}", sphere(cma.mean()));
}

#[test]
fn a_generation_that_failed_whole_changes_nothing_but_its_number() {
    let mut cma = Cma::new(CmaConfig::new(vec![1.0; 5], 0.3)).unwrap();
    let before = cma.clone();
    cma.tell(&generation(&cma, 5, |_| f64::INFINITY)).unwrap();
    assert_eq!(cma.generation(), 1);
    assert_eq!((cma.mean(), cma.sigma()), (before.mean(), before.sigma()));
    assert_eq!(serde_json::from_str::<Cma>(&serde_json::to_string(&cma).unwrap()).unwrap(), cma);
}

/// Runs until a stop and gives its reason with the generation it came in.
fn run_to_stop(stop: StopCriteria, objective: impl Fn(&[f64]) -> f64 + Copy) -> (StopReason, u64) {
    let mut cma = Cma::new(CmaConfig { stop, ..CmaConfig::new(vec![1.0; 4], 0.3) }).unwrap();
    while cma.generation() < 3_000 {
        cma.tell(&generation(&cma, 9, objective)).unwrap();
        if let Some(reason) = cma.stop() {
            return (reason, cma.generation());
        }
    }
    panic!("no stop in {} generations", cma.generation());
}

fn nothing() -> StopCriteria {
    StopCriteria {
        tolx: None,
        tolconditioncov: None,
        tolstagnation: Stagnation::Off,
        ..StopCriteria::default()
    }
}

#[test]
fn every_test_ends_the_search_it_is_made_for() {
    let flat = |_: &[f64]| 1.0;
    let cases = [
        (StopCriteria::default(), StopReason::TolX, sphere as fn(&[f64]) -> f64),
        (StopCriteria { tolconditioncov: Some(100.0), ..nothing() }, StopReason::TolConditionCov, ellipsoid),
        (StopCriteria { tolstagnation: Stagnation::Default, ..nothing() }, StopReason::TolStagnation, flat),
        (StopCriteria { tolfun: Some(1e-3), ..nothing() }, StopReason::TolFun, sphere),
        (StopCriteria { tolfunhist: Some(1e-3), ..nothing() }, StopReason::TolFunHist, sphere),
        (StopCriteria { tolflatfitness: Some(3), ..nothing() }, StopReason::TolFlatFitness, flat),
        (StopCriteria { noeffectaxis: true, ..nothing() }, StopReason::NoEffectAxis, away),
        (StopCriteria { noeffectcoord: true, ..nothing() }, StopReason::NoEffectCoord, away),
    ];
    for (criteria, expected, objective) in cases {
        let (reason, generation) = run_to_stop(criteria, objective);
        assert_eq!(reason, expected);
        assert!(generation > 3, "{reason:?} in generation {generation}");
    }
}

#[test]
fn progress_is_not_stagnation() {
    let stop = StopCriteria { tolstagnation: Stagnation::Generations(20), tolx: Some(1e-9), ..nothing() };
    assert_eq!(run_to_stop(stop, ellipsoid).0, StopReason::TolX);
}

#[test]
fn bad_input_is_refused_and_changes_nothing() {
    let start = |mean: Vec<f64>, sigma| Cma::new(CmaConfig::new(mean, sigma));
    assert_eq!(start(vec![], 1.0), Err(CmaError::Mean));
    assert_eq!(start(vec![f64::NAN], 1.0), Err(CmaError::Mean));
    assert_eq!(start(vec![0.0], 0.0), Err(CmaError::Sigma(0.0)));
    let with = |change: fn(&mut CmaConfig)| {
        let mut config = CmaConfig::new(vec![0.0; 2], 1.0);
        change(&mut config);
        Cma::new(config)
    };
    assert_eq!(with(|c| c.scales = vec![1.0]), Err(CmaError::Scales(2)));
    assert_eq!(with(|c| c.population_size = Some(1)), Err(CmaError::Population));

    let mut cma = start(vec![0.0; 2], 1.0).unwrap();
    let before = cma.clone();
    let good = generation(&cma, 1, sphere);
    assert_eq!(cma.tell(&good[1..]), Err(CmaError::Generation { expected: 6, given: 5 }));
    let tell = |cma: &mut Cma, change: fn(&mut Evaluated)| {
        let mut population = good.clone();
        change(&mut population[3]);
        cma.tell(&population)
    };
    assert_eq!(tell(&mut cma, |one| one.fitness = f64::NAN), Err(CmaError::Fitness(3)));
    assert_eq!(tell(&mut cma, |one| one.x[0] = f64::INFINITY), Err(CmaError::Sample(3, 2)));
    assert_eq!(tell(&mut cma, |one| one.x.truncate(1)), Err(CmaError::Sample(3, 2)));
    assert_eq!(cma, before);
}
