//! The supervisor's side: starts the process, waits for whichever comes first, and leaves nobody behind.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::{Ending, Request};

/// How long a group may take to end by itself after SIGTERM.
const GRACE: Duration = Duration::from_secs(3);

enum Event {
    LeaderEnded,
    LeashClosed,
}

/// Serves one request: the whole of `mergesearch supervise`.
///
/// # Errors
/// When the request can't be read or the answer not be written; no process is left then either.
pub(crate) fn keep(mut input: impl BufRead + Send + 'static, mut output: impl Write) -> io::Result<()> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Ok(());
    }
    let request: Request = serde_json::from_str(&line)?;
    let ending = run(&request, input)?;
    writeln!(output, "{}", serde_json::to_string(&ending)?)?;
    output.flush()
}

fn run(request: &Request, leash: impl Read + Send + 'static) -> io::Result<Ending> {
    let mut child = match start(request) {
        Ok(child) => child,
        Err(error) => return Ok(Ending::NotStarted(format!("{}: {error}", request.program))),
    };
    let group = Pid::from_child(&child);
    let (sender, events) = mpsc::channel();
    let leader_sender = sender.clone();
    thread::spawn(move || {
        await_leader(group);
        let _ = leader_sender.send(Event::LeaderEnded);
    });
    thread::spawn(move || {
        // Nothing more is ever sent: any end of the read means that the other side is gone.
        let _ = io::copy(&mut { leash }, &mut io::sink());
        let _ = sender.send(Event::LeashClosed);
    });
    let first = match request.deadline_seconds {
        None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
        Some(seconds) => events.recv_timeout(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)),
    };
    let killed = match first {
        Ok(Event::LeaderEnded) => None,
        Ok(Event::LeashClosed) | Err(RecvTimeoutError::Disconnected) => Some(Ending::Stopped),
        Err(RecvTimeoutError::Timeout) => Some(Ending::Deadline),
    };
    if killed.is_some() {
        end_gently(group, &events);
    }
    // The leader is not reaped yet, so the group's number still is the group's and nobody else's.
    let _ = kill_process_group(group, Signal::KILL);
    let status = child.wait()?;
    Ok(killed.unwrap_or_else(|| match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Exited(code),
        (None, signal) => Ending::Signalled(signal.unwrap_or_default()),
    }))
}

fn start(request: &Request) -> io::Result<Child> {
    let log = File::options().create(true).append(true).open(&request.log)?;
    Command::new(&request.program)
        .args(&request.args)
        .envs(&request.env)
        .current_dir(&request.folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
}

/// Waits until the process has ended, without reaping it.
fn await_leader(leader: Pid) {
    while let Err(rustix::io::Errno::INTR) =
        waitid(WaitId::Pid(leader), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
    {}
}

fn end_gently(group: Pid, events: &Receiver<Event>) {
    let _ = kill_process_group(group, Signal::TERM);
    // The second event may be that of the leash: then the grace is shorter than it could be.
    let _ = events.recv_timeout(GRACE);
}
