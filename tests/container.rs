//! The `Dockerfile`: every file, option, variable and command that it names exists and works
//! together.
//!
//! No container engine is needed. The files that are copied are copied, and the commands that it
//! starts are run, with its variables, by the binary that was built with the tests.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

const CRC: &str = env!("CARGO_BIN_EXE_crc");

/// An instruction with its continued lines joined: its name and its arguments.
type Instruction = (String, String);

struct Dockerfile {
    text: String,
    instructions: Vec<Instruction>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

impl Dockerfile {
    fn parse() -> Self {
        let text = read("Dockerfile");
        let code = text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>();
        let joined = code.join("\n").replace("\\\n", " ");
        let instructions = joined.lines().filter_map(|line| {
            let (name, rest) = line.trim().split_once(' ')?;
            Some((name.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" ")))
        });
        Self { instructions: instructions.collect(), text }
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.instructions.iter().filter(move |(n, _)| n == name).map(|(_, rest)| &rest[..])
    }

    fn one(&self, name: &str) -> &str {
        let found = self.all(name).collect::<Vec<_>>();
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        found[0]
    }

    /// The variables of the image.
    fn variables(&self) -> HashMap<&str, &str> {
        let pairs = self.one("ENV").split(' ');
        pairs.map(|pair| pair.split_once('=').expect("NAME=VALUE")).collect()
    }

    /// The command of the image: entry point and arguments.
    fn command(&self) -> Vec<String> {
        [parse_exec_form(self.one("ENTRYPOINT")), parse_exec_form(self.one("CMD"))].concat()
    }

    fn health_check(&self) -> Vec<String> {
        let (_, command) = self.one("HEALTHCHECK").split_once(" CMD ").expect("a command");
        parse_exec_form(command)
    }

    /// Paths of the build context that are copied, with where they go below the work directory.
    fn copied(&self) -> Vec<(&str, &str)> {
        let mut copied = Vec::new();
        for arguments in self.all("COPY").filter(|arguments| !arguments.starts_with("--")) {
            let (sources, destination) = arguments.rsplit_once(' ').expect("a destination");
            copied.extend(sources.split(' ').map(|source| (source, destination)));
        }
        copied
    }
}

fn parse_exec_form(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text} is no JSON list: {error}"))
}

fn copy_tree(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        return;
    }
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        copy_tree(&entry.path(), &to.join(entry.file_name()));
    }
}

/// Runs the image's command with its variables, in a folder that stands for its volume.
struct Container {
    server: Child,
    folder: TempDir,
}

impl Container {
    fn start(dockerfile: &Dockerfile) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let command = dockerfile.command();
        let mut server = Self::crc(dockerfile, &folder, &command);
        let mut server = server.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("runs");
        let mut stdout = BufReader::new(server.stdout.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        assert!(line.starts_with("listening crc 0.0.0.0:"), "{line:?}");
        Self { server, folder }
    }

    /// The binary in place of the image's, with the image's variables. The port is any free one.
    fn crc(dockerfile: &Dockerfile, folder: &TempDir, command: &[String]) -> Command {
        let mut crc = Command::new(CRC);
        crc.args(&command[1..]).stderr(Stdio::null());
        let volume = dockerfile.one("VOLUME");
        for (name, value) in dockerfile.variables() {
            let folder = folder.path().to_str().expect("UTF-8");
            let value = value.replace(volume, folder).replace(":3600", ":0");
            crc.env(name, value);
        }
        crc
    }

    fn is_healthy(&self, dockerfile: &Dockerfile) -> bool {
        let mut check = Self::crc(dockerfile, &self.folder, &dockerfile.health_check());
        check.stdout(Stdio::null()).status().expect("runs").success()
    }

