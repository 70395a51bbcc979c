//! The house: imports point one way, and only the shell touches the world.

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms from the ground up. A room may use those before it, and itself.
const ROOMS: [&[&str]; 11] = [
    &["limits", "blocks"],
    &["printable", "address"],
    &["relay"],
    &["mail"],
    &["doors"],
    &["slots"],
    &["node", "peer"],
    &["operator"],
    &["client", "mailbox"],
    &["net"],
    &["cli"],
];

/// Where sockets, files, clocks and threads may be used: the shell, the file of
/// the mailbox, and the shell of the client.
const SHELL: [&str; 10] = [
    "net/",
    "mailbox/disk",
    "client/mod.rs",
    "client/shell.rs",
    "client/terminal.rs",
    "client/filter.rs",
    "client/lines.rs",
    "client/human.rs",
    "client/peer.rs",
    "client/unread.rs",
];

const WORLD: [&str; 10] = [
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

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Each source below `src/` with its room; `main.rs` and `lib.rs` have none.
fn rooms() -> Vec<(String, PathBuf, String)> {
    let mut paths = Vec::new();
    sources(&src(), &mut paths);
    let mut rooms = Vec::new();
    for path in paths {
        let relative = path.strip_prefix(src()).expect("below src").to_owned();
        let first = relative.iter().next().expect("a name").to_string_lossy();
        let room = first.trim_end_matches(".rs").to_owned();
        if !["main", "lib"].contains(&room.as_str()) {
            let text = fs::read_to_string(&path).expect("readable");
            rooms.push((room, relative, text));
        }
    }
    assert!(rooms.len() > 20, "the sources were found");
    rooms
}

fn floor(room: &str) -> usize {
    ROOMS
        .iter()
        .position(|rooms| rooms.contains(&room))
        .unwrap_or_else(|| panic!("src/{room} has no place in the house: give it one in ROOMS"))
}

/// Code without comments: what an arrow in the text says is not an import.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split("//").next().unwrap_or_default())
}

#[test]
fn imports_point_down() {
    for (room, path, text) in rooms() {
        for line in code(&text) {
            for part in line.split("crate::").skip(1) {
                let used: String =
                    part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                assert!(
                    used == room || floor(&used) < floor(&room),
                    "{}: {room} must not use {used}: {line}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn no_door_names_another() {
    let mut doors = Vec::new();
    for entry in fs::read_dir(src().join("doors")).expect("the doors") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            doors.push(path.file_name().expect("a name").to_string_lossy().into_owned());
        }
    }
    assert!(!doors.is_empty());
    for (room, path, text) in rooms() {
        let own = path.iter().nth(1).map(|name| name.to_string_lossy().into_owned());
        for door in doors.iter().filter(|door| Some(*door) != own.as_ref()) {
            let named = code(&text).any(|line| line.contains(&format!("doors::{door}")));
            let is_door = room == "doors" && path.components().count() > 2;
            assert!(!(named && (is_door || room == "relay")), "{} names {door}", path.display());
        }
    }
}

#[test]
fn only_the_shell_touches_the_world() {
    for (_, path, text) in rooms() {
        if SHELL.iter().any(|shell| path.to_string_lossy().starts_with(shell)) {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for line in self::code(code) {
            for word in WORLD {
                assert!(!line.contains(word), "{} touches the world: {line}", path.display());
            }
        }
    }
}
