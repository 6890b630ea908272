//! The programs of a cluster as processes that can't outlive the process that started them.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel, sync_channel};
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

    /// How it ended, if it has, after its name.
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

type Order = Box<dyn FnOnce() + Send>;

/// Starts a process from the thread that lives as long as this process.
fn spawn(mut command: Command) -> io::Result<Child> {
    for_good(move || command.spawn())
}

/// Calls a function on a thread that lives as long as this process: leashes are tied to the thread that started a process,
/// and a test's thread ends before the others that share its cluster.
pub(crate) fn for_good<T: Send + 'static>(start: impl FnOnce() -> T + Send + 'static) -> T {
    static ORDERS: OnceLock<Sender<Order>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (sender, orders) = channel::<Order>();
        let run = move || orders.into_iter().for_each(|order| order());
        thread::Builder::new().name("starter".to_owned()).spawn(run).unwrap();
        sender
    });
    let (answer, started) = sync_channel(1);
    let order = move || {
        // Whoever asked waits for the answer.
        let _received = answer.send(start());
    };
    orders.send(Box::new(order)).expect("the starter lives as long as this process");
    started.recv().expect("the starter answers each order, or has said above why not")
}
