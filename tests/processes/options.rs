//! Options, and what is said of wrong ones.

use super::*;

#[test]
fn invalid_options_exit_with_their_code_and_name_the_remedy() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let config = dir.path().join("crc.toml");
    fs::write(&config, "id = 1\nlissten = '127.0.0.1:0'\n").expect("a file");
    let config = config.to_str().expect("text");
    let one = Server::start(&[]);
    let taken = one.address();
    for (words, code, parts) in [
        (&["server", "--nmae", "x"][..], 2, &["--nmae", "--name"][..]),
        (&["server", "--id", "0"], 2, &["--id", "1 to 4294967294"]),
        (&["server", "--listen", "here"], 2, &["--listen", "host:port"]),
        (&["frobnicate"], 2, &["frobnicate"]),
        (&["ctl", "state"], 2, &["--control"]),
        (&["server", "--listen", &taken], 1, &[&taken, "another program listens there"]),
        (&["server", "--listen", "203.0.113.1:1"], 1, &["203.0.113.1:1", "this machine"]),
        (&["server", "--config", config], 78, &[config, "line 2", "lissten"]),
        (&["server", "--config", "/nowhere"], 78, &["/nowhere", "No such file"]),
    ] {
        let mut command = Command::new(CRC);
        let output = command.args(words).stdin(Stdio::null()).output().expect("crc runs");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {error}");
        for part in parts {
            assert!(error.contains(part), "{words:?}: {part:?} is not in {error}");
        }
    }
}

#[test]
fn options_come_from_flags_environment_and_file_in_this_order() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let config = dir.path().join("crc.toml");
    fs::write(&config, "id = 7\nname = 'file'\ninfo = 'file'\n").expect("a file");
    let control = dir.path().join("control");
    let mut child = Command::new(CRC)
        .args(["server", "--listen", "127.0.0.1:0", "--info", "flag", "--control"])
        .arg(&control)
        .env("CRC_CONFIG", &config)
        .env("CRC_NAME", "environment")
        .env("CRC_INFO", "environment")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("crc server runs");
    let output = eventually("the server answers", || {
        let output = ctl(&control, &["--json", "state"]);
        output.status.success().then_some(output)
    });
    let _ = child.kill();
    let _ = child.wait();
    let state: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&state["id"], &state["name"]), (&7.into(), &"environment".into()));
    assert_eq!(state["info"], "flag");
}
