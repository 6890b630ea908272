//! The evaluator: the template's container as a process of this machine.

mod expansion;

use std::collections::BTreeMap;
use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Container;
use mergesearch_search::Stage;

use self::expansion::expand;
use crate::supervise::Request;

/// Where the evaluator finds the merged checkpoint.
const MODEL_DIR: &str = "MERGESEARCH_MODEL_DIR";
/// Where it puts its results.
const RESULTS_DIR: &str = "MERGESEARCH_RESULTS_DIR";
/// Which items it is to use.
const STAGE: &str = "MERGESEARCH_STAGE";

/// How to run the evaluator for any candidate and stage.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Evaluator {
    /// Command and arguments, references not yet replaced; never empty.
    words: Vec<String>,
    /// Variables in the order they are defined, references not yet replaced.
    env: Vec<(String, String)>,
    folder: PathBuf,
}

/// Where one evaluation finds and leaves its files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places<'a> {
    /// The merged checkpoint.
    pub(crate) model: &'a Path,
    /// An empty folder for results.
    pub(crate) results: &'a Path,
    /// Receives the evaluator's output.
    pub(crate) log: &'a Path,
}

/// Why the template's container can't be run here.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum EvaluatorError {
    /// Nothing to run.
    #[error("evaluation.template: expected a container `evaluator` with a command")]
    NoCommand,
    /// A value that only a cluster knows.
    #[error("evaluator env {0}: its valueFrom can't be read outside a cluster; give it as --env {0}=VALUE")]
    ValueFrom(String),
    /// A variable on the command line that the template has not.
    #[error("--env {0}: the evaluator's template defines no variable of that name")]
    UnknownVariable(String),
    /// The working directory is missing.
    #[error("evaluator workingDir {0}: no such folder on this machine")]
    NoFolder(PathBuf),
    /// The program is missing.
    #[error("evaluator command {program}: not found{place}")]
    NoProgram {
        /// As the template names it.
        program: String,
        /// Where it was looked for.
        place: String,
    },
    /// The program may not be run.
    #[error("evaluator command {0}: not an executable file")]
    NotExecutable(PathBuf),
}

impl Evaluator {
    /// Reads the container. Relative paths start at `manifest_folder`, which is also where the evaluator runs unless
    /// it has a `workingDir`. `given` are the values from the command line; they also replace plain values.
    ///
    /// # Errors
    /// When something is missing that only this machine could tell.
    pub(crate) fn new(
        container: Option<&Container>,
        manifest_folder: &Path,
        given: &BTreeMap<String, String>,
    ) -> Result<Self, EvaluatorError> {
        let container = container.ok_or(EvaluatorError::NoCommand)?;
        let command = container.command.iter().flatten();
        let words: Vec<String> = command.chain(container.args.iter().flatten()).cloned().collect();
        if container.command.as_ref().is_none_or(Vec::is_empty) {
            return Err(EvaluatorError::NoCommand);
        }
        let variables = container.env.as_deref().unwrap_or_default();
        if let Some(unknown) = given.keys().find(|name| !variables.iter().any(|own| own.name == **name)) {
            return Err(EvaluatorError::UnknownVariable(unknown.clone()));
        }
        let env = variables
            .iter()
            .map(|variable| match (given.get(&variable.name), &variable.value_from) {
                (Some(value), _) => Ok((variable.name.clone(), escape(value))),
                (None, Some(_)) => Err(EvaluatorError::ValueFrom(variable.name.clone())),
                (None, None) => Ok((variable.name.clone(), variable.value.clone().unwrap_or_default())),
            })
            .collect::<Result<_, _>>()?;
        let folder = manifest_folder.join(container.working_dir.as_deref().unwrap_or_default());
        let evaluator = Self { words, env, folder };
        evaluator.check()?;
        Ok(evaluator)
    }

