//! Noise, slow readers, crowds, descriptors, a log that nobody reads.

use std::os::fd::OwnedFd;

use super::*;

#[test]
fn a_slow_reader_is_closed_and_the_others_are_served() {
    let one = Server::start(&["--id", "1"]);
    let (mut deaf, mut sam) = (one.connect(), one.connect());
    deaf.says(&user(101, "deaf", ""));
    deaf.hears(&welcome(1, "deaf"));
    sam.says(&user(102, "sam", ""));
    sam.hears(&welcome(1, "sam"));
    let text = "x".repeat(100_000);
    let mut round = 0;
    eventually("the deaf one is closed", || {
        round += 1;
        sam.says(&chat(102, 101, &text));
        sam.says(&chat(102, 102, &format!("round {round}.")));
        sam.hears(&chat(102, 102, &format!("round {round}.")));
        (one.host_ids() == [102]).then_some(())
    });
    one.has_logged("does not read");
    let quits = frames(&sam.received).into_iter().filter(|frame| frame[0] == 0x82).count();
    assert_eq!(quits, 1);
}

#[test]
fn noise_ends_its_own_connection_and_takes_no_memory() {
    let one = Server::start(&["--id", "1"]);
    let mut frodo = one.connect();
    frodo.says(&user(101, "frodo", ""));
    frodo.hears(&welcome(1, "frodo"));
    let before = one.resident_kib();
    let mut absurd = chat(1, 1, "");
    absurd.splice(9.., [0xff; 4]);
    for _ in 0..50 {
        for noise in [&absurd[..], b"\x77", b"GET / HTTP/1.1\r\n\r\n"] {
            let mut peer = one.connect();
            peer.says(noise);
            assert!(peer.hears_end().is_empty());
        }
    }
    one.has_logged("a frame of 4294967308 bytes, the largest allowed is 1048576");
    one.has_logged("unknown frame type 0x77");
    let now = one.resident_kib();
    assert!(now < before + 4096, "{before} KiB before, now {now}");
    assert_eq!(one.host_ids(), [101]);
    frodo.says(&chat(101, 101, "still here"));
    frodo.hears(&chat(101, 101, "still here"));
}

#[test]
fn three_hundred_come_at_once() {
    let one = Server::start(&["--id", "1"]);
    let mut peers: Vec<Peer> = (0..300).map(|_| one.connect()).collect();
    for (peer, id) in peers.iter_mut().zip(1000..) {
        peer.says(&user(id, "one of many", ""));
    }
    for peer in &mut peers {
        peer.hears(&welcome(1, "one of many"));
    }
    let next = |id: u32| if id == 1299 { 1000 } else { id + 1 };
    for (peer, id) in peers.iter_mut().zip(1000..) {
        peer.says(&chat(id, next(id), "to the next"));
    }
    for (peer, id) in peers.iter_mut().zip(1000..) {
        let from = (1000..1300).find(|&from| next(from) == id).expect("a ring");
        peer.hears(&chat(from, id, "to the next"));
    }
}

#[test]
fn a_log_that_nobody_reads_holds_nobody_up() {
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
    let mut frodo = Peer::connect(port);
    frodo.says(&user(101, "frodo", ""));
    frodo.hears(&welcome(1, "frodo"));
    let text = "\u{1}".repeat(100_000);
    for _ in 0..500 {
        let mut other = Peer::connect(port);
        other.says(&[user(102, "n", ""), quit(102, &text)].concat());
        other.hears_end();
        frodo.hears(&quit(102, &text));
        frodo.received.clear();
    }
    child.kill().and_then(|()| child.wait()).expect("it runs");
    let mut log = Vec::new();
    fs::File::from(reader).read_to_end(&mut log).expect("the log so far");
    assert!(log.len() < 1_000_000, "{} bytes: texts are shown in part", log.len());
}

/// A server whose limit of open files the shell sets with `ulimit`; answers its port.
fn start_limited(ulimit: &str) -> (Child, u16) {
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
fn it_takes_as_many_descriptors_as_the_system_grants() {
    let (mut child, port) = start_limited("-S -n 64");
    let mut peers: Vec<Peer> = (0..150).map(|_| Peer::connect(port)).collect();
    for (peer, id) in peers.iter_mut().zip(1000..) {
        peer.says(&user(id, "n", ""));
        peer.hears(&welcome(1, "n"));
    }
    child.kill().and_then(|()| child.wait()).expect("it runs");
}

#[test]
fn without_descriptors_newcomers_wait_and_nobody_else_notices() {
    let (mut child, port) = start_limited("-n 40");
    let mut frodo = Peer::connect(port);
    frodo.says(&user(101, "frodo", ""));
    frodo.hears(&welcome(1, "frodo"));
    let crowd: Vec<Peer> = (0..60).map(|_| Peer::connect(port)).collect();
    let mut last = Peer::connect(port);
    last.says(&user(102, "last", ""));
    frodo.says(&chat(101, 101, "still here"));
    frodo.hears(&chat(101, 101, "still here"));
    drop(crowd);
    last.hears(&welcome(1, "last"));
    child.kill().and_then(|()| child.wait()).expect("it runs");
}
