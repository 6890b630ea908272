//! The images that a node's containerd holds.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::access::Cluster;
use super::home::FIRST_PROCESS;
use super::process::Place;
use super::programs::program;

const TIMEOUT: Duration = Duration::from_mins(2);

/// The images on a node of ours.
#[derive(Debug)]
pub struct Images {
    cluster: Cluster,
    place: Place,
}

impl Images {
    pub(crate) fn new(cluster: Cluster, place: Place) -> Self {
        Self { cluster, place }
    }

    /// Those of a node that another process started, by the kubeconfig that [`Cluster::kubeconfig`] named there.
    pub fn of_running(kubeconfig: &Path) -> Self {
        let folder = kubeconfig.parent().expect("a kubeconfig lies in the folder of its cluster");
        let first_process = fs::read_to_string(folder.join(FIRST_PROCESS))
            .unwrap_or_else(|error| panic!("{} is no folder of a node: {error}", folder.display()));
        let place = Place::Inside(first_process.trim().parse().unwrap());
        Self::new(Cluster::own(kubeconfig.to_owned(), folder), place)
    }

    pub(crate) fn wait_until_ready(&self) {
        let answers = || self.ctr(&["version"], None).ok();
        self.cluster.wait_for("default", "containerd answers", TIMEOUT, answers);
    }

    /// Imports the images of an OCI or Docker archive, under the names that it gives them.
    #[track_caller]
    pub fn import(&self, archive: &Path) {
        let imported = self.ctr(&["images", "import", "-"], Some(archive));
        let failed = |said: &str| self.cluster.fail(&format!("can't import {}: {said}", archive.display()));
        let said = imported.unwrap_or_else(|said| failed(&said));
        let names: Vec<&str> =
            said.lines().filter_map(|line| line.strip_prefix("unpacking ")?.split(' ').next()).collect();
        if names.is_empty() {
            failed("it holds no image with a name");
        }
        // containerd tells its Kubernetes part a moment later; until then a pod would try to pull.
        for name in names {
            let known = format!("name=={name},labels.\"io.cri-containerd.image\"==managed");
            self.cluster.wait_for("default", "containerd has the image for pods", TIMEOUT, || {
                self.ctr(&["images", "list", "--quiet", &known], None).ok().filter(|names| !names.is_empty())
            });
        }
    }

    /// Runs containerd's own client.
    fn ctr(&self, arguments: &[&str], input: Option<&Path>) -> Result<String, String> {
        let mut command = self.place.command(program("ctr"));
        command.args(["--namespace", "k8s.io"]).args(arguments);
        let open =
            |file: &Path| File::open(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        command.stdin(input.map_or_else(Stdio::null, |file| Stdio::from(open(file))));
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}
