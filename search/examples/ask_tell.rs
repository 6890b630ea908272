//! Drives the CMA-ES core from any language: JSON lines on standard input and output, in plain coordinates.
//!
//! The first line describes the problem and is answered only if it is wrong:
//!
//! ```json
//! {"dimension":2,"x0":[1,1],"sigma0":0.3,"seed":1,"population_size":null,"directions":["minimize"]}
//! ```
//!
//! `population_size` and `directions` may be left out. A further field `stop` sets [`StopCriteria`]; by default only
//! what ends a search on noise-free functions is reported: the limits of arithmetic and stagnation.
//!
//! Then, in any order and number:
//!
//! - `{"ask":12}` is answered by `{"trials":[{"id":"1-0","x":[..]},..]}`: up to 12 trials of the current generation
//!   that were not handed out yet. When all are out the list is empty until the generation has been told.
//! - `{"tell":[{"id":"1-0","values":[3.5],"stderr":[0.1]}]}`, of any part of the generation, is answered by
//!   `{"generation":1,"sigma":0.2,"mean":[..],"best":{"id":"1-0","values":[3.5]},"stop":null}`. The distribution moves
//!   when the last trial of a generation is told; `generation` counts those moves. `stderr` may be left out and does
//!   not steer. A value that is `null`, `NaN` or infinite is a failed trial, which ranks last. `stop` is the name of the
//!   first criterion met; trials are handed out all the same, since when to end is the caller's choice.
//!
//! With several directions a trial's fitness is the mean of its values, those to be maximised negated, and `best` has
//! the best fitness. A bad line is answered by `{"error":".."}` and changes nothing.

use std::io::{self, BufRead, Write};

use mergesearch_search::cma::{Cma, CmaConfig, Evaluated, StopCriteria, StopReason};
use mergesearch_search::random::Stream;
use serde::{Deserialize, Serialize};

/// The first line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Problem {
    dimension: usize,
    x0: Vec<f64>,
    sigma0: f64,
    seed: u64,
    #[serde(default)]
    population_size: Option<usize>,
    #[serde(default = "minimize_one")]
    directions: Vec<Direction>,
    #[serde(default = "limits_of_arithmetic")]
    stop: StopCriteria,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Direction {
    Minimize,
    Maximize,
}

fn minimize_one() -> Vec<Direction> {
    vec![Direction::Minimize]
}

fn limits_of_arithmetic() -> StopCriteria {
    StopCriteria { tolx: Some(1e-12), noeffectaxis: true, noeffectcoord: true, ..StopCriteria::default() }
}

