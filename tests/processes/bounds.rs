//! Noise, slow readers, crowds, descriptors, a log that nobody reads.

use std::os::fd::OwnedFd;

use super::*;

#[test]
fn a_slow_reader_is_closed_and_the_others_are_served() {
    let one = Server::start(&["--id", "1"]);
    let (mut slow_reader, mut sam) = (one.connect(), one.connect());
    slow_reader.send(&user(101, "deaf", ""));
    slow_reader.expect_frame(&welcome_frame(1, "deaf"));
    sam.send(&user(102, "sam", ""));
    sam.expect_frame(&welcome_frame(1, "sam"));
    let text = "x".repeat(100_000);
    let mut round = 0;
    eventually("the deaf one is closed", || {
        round += 1;
        sam.send(&chat(102, 101, &text));
        sam.send(&chat(102, 102, &format!("round {round}.")));
        sam.expect_frame(&chat(102, 102, &format!("round {round}.")));
        (one.host_ids() == [102]).then_some(())
    });
    one.wait_for_log("does not read");
    let quits = split_frames(&sam.received).into_iter().filter(|frame| frame[0] == 0x82).count();
    assert_eq!(quits, 1);
}

#[test]
fn malformed_bytes_close_only_their_connection_and_leak_no_memory() {
    let one = Server::start(&["--id", "1"]);
    let mut frodo = one.connect();
    frodo.send(&user(101, "frodo", ""));
    frodo.expect_frame(&welcome_frame(1, "frodo"));
    let before = one.resident_kib();
    let mut oversized = chat(1, 1, "");
    oversized.splice(9.., [0xff; 4]);
    for _ in 0..50 {
        for noise in [&oversized[..], b"\x77", b"GET / HTTP/1.1\r\n\r\n"] {
            let mut peer = one.connect();
            peer.send(noise);
            assert!(peer.read_until_closed().is_empty());
        }
    }
    one.wait_for_log("a frame of 4294967308 bytes, the largest allowed is 1048576");
    one.wait_for_log("unknown frame type 0x77");
    let now = one.resident_kib();
    assert!(now < before + 4096, "{before} KiB before, now {now}");
    assert_eq!(one.host_ids(), [101]);
    frodo.send(&chat(101, 101, "still here"));
    frodo.expect_frame(&chat(101, 101, "still here"));
}

#[test]
fn server_accepts_300_simultaneous_clients() {
    let one = Server::start(&["--id", "1"]);
    let mut clients: Vec<RawClient> = (0..300).map(|_| one.connect()).collect();
    for (peer, id) in clients.iter_mut().zip(1000..) {
        peer.send(&user(id, "one of many", ""));
    }
    for peer in &mut clients {
        peer.expect_frame(&welcome_frame(1, "one of many"));
    }
    let next = |id: u32| if id == 1299 { 1000 } else { id + 1 };
    for (peer, id) in clients.iter_mut().zip(1000..) {
        peer.send(&chat(id, next(id), "to the next"));
    }
    for (peer, id) in clients.iter_mut().zip(1000..) {
        let from = (1000..1300).find(|&from| next(from) == id).expect("a ring");
        peer.expect_frame(&chat(from, id, "to the next"));
    }
}

#[test]
fn unread_log_does_not_block_the_server() {
    let (reader, pipe) = std::io::pipe().expect("a pipe");
    check_unread_log(pipe.into(), reader.into());
    let (reader, socket) = UnixStream::pair().expect("sockets");
    check_unread_log(OwnedFd::from(socket).into(), reader.into());
}

fn check_unread_log(stderr: Stdio, reader: OwnedFd) {
    let mut child = Command::new(CRC)
        .args(["server", "--listen", "127.0.0.1:0", "--id", "1", "--log", "debug"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .expect("crc server runs");
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    stdout.read_line(&mut line).expect("a line");
    let port = line.trim_end().rsplit(':').next().expect("a port").parse().expect("a number");
    let mut frodo = RawClient::connect(port);
    frodo.send(&user(101, "frodo", ""));
    frodo.expect_frame(&welcome_frame(1, "frodo"));
    let text = "\u{1}".repeat(100_000);
    for _ in 0..500 {
        let mut other = RawClient::connect(port);
        other.send(&[user(102, "n", ""), quit(102, &text)].concat());
        other.read_until_closed();
        frodo.expect_frame(&quit(102, &text));
        frodo.received.clear();
    }
    child.kill().and_then(|()| child.wait()).expect("it runs");
    let mut log = Vec::new();
    fs::File::from(reader).read_to_end(&mut log).expect("the log so far");
    assert!(log.len() < 1_000_000, "{} bytes: texts are shown in part", log.len());
}

/// A server whose limit of open files the shell sets with `ulimit`; answers its port.
fn start_with_ulimit(ulimit: &str) -> (Child, u16) {
    let script = format!("ulimit {ulimit}; exec \"$0\" server --listen 127.0.0.1:0 --id 1");
    let mut child = Command::new("sh")
        .args(["-c", &script, CRC])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell");
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    stdout.read_line(&mut line).expect("a line");
    let port = line.trim_end().rsplit(':').next().and_then(|port| port.parse().ok());
    (child, port.unwrap_or_else(|| panic!("{line:?} names no port")))
}

#[test]
fn server_raises_its_descriptor_limit_to_the_hard_limit() {
    let (mut child, port) = start_with_ulimit("-S -n 64");
    let mut clients: Vec<RawClient> = (0..150).map(|_| RawClient::connect(port)).collect();
    for (peer, id) in clients.iter_mut().zip(1000..) {
        peer.send(&user(id, "n", ""));
        peer.expect_frame(&welcome_frame(1, "n"));
    }
    child.kill().and_then(|()| child.wait()).expect("it runs");
}

#[test]
fn connections_beyond_the_descriptor_limit_wait_without_affecting_others() {
    let (mut child, port) = start_with_ulimit("-n 40");
    let mut frodo = RawClient::connect(port);
    frodo.send(&user(101, "frodo", ""));
    frodo.expect_frame(&welcome_frame(1, "frodo"));
    let crowd: Vec<RawClient> = (0..60).map(|_| RawClient::connect(port)).collect();
    let mut last = RawClient::connect(port);
    last.send(&user(102, "last", ""));
    frodo.send(&chat(101, 101, "still here"));
    frodo.expect_frame(&chat(101, 101, "still here"));
    drop(crowd);
    last.expect_frame(&welcome_frame(1, "last"));
    child.kill().and_then(|()| child.wait()).expect("it runs");
}
