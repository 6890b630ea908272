//! etcd, kube-apiserver and kube-controller-manager: what every cluster here has.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::access::Cluster;
use super::certificates::{Authority, Identity};
use super::process::{Place, Process};
use super::programs::program;

const READY_TIMEOUT: Duration = Duration::from_mins(2);
/// The addresses of Services; the first is that of the API server itself.
pub(crate) const SERVICES: &str = "10.96.0.0/16";
const FIRST_SERVICE: &str = "10.96.0.1";

/// The ports of a control plane, on 127.0.0.1 where it runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) api: u16,
    pub(crate) etcd: u16,
    pub(crate) etcd_peers: u16,
}

impl Ports {
    /// Those of a control plane with a network of its own.
    pub(crate) const USUAL: Self = Self { api: 6443, etcd: 2379, etcd_peers: 2380 };

    /// Ports that were free a moment ago.
    pub(crate) fn free() -> Self {
        // All are held before the first is given back, so that they differ.
        let held = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let [api, etcd, etcd_peers] = held.map(|listener| listener.local_addr().unwrap().port());
        Self { api, etcd, etcd_peers }
    }
}

/// What a control plane is started with.
pub(crate) struct Plan<'a> {
    pub(crate) place: Place,
    /// The cluster's folder.
    pub(crate) folder: &'a Path,
    pub(crate) logs: &'a Path,
    pub(crate) ports: Ports,
    /// The address under which pods reach the API server; without one it is reached by 127.0.0.1 alone.
    pub(crate) node_address: Option<&'a str>,
    pub(crate) authority: &'a Authority,
}

impl Plan<'_> {
    /// Starts etcd and the API server.
    pub(crate) fn start_servers(&self) -> Vec<Process> {
        vec![self.start_etcd(), self.start_api_server()]
    }

    fn start_etcd(&self) -> Process {
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let (clients, peers) = (url(self.ports.etcd), url(self.ports.etcd_peers));
        let mut command = self.place.command(program("etcd"));
        command.arg("--data-dir").arg(self.folder.join("etcd"));
        command.args(["--unsafe-no-fsync", "--name=test", &format!("--initial-cluster=test={peers}")]);
        command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        Process::start("etcd", command, self.logs)
    }

    fn start_api_server(&self) -> Process {
        let authority = self.authority;
        let mut subjects = vec!["127.0.0.1", "localhost", FIRST_SERVICE, "kubernetes", "kubernetes.default"];
        subjects.extend(["kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]);
        subjects.extend(self.node_address);
        authority.sign_server("kube-apiserver", &subjects);
        authority.sign_client("kubelet-client", Identity::ADMINISTRATOR);
        let mut command = self.place.command(program("kube-apiserver"));
        let mut file = |flag: &str, name: &str| {
            command.arg(flag).arg(authority.file(name));
        };
        file("--client-ca-file", "authority.crt");
        file("--tls-cert-file", "kube-apiserver.crt");
        file("--tls-private-key-file", "kube-apiserver.key");
        file("--kubelet-client-certificate", "kubelet-client.crt");
        file("--kubelet-client-key", "kubelet-client.key");
        file("--service-account-key-file", "tokens.pub");
        file("--service-account-signing-key-file", "tokens.key");
        command.args([
            "--service-account-issuer=https://kubernetes.default.svc",
            "--authorization-mode=Node,RBAC",
        ]);
        command.args(["--enable-admission-plugins=NodeRestriction", "--allow-privileged=true"]);
        command.arg("--kubelet-preferred-address-types=InternalIP");
        command.args(["--service-cluster-ip-range", SERVICES, "--secure-port", &self.ports.api.to_string()]);
        command.arg(format!("--etcd-servers=http://127.0.0.1:{}", self.ports.etcd));
        match self.node_address {
            Some(address) => command.args(["--bind-address=0.0.0.0", "--advertise-address", address]),
            // Nobody but the host reaches it: the Service `kubernetes` can't have an endpoint.
            None => command.args([
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                "--endpoint-reconciler-type=none",
            ]),
        };
        Process::start("kube-apiserver", command, self.logs)
    }

    /// Starts the controllers, once the API server is ready.
    pub(crate) fn start_controllers(&self) -> Process {
        let kubeconfig = self.kubeconfig(
            "kube-controller-manager",
            Identity { user: "system:kube-controller-manager", group: None },
        );
        let mut command = self.place.command(program("kube-controller-manager"));
        command.arg("--kubeconfig").arg(kubeconfig);
        command.arg("--root-ca-file").arg(self.authority.file("authority.crt"));
        command.arg("--service-account-private-key-file").arg(self.authority.file("tokens.key"));
        command.args(["--use-service-account-credentials=true", "--leader-elect=false", "--secure-port=0"]);
        Process::start("kube-controller-manager", command, self.logs)
    }

    /// Starts the scheduler, once the API server is ready.
    pub(crate) fn start_scheduler(&self) -> Process {
        let identity = Identity { user: "system:kube-scheduler", group: None };
        let mut command = self.place.command(program("kube-scheduler"));
        command.arg("--kubeconfig").arg(self.kubeconfig("kube-scheduler", identity));
        command.args(["--leader-elect=false", "--secure-port=0"]);
        Process::start("kube-scheduler", command, self.logs)
    }

    /// Writes the kubeconfig of a program that runs beside the API server.
    pub(crate) fn kubeconfig(&self, name: &str, identity: Identity<'_>) -> PathBuf {
        let file = self.folder.join(format!("{name}.kubeconfig"));
        self.authority.write_kubeconfig(&file, &format!("127.0.0.1:{}", self.ports.api), identity);
        file
    }
}

/// Waits until the API server says that it is ready; `Err` says which process has ended before.
pub(crate) fn wait_until_ready(cluster: &Cluster, processes: &mut [Process]) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        if let Some((name, status)) = processes.iter_mut().find_map(Process::ended) {
            return Err(format!("{name} has ended with {status}"));
        }
        let Err(said) = cluster.try_kubectl(["get", "--raw", "/readyz"]) else {
            return Ok(());
        };
        if begun.elapsed() > READY_TIMEOUT {
            return Err(format!("the API server is not ready after {} s: {said}", READY_TIMEOUT.as_secs()));
        }
        sleep(Duration::from_millis(100));
    }
}
