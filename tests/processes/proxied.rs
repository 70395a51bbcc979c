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
