//! A manifest and the folder it lies in: what a run on this machine is made from.

use std::fs;
use std::path::{Path, PathBuf};

use mergesearch_crds::{Manifest, MergeSearch, MergeSearchSpec, Place};

use crate::failure::Failure;

/// A manifest that keeps all rules, its relative locations resolved.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    /// `metadata.name`.
    pub(crate) name: String,
    /// The folder that holds the manifest, absolute.
    pub(crate) folder: PathBuf,
    /// The search.
    pub(crate) resource: MergeSearch,
    /// What is allowed and probably not meant, one sentence each.
    pub(crate) warnings: Vec<String>,
}

impl Project {
    /// Reads a manifest.
    ///
    /// # Errors
    /// Everything that is wrong with it, one line each.
    pub(crate) fn load(file: &Path, place: Place) -> Result<Self, Failure> {
        let shown = file.display();
        let text =
            fs::read_to_string(file).map_err(|error| Failure::Input(format!("manifest {shown}: {error}")))?;
        let Manifest { mut resource, warnings } = Manifest::parse(&text, place).map_err(|errors| {
            let lines: Vec<String> = errors.0.iter().map(|finding| format!("{shown}: {finding}")).collect();
            Failure::Input(lines.join("\n"))
        })?;
        let folder = file.canonicalize().ok().and_then(|file| file.parent().map(Path::to_owned));
        let folder = folder.ok_or_else(|| Failure::Input(format!("manifest {shown}: not in a folder")))?;
        if place == Place::Local {
            resource.spec.resolve_files(&folder);
        }
        let mut warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        warnings.extend(local_warnings(&resource.spec, place));
        Ok(Self { name: resource.metadata.name.clone().unwrap_or_default(), folder, resource, warnings })
    }

    /// What is searched and how.
    pub(crate) const fn spec(&self) -> &MergeSearchSpec {
        &self.resource.spec
    }

    /// Where the state is unless the command line says otherwise.
    pub(crate) fn default_state(&self) -> PathBuf {
        self.folder.join(format!("{}.mergesearch", self.name))
    }

    /// Trials at the same time.
    pub(crate) fn parallel_trials(&self) -> usize {
        usize::try_from(self.spec().execution.parallel_trials).unwrap_or(1).max(1)
    }
}

/// What a local run passes over.
fn local_warnings(spec: &MergeSearchSpec, place: Place) -> Vec<String> {
    let mut warnings = Vec::new();
    let pod = spec.evaluation.template.spec.as_ref();
    if place == Place::Local
        && pod.and_then(|pod| pod.init_containers.as_ref()).is_some_and(|all| !all.is_empty())
    {
        warnings.push(
            "spec.evaluation.template.spec.initContainers: not started in a local run; start such servers yourself".to_owned(),
        );
    }
    let env_from = spec.evaluation.evaluator().and_then(|evaluator| evaluator.env_from.as_ref());
    if place == Place::Local && env_from.is_some_and(|sources| !sources.is_empty()) {
        warnings.push(
            "the evaluator's envFrom can't be read in a local run; its process inherits this one's environment".to_owned(),
        );
    }
    if spec.suspend && place == Place::Local {
        warnings.push("spec.suspend: true, but a local run goes on; stop it with Ctrl-C".to_owned());
    }
    warnings
}
