//! The container images as `images/build` packs them: complete, the same bytes each time, and what the Containerfile says.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use mergesearch_tests::workspace;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const NAMES: [&str; 3] = ["operator", "merger", "quickstart"];
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs images/build with the profile and target folder of the test itself, TARGET/PROFILE/deps/it-HASH.
fn run_build(arguments: &[&OsStr]) -> Output {
    let test = env::current_exe().unwrap();
    let folder = test.ancestors().nth(2).unwrap();
    Command::new(workspace().join("images/build"))
        .args([OsStr::new("--profile"), folder.file_name().unwrap()])
        .args(arguments)
        .env("CARGO_TARGET_DIR", folder.parent().unwrap())
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .output()
        .unwrap()
}

/// An image that was packed.
struct Packed {
    reference: String,
    digest: String,
    archive: PathBuf,
}

fn build(output: &Path) -> Vec<Packed> {
    let run = run_build(&[OsStr::new("--output"), output.as_os_str()]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let text = String::from_utf8(run.stdout).unwrap();
    let packed = text.lines().map(|line| {
        let [reference, digest, archive] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        Packed { reference: reference.to_owned(), digest: digest.to_owned(), archive: archive.into() }
    });
    packed.collect()
}

fn unpack(archive: &Path, folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let done = Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(folder).status().unwrap();
    assert!(done.success(), "{}", archive.display());
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// An OCI layout, unpacked.
struct Layout(PathBuf);

impl Layout {
    /// The blob that a descriptor describes, checked against it.
    fn blob(&self, descriptor: &Value) -> PathBuf {
        let digest = descriptor["digest"].as_str().unwrap();
        let file = self.0.join("blobs").join(digest.replace(':', "/"));
        let bytes = fs::read(&file).unwrap();
        assert_eq!(descriptor["size"], bytes.len());
        assert_eq!(sha256(&bytes), digest);
        file
    }

    fn json(&self, descriptor: &Value) -> Value {
        serde_json::from_slice(&fs::read(self.blob(descriptor)).unwrap()).unwrap()
    }
}

/// The lines of images/contents that are about an image: the kind and the rest.
fn contents(image: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(workspace().join("images/contents")).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let words = lines.map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    words.filter(|words| words[0] == image).map(|words| (words[1].clone(), words[2..].join(" "))).collect()
}

#[test]
fn images_are_whole_and_the_same_each_time() {
    let folder = TempDir::with_prefix("mergesearch-images-").unwrap();
    let at = |name: &str| folder.path().join(name);
    let (first, second) = (build(&at("first")), build(&at("second")));
    assert_eq!(first.len(), NAMES.len());
    for ((name, image), again) in NAMES.iter().zip(&first).zip(&second) {
        assert_eq!(image.reference, format!("ghcr.io/mergesearch/{name}:{VERSION}"));
        assert_eq!(image.digest, again.digest);
        let same = fs::read(&image.archive).unwrap() == fs::read(&again.archive).unwrap();
        assert!(same, "{name} was packed twice and is not the same");
        check(name, image, &at(name));
    }
}

fn check(name: &str, image: &Packed, folder: &Path) {
    let layout = Layout(folder.join("layout"));
    unpack(&image.archive, &layout.0);
    let index: Value = serde_json::from_slice(&fs::read(layout.0.join("index.json")).unwrap()).unwrap();
    let descriptor = &index["manifests"][0];
    assert_eq!(descriptor["digest"], image.digest);
    for annotation in ["io.containerd.image.name", "org.opencontainers.image.ref.name"] {
        assert_eq!(descriptor["annotations"][annotation], image.reference);
    }
    let manifest = layout.json(descriptor);
    let config = layout.json(&manifest["config"]);
    let root = folder.join("root");
    for (layer, diff_id) in
        manifest["layers"].as_array().unwrap().iter().zip(config["rootfs"]["diff_ids"].as_array().unwrap())
    {
        assert_eq!(&layer["digest"], diff_id, "layers are not compressed");
        let file = layout.blob(layer);
        check_owners(&file);
        unpack(&file, &root);
    }

    let mut labels = BTreeMap::from([("org.opencontainers.image.version".to_owned(), VERSION.to_owned())]);
    let mut entrypoint = None;
    for (kind, rest) in contents("all").into_iter().chain(contents(name)) {
        match (kind.as_str(), rest.split(' ').collect::<Vec<_>>().as_slice()) {
            ("label", [label, value @ ..]) => drop(labels.insert((*label).to_owned(), value.join(" "))),
            ("file", [source, path]) => {
                let packed = fs::read(root.join(path.trim_start_matches('/'))).unwrap();
                assert!(packed == fs::read(workspace().join(source)).unwrap(), "{path}");
            }
            ("program", [_, _, path]) => entrypoint = Some((*path).to_owned()),
            _ => panic!("images/contents: {kind} {rest}"),
        }
    }
    let entrypoint = entrypoint.unwrap();
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!([entrypoint]));
    assert_eq!(config["config"]["Labels"], serde_json::to_value(labels).unwrap());
    let certificates = fs::read_to_string(root.join("etc/ssl/certs/ca-certificates.crt")).unwrap();
    assert!(certificates.matches("-----BEGIN CERTIFICATE-----").count() > 100);
    assert!(fs::read_to_string(root.join("etc/passwd")).unwrap().contains("nonroot:x:65532:65532:"));
    assert!(!root.join("bin/sh").exists());
    check_program(&root, entrypoint.trim_start_matches('/'));
}

/// Everything in a layer is owned by root, and nothing takes rights by being run.
fn check_owners(layer: &Path) {
    let listing = Command::new("tar").args(["--numeric-owner", "-tvf"]).arg(layer).output().unwrap();
    for line in String::from_utf8(listing.stdout).unwrap().lines() {
        assert_eq!(line.split_whitespace().nth(1), Some("0/0"), "{line}");
        assert!(!line.starts_with('-') || !line[..10].contains('s'), "{line}");
    }
}

/// The loader and libraries of the image are all that its program needs.
fn check_program(root: &Path, program: &str) {
    let libraries: Vec<PathBuf> = ["lib", "usr/lib"]
        .iter()
        .flat_map(|folder| fs::read_dir(root.join(folder)).into_iter().flatten())
        .map(|entry| entry.unwrap().path())
        .filter(|folder| folder.join("libc.so.6").exists())
        .collect();
    let files = fs::read_dir(&libraries[0]).unwrap().map(|entry| entry.unwrap().path());
    let is_loader = |file: &PathBuf| {
        file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"ld-linux"))
    };
    let loader = files.into_iter().find(is_loader).unwrap();
    let mut command = Command::new(&loader);
    command
        .args(["--inhibit-cache", "--library-path"])
        .arg(&libraries[0])
        .arg("--list")
        .arg(root.join(program));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // A missing library, or one that is too old, is an error.
    assert!(output.status.success() && said.is_empty(), "{program}: {said}");
    let needed = String::from_utf8(output.stdout).unwrap();
    for line in needed.lines().filter(|line| line.contains("=>") && !line.contains("ld-linux")) {
        assert!(
            line.contains(libraries[0].to_str().unwrap()),
            "{program} takes a library from outside: {line}"
        );
    }
}

