//! Real Kubernetes clusters as guards, of two sizes, each with folders, ports and namespaces of its own.
//!
//! [`ApiServer`] is etcd, kube-apiserver and kube-controller-manager on loopback: objects are kept, checked, watched and
//! collected, but nothing runs. It needs no rights. [`Node`] also schedules and runs pods, in Linux namespaces of its own;
//! it needs root. Both are used through [`Cluster`].
//!
//! Nothing stays behind: a cluster ends when its guard is dropped and when the process that holds it ends or is killed, so
//! tests may share one in a static. A keeper (`keep.sh`) notices by a closed pipe, and what a killed keeper left is removed
//! at the next start. Several may run at once. Only logs stay, for a day, when something failed.
//!
//! Variables: `KUBEBUILDER_ASSETS` is a folder whose programs are taken before those that `tests/cluster-programs`
//! installs. `MERGESEARCH_TEST_KUBECONFIG` names the kubeconfig of an existing cluster (kind, k3d) that is used instead;
//! then `MERGESEARCH_TEST_IMAGE_LOADER` is a command that brings an OCI archive into it, such as `kind load image-archive`,
//! and `MERGESEARCH_TEST_HOST` this machine's address as pods see it.

mod access;
mod api_server;
mod certificates;
mod control_plane;
mod forwarder;
mod home;
mod image;
mod images;
mod namespace;
mod node;
mod node_files;
mod process;
mod programs;

pub use access::Cluster;
pub use api_server::ApiServer;
pub use image::Image;
pub use images::Images;
pub use namespace::Namespace;
pub use node::Node;
pub use programs::{cache, program};
