//! The programs under test as a user runs them: built once, started with a clean environment, peak memory measured.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;
use std::{env, fs};

use tempfile::TempDir;

/// The folder of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in a folder of the workspace")
}

/// The folder of built programs: TARGET/PROFILE, where the test itself is TARGET/PROFILE/deps/it-HASH.
fn folder() -> PathBuf {
    let test = env::current_exe().unwrap();
    test.ancestors().nth(2).expect("a test binary lies in TARGET/PROFILE/deps").to_owned()
}

/// The packages with programs.
const PACKAGES: [&str; 4] =
    ["mergesearch", "mergesearch-merger", "mergesearch-operator", "mergesearch-quickstart"];

/// Has cargo build all programs, once, with the profile and target folder of the test itself. All together: alone, each
/// package has features of its own in what they share, and everything is compiled anew for each.
fn build() {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = folder();
        let profile = match folder.file_name().and_then(OsStr::to_str) {
            Some("debug") | None => "dev",
            Some(profile) => profile,
        };
        let built = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .current_dir(workspace())
            .args(["build", "--quiet", "--bins", "--profile", profile])
            .args(PACKAGES.iter().flat_map(|package| ["--package", package]))
            .arg("--target-dir")
            .arg(folder.parent().unwrap())
            .status()
            .unwrap();
        assert!(built.success(), "the programs don't build");
    });
}

/// A program about to be run.
#[derive(Debug)]
pub struct Program(Command);

/// `merger`.
pub fn merger() -> Program {
    build();
    Program::new("merger")
}

/// `mergesearch`, with the quickstart's evaluator on its path.
pub fn mergesearch() -> Program {
    build();
    Program::new("mergesearch")
}

/// `mergesearch-operator`.
pub fn operator() -> Program {
    build();
    Program::new("mergesearch-operator")
}

/// A local folder as a URI.
pub fn file_uri(folder: &Path) -> String {
    format!("file://{}", folder.display())
}

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The most physical memory that it ever held, in bytes.
    pub peak_memory: u64,
}

impl Program {
    fn new(name: &str) -> Self {
        let folder = folder();
        let mut command = Command::new(folder.join(name));
        for (variable, _) in env::vars_os() {
            if variable.to_str().is_some_and(|name| name.starts_with("AWS_")) {
                command.env_remove(variable);
            }
        }
        let path = env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", folder.display())).stdin(Stdio::null());
        Self(command)
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.0.args(arguments);
        self
    }

    /// Adds to the environment.
    #[must_use]
    pub fn envs(mut self, variables: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.0.envs(variables);
        self
    }

    /// Starts it without its output; it ends with the guard, or with this thread.
    pub fn start(self) -> Running {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(self.0.get_program()).args(self.0.get_args());
        for (name, value) in self.0.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Runs to the end.
    pub fn run(mut self) -> Finished {
        let output = TempDir::with_prefix("mergesearch-output-").unwrap();
        let (stdout, stderr) = (output.path().join("stdout"), output.path().join("stderr"));
        // Files, not pipes: nobody has to read while the program runs.
        self.0.stdout(fs::File::create(&stdout).unwrap()).stderr(fs::File::create(&stderr).unwrap());
        let mut child = self.0.spawn().unwrap();
        let mut peak_memory = 0;
        let status = loop {
            peak_memory = peak_memory.max(peak_so_far(child.id()));
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            sleep(Duration::from_millis(5));
        };
        let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        Finished { code: status.code(), stdout: text(&stdout), stderr: text(&stderr), peak_memory }
    }
}

/// A program that runs until this guard is dropped, which kills it.
#[derive(Debug)]
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when the process has ended by itself.
        let _ended = self.0.kill();
        let _waited = self.0.wait();
    }
}

/// The high-water mark that the kernel keeps, in bytes; 0 once the process has ended. Not `ru_maxrss`, in which the memory of
/// the process that started this one counts too.
fn peak_so_far(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    kibibytes.map_or(0, |kibibytes| 1024 * kibibytes.parse::<u64>().unwrap())
}

impl Finished {
    /// Panics with everything that it said unless it ended with this code.
    #[track_caller]
    pub fn assert_code(&self, code: i32) {
        let Self { code: got, stdout, stderr, peak_memory: _ } = self;
        assert_eq!(*got, Some(code), "standard output:\n{stdout}\nstandard error:\n{stderr}");
    }

    /// Panics unless it ended with this code and one line of standard error holds every one of the words.
    #[track_caller]
    pub fn assert_fails(&self, code: i32, words: &[&str]) {
        self.assert_code(code);
        let clear = self.stderr.lines().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(clear, "no line of standard error names all of {words:?}:\n{}", self.stderr);
    }
}
