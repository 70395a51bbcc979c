//! The house: imports point one way, and only the shell touches the world.

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms from the ground up. A room may use those before it, and itself.
const LAYERS: [&[&str]; 10] = [
    &["limits", "chunked_vec", "id"],
    &["printable", "uri", "ui"],
    &["link"],
    &["relay"],
    &["mail", "names"],
    &["wires"],
    &["node", "peer"],
    &["operator", "client"],
    &["net"],
    &["cli"],
];

/// Where sockets, files, clocks and threads may be used: the shell, the file of
/// the mailbox, and the shell of the client.
const SHELL: [&str; 10] = [
    "net/",
    "mail/store/disk",
    "client/mod.rs",
    "client/shell.rs",
    "client/terminal.rs",
    "client/pipe.rs",
    "ui/",
    "client/human.rs",
    "client/peer.rs",
    "client/buffered_pipe.rs",
];

const IO_NAMES: [&str; 10] = [
    "std::fs",
    "std::thread",
    "std::process",
    "std::io",
    "Instant",
    "SystemTime",
    "TcpStream",
    "mio::",
    "rusqlite::",
    "env::",
];

fn collect_sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect_sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Each source below `src/` with its room; `main.rs` and `lib.rs` have none.
fn read_modules() -> Vec<(String, PathBuf, String)> {
    let mut paths = Vec::new();
    collect_sources(&src(), &mut paths);
    let mut modules = Vec::new();
    for path in paths {
        let relative = path.strip_prefix(src()).expect("below src").to_owned();
        let first = relative.iter().next().expect("a name").to_string_lossy();
        let module = first.trim_end_matches(".rs").to_owned();
        if !["main", "lib"].contains(&module.as_str()) {
            let text = fs::read_to_string(&path).expect("readable");
            modules.push((module, relative, text));
        }
    }
    assert!(modules.len() > 20, "the sources were found");
    modules
}

fn layer_of(module: &str) -> usize {
    LAYERS
        .iter()
        .position(|rooms| rooms.contains(&module))
        .unwrap_or_else(|| panic!("src/{module} has no place in the house: give it one in ROOMS"))
}

/// Code without comments: what an arrow in the text says is not an import.
fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split("//").next().unwrap_or_default())
}

#[test]
fn imports_point_to_lower_layers() {
    for (module, path, text) in read_modules() {
        for line in code_lines(&text) {
            for part in line.split("crate::").skip(1) {
                let used: String =
                    part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                assert!(
                    used == module || layer_of(&used) < layer_of(&module),
                    "{}: {module} must not use {used}: {line}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn no_wire_imports_another() {
    let mut wires = Vec::new();
    for entry in fs::read_dir(src().join("wires")).expect("the wires") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            wires.push(path.file_name().expect("a name").to_string_lossy().into_owned());
        }
    }
    assert!(!wires.is_empty());
    for (module, path, text) in read_modules() {
        let own = path.iter().nth(1).map(|name| name.to_string_lossy().into_owned());
        for wire in wires.iter().filter(|door| Some(*door) != own.as_ref()) {
            let is_named = code_lines(&text).any(|line| line.contains(&format!("wires::{wire}")));
            let is_in_wire = module == "wires" && path.components().count() > 2;
            assert!(
                !(is_named && (is_in_wire || module == "relay")),
                "{} names {wire}",
                path.display()
            );
        }
    }
}

#[test]
fn only_the_shell_does_io() {
    for (_, path, text) in read_modules() {
        if SHELL.iter().any(|shell| path.to_string_lossy().starts_with(shell)) {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for line in self::code_lines(code) {
            for word in IO_NAMES {
                assert!(!line.contains(word), "{} touches the world: {line}", path.display());
            }
        }
    }
}