/// Every other line.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Request {
    Ask(usize),
    Tell(Vec<Told>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    id: String,
    // `null` for all values is a failed trial too, but a line without the field is a mistake.
    #[serde(deserialize_with = "Option::deserialize")]
    values: Option<Vec<Option<f64>>>,
    #[serde(default)]
    stderr: Option<Vec<Option<f64>>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answer<'a> {
    Error { error: String },
    Trials { trials: &'a [Trial] },
    State { generation: u64, sigma: f64, mean: &'a [f64], best: Option<&'a Best>, stop: Option<StopReason> },
}

#[derive(Serialize)]
struct Trial {
    id: String,
    x: Vec<f64>,
    #[serde(skip)]
    fitness: Option<f64>,
}

#[derive(Serialize)]
struct Best {
    id: String,
    values: Vec<f64>,
    #[serde(skip)]
    fitness: f64,
}

/// One run of the optimiser.
struct Session {
    seed: u64,
    directions: Vec<Direction>,
    cma: Cma,
    /// The trials of the current generation handed out so far.
    issued: Vec<Trial>,
    best: Option<Best>,
}

impl Session {
    fn open(line: &str) -> Result<Self, String> {
        let problem: Problem = parse(line)?;
        if problem.x0.len() != problem.dimension {
            return Err(format!("x0 must have {} entries, not {}", problem.dimension, problem.x0.len()));
        }
        if problem.directions.is_empty() {
            return Err("directions must have at least one entry".into());
        }
        let config = CmaConfig {
            population_size: problem.population_size,
            stop: problem.stop,
            ..CmaConfig::new(problem.x0, problem.sigma0)
        };
        let cma = Cma::new(config).map_err(|error| error.to_string())?;
        Ok(Self { seed: problem.seed, directions: problem.directions, cma, issued: Vec::new(), best: None })
    }

    fn answer(&mut self, line: &str) -> Result<Answer<'_>, String> {
        match parse(line)? {
            Request::Ask(count) => Ok(Answer::Trials { trials: self.ask(count) }),
            Request::Tell(told) => {
                self.tell(told)?;
                Ok(Answer::State {
                    generation: self.cma.generation(),
                    sigma: self.cma.sigma(),
                    mean: self.cma.mean(),
                    best: self.best.as_ref(),
                    stop: self.cma.stop(),
                })
            }
        }
    }

    fn ask(&mut self, count: usize) -> &[Trial] {
        let first = self.issued.len();
        let end = first.saturating_add(count).min(self.cma.population_size());
        for index in first..end {
            let id = format!("{}-{index}", self.cma.generation() + 1);
            let x = self.cma.sample(&mut Stream::new(self.seed, &id));
            self.issued.push(Trial { id, x, fitness: None });
        }
        &self.issued[first..]
    }

    fn tell(&mut self, told: Vec<Told>) -> Result<(), String> {
        // All entries are checked before the first one counts.
        let mut results: Vec<(usize, f64, Vec<f64>)> = Vec::new();
        for Told { id, values, stderr } in told {
            let index = self
                .issued
                .iter()
                .position(|trial| trial.id == id)
                .ok_or_else(|| format!("no trial {id} is waiting for values"))?;
            if self.issued[index].fitness.is_some() || results.iter().any(|(other, ..)| *other == index) {
                return Err(format!("trial {id} is told twice"));
            }
            let expected = self.directions.len();
            for (name, list) in [("values", &values), ("stderr", &stderr)] {
                if let Some(given) = list.as_ref().map(Vec::len).filter(|given| *given != expected) {
                    return Err(format!(
                        "trial {id} must have {expected} {name}, one per direction, not {given}"
                    ));
                }
            }
            let values: Option<Vec<f64>> = values.into_iter().flatten().collect();
            let values = values.unwrap_or_default();
            results.push((index, self.fitness(&values), values));
        }
        for (index, fitness, values) in results {
            let trial = &mut self.issued[index];
            trial.fitness = Some(fitness);
            let better = self.best.as_ref().is_none_or(|best| fitness < best.fitness);
            if better && fitness.is_finite() {
                self.best = Some(Best { id: trial.id.clone(), values, fitness });
            }
        }
        self.close_generation()
    }

    /// The mean of the values with those to be maximised negated; infinite without values.
    fn fitness(&self, values: &[f64]) -> f64 {
        if values.is_empty() {
            return f64::INFINITY;
        }
        let signed = values.iter().zip(&self.directions).map(|(value, direction)| match direction {
            Direction::Minimize => *value,
            Direction::Maximize => -value,
        });
        let mean = signed.sum::<f64>() / values.len() as f64;
        if mean.is_finite() { mean } else { f64::INFINITY }
    }

    fn close_generation(&mut self) -> Result<(), String> {
        let told = |trial: &Trial| trial.fitness.map(|fitness| Evaluated { x: trial.x.clone(), fitness });
        let Some(population) = self.issued.iter().map(told).collect::<Option<Vec<_>>>() else {
            return Ok(());
        };
        if population.len() == self.cma.population_size() {
            self.cma.tell(&population).map_err(|error| error.to_string())?;
            self.issued.clear();
        }
        Ok(())
    }
}

fn parse<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T, String> {
    serde_json::from_str(line).map_err(|error| error.to_string())
}

/// Answers lines until the input ends.
fn serve(mut input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    let mut session = None;
    let mut bytes = Vec::new();
    while input.read_until(b'\n', &mut bytes)? > 0 {
        // Python writes NaN and Infinity, which JSON does not have.
        let line = String::from_utf8_lossy(&bytes)
            .replace("-Infinity", "null")
            .replace("Infinity", "null")
            .replace("NaN", "null");
        bytes.clear();
        if line.trim().is_empty() {
            continue;
        }
        let answer = match &mut session {
            Some(session) => Session::answer(session, &line),
            None => match Session::open(&line) {
                Ok(opened) => {
                    session = Some(opened);
                    continue;
                }
                Err(error) => Err(error),
            },
        };
        serde_json::to_writer(&mut output, &answer.unwrap_or_else(|error| Answer::Error { error }))?;
        output.write_all(b"\n")?;
        output.flush()?;
    }
    Ok(())
}

fn main() -> io::Result<()> {
    serve(io::stdin().lock(), io::stdout().lock())
}
