//! Keeps the arithmetic on one thread, so that trials run side by side without fighting for cores and sums have one order.

use std::env;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What is read once, when a process starts: the sizes of the tensor library's two thread pools, and how much freed memory the C library
/// keeps for the next tensor instead of giving it back (which costs a third of the time in page faults; other C libraries ignore it).
const VARIABLES: [(&str, &str); 4] = [
    ("RAYON_NUM_THREADS", "1"),
    ("CANDLE_NUM_THREADS", "1"),
    ("MALLOC_MMAP_THRESHOLD_", "33554432"),
    ("MALLOC_TRIM_THRESHOLD_", "1073741824"),
];

/// Restarts this process with a single thread for tensor operations, unless it already runs so.
///
/// Call it first thing in `main`. The process keeps its id, arguments and open files. Returns only if there was nothing to do, or with what
/// stopped the restart.
pub fn use_one_thread() -> io::Result<()> {
    if VARIABLES.iter().all(|(name, value)| env::var(name).is_ok_and(|found| found == *value)) {
        return Ok(());
    }
    Err(Command::new(env::current_exe()?).args(env::args_os().skip(1)).envs(VARIABLES).exec())
}