    /// What to run for a candidate in a stage.
    pub(crate) fn request(&self, stage: Stage, places: Places<'_>, deadline_seconds: Option<f64>) -> Request {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut env = BTreeMap::from([
            (MODEL_DIR.to_owned(), text(places.model)),
            (RESULTS_DIR.to_owned(), text(places.results)),
            (STAGE.to_owned(), stage.to_string()),
        ]);
        for (name, value) in &self.env {
            env.insert(name.clone(), expand(value, &env));
        }
        let mut words = self.words.iter().map(|word| expand(word, &env));
        let program = words.next().unwrap_or_default();
        Request {
            program: self.absolute(program),
            args: words.collect(),
            env,
            folder: self.folder.clone(),
            log: places.log.to_owned(),
            deadline_seconds,
        }
    }

    /// A program given as a relative path lies in the working directory, whatever the platform's `exec` thinks.
    fn absolute(&self, program: String) -> String {
        if program.contains('/') { self.folder.join(program).to_string_lossy().into_owned() } else { program }
    }

    fn check(&self) -> Result<(), EvaluatorError> {
        if !self.folder.is_dir() {
            return Err(EvaluatorError::NoFolder(self.folder.clone()));
        }
        let nowhere = Places { model: Path::new(""), results: Path::new(""), log: Path::new("") };
        let Request { program, env, .. } = self.request(Stage::Search, nowhere, None);
        if program.contains('/') {
            return match Path::new(&program) {
                path if !path.exists() => Err(EvaluatorError::NoProgram { program, place: String::new() }),
                path if !is_executable(path) => Err(EvaluatorError::NotExecutable(path.to_owned())),
                _ => Ok(()),
            };
        }
        // The child's own PATH is the one that counts.
        let path = env.get("PATH").map(Into::into).or_else(|| env::var_os("PATH")).unwrap_or_default();
        if env::split_paths(&path).any(|folder| is_executable(&folder.join(&program))) {
            return Ok(());
        }
        Err(EvaluatorError::NoProgram { program, place: " in PATH".to_owned() })
    }
}

/// A value that was typed as it is meant: nothing in it is a reference.
fn escape(value: &str) -> String {
    value.replace('$', "$$")
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource};

    use super::*;

    fn variable(name: &str, value: &str) -> EnvVar {
        EnvVar { name: name.into(), value: Some(value.into()), value_from: None }
    }

    fn container(command: &[&str], env: Vec<EnvVar>) -> Container {
        let words = command.iter().map(ToString::to_string).collect();
        Container { name: "evaluator".into(), command: Some(words), env: Some(env), ..Container::default() }
    }

    fn places() -> Places<'static> {
        Places { model: Path::new("/m"), results: Path::new("/r"), log: Path::new("/l") }
    }

    #[test]
    fn the_contract_and_the_templates_variables_reach_the_process() {
        let container = container(
            &["sh", "-c", "$(TASK) $(MERGESEARCH_STAGE)"],
            vec![variable("DATA", "/data"), variable("TASK", "$(DATA)/math")],
        );
        let evaluator = Evaluator::new(Some(&container), Path::new("/tmp"), &BTreeMap::new()).unwrap();
        let request = evaluator.request(Stage::HeldOut, places(), Some(5.0));
        assert_eq!((request.program.as_str(), request.args[1].as_str()), ("sh", "/data/math heldout"));
        let expected = [
            ("DATA", "/data"),
            ("MERGESEARCH_MODEL_DIR", "/m"),
            ("MERGESEARCH_RESULTS_DIR", "/r"),
            ("MERGESEARCH_STAGE", "heldout"),
            ("TASK", "/data/math"),
        ];
        assert!(request.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(expected));
    }

    #[test]
    fn a_value_from_the_cluster_must_be_given_by_hand() {
        let secret = EnvVar { name: "TOKEN".into(), value: None, value_from: Some(EnvVarSource::default()) };
        let container = container(&["sh"], vec![secret]);
        let new = |given: &[(&str, &str)]| {
            let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Evaluator::new(Some(&container), Path::new("/tmp"), &given)
        };
        assert_eq!(new(&[]), Err(EvaluatorError::ValueFrom("TOKEN".into())));
        assert_eq!(new(&[("TOKEM", "x")]), Err(EvaluatorError::UnknownVariable("TOKEM".into())));
        let request = new(&[("TOKEN", "a$(STAGE)b$$")]).unwrap().request(Stage::Test, places(), None);
        assert_eq!(request.env["TOKEN"], "a$(STAGE)b$$");
    }

    #[test]
    fn what_this_machine_lacks_is_found_before_anything_runs() {
        let new = |container: &Container| {
            Evaluator::new(Some(container), Path::new("/tmp"), &BTreeMap::new()).unwrap_err().to_string()
        };
        assert_eq!(
            new(&container(&["no-such-program-1"], vec![])),
            "evaluator command no-such-program-1: not found in PATH"
        );
        assert_eq!(new(&container(&["./no/such"], vec![])), "evaluator command /tmp/./no/such: not found");
        assert_eq!(
            new(&container(&["/etc/passwd"], vec![])),
            "evaluator command /etc/passwd: not an executable file"
        );
        let elsewhere = Container { working_dir: Some("/no/such".into()), ..container(&["sh"], vec![]) };
        assert_eq!(new(&elsewhere), "evaluator workingDir /no/such: no such folder on this machine");
        assert!(new(&container(&[], vec![])).contains("command"));
    }
}
