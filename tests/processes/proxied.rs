//! Connections that a trusted proxy passes on, with the header of the PROXY protocol.

use super::*;

/// The header of version 2 for a connection from an IPv4 address, with an addition.
fn proxy_header(address: [u8; 4]) -> Vec<u8> {
    let ports = [0x30, 0x39, 0x0e, 0x10]; // 12345 to 3600
    let addition = [0x04, 0, 2, 0, 0];
    let addresses = [&address[..], &[10, 0, 0, 1], &ports, &addition].concat();
    let len = u16::try_from(addresses.len()).expect("a short header").to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11"[..], &len, &addresses].concat()
}

fn addresses(server: &Server) -> Vec<String> {
    let links: Value =
        serde_json::from_slice(&server.ctl(&["--json", "links"]).stdout).expect("JSON");
    let links = links.as_array().expect("links").iter();
    links.map(|link| link["address"].as_str().unwrap_or("none").to_owned()).collect()
}

#[test]
fn address_behind_a_trusted_proxy_counts() {
    let options = ["--id", "1", "--trusted-proxies", "127.0.0.0/8,::1", "--users-per-address", "1"];
    let one = Server::start(&options);
    let mut frodo = one.connect();
    // In pieces, and together with what follows.
    let bytes = [proxy_header([192, 0, 2, 7]), user(101, "frodo", "")].concat();
    for piece in [&bytes[..5], &bytes[5..20], &bytes[20..]] {
        frodo.send(piece);
        one.ctl(&["num_users"]); // a turn of the server
    }
    frodo.expect_frame(&welcome_frame(1, "frodo"));
    assert_eq!(addresses(&one), ["192.0.2.7:12345"]);
    let mut second = one.connect();
    second.send(&[proxy_header([192, 0, 2, 7]), user(102, "sam", "")].concat());
    let refusal = status(1, 0, 7, "Refused: too many connections from your address");
    assert_eq!(second.read_until_closed(), refusal);
    one.wait_for_log("(unregistered, 192.0.2.7:12345) ends: too many connections of users");
    let mut other = one.connect();
    other.send(&[proxy_header([192, 0, 2, 8]), user(103, "merry", "")].concat());
    other.expect_frame(&welcome_frame(1, "merry"));
    // A connection of the proxy itself.
    let mut health_check = one.connect();
    health_check.send(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
    health_check.send(&user(104, "check", ""));
    health_check.expect_frame(&welcome_frame(1, "check"));
    let mut without = one.connect();
    without.send(&user(105, "pippin", ""));
    assert!(without.read_until_closed().is_empty());
    one.wait_for_log("ends: not a PROXY header; the proxy must send version 2");
    assert_eq!(one.host_ids(), [101, 103, 104]);
}

#[test]
fn header_from_another_address_is_refused_until_it_is_trusted() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let config = dir.path().join("crc.toml");
    fs::write(&config, "id = 1\ntrusted-proxies = [\"10.0.0.0/8\"]\n").expect("a file");
    let one = Server::start(&["--config", config.to_str().expect("text")]);
    let connect = || {
        let mut frodo = one.connect();
        frodo.send(&[proxy_header([192, 0, 2, 7]), user(101, "frodo", "")].concat());
        frodo
    };
    assert!(connect().read_until_closed().is_empty());
    one.wait_for_log("a PROXY header from an address that is not in --trusted-proxies");
    fs::write(&config, "id = 1\ntrusted-proxies = [\"127.0.0.1\"]\n").expect("a file");
    let output = one.ctl(&["reload"]);
    assert!(output.status.success(), "{output:?}");
    connect().expect_frame(&welcome_frame(1, "frodo"));
}

/// Passes one connection on to a port, behind a header, and returns the port to connect to.
fn start_proxy(port: u16) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let own_port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        let mut server = std::net::TcpStream::connect(("127.0.0.1", port)).expect("an open port");
        server.write_all(&proxy_header([192, 0, 2, 7])).expect("the server reads");
        let (mut back_from, mut back_to) =
            (server.try_clone().expect("a socket"), client.try_clone().expect("a socket"));
        std::thread::spawn(move || std::io::copy(&mut back_from, &mut back_to));
        let _ = std::io::copy(&mut client, &mut server);
        let _ = server.shutdown(std::net::Shutdown::Write);
    });
    own_port
}

#[test]
fn header_of_a_trusted_proxy_precedes_tls() {
    let certificates = super::tls::Certificates::make();
    let one = certificates.serve(&["--id", "1", "--trusted-proxies", "127.0.0.1"]);
    let port = start_proxy(one.port_of("crcs"));
    let url = format!("crcs://localhost:{port}");
    let trust = ["--tls-ca", &certificates.path("ca.pem"), "--id", "101"];
    let (events, error) = super::tls::client(&url, &trust, "");
    assert!(events.contains(r#""event":"connected","id":101"#), "{events}{error}");
    one.wait_for_log("user 101");
    one.wait_for_log("192.0.2.7:12345");
}
