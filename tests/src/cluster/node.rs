//! A cluster with one node that runs pods, in Linux namespaces of its own.

use std::env;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::geteuid;

use super::access::Cluster;
use super::certificates::{Authority, Identity};
use super::control_plane::{Plan, Ports, wait_until_ready};
use super::forwarder::Forwarder;
use super::home::Home;
use super::image::Image;
use super::images::Images;
use super::node_files::{self, PAUSE_IMAGE, PODS};
use super::process::{Place, Process, for_good};
use super::programs::program;
use crate::{Kind, Server};

/// The name of the node.
const NAME: &str = "node";
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 90, 0, 1);
const STORE_PORT: u16 = 9000;
/// GPUs that the node claims to have.
const GPUS: u32 = 8;
const START_TIMEOUT: Duration = Duration::from_mins(2);
const IMAGE_LOADER: &str = "MERGESEARCH_TEST_IMAGE_LOADER";
const HOST: &str = "MERGESEARCH_TEST_HOST";

/// A cluster with one node, `node`, that runs pods and claims to have 8 `nvidia.com/gpu`; and an S3 server that pods reach.
/// Nothing can be pulled: images come by [`Node::import_image`], and pods need `imagePullPolicy: IfNotPresent` or `Never`
/// and a tag other than `latest`. There is no DNS in the cluster.
#[derive(Debug)]
pub struct Node {
    cluster: Cluster,
    images: Option<Images>,
    // Dropped in this order: nobody asks any more, the processes end, then what they stood on goes.
    store: Store,
    _api: Option<Forwarder>,
    _processes: Vec<Process>,
    _home: Option<Home>,
}

#[derive(Debug)]
struct Store {
    passage: Forwarder,
    server: Server,
}

impl Store {
    fn start(listen: (Place, SocketAddr), folder: PathBuf) -> Self {
        let server = for_good(move || Server::start_below(Kind::Strict, &folder));
        let passage = Forwarder::start(listen, (Place::Host, server.address()));
        Self { passage, server }
    }
}

impl Node {
    /// Starts one and waits until pods can run, or takes the cluster that `MERGESEARCH_TEST_KUBECONFIG` names.
    pub fn start() -> Self {
        if let Some(cluster) = Cluster::existing() {
            let host = env::var(HOST).ok().and_then(|text| text.parse::<IpAddr>().ok());
            let host = host.unwrap_or_else(|| {
                panic!("{HOST} must be this machine's address as pods of the cluster see it")
            });
            let store = Store::start((Place::Host, SocketAddr::from((host, 0))), env::temp_dir());
            return Self { cluster, images: None, store, _api: None, _processes: Vec::new(), _home: None };
        }
        assert!(
            geteuid().is_root(),
            "a node that runs pods needs root, on Linux with overlayfs, iptables and control groups: run the tests as root, \
             or have MERGESEARCH_TEST_KUBECONFIG name a cluster that runs already (kind, k3d)"
        );
        Self::start_own()
    }

    /// One for all tests of this process that do not mind each other; it stays until the process ends.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Node> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start_own() -> Self {
        let mut home = Home::make(&[&program("pause")]);
        let place = Place::Inside(home.wait_for_namespaces());
        let (folder, logs) = (home.folder().to_owned(), home.logs());
        let authority = Authority::make(folder.join("pki"));
        let node_address = ADDRESS.to_string();
        let plan = Plan {
            place,
            folder: &folder,
            logs: &logs,
            ports: Ports::USUAL,
            node_address: Some(&node_address),
            authority: &authority,
        };
        let mut processes = plan.start_servers();
        processes.push(start_containerd(place, &folder, &logs));
        let loopback = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let api = Forwarder::start((Place::Host, loopback(0)), (place, loopback(Ports::USUAL.api)));
        let kubeconfig = folder.join("administrator.kubeconfig");
        authority.write_kubeconfig(&kubeconfig, &api.address().to_string(), Identity::ADMINISTRATOR);
        let cluster = Cluster::own(kubeconfig, &folder);
        let store = Store::start((place, SocketAddr::from((ADDRESS, STORE_PORT))), folder.clone());

