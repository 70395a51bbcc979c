//! Case files: JSON in the course's format, read into typed commands and expected states.
//!
//! In a [`Case`], each client command refers to a client that was launched before. Unknown keys at
//! the top level are ignored, as files written elsewhere have remarks there.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crc::internal::Printable;
use serde_json::Value;

use crate::runner::command::{Command, ParsedCommand};
use crate::runner::command_words::quote_word;
use crate::runner::state::{HostState, Key, Role};

/// The type of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaseKind {
    /// `CRC_functionality`: compares tables and logs at the end.
    Functionality,
    /// `network_connectivity`: compares the first frames that servers received.
    Connectivity,
}

/// A case file, parsed.
#[derive(Clone, Debug)]
pub struct Case {
    /// The file.
    pub path: PathBuf,
    /// The value of `type`.
    pub kind: CaseKind,
    /// The commands in order, each with its line.
    pub commands: Vec<(String, Command)>,
    /// The expected lists at the end, by name.
    pub final_state: BTreeMap<String, HostState>,
    /// The parts of the file that are ignored.
    pub warnings: Vec<String>,
}

/// The reason why a file is not a case.
#[derive(Debug)]
pub struct CaseError {
    /// The file.
    pub path: PathBuf,
    message: String,
}

impl fmt::Display for CaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", display_path(&self.path), self.message)
    }
}

impl std::error::Error for CaseError {}

/// Formats a path for messages.
pub(crate) fn display_path(path: &Path) -> String {
    Printable(path.as_os_str().as_encoded_bytes()).to_string()
}

impl Case {
    /// Reads and parses a file.
    ///
    /// # Errors
    /// Names the file and what is wrong in it: line and column where it is not JSON, else the
    /// number of the command and the word at fault, or the key of the final state.
    pub fn read(path: &Path) -> Result<Self, CaseError> {
        fs::read(path)
            .map_err(|error| error.to_string())
            .and_then(|bytes| Self::parse(path, &bytes))
            .map_err(|what| CaseError { path: path.to_owned(), message: what })
    }

    /// Parses the bytes of a file.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, String> {
        // Some editors write a byte order mark, which is not JSON.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let field = |name: &str| value.get(name).ok_or(format!("`{name}` is missing"));
        let kind = match field("type")?.as_str() {
            Some("CRC_functionality") => CaseKind::Functionality,
            Some("network_connectivity") => CaseKind::Connectivity,
            _ => return Err("`type` is neither CRC_functionality nor network_connectivity".into()),
        };
        let lines = field("commands")?.as_array().ok_or("`commands` is not a list")?;
        let mut commands = Vec::with_capacity(lines.len());
        let mut warnings = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            let number = index + 1;
            let line = line.as_str().ok_or(format!("command {number}: expected a string"))?;
            let ParsedCommand { command, ignored_words } =
                Command::parse(line).map_err(|error| format!("command {number}: {error}"))?;
            if !ignored_words.is_empty() {
                let words = quote_word(&ignored_words.join(" "));
                warnings.push(format!(
                    "command {number}: {words} is ignored; put a text into double quotes"
                ));
            }
            commands.push((line.to_owned(), command));
        }
        let roles = roles_by_name(&commands, &mut warnings)?;
        let mut final_state = BTreeMap::new();
        for (name, object) in
            field("final_state")?.as_object().ok_or("`final_state` is not an object")?
        {
            let location = format!("final_state of `{}`", Printable(name.as_bytes()));
            let Some(role) = roles.get(name.as_str()) else {
                warnings.push(format!("{location}: not compared, as no command launches it"));
                continue;
            };
            let node = object.as_object().ok_or(format!("{location}: expected an object"))?;
            let (state, unknown) =
                HostState::parse(*role, node).map_err(|what| format!("{location}: {what}"))?;
            final_state.insert(name.clone(), state);
            let shown = unknown.iter().map(|key| Printable(key.as_bytes()));
            warnings.extend(shown.map(|key| {
                format!("{location}: `{key}` is not compared, as no such list exists for it")
            }));
        }
        Ok(Self { path: path.to_owned(), kind, commands, final_state, warnings })
    }

    /// Returns whether the first frame of each connection must be recorded.
    #[must_use]
    pub fn wants_first_frames(&self) -> bool {
        self.kind == CaseKind::Connectivity
            || self.final_state.values().any(|state| state.has(Key::FirstFrames))
    }
}

