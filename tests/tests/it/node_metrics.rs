//! The operator's metrics as a real Prometheus sees them.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};

use mergesearch_tests::cluster::program;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::node_world::{Installation, MINUTES, NAME, Team};

/// promtool is content with the metrics of the leading replica, and a query to a Prometheus that scrapes it gives the size
/// of the front that the search's status has.
pub(crate) fn prometheus_sees(installation: &Installation, team: &Team<'_>, search: &Value) {
    let home = &installation.home;
    let lease = home.get(["lease", "mergesearch-operator"]);
    let (namespace, leader) = (home.name(), lease["spec"]["holderIdentity"].as_str().unwrap());
    let path = format!("/api/v1/namespaces/{namespace}/pods/{leader}:8080/proxy/metrics");
    let folder = TempDir::with_prefix("mergesearch-prometheus-").unwrap();

    let metrics = folder.path().join("metrics");
    fs::write(&metrics, home.kubectl(["get", "--raw", &path])).unwrap();
    let checked = Command::new(program("promtool"))
        .args(["check", "metrics"])
        .stdin(fs::File::open(&metrics).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && said.is_empty(), "{said}");

    let (_proxy, address) = proxy(installation);
    // JSON is YAML.
    let configuration = folder.path().join("prometheus.yml");
    let scrape = json!({
        "job_name": "mergesearch",
        "scrape_interval": "5s",
        "metrics_path": path,
        "static_configs": [{"targets": [address]}],
    });
    fs::write(&configuration, json!({"scrape_configs": [scrape]}).to_string()).unwrap();
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let server = format!("127.0.0.1:{port}");
    let mut command = leashed("prometheus");
    command
        .arg(format!("--config.file={}", configuration.display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address={server}"))
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.path().join("log")).unwrap());
    let _prometheus = Ended(command.spawn().unwrap());

    let query =
        format!("mergesearch_search_front_size{{namespace={:?},search={NAME:?}}}", team.namespace.name());
    let sample = home.wait_for("Prometheus has the size of the front", MINUTES, || {
        let url = format!("http://{server}");
        let answer = Command::new(program("promtool"))
            .args(["query", "instant", "--format=json", &url, &query])
            .output()
            .unwrap();
        let answer: Value = serde_json::from_slice(&answer.stdout).ok()?;
        answer.as_array()?.first().cloned()
    });
    let size = sample["value"][1].as_str().and_then(|text| text.parse::<f64>().ok());
    assert_eq!(size, search["status"]["frontSize"].as_f64(), "{sample}");
}

/// The address of a way to the API server that asks for no credentials.
fn proxy(installation: &Installation) -> (Ended, String) {
    let command = installation.node.command("kubectl", ["proxy", "--port=0"]).stdout(Stdio::piped()).spawn();
    let mut proxy = Ended(command.unwrap());
    let mut line = String::new();
    BufReader::new(proxy.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("Starting to serve on ");
    (proxy, address.unwrap_or_else(|| panic!("kubectl proxy said {line:?}")).to_owned())
}

/// A program that the kernel ends with this thread.
fn leashed(name: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program(name));
    command
}

/// Ends the process when dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Both fail only when the process has ended by itself.
        let _ended = self.0.kill();
        let _waited = self.0.wait();
    }
}
