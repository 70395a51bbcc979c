//! Reloading: SIGHUP and `crc ctl reload`.

use std::io::Write as _;
use std::path::PathBuf;

use super::tls::{Certificates, client};
use super::*;

/// A server with a configuration file.
struct Configured {
    server: Server,
    file: PathBuf,
    /// Holds the file.
    _dir: tempfile::TempDir,
}

impl Configured {
    fn start(text: &str, options: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("crc.toml");
        fs::write(&file, text).expect("written");
        let path = file.to_str().expect("text").to_owned();
        let server = Server::start(&[&["--config", path.as_str()], options].concat());
        Self { server, file, _dir: dir }
    }

    /// Writes the file and reloads. Returns the exit code, and what `crc ctl` prints.
    fn reload_with(&self, text: &str) -> (Option<i32>, String) {
        fs::write(&self.file, text).expect("written");
        reload(&self.server)
    }
}

/// Runs `crc ctl reload`. Returns its exit code, and what it prints on either stream.
fn reload(server: &Server) -> (Option<i32>, String) {
    let output = server.ctl(&["reload"]);
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).expect("text"))
}

#[test]
fn new_connections_use_the_new_certificate_and_old_ones_go_on() {
    let certificates = Certificates::make();
    let old_pin = certificates.fingerprint();
    let server = certificates.serve(&[]);
    let url = format!("crcs://127.0.0.1:{}", server.port_of("crcs"));
    let mut sam = server.connect();
    sam.send(&user(102, "sam", ""));
    let mut command = Command::new(CRC);
    command.args(["client", &url, "--id", "101", "--tls-pin", &old_pin]);
    let mut frodo = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("started");
    let mut input = frodo.stdin.take().expect("piped");
    input.write_all(b"102 before\n").expect("written");
    sam.expect_frame(&chat(101, 102, "before"));

    let new_pin = certificates.renew();
    assert_ne!(old_pin, new_pin);
    let (code, answer) = reload(&server);
    assert_eq!(code, Some(0), "{answer}");
    for name in ["server.pem", "server.key", "ca.pem"] {
        assert!(answer.contains(&certificates.path(name)), "{name} is not in {answer}");
    }

    let (events, _) = client(&url, &["--tls-pin", &new_pin], "");
    assert!(events.contains(r#""event":"connected""#), "{events}");
    let (events, _) = client(&url, &["--tls-pin", &old_pin], "");
    assert!(events.contains("is not the one of --tls-pin"), "{events}");
    input.write_all(b"102 after\n").expect("written");
    sam.expect_frame(&chat(101, 102, "after"));
    drop(input);
    assert!(frodo.wait().expect("ended").success());
}

#[test]
fn broken_file_is_named_with_its_line_and_changes_nothing() {
    let certificates = Certificates::make();
    let [pem, key, ca] = ["server.pem", "server.key", "ca.pem"].map(|name| certificates.path(name));
    let good = format!("tls-cert = '{pem}'\ntls-key = '{key}'\ntls-ca = '{ca}'\n");
    let listeners = ["--listen", "crc://127.0.0.1:0", "--listen", "crcs://127.0.0.1:0"];
    let configured = Configured::start(&good, &listeners);
    let url = format!("crcs://127.0.0.1:{}", configured.server.port_of("crcs"));
    for (text, expected) in [
        (format!("{good}nmae = 'x'\n"), ["crc.toml: ", "line 4", "nmae"]),
        (format!("{good}split-grace = -1\n"), ["crc.toml: ", "line 4", "-1"]),
        (good.replace("server.key", "ca.key"), ["ca.key", "is not that of", "server.pem"]),
        (good.replace("server.pem", "none.pem"), ["none.pem", "cannot read", "No such file"]),
        (good.replace(&pem, "/dev/null"), ["/dev/null", "not a regular file", "read again"]),
        (format!("tls-ca = '{ca}'\n"), ["crcs://127.0.0.1:0", "needs a certificate", "--tls-cert"]),
    ] {
        let (code, answer) = configured.reload_with(&text);
        assert_eq!(code, Some(1), "{answer}");
        assert!(answer.contains("not reloaded, and everything stays as it was"), "{answer}");
        for part in expected {
            assert!(answer.contains(part), "{part:?} is not in {answer}");
            configured.server.wait_for_log(part);
        }
        let (events, _) = client(&url, &["--tls-ca", &ca], "");
        assert!(events.contains(r#""event":"connected""#), "{events}");
    }
    let (code, answer) = configured.reload_with(&good);
    assert_eq!(code, Some(0), "{answer}");
}

#[test]
fn option_that_cannot_change_is_named_until_the_next_start() {
    let configured = Configured::start("name = 'here'\nsplit-grace = 1\n", &["--id", "7"]);
    let changed = "name = 'there'\nsplit_grace = 1.0\nid = 8\nparent = ['127.0.0.1:1']\n";
    let (code, answer) = configured.reload_with(changed);
    assert_eq!(code, Some(0), "{answer}");
    // The flag --id overrides the file, whatever it has.
    let expected = "changed in the file, takes effect at the next start: parent, name\n";
    assert!(answer.ends_with(expected), "{answer}");
    configured.server.wait_for_log(expected.trim_end());
    let output = configured.server.ctl(&["--json", "reload"]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answer["at_next_start"], serde_json::json!(["parent", "name"]));
    assert_eq!(answer["reloaded"], serde_json::json!([configured.file]));
    let (_, answer) = configured.reload_with("name = 'here'\nsplit-grace = 1\n");
    assert!(!answer.contains("next start"), "{answer}");
}

#[test]
fn list_of_the_addresses_of_servers_is_replaced_and_servers_stay() {
    let configured = Configured::start("allow-servers = '127.0.0.0/8'", &["--id", "1"]);
    let one = &configured.server;
    let (mut two, mut three) = (one.connect(), one.connect());
    two.send(&server(2, "two", ""));
    one.wait_for_hosts(&[2]);
    let (code, answer) = configured.reload_with("allow-servers = ['10.0.0.0/8']");
    assert_eq!(code, Some(0), "{answer}");
    assert!(!answer.contains("next start"), "{answer}");
    three.send(&server(3, "three", ""));
    one.wait_for_log("server 3 at 127.0.0.1 is refused");
    assert_eq!(one.host_ids(), [2]);
    let (code, answer) = configured.reload_with("allow-servers = ['10.0.0.0/99']");
    assert_eq!(code, Some(1), "{answer}");
    assert!(answer.contains("line 1") && answer.contains("10.0.0.0/99"), "{answer}");
}

#[test]
fn sighup_without_files_ends_nothing() {
    let server = Server::start(&[]);
    let mut sam = server.connect();
    sam.send(&user(102, "sam", ""));
    server.wait_for_hosts(&[102]);
    server.send_signal(Signal::HUP);
    server.wait_for_log("SIGHUP: nothing to reload");
    sam.send(&chat(102, 102, "still here"));
    sam.expect_frame(&chat(102, 102, "still here"));
}

#[test]
fn sighup_reloads_certificates() {
    let certificates = Certificates::make();
    let server = certificates.serve(&[]);
    let url = format!("crcs://127.0.0.1:{}", server.port_of("crcs"));
    let new_pin = certificates.renew();
    server.send_signal(Signal::HUP);
    server.wait_for_log("SIGHUP: reloaded");
    let (events, _) = client(&url, &["--tls-pin", &new_pin], "");
    assert!(events.contains(r#""event":"connected""#), "{events}");
}