/// Returns the last role of each name, after checking that each use follows a launch.
fn roles_by_name<'a>(
    commands: &'a [(String, Command)],
    warnings: &mut Vec<String>,
) -> Result<BTreeMap<&'a str, Role>, String> {
    let mut roles = BTreeMap::new();
    for (index, (_, command)) in commands.iter().enumerate() {
        let referenced = match command {
            Command::LaunchServer(launch) => {
                roles.insert(launch.servername.as_str(), Role::Server);
                continue;
            }
            Command::LaunchClient(launch) => {
                roles.insert(launch.username.as_str(), Role::Client(launch.wire));
                continue;
            }
            Command::ClientCommand { username, .. } | Command::Freeze(username) => {
                (username, roles.get(username.as_str()))
            }
            Command::Kill(name) => {
                if !roles.contains_key(name.as_str()) {
                    let (number, name) = (index + 1, Printable(name.as_bytes()));
                    warnings.push(format!(
                        "command {number}: KILL is ignored, as no server or client `{name}` was \
                         launched before"
                    ));
                }
                continue;
            }
            Command::Wait(_) | Command::KillAll => continue,
        };
        let (name, role) = referenced;
        if !matches!(role, Some(Role::Client(_))) {
            let (number, name) = (index + 1, Printable(name.as_bytes()));
            return Err(format!("command {number}: no client `{name}` was launched before"));
        }
        if let (Command::ClientCommand { action, .. }, Some(&Role::Client(wire))) = (command, role)
        {
            action.validate(wire).map_err(|error| format!("command {}: {error}", index + 1))?;
        }
    }
    Ok(roles)
}

