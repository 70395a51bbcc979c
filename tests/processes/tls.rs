//! TLS between servers, and between a client and a server.

use std::io::Write as _;

use super::*;

/// Certificates that `crc cert` has made.
pub(super) struct Certificates(tempfile::TempDir);

impl Certificates {
    pub(super) fn make() -> Self {
        let certificates = Self(tempfile::tempdir().expect("a temporary folder"));
        certificates.fingerprint();
        certificates
    }

    /// Makes what is missing. Returns the fingerprint of the server's certificate.
    pub(super) fn fingerprint(&self) -> String {
        let output = Command::new(CRC).arg("cert").arg("--dir").arg(self.0.path()).output();
        let output = output.expect("crc cert runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("text");
        let line = text.lines().find_map(|line| line.strip_prefix("fingerprint of server.pem: "));
        line.expect("a fingerprint").to_owned()
    }

    /// Makes a new certificate for the server, by the same authority. Returns its fingerprint.
    pub(super) fn renew(&self) -> String {
        for name in ["server.pem", "server.key"] {
            fs::remove_file(self.path(name)).expect("a file");
        }
        self.fingerprint()
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("text").to_owned()
    }

    /// Starts a server with these certificates, a plain and an encrypted listener.
    pub(super) fn serve(&self, options: &[&str]) -> Server {
        let [certificate, key, authority] =
            ["server.pem", "server.key", "ca.pem"].map(|name| self.path(name));
        let mut all = vec!["--listen", "crc://127.0.0.1:0", "--listen", "crcs://127.0.0.1:0"];
        all.extend(["--tls-cert", &certificate, "--tls-key", &key, "--tls-ca", &authority]);
        all.extend(options);
        Server::start(&all)
    }
}

/// Runs `crc client` with input that ends at once. Returns its events and what it says beside them.
pub(super) fn client(url: &str, trust: &[&str], input: &str) -> (String, String) {
    let mut command = Command::new(CRC);
    command.args(["client", url, "--json"]).args(trust);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the client starts");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("the client reads");
    let output = child.wait_with_output().expect("the client ends");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (text(output.stdout), text(output.stderr))
}

#[test]
fn servers_and_clients_exchange_chats_over_tls() {
    let certificates = Certificates::make();
    let root = certificates.serve(&["--id", "1"]);
    let parent = format!("crcs://localhost:{}", root.port_of("crcs"));
    let child = certificates.serve(&["--id", "2", "--parent", &parent]);
    root.wait_for_hosts(&[2]);
    let links = root.state()["links"].clone();
    assert_eq!((&links[0]["id"], &links[0]["tls"]), (&2.into(), &true.into()), "{links}");
    let mut sam = child.connect();
    sam.send(&user(102, "sam", ""));
    root.wait_for_hosts(&[2, 102]);
    let url = format!("crcs://127.0.0.1:{}", root.port_of("crcs"));
    let options = ["--tls-ca", &certificates.path("ca.pem"), "--id", "101"];
    let (events, _) = client(&url, &options, "102 Hi sam!\n");
    assert!(events.contains(r#""event":"connected""#), "{events}");
    sam.expect_frame(&chat(101, 102, "Hi sam!"));
}

#[test]
fn certificate_of_the_authority_admits_a_server_from_any_address() {
    let certificates = Certificates::make();
    let root = certificates.serve(&["--id", "1", "--allow-servers", "10.0.0.0/8"]);
    let parent = format!("crcs://localhost:{}", root.port_of("crcs"));
    let _child = certificates.serve(&["--id", "2", "--parent", &parent]);
    root.wait_for_hosts(&[2]);
    assert_eq!(root.state()["links"][0]["admitted_by"], "certificate");
    // It verifies the parent, and shows no certificate of its own.
    let authority = certificates.path("ca.pem");
    let other = Server::start(&["--id", "3", "--parent", &parent, "--tls-ca", &authority]);
    other.wait_for_log("Server 1 accepts no servers from 127.0.0.1");
    assert_eq!(root.host_ids(), [2]);
}

#[test]
fn every_wire_is_spoken_over_tls() {
    let certificates = Certificates::make();
    let any = |scheme: &str| format!("{scheme}://127.0.0.1:0");
    let (direct, classic) = (any("directs"), any("classics"));
    let server = certificates.serve(&["--listen", &direct, "--listen", &classic]);
    for scheme in ["crcs", "directs", "classics"] {
        let url = format!("{scheme}://localhost:{}", server.port_of(scheme));
        let (events, _) = client(&url, &["--tls-ca", &certificates.path("ca.pem")], "");
        assert!(events.contains(r#""event":"connected""#), "{scheme}: {events}");
        assert!(events.contains(r#""text":"left""#), "{scheme}: {events}");
    }
}

#[test]
fn idle_server_with_tls_clients_makes_no_system_call() {
    let certificates = Certificates::make();
    let server = certificates.serve(&["--id", "1"]);
    let url = format!("crcs://127.0.0.1:{}", server.port_of("crcs"));
    let ca = certificates.path("ca.pem");
    let mut clients: Vec<Child> = (101..104)
        .map(|id| {
            let mut command = Command::new(CRC);
            command.args(["client", &url, "--tls-ca", &ca, "--id", &id.to_string()]);
            let command = command.stdin(Stdio::piped()).stdout(Stdio::null());
            command.stderr(Stdio::null()).spawn().expect("the client starts")
        })
        .collect();
    server.wait_for_hosts(&[101, 102, 103]);
    check_never_wakes(server.child.id());
    for client in &mut clients {
        drop(client.stdin.take());
        assert!(client.wait().expect("the client ends").success());
    }
}

#[test]
fn wrong_scheme_is_named_at_both_ends() {
    let certificates = Certificates::make();
    let server = certificates.serve(&[]);
    let trust = ["--tls-ca", &certificates.path("ca.pem")];
    let (plain, encrypted) = (server.port_of("crc"), server.port_of("crcs"));
    let (events, _) = client(&format!("crc://127.0.0.1:{encrypted}"), &[], "");
    assert!(events.contains("the server speaks TLS there: connect with crcs://"), "{events}");
    server.wait_for_log("not TLS: plain bytes on a TLS connection");
    let (events, _) = client(&format!("crcs://127.0.0.1:{plain}"), &trust, "");
    assert!(events.contains("try the scheme without its final s"), "{events}");
    server.wait_for_log("TLS on a connection without it");
}

#[test]
fn certificate_of_another_authority_or_another_name_is_not_accepted() {
    let [ours, theirs] = [Certificates::make(), Certificates::make()];
    let server = ours.serve(&["--id", "1"]);
    let port = server.port_of("crcs");
    let url = format!("crcs://127.0.0.1:{port}");
    let (events, _) = client(&url, &["--tls-ca", &theirs.path("ca.pem")], "");
    assert!(events.contains("is not signed by an authority in --tls-ca"), "{events}");
    let other_name = format!("crcs://127.0.0.2:{port}");
    let (events, _) = client(&other_name, &["--tls-ca", &ours.path("ca.pem")], "");
    // The listener is bound to one address; where it is reached, the name is verified.
    assert!(events.contains("another host name") || events.contains("refused"), "{events}");
    let stranger = theirs.serve(&["--id", "2", "--parent", &url]);
    stranger.wait_for_log("is not signed by an authority in --tls-ca");
    assert!(server.host_ids().is_empty());
}

#[test]
fn pinned_certificate_is_accepted_whatever_its_authority() {
    let certificates = Certificates::make();
    let server = certificates.serve(&[]);
    let url = format!("crcs://127.0.0.1:{}", server.port_of("crcs"));
    let pin = certificates.fingerprint();
    let (events, _) = client(&url, &["--tls-pin", &pin], "");
    assert!(events.contains(r#""event":"connected""#), "{events}");
    let (events, _) = client(&url, &["--tls-pin", &"0".repeat(64)], "");
    assert!(events.contains("is not the one of --tls-pin"), "{events}");
}

#[test]
fn certificate_that_a_listener_or_a_parent_needs_is_asked_for() {
    for (options, expected) in [
        (vec!["--listen", "crcs://127.0.0.1:0"], "needs a certificate: --tls-cert FILE"),
        (vec!["--parent", "crcs://127.0.0.1:1", "--listen", "127.0.0.1:0"], "needs --tls-ca FILE"),
        (vec!["--listen", "127.0.0.1:0", "--tls-cert", "x"], "--tls-cert needs --tls-key"),
        (
            vec!["--listen", "127.0.0.1:0", "--tls-ca", "/nonexistent/ca.pem"],
            "--tls-ca /nonexistent/ca.pem: ",
        ),
    ] {
        let mut command = Command::new(CRC);
        let output = command.arg("server").args(&options).output().expect("crc runs");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{options:?}: {error}");
        assert!(error.contains(expected), "{options:?}: {error}");
    }
}
