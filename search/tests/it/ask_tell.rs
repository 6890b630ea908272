//! The `ask_tell` example as another program drives it: through its standard input and output.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// The running example; it ends when its input is closed.
struct Example {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Example {
    fn start(problem: &Value) -> Self {
        let mut child =
            Command::new(executable()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut example = Self { child, input, output };
        example.send(&problem.to_string());
        example
    }

    fn send(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    fn receive(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn request(&mut self, line: &str) -> Value {
        self.send(line);
        self.receive()
    }

    fn ask(&mut self, count: usize) -> Vec<Value> {
        self.request(&json!({ "ask": count }).to_string())["trials"].as_array().unwrap().clone()
    }

    /// The refusal of a line.
    fn error(&mut self, line: &str) -> String {
        self.request(line)["error"].as_str().unwrap().to_owned()
    }

    fn finish(mut self) {
        self.input = None;
        assert!(self.child.wait().unwrap().success());
    }
}

/// Cargo builds examples beside the tests, unless only some targets were asked for: then it is asked for this one.
fn executable() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let path = profile.join("examples").join(format!("ask_tell{}", std::env::consts::EXE_SUFFIX));
    if !path.exists() {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--example", "ask_tell"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        build.arg("--target-dir").arg(profile.parent().unwrap());
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success());
    }
    path
}

fn sphere_at(dimension: usize, population_size: Option<usize>) -> Value {
    json!({
        "dimension": dimension, "x0": vec![1.0; dimension], "sigma0": 0.3, "seed": 1,
        "population_size": population_size, "directions": ["minimize"],
    })
}

fn sphere(trial: &Value) -> f64 {
    trial["x"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap().powi(2)).sum()
}

fn told(trial: &Value, value: f64) -> Value {
    json!({ "id": trial["id"], "values": [value] })
}

#[test]
fn the_sphere_is_minimised_the_same_way_every_time() {
    let run = || {
        let mut example = Example::start(&sphere_at(5, None));
        let mut state = Value::Null;
        for _ in 0..150 {
            let trials = example.ask(8);
            assert_eq!(trials.len(), 8);
            assert!(example.ask(3).is_empty(), "the whole generation is out");
            let told: Vec<Value> = trials.iter().map(|trial| told(trial, sphere(trial))).collect();
            state = example.request(&json!({ "tell": told }).to_string());
        }
        example.finish();
        state
    };
    let state = run();
    assert_eq!(state["generation"], 150);
    assert!(state["best"]["values"][0].as_f64().unwrap() < 1e-10, "{state}");
    assert!(state["mean"].as_array().unwrap().len() == 5 && state["sigma"].as_f64().unwrap() < 1e-4);
    assert_eq!(run(), state);
}

#[test]
fn the_size_of_requests_and_the_order_of_results_change_nothing() {
    let states = [1, 3, 100].map(|at_a_time| {
        let mut example = Example::start(&sphere_at(4, None));
        let mut state = Value::Null;
        for _ in 0..10 {
            let mut trials = Vec::new();
            loop {
                let more = example.ask(at_a_time);
                if more.is_empty() {
                    break;
                }
                trials.extend(more);
            }
            for trial in trials.iter().rev() {
                state = example.request(&json!({ "tell": [told(trial, sphere(trial))] }).to_string());
            }
        }
        example.finish();
        state
    });
    assert_eq!(states[0]["generation"], 10);
    assert_eq!(states[0], states[1]);
    assert_eq!(states[0], states[2]);
}

#[test]
fn bad_lines_are_answered_and_change_nothing() {
    let mut example = Example::start(&json!({ "dimension": 2 }));
    assert!(example.receive()["error"].as_str().unwrap().contains("x0"));
    assert!(example.error(&sphere_at(2, Some(1)).to_string()).contains("population size"));
    let mismatch = json!({ "dimension": 3, "x0": [0.0], "sigma0": 1.0, "seed": 1 });
    assert_eq!(example.error(&mismatch.to_string()), "x0 must have 3 entries, not 1");
    example.send(&sphere_at(2, Some(4)).to_string());

    let trials = example.ask(4);
    assert!(example.error("{\"ask\":").contains("EOF"));
    assert!(example.error("{\"ask\":-1}").contains("-1"));
    assert!(example.error("{\"stop\":1}").contains("stop"));
    assert!(example.error(r#"{"tell":[{"id":"1-0"}]}"#).contains("values"));
    assert_eq!(
        example.error(r#"{"tell":[{"id":"9-9","values":[1]}]}"#),
        "no trial 9-9 is waiting for values"
    );
    assert_eq!(
        example.error(r#"{"tell":[{"id":"1-0","values":[1]},{"id":"1-1","values":[1,2]}]}"#),
        "trial 1-1 must have 1 values, one per direction, not 2"
    );
    assert_eq!(
        example.error(r#"{"tell":[{"id":"1-0","values":[1]},{"id":"1-0","values":[1]}]}"#),
        "trial 1-0 is told twice"
    );

    // A refused line counted for nothing: the same trials can still be told. NaN and null are failures.
    let state = example.request(r#"{"tell":[{"id":"1-0","values":[NaN]},{"id":"1-1","values":null}]}"#);
    assert_eq!((&state["generation"], &state["best"]), (&json!(0), &Value::Null));
    let rest = json!({ "tell": [told(&trials[2], 2.0), { "id": trials[3]["id"], "values": [1.5], "stderr": [0.1] }] });
    let state = example.request(&rest.to_string());
    assert_eq!(state["generation"], 1);
    assert_eq!(state["best"], json!({ "id": "1-3", "values": [1.5] }));
    assert_eq!(state["stop"], Value::Null);
    example.finish();
}

#[test]
fn several_directions_are_weighed_together() {
    let mut problem = sphere_at(1, Some(2));
    problem["directions"] = json!(["minimize", "maximize"]);
    let mut example = Example::start(&problem);
    example.ask(2);
    let state = example.request(r#"{"tell":[{"id":"1-0","values":[1,5]},{"id":"1-1","values":[0.5,1]}]}"#);
    assert_eq!(state["best"], json!({ "id": "1-0", "values": [1.0, 5.0] }));
    example.finish();
}

#[test]
fn a_stop_is_reported_by_name() {
    let mut problem = sphere_at(2, None);
    problem["stop"] = json!({ "tolx": 0.5 });
    let mut example = Example::start(&problem);
    let mut stop = Value::Null;
    for _ in 0..100 {
        let told: Vec<Value> = example.ask(6).iter().map(|trial| told(trial, sphere(trial))).collect();
        stop = example.request(&json!({ "tell": told }).to_string())["stop"].clone();
        if !stop.is_null() {
            break;
        }
    }
    assert_eq!(stop, "tolx");
    assert_eq!(example.ask(1).len(), 1, "when to end is the caller's choice");
    example.finish();
}
