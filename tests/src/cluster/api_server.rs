//! A cluster that keeps objects and runs nothing.

use std::fs;
use std::ops::Deref;
use std::sync::OnceLock;

use super::access::Cluster;
use super::certificates::{Authority, Identity};
use super::control_plane::{Plan, Ports, wait_until_ready};
use super::home::Home;
use super::process::{Place, Process};

const START_ATTEMPTS: usize = 3;

/// etcd, kube-apiserver with role-based access control, and kube-controller-manager, on free loopback ports. Its
/// administrator's kubeconfig is [`Cluster::kubeconfig`].
#[derive(Debug)]
pub struct ApiServer {
    cluster: Cluster,
    // Dropped in this order: the processes end before their folder goes.
    _processes: Vec<Process>,
    _home: Option<Home>,
}

impl ApiServer {
    /// Starts one and waits until it is ready, or takes the cluster that `MERGESEARCH_TEST_KUBECONFIG` names.
    pub fn start() -> Self {
        if let Some(cluster) = Cluster::existing() {
            return Self { cluster, _processes: Vec::new(), _home: None };
        }
        let mut failures = Vec::new();
        // The ports were free a moment ago; somebody else may take one first.
        while failures.len() < START_ATTEMPTS {
            match Self::try_start() {
                Ok(started) => return started,
                Err(failure) => failures.push(failure),
            }
        }
        panic!("the API server did not start; what happened at each attempt: {failures:#?}");
    }

    /// One for all tests of this process that do not mind each other; it stays until the process ends.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<ApiServer> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn try_start() -> Result<Self, String> {
        let home = Home::make(&[]);
        let logs = home.logs();
        let authority = Authority::make(home.folder().join("pki"));
        let plan = Plan {
            place: Place::Host,
            folder: home.folder(),
            logs: &logs,
            ports: Ports::free(),
            node_address: None,
            authority: &authority,
        };
        let kubeconfig = plan.kubeconfig("administrator", Identity::ADMINISTRATOR);
        let cluster = Cluster::own(kubeconfig, home.folder());
        let mut processes = plan.start_servers();
        if let Err(failure) = wait_until_ready(&cluster, &mut processes) {
            let said = |name: &str| fs::read_to_string(logs.join(name)).unwrap_or_default();
            return Err(format!("{failure}\n{}\n{}", said("etcd.log"), said("kube-apiserver.log")));
        }
        processes.push(plan.start_controllers());
        Ok(Self { cluster, _processes: processes, _home: Some(home) })
    }
}

impl Deref for ApiServer {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}
