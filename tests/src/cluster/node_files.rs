//! The configuration files of the programs that run pods.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde_json::json;

/// The image that holds a pod's namespaces, imported before the first pod.
pub(crate) const PAUSE_IMAGE: &str = "mergesearch.test/pause:1";
const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";
/// The addresses of pods.
pub(crate) const PODS: &str = "10.244.0.0/16";

/// Writes containerd's configuration.
pub(crate) fn containerd(folder: &Path) -> PathBuf {
    // restrict_oom_score_adj: without the right to lower the score, runc fails on every pod.
    let text = format!(
        r#"version = 2
root = "{}"
state = "/run/containerd"
[grpc]
address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = true
disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{}"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"#,
        folder.join("containerd").display(),
        folder.join("networks").display(),
    );
    write(folder, "containerd.toml", &text)
}

/// Writes the configuration of the pods' network into the folder `networks`.
pub(crate) fn network(folder: &Path) {
    fs::create_dir(folder.join("networks")).unwrap();
    let network = json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "pods",
                "isGateway": true,
                "ipMasq": true,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "dataDir": folder.join("addresses"),
                    "ranges": [[{"subnet": PODS}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    });
    write(folder, "networks/pods.conflist", &network.to_string());
}

/// Writes the configuration of the kubelet at the address. `authority` is the file that says whose certificates it trusts.
pub(crate) fn kubelet(folder: &Path, authority: &Path, address: Ipv4Addr) -> PathBuf {
    let control_group = format!("/{}", folder.file_name().unwrap().to_str().unwrap());
    let configuration = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": false}, "x509": {"clientCAFile": authority}},
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": control_group,
        // Nobody answers there: a lookup fails at once, and kubelet does not warn about each pod.
        "clusterDNS": [address],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
        // Full disks are the machine's own affair, and no image can be pulled again.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "failCgroupV1": false,
        "failSwapOn": false,
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "podLogsDir": folder.join("pod-logs"),
        "resolvConf": "",
        "volumePluginDir": folder.join("volume-plugins"),
    });
    write(folder, "kubelet.json", &configuration.to_string())
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    fs::write(&file, text).unwrap();
    file
}