        wait_until_ready(&cluster, &mut processes).unwrap_or_else(|failure| cluster.fail(&failure));
        processes.extend([plan.start_controllers(), plan.start_scheduler()]);
        let images = Images::new(cluster.clone(), place);
        processes.extend(furnish(&plan, &cluster, &images));
        Self {
            cluster,
            images: Some(images),
            store,
            _api: Some(api),
            _processes: processes,
            _home: Some(home),
        }
    }

    /// [`Images::import`] onto this node. On an existing cluster the command `MERGESEARCH_TEST_IMAGE_LOADER` does it, with
    /// the archive as last argument.
    #[track_caller]
    pub fn import_image(&self, archive: &Path) {
        match &self.images {
            Some(images) => images.import(archive),
            None => load_image(archive),
        }
    }

    /// The S3 server, as this machine reaches it.
    pub fn store(&self) -> &Server {
        &self.store.server
    }

    /// Where pods reach the S3 server: `http://10.90.0.1:9000` on every node of ours.
    pub fn store_endpoint(&self) -> String {
        format!("http://{}", self.store.passage.address())
    }

    /// The environment in which a pod reaches the S3 server.
    pub fn store_environment(&self) -> Vec<(&'static str, String)> {
        self.store.server.environment_through(self.store.passage.address())
    }
}

impl Deref for Node {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

/// Starts what runs pods, once containerd answers, and waits until it does.
fn furnish(plan: &Plan<'_>, cluster: &Cluster, images: &Images) -> [Process; 2] {
    let pause = plan.folder.join("pause.tar");
    Image::new(PAUSE_IMAGE).program("/pause", &program("pause")).entrypoint(&["/pause"]).write(&pause);
    images.wait_until_ready();
    images.import(&pause);
    let mut processes = [start_kubelet(plan), start_proxy(plan)];
    let of_node = |path: &str| cluster.try_kubectl(["get", "node", NAME, "--output", path]).ok();
    cluster.wait_for("default", "the node is ready", START_TIMEOUT, || {
        if let Some((name, status)) = processes.iter_mut().find_map(Process::ended) {
            cluster.fail(&format!("{name} has ended with {status}"));
        }
        of_node(r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}"#)
            .filter(|status| status == "True")
    });
    let add =
        |list: &str| format!(r#"{{"op":"add","path":"/status/{list}/nvidia.com~1gpu","value":"{GPUS}"}}"#);
    let patch = format!("--patch=[{},{}]", add("capacity"), add("allocatable"));
    cluster.kubectl(["patch", "node", NAME, "--subresource=status", "--type=json", &patch]);
    processes
}

fn load_image(archive: &Path) {
    let loader = env::var(IMAGE_LOADER).unwrap_or_else(|_| {
        panic!("{IMAGE_LOADER} must be a command that brings an OCI archive into the cluster, such as kind load image-archive")
    });
    let mut words = loader.split_whitespace();
    let program = words.next().unwrap_or_else(|| panic!("{IMAGE_LOADER} is empty"));
    let status = Command::new(program).args(words).arg(archive).status();
    assert!(status.is_ok_and(|status| status.success()), "{loader} {} failed", archive.display());
}

fn start_containerd(place: Place, folder: &Path, logs: &Path) -> Process {
    node_files::network(folder);
    let mut command = place.command(program("containerd"));
    command.arg("--config").arg(node_files::containerd(folder));
    Process::start("containerd", command, logs)
}

fn start_kubelet(plan: &Plan<'_>) -> Process {
    let root = plan.folder.join("kubelet");
    fs::create_dir(&root).unwrap();
    let user = format!("system:node:{NAME}");
    let identity = Identity { user: &user, group: Some("system:nodes") };
    let mut command = plan.place.command(program("kubelet"));
    command.arg("--kubeconfig").arg(plan.kubeconfig("kubelet", identity));
    command.arg("--config").arg(node_files::kubelet(
        plan.folder,
        &plan.authority.file("authority.crt"),
        ADDRESS,
    ));
    command.arg("--cert-dir").arg(root.join("pki")).arg("--root-dir").arg(root);
    command.args(["--hostname-override", NAME, "--node-ip", &ADDRESS.to_string()]);
    Process::start("kubelet", command, plan.logs)
}

fn start_proxy(plan: &Plan<'_>) -> Process {
    let identity = Identity { user: "system:kube-proxy", group: None };
    let mut command = plan.place.command(program("kube-proxy"));
    command.arg("--kubeconfig").arg(plan.kubeconfig("kube-proxy", identity));
    // The limit of tracked connections is a setting of the whole machine.
    command.args(["--proxy-mode=iptables", "--conntrack-max-per-core=0", "--hostname-override", NAME]);
    command.args(["--cluster-cidr", PODS]);
    Process::start("kube-proxy", command, plan.logs)
}
