//! The programs under test as a user runs them: built once, started with a clean environment, peak memory measured.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::{env, fs};

use tempfile::TempDir;
use wait4::Wait4;

/// The folder of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in a folder of the workspace")
}

/// The folder of the built programs. Built with the profile and target folder of the test itself, by cargo, once.
fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        // TARGET/PROFILE/deps/it-HASH
        let test = env::current_exe().unwrap();
        let profile_folder =
            test.ancestors().nth(2).expect("a test binary lies in TARGET/PROFILE/deps").to_owned();
        let target = profile_folder.parent().unwrap();
        let profile = match profile_folder.file_name().and_then(OsStr::to_str) {
            Some("debug") | None => "dev",
            Some(profile) => profile,
        };
        let packages = ["mergesearch", "mergesearch-merger", "mergesearch-quickstart"];
        let built = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .current_dir(workspace())
            .args(["build", "--quiet", "--bins", "--profile", profile, "--target-dir"])
            .arg(target)
            .args(packages.iter().flat_map(|package| ["--package", package]))
            .status()
            .unwrap();
        assert!(built.success(), "the programs under test don't build");
        profile_folder
    })
}

/// A program about to be run.
#[derive(Debug)]
pub struct Program(Command);

/// `merger`.
pub fn merger() -> Program {
    Program::new("merger")
}

/// `mergesearch`.
pub fn mergesearch() -> Program {
    Program::new("mergesearch")
}

/// The folder that must be on the path for a manifest's evaluator to be found, and the evaluator.
pub fn quickstart_evaluate() -> PathBuf {
    programs().join("quickstart-evaluate")
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
        let mut command = Command::new(programs().join(name));
        for (variable, _) in env::vars_os() {
            if variable.to_str().is_some_and(|name| name.starts_with("AWS_")) {
                command.env_remove(variable);
            }
        }
        let path = env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", programs().display())).stdin(Stdio::null());
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

    /// Runs to the end.
    pub fn run(mut self) -> Finished {
        let output = TempDir::with_prefix("mergesearch-output-").unwrap();
        let (stdout, stderr) = (output.path().join("stdout"), output.path().join("stderr"));
        // Files, not pipes: nobody has to read while the program runs, and its peak is taken from the kernel at its end.
        self.0.stdout(fs::File::create(&stdout).unwrap()).stderr(fs::File::create(&stderr).unwrap());
        let child = self.0.spawn().unwrap();
        let usage = child.wait4().unwrap();
        let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        Finished {
            code: usage.status.code(),
            stdout: text(&stdout),
            stderr: text(&stderr),
            peak_memory: usage.rusage.maxrss,
        }
    }
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