    fn kill(&mut self) {
        self.server.kill().expect("it runs");
        self.server.wait().expect("it ends");
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn copied_files_exist_and_make_a_complete_workspace() {
    let dockerfile = Dockerfile::parse();
    let ignore = read(".dockerignore");
    let folder = TempDir::new().expect("a temporary folder");
    let copied = dockerfile.copied();
    assert!(copied.len() >= 5, "{copied:?}");
    for (source, destination) in &copied {
        assert!(root().join(source).exists(), "COPY {source}: no such file");
        assert!(ignore.lines().any(|line| line == format!("!{source}")), "{source} is ignored");
        let mut to = folder.path().join(destination);
        if destination.ends_with('/') {
            to = to.join(source);
        }
        copy_tree(&root().join(source), &to);
    }
    for line in ignore.lines().filter_map(|line| line.strip_prefix('!')) {
        assert!(copied.iter().any(|(source, _)| *source == line), "{line} is not copied");
    }
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--locked", "--offline", "--format-version", "1"])
        .current_dir(folder.path())
        .output()
        .expect("cargo runs");
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
}

#[test]
fn build_stage_makes_the_binary_that_the_image_copies() {
    let dockerfile = Dockerfile::parse();
    let manifest: toml::Table = read("Cargo.toml").parse().expect("TOML");
    let version = manifest["workspace"]["package"]["rust-version"].as_str().expect("a version");
    let images = dockerfile.all("FROM").collect::<Vec<_>>();
    assert!(images[0].starts_with(&format!("rust:{version}-")), "{} is not {version}", images[0]);

    let build = dockerfile.all("RUN").find(|run| run.contains("cargo build")).expect("a build");
    let package = manifest["package"]["name"].as_str().expect("a name");
    assert!(build.contains(&format!("--release --locked --package {package} ")), "{build}");

    let name = Path::new(CRC).file_stem().expect("a name").to_str().expect("UTF-8");
    let built = format!("{}/target/release/{name}", dockerfile.one("WORKDIR"));
    let entry_point = &dockerfile.command()[0];
    let copy = dockerfile.all("COPY").find(|copy| copy.contains(&built)).expect("it is copied");
    assert_eq!(copy, format!("--from=build {built} {entry_point}"));
    assert_eq!(&dockerfile.health_check()[0], entry_point);
}

#[test]
fn image_runs_without_privileges_and_keeps_its_files_in_its_volume() {
    let dockerfile = Dockerfile::parse();
    let (user, _) = dockerfile.one("USER").split_once(':').expect("a user and a group");
    assert!(user.parse::<u32>().is_ok_and(|id| id != 0), "{user}");
    let volume = dockerfile.one("VOLUME");
    assert!(dockerfile.all("COPY").any(|copy| {
        copy.contains(&format!("--chown={user}:")) && copy.ends_with(&format!(" {volume}"))
    }));
    let variables = dockerfile.variables();
    for name in ["CRC_CONTROL", "CRC_MAILBOX"] {
        assert!(variables[name].starts_with(&format!("{volume}/")), "{name}");
    }
    assert_eq!(variables["CRC_LISTEN"], format!("0.0.0.0:{}", dockerfile.one("EXPOSE")));
    let comment = format!("crc ctl --control {} users", variables["CRC_CONTROL"]);
    assert!(dockerfile.text.contains(&comment), "the comment says something else");
    assert!(read("README.md").contains(&comment), "the README says something else");
}

#[test]
fn variables_of_the_image_are_options_of_the_server() {
    let dockerfile = Dockerfile::parse();
    let help = Command::new(CRC).args(["server", "--help"]).output().expect("runs");
    let help = String::from_utf8(help.stdout).expect("UTF-8");
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for name in dockerfile.variables().keys() {
        assert!(help.contains(&format!("[env: {name}=")), "{name} is no option of the server");
    }
}

#[test]
fn health_check_succeeds_while_the_server_runs() {
    let dockerfile = Dockerfile::parse();
    let mut container = Container::start(&dockerfile);
    assert!(container.is_healthy(&dockerfile), "while it runs");
    container.kill();
    assert!(!container.is_healthy(&dockerfile), "after its end");
}
