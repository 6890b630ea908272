//! The programs of a cluster as processes that can't outlive the process that started them.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::thread;

use super::programs::search_path;

/// Where a program runs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// As any other process.
    Host,
    /// In the mount, network and process namespaces of the process with this number.
    Inside(u32),
}

impl Place {
    /// A program about to run there, which the kernel ends with the thread that starts it.
    pub(crate) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).env("PATH", search_path());
        if let Self::Inside(target) = self {
            // A process enters a process namespace only by its child, which needs a leash of its own.
            command.args([
                "nsenter",
                "--target",
                &target.to_string(),
                "--mount",
                "--net",
                "--pid",
                "--wd=/",
                "--",
            ]);
            command.args(["setpriv", "--pdeathsig", "KILL"]);
        }
        command.arg(program);
        command
    }
}

/// A running program, killed on drop.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    /// Starts a program whose output goes to `NAME.log` in the folder.
    pub(crate) fn start(name: &'static str, mut command: Command, logs: &Path) -> Self {
        let log = File::options().create(true).append(true).open(logs.join(format!("{name}.log"))).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = spawn(command).unwrap_or_else(|error| panic!("can't start {name}: {error}"));
        Self { name, child }
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<(&'static str, ExitStatus)> {
        self.child.try_wait().unwrap().map(|status| (self.name, status))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the process has ended by itself.
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}

type Order = (Command, SyncSender<io::Result<Child>>);

/// Starts a process from a thread that lives as long as this process: the leash is tied to the thread that started it, and
/// a test's thread ends before the others that share its cluster.
fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Sender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, orders) = channel::<Order>();
        thread::Builder::new()
            .name("spawner".to_owned())
            .spawn(move || {
                for (mut command, answer) in orders {
                    // Whoever asked waits for the answer.
                    let _received = answer.send(command.spawn());
                }
            })
            .unwrap();
        sender
    });
    let (answer, started) = sync_channel(1);
    spawner.send((command, answer)).expect("the spawner lives as long as this process");
    started.recv().expect("the spawner answers each order")
}