#[test]
fn an_unknown_image_is_refused() {
    let run = run_build(&[OsStr::new("evaluator")]);
    assert!(!run.status.success());
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(said.contains("no image is called evaluator"), "{said}");
}

#[test]
fn the_containerfile_has_the_same_contents() {
    let text = fs::read_to_string(workspace().join("images/Containerfile")).unwrap();
    let text = text.replace("\\\n", " ");
    let mut stages: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut stage = "";
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some((_, name)) = line.strip_prefix("FROM ").and_then(|from| from.split_once(" AS ")) {
            stage = name;
        } else {
            stages.entry(stage).or_default().push(line.to_owned());
        }
    }
    let built = stages["build"].join(" ");
    for (name, image) in [("base", "all")].into_iter().chain(NAMES.map(|name| (name, name))) {
        let mut expected = Vec::new();
        for (kind, rest) in contents(image) {
            match (kind.as_str(), rest.split(' ').collect::<Vec<_>>().as_slice()) {
                ("label", [label, value @ ..]) => {
                    expected.push(format!("LABEL {label}=\"{}\"", value.join(" ")));
                }
                ("file", [source, path]) => expected.push(format!("COPY {source} {path}")),
                ("program", [package, program, path]) => {
                    expected.push(format!("COPY --from=build /built/{program} {path}"));
                    expected.push(format!("ENTRYPOINT [\"{path}\"]"));
                    assert!(built.contains(&format!("--package {package} ")), "{package} is not built");
                    assert!(built.contains(&format!("target/release/{program}")), "{program} is not kept");
                }
                _ => panic!("images/contents: {kind} {rest}"),
            }
        }
        if image == "all" {
            expected.push(format!("LABEL org.opencontainers.image.version=\"{VERSION}\""));
            expected.extend(["WORKDIR /", "USER 65532:65532"].map(str::to_owned));
        }
        let mut found = stages[name].clone();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "the stage {name}");
    }
}
