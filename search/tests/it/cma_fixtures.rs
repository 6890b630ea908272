//! The CMA-ES update retraces `CyberAgent`'s `cmaes`, given the same constants, samples and fitness.

use std::path::Path;

use mergesearch_search::cma::{Cma, CmaConfig, Constants, Evaluated};
use serde::Deserialize;

/// Relative to the largest entry of the compared quantity.
const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct Trace {
    mean: Vec<f64>,
    sigma: f64,
    separable: bool,
    constants: Constants,
    generations: Vec<Generation>,
}

#[derive(Deserialize)]
struct Generation {
    samples: Vec<Vec<f64>>,
    fitness: Vec<Option<f64>>,
    mean: Vec<f64>,
    sigma: f64,
    sigma_path: Vec<f64>,
    covariance_path: Vec<f64>,
    covariance: Covariance,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Covariance {
    Triangle(Vec<f64>),
    Diagonal(Vec<f64>),
}

impl Trace {
    fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    fn start(&self) -> Cma {
        Cma::new(CmaConfig {
            separable: Some(self.separable),
            constants: Some(self.constants.clone()),
            ..CmaConfig::new(self.mean.clone(), self.sigma)
        })
        .unwrap()
    }
}

impl Generation {
    fn population(&self) -> Vec<Evaluated> {
        let evaluated = |(x, fitness): (&Vec<f64>, &Option<f64>)| Evaluated {
            x: x.clone(),
            fitness: fitness.unwrap_or(f64::INFINITY),
        };
        self.samples.iter().zip(&self.fitness).map(evaluated).collect()
    }
}

fn assert_close(what: &str, ours: &[f64], theirs: &[f64]) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let scale = theirs.iter().fold(0.0_f64, |largest, v| largest.max(v.abs()));
    for (a, b) in ours.iter().zip(theirs) {
        assert!((a - b).abs() <= TOLERANCE * scale, "{what}: {a} is not {b} (scale {scale})");
    }
}

fn retrace(name: &str) {
    let trace = Trace::read(name);
    let mut cma = trace.start();
    let n = cma.dimension();
    assert_eq!(trace.generations.len(), 50);
    for (index, generation) in trace.generations.iter().enumerate() {
        cma.tell(&generation.population()).unwrap();
        let at = |quantity: &str| format!("{name}, generation {}, {quantity}", index + 1);
        assert_close(&at("mean"), cma.mean(), &generation.mean);
        assert_close(&at("sigma"), &[cma.sigma()], &[generation.sigma]);
        assert_close(&at("p_sigma"), cma.sigma_path(), &generation.sigma_path);
        assert_close(&at("p_c"), cma.covariance_path(), &generation.covariance_path);
        let (ours, theirs): (Vec<f64>, _) = match &generation.covariance {
            Covariance::Triangle(theirs) => (
                (0..n)
                    .flat_map(|r| (0..=r).map(move |c| (r, c)))
                    .map(|(r, c)| cma.covariance(r, c))
                    .collect(),
                theirs,
            ),
            Covariance::Diagonal(theirs) => ((0..n).map(|i| cma.covariance(i, i)).collect(), theirs),
        };
        assert_close(&at("C"), &ours, theirs);
    }
}

#[test]
fn full_update_in_1_dimension() {
    retrace("cma_1.json");
}

#[test]
fn full_update_in_5_dimensions() {
    retrace("cma_5.json");
}

#[test]
fn full_update_in_15_dimensions() {
    retrace("cma_15.json");
}

#[test]
fn full_update_in_40_dimensions() {
    retrace("cma_40.json");
}

#[test]
fn separable_update_in_5_dimensions() {
    retrace("cma_separable_5.json");
}

#[test]
fn separable_update_in_15_dimensions() {
    retrace("cma_separable_15.json");
}

/// With the full covariance our own constants are the tutorial's, as theirs are.
#[test]
fn default_constants_agree() {
    for n in [1, 5, 15, 40] {
        let theirs = Trace::read(&format!("cma_{n}.json")).constants;
        let ours = Constants::new(n, Constants::default_population_size(n), false);
        assert_eq!(ours.parents, theirs.parents);
        assert_close("weights", &ours.weights, &theirs.weights);
        let rates = |c: &Constants| [c.mu_eff, c.c_m, c.c_sigma, c.d_sigma, c.c_c, c.c_1, c.c_mu, c.chi_n];
        for (ours, theirs) in rates(&ours).into_iter().zip(rates(&theirs)) {
            assert_close("constant", &[ours], &[theirs]);
        }
    }
}

/// The fixture's test could not notice a wrong update if the comparison were loose: a changed weight must fail it.
#[test]
fn a_slightly_different_constant_is_noticed() {
    let mut trace = Trace::read("cma_5.json");
    trace.constants.c_mu *= 1.0 + 1e-6;
    let mut cma = trace.start();
    let first = &trace.generations[0];
    cma.tell(&first.population()).unwrap();
    let Covariance::Triangle(theirs) = &first.covariance else { panic!("a triangle for n = 5") };
    let difference = (cma.covariance(4, 4) - theirs[14]).abs();
    assert!(difference > 10.0 * TOLERANCE, "{difference}");
}
