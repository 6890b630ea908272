//! Real S3 servers as guards: started on a free loopback port with their own credentials and folder, ended on drop.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{Bucket, workspace};

const START_ATTEMPTS: usize = 3;
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// versitygw: strict, does what S3 does.
    Strict,
    /// `rclone serve s3`: sloppy, ignores `If-Match`.
    Sloppy,
}

/// A running server. Its objects are plain files under [`Server::folder`]: `BUCKET/KEY`.
#[derive(Debug)]
pub struct Server {
    process: Child,
    address: SocketAddr,
    access_key: String,
    secret_key: String,
    files: TempDir,
}

impl Server {
    /// Starts a server and waits until it accepts connections.
    pub fn start(kind: Kind) -> Self {
        Self::start_below(kind, &std::env::temp_dir())
    }

    /// Starts a server whose files are in a folder of their own below the given one.
    pub(crate) fn start_below(kind: Kind, folder: &Path) -> Self {
        let mut logs = Vec::new();
        // The port was free a moment ago; somebody else may take it first.
        while logs.len() < START_ATTEMPTS {
            let mut server = Self::spawn(kind, folder);
            if server.wait_until_ready() {
                return server;
            }
            logs.push(server.log());
        }
        panic!("the {kind:?} S3 server did not start; what each attempt said: {logs:#?}");
    }

    fn spawn(kind: Kind, folder: &Path) -> Self {
        let files = TempDir::with_prefix_in("mergesearch-s3-", folder).unwrap();
        let folder = files.path().join("objects");
        fs::create_dir(&folder).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (access_key, secret_key) = (random_text(), random_text() + &random_text());
        let programs = installed();
        let mut command = match kind {
            Kind::Strict => {
                let mut command = leashed(&programs.versitygw);
                command.env("ROOT_ACCESS_KEY", &access_key).env("ROOT_SECRET_KEY", &secret_key);
                command.args(["--port", &address.to_string(), "posix"]).arg(&folder);
                command
            }
            Kind::Sloppy => {
                let mut command = leashed(&programs.rclone);
                command.env("RCLONE_AUTH_KEY", format!("\"{access_key},{secret_key}\""));
                command.env("RCLONE_CONFIG", files.path().join("none.conf"));
                command
                    .args(["serve", "s3", "--dir-cache-time", "1ms", "--addr", &address.to_string()])
                    .arg(&folder);
                command
            }
        };
        let log = File::create(files.path().join("log")).unwrap();
        let process = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("can't start {}: {error}", command.get_program().display()));
        Self { process, address, access_key, secret_key, files }
    }

    fn wait_until_ready(&mut self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < START_TIMEOUT {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_ok() {
                return true;
            }
            sleep(Duration::from_millis(20));
        }
        false
    }

    /// What the server has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.files.path().join("log")).unwrap_or_default()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder that holds a folder for each bucket.
    pub fn folder(&self) -> PathBuf {
        self.files.path().join("objects")
    }

    /// The file that holds an object.
    pub fn file(&self, bucket: &str, key: &str) -> PathBuf {
        self.folder().join(bucket).join(key)
    }

    /// Makes a bucket.
    pub fn bucket(&self, name: &str) -> Bucket {
        self.bucket_through(self.address, name)
    }

    /// Another handle on a bucket that was made before.
    pub fn existing_bucket(&self, name: &str) -> Bucket {
        Bucket::open(&format!("http://{}", self.address), &self.access_key, &self.secret_key, name)
    }

    /// Makes a bucket and talks to it through whatever forwards from that address.
    pub fn bucket_through(&self, address: SocketAddr, name: &str) -> Bucket {
        let bucket = Bucket::open(&format!("http://{address}"), &self.access_key, &self.secret_key, name);
        bucket.create();
        bucket
    }

    /// The environment in which a program reaches this server and nothing else, not even the user's own profile.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        self.environment_through(self.address)
    }

    /// The same, but through whatever forwards from that address.
    pub fn environment_through(&self, address: SocketAddr) -> Vec<(&'static str, String)> {
        let nowhere = |name: &str| Path::new("/nonexistent").join(name).display().to_string();
        vec![
            ("AWS_ENDPOINT_URL", format!("http://{address}")),
            ("AWS_ACCESS_KEY_ID", self.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.secret_key.clone()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_CONFIG_FILE", nowhere("config")),
            ("AWS_SHARED_CREDENTIALS_FILE", nowhere("credentials")),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when the process has ended by itself.
        let _ended = self.process.kill();
        let _waited = self.process.wait();
    }
}

/// A program that the kernel ends with the thread that started it: a killed test run drops no guards.
fn leashed(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

struct Installed {
    versitygw: PathBuf,
    rclone: PathBuf,
}

/// The servers' programs, installed on first use.
fn installed() -> &'static Installed {
    static INSTALLED: OnceLock<Installed> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let script = workspace().join("tests/s3-servers");
        let output = Command::new(&script).output().expect("tests/s3-servers can be run");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} failed: {said}", script.display());
        let paths = String::from_utf8(output.stdout).unwrap();
        let mut lines = paths.lines().map(PathBuf::from);
        let (versitygw, rclone) = (lines.next().unwrap(), lines.next().unwrap());
        Installed { versitygw, rclone }
    })
}

fn random_text() -> String {
    // Each RandomState has keys of its own, drawn from the system's randomness.
    format!("{:016x}", RandomState::new().hash_one(0))
}
