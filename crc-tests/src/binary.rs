//! Finds the `crc` executable to test.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::runner::backend::RunError;
use crate::runner::case::display_path;

/// The environment variable with the path of the executable.
const BINARY_ENV_VAR: &str = "CRC_TESTS_BIN";

/// Returns the executable to test: the one in `CRC_TESTS_BIN`; otherwise, under cargo, that of this
/// workspace, built in the runner's own profile; otherwise the `crc` beside the runner.
///
/// # Errors
/// There is none, or it cannot be built.
pub fn locate() -> Result<PathBuf, RunError> {
    if let Some(path) = std::env::var_os(BINARY_ENV_VAR) {
        return require_file(path.into(), BINARY_ENV_VAR);
    }
    let under_cargo = std::env::var_os("CARGO_MANIFEST_DIR").and(std::env::var_os("CARGO"));
    if let Some(cargo) = under_cargo {
        return cargo_build(cargo);
    }
    let sibling = std::env::current_exe()
        .map_err(|error| RunError(format!("cannot find the runner's own executable: {error}")))?
        .with_file_name(format!("crc{}", std::env::consts::EXE_SUFFIX));
    require_file(sibling, "beside the runner")
}

/// Returns the path, if it is a file.
///
/// # Errors
/// It is not a file; the message names `source`, where the path comes from.
pub fn require_file(path: PathBuf, source: &str) -> Result<PathBuf, RunError> {
    if path.is_file() {
        return Ok(path);
    }
    let path = display_path(&path);
    Err(RunError(format!(
        "no crc to test: {source}: {path} is not a file; name one with --crc PATH"
    )))
}

fn cargo_build(cargo: OsString) -> Result<PathBuf, RunError> {
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", "crc", "--bin", "crc"]);
    command.args(["--message-format", "json-render-diagnostics"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| RunError(format!("cargo build: {error}")))?;
    if !output.status.success() {
        return Err(RunError(format!("cargo build of crc: {}", output.status)));
    }
    find_executable(&output.stdout).ok_or_else(|| {
        RunError::new("cargo build printed no executable crc; name one with --crc PATH")
    })
}

/// Returns the path of `crc` in the JSON messages of cargo.
fn find_executable(messages: &[u8]) -> Option<PathBuf> {
    let messages = messages.split(|byte| *byte == b'\n');
    messages.filter_map(|line| serde_json::from_slice::<Value>(line).ok()).find_map(|message| {
        let is_crc = message["target"]["name"] == "crc" && message["target"]["kind"][0] == "bin";
        message["executable"].as_str().filter(|_| is_crc).map(PathBuf::from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executable_path_is_read_from_cargo_messages() {
        let messages = br#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"crc"},"executable":null}
{"reason":"compiler-artifact","target":{"kind":["example"],"name":"crc"},"executable":"/o"}
{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"crc"},"executable":"/t/crc"}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(find_executable(messages), Some(PathBuf::from("/t/crc")));
        assert_eq!(find_executable(b"{}\n"), None);
    }

    #[test]
    fn missing_binary_error_names_its_source_and_path() {
        let fault = require_file("/none/crc".into(), BINARY_ENV_VAR).expect_err("missing");
        assert!(fault.0.contains("CRC_TESTS_BIN: /none/crc is not a file"), "{fault}");
    }
}
