//! Finds the `crc` to test.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::backend::Fault;
use crate::case::shown_path;

/// Names the binary where it is not given as an option.
const VARIABLE: &str = "CRC_TESTS_BIN";

/// The binary to test: what `CRC_TESTS_BIN` names; else, under cargo, the one of this workspace,
/// built now in the runner's own profile; else the `crc` beside the runner itself.
///
/// # Errors
/// There is none, or it cannot be built.
pub fn locate() -> Result<PathBuf, Fault> {
    if let Some(path) = std::env::var_os(VARIABLE) {
        return existing(path.into(), VARIABLE);
    }
    let under_cargo = std::env::var_os("CARGO_MANIFEST_DIR").and(std::env::var_os("CARGO"));
    if let Some(cargo) = under_cargo {
        return build(cargo);
    }
    let beside = std::env::current_exe()
        .map_err(|error| Fault(format!("the runner's own path: {error}")))?
        .with_file_name(format!("crc{}", std::env::consts::EXE_SUFFIX));
    existing(beside, "beside the runner")
}

/// The path itself, if there is a file.
///
/// # Errors
/// There is none; the message names `source`, which said that there is.
pub fn existing(path: PathBuf, source: &str) -> Result<PathBuf, Fault> {
    if path.is_file() {
        return Ok(path);
    }
    let path = shown_path(&path);
    Err(Fault(format!("no crc to test: {source}: {path} is no file; name one with --crc PATH")))
}

fn build(cargo: OsString) -> Result<PathBuf, Fault> {
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", "crc", "--bin", "crc"]);
    command.args(["--message-format", "json-render-diagnostics"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| Fault(format!("cargo build: {error}")))?;
    if !output.status.success() {
        return Err(Fault(format!("cargo build of crc: {}", output.status)));
    }
    executable(&output.stdout).ok_or_else(|| Fault::new("cargo build tells of no crc"))
}

/// The path of `crc` in what cargo prints, an object a line.
fn executable(messages: &[u8]) -> Option<PathBuf> {
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
    fn cargo_tells_where_the_binary_is() {
        let messages = br#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"crc"},"executable":null}
{"reason":"compiler-artifact","target":{"kind":["example"],"name":"crc"},"executable":"/o"}
{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"crc"},"executable":"/t/crc"}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(executable(messages), Some(PathBuf::from("/t/crc")));
        assert_eq!(executable(b"{}\n"), None);
    }

    #[test]
    fn a_binary_that_is_not_there_is_named() {
        let fault = existing("/none/crc".into(), VARIABLE).expect_err("missing");
        assert!(fault.0.contains("CRC_TESTS_BIN: /none/crc is no file"), "{fault}");
    }
}