/// Returns the case files of `paths`. A directory stands for all `*.json` and `*.cfg` in it,
/// sorted.
///
/// # Errors
/// A path that cannot be read, a directory without cases; the message names it.
pub fn case_files(paths: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let with_path = |path: &Path, error: &io::Error| {
        io::Error::new(error.kind(), format!("{}: {error}", display_path(path)))
    };
    let mut files = Vec::new();
    for path in paths {
        if !fs::metadata(path).map_err(|error| with_path(path, &error))?.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut dir_files = Vec::new();
        for entry in fs::read_dir(path).map_err(|error| with_path(path, &error))? {
            let file = entry.map_err(|error| with_path(path, &error))?.path();
            if file.extension().is_some_and(|extension| extension == "json" || extension == "cfg") {
                dir_files.push(file);
            }
        }
        if dir_files.is_empty() {
            let message = format!("{}: no *.json or *.cfg in it", display_path(path));
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        dir_files.sort();
        files.append(&mut dir_files);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Case, String> {
        Case::parse(Path::new("a.json"), text.as_bytes())
    }

    fn check_error(text: &str, expected: &str) {
        let error = parse(text).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    }

    const SERVER: &str = r#""LAUNCHSERVER --id 1 --servername a --port 1""#;
    const CLIENT: &str = r#""LAUNCHCLIENT --id 101 --username f --serverhost a --serverport 1""#;

    #[test]
    fn case_file_with_bom_and_unknown_keys_is_parsed() {
        let text = format!(
            "\u{feff}{{\"name\": \"x\", \"type\": \"CRC_functionality\",
              \"commands\": [{SERVER}, {CLIENT}, \"KILL f\", \"KILL ALL\"],
              \"final_state\": {{\"a\": {{\"hosts_db\": [101], \"colour\": 1}}, \"f\": {{}}}}}}"
        );
        let case = parse(&text).expect("a good case");
        assert_eq!(case.kind, CaseKind::Functionality);
        assert_eq!(case.commands.len(), 4);
        assert_eq!(case.commands[3], ("KILL ALL".to_owned(), Command::KillAll));
        assert_eq!(case.final_state.len(), 2);
        assert_eq!(
            case.warnings,
            ["final_state of `a`: `colour` is not compared, as no such list exists for it"]
        );
        assert!(!case.wants_first_frames());
    }

    #[test]
    fn case_wants_first_frames_by_type_or_by_key() {
        let case = |kind: &str, state: &str| {
            let text = format!(
                "{{\"type\": \"{kind}\", \"commands\": [{SERVER}], \"final_state\": {{{state}}}}}"
            );
            parse(&text).expect("a good case").wants_first_frames()
        };
        assert!(case("network_connectivity", ""));
        assert!(case("CRC_functionality", r#""a": {"recvd_messages_asdqw": []}"#));
        assert!(!case("CRC_functionality", r#""a": {"hosts_db": []}"#));
    }

    #[test]
    fn parse_errors_name_the_line_command_or_key() {
        check_error("{\n  \"type\": ,", "line 2 column 11");
        check_error("[]", "`type` is missing");
        check_error(r#"{"type": "x"}"#, "`type` is neither");
        let case = |commands: &str, state: &str| {
            format!(
                "{{\"type\": \"CRC_functionality\", \"commands\": [{commands}], \
                 \"final_state\": {state}}}"
            )
        };
        check_error(&case(r#""WAIT 1", "WAIT x""#, "{}"), "command 2: WAIT: `x` is not a number");
        check_error(&case("3", "{}"), "command 1: expected a string");
        check_error(&case("", "[]"), "`final_state` is not an object");
        check_error(&case(SERVER, r#"{"a": 1}"#), "final_state of `a`: expected an object");
        check_error(
            &case(SERVER, r#"{"a": {"hosts_db": ["x"]}}"#),
            "final_state of `a`: hosts_db: item 1: expected an id",
        );
        let quit_command = r#""CLIENTCOMMAND --username a --command QUIT""#;
        check_error(&case(&format!("{SERVER}, {quit_command}"), "{}"), "command 2: no client `a`");
        let freeze_command = format!(r#"{SERVER}, "FREEZE a""#);
        check_error(&case(&freeze_command, "{}"), "command 2: no client `a`");
        let message_to_sam = r#""CLIENTCOMMAND --username f --command MESSAGE sam Hi""#;
        let direct = CLIENT.replace("--id 101", "--wire direct");
        assert!(parse(&case(&format!("{SERVER}, {CLIENT}, {message_to_sam}"), "{}")).is_ok());
        check_error(
            &case(&format!("{SERVER}, {direct}, {message_to_sam}"), "{}"),
            "command 3: MESSAGE: `sam` is not a number",
        );
    }

    #[test]
    fn what_the_course_runner_ignores_is_a_warning() {
        let text = format!(
            "{{\"type\": \"CRC_functionality\",
              \"commands\": [{SERVER}, {CLIENT}, \"KILL b\",
                \"CLIENTCOMMAND --username f --command MESSAGE 1 Hello Sam\"],
              \"final_state\": {{\"a\": {{}}, \"a.nz\": {{\"hosts_db\": [101]}}}}}}"
        );
        let case = parse(&text).expect("a good case");
        assert_eq!(case.commands.len(), 4);
        assert!(case.final_state.contains_key("a") && case.final_state.len() == 1);
        assert_eq!(
            case.warnings,
            [
                "command 4: `Sam` is ignored; put a text into double quotes",
                "command 3: KILL is ignored, as no server or client `b` was launched before",
                "final_state of `a.nz`: not compared, as no command launches it",
            ]
        );
    }

    #[test]
    fn case_files_expands_a_directory_in_sorted_order() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| dir.path().join(name);
        let missing = case_files(&[path("none.json")]).expect_err("missing");
        assert!(missing.to_string().contains("none.json"), "{missing}");
        let empty = case_files(&[dir.path().to_owned()]).expect_err("empty");
        assert!(empty.to_string().contains("no *.json"), "{empty}");
        for name in ["b.json", "a.cfg", "c.txt"] {
            fs::write(path(name), "").expect("written");
        }
        let files = case_files(&[path("c.txt"), dir.path().to_owned()]).expect("files");
        assert_eq!(files, [path("c.txt"), path("a.cfg"), path("b.json")]);
    }
}
