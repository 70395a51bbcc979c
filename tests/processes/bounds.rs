//! Limits: invalid bytes, slow readers, many clients, file descriptors, an unread log.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::os::fd::OwnedFd;

use super::*;

#[test]
fn a_slow_reader_is_closed_and_the_others_are_served() {
    let one = Server::start(&["--id", "1"]);
    let (mut slow_reader, mut sam) = (one.connect(), one.connect());
    slow_reader.send(&user(101, "slow", ""));
    slow_reader.expect_frame(&welcome_frame(1, "slow"));
    sam.send(&user(102, "sam", ""));
    sam.expect_frame(&welcome_frame(1, "sam"));
    let text = "x".repeat(100_000);
    let mut round = 0;
    eventually("the slow reader is closed", || {
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
fn connections_that_arrive_together_wait_until_they_are_accepted() {
    const COUNT: usize = 400;
    let one = Server::start(&["--id", "1"]);
    let address = one.address().parse().expect("an address");
    one.send_signal(Signal::STOP);
    let connect = |_| TcpStream::connect_timeout(&address, Duration::from_secs(2));
    let waiting: Result<Vec<_>, _> = (0..COUNT).map(connect).collect();
    one.send_signal(Signal::CONT);
    let waiting = waiting.expect("room in the queue of the listener");
    eventually("all are accepted", || {
        let links = one.state()["links"].as_array().map_or(0, Vec::len);
        (links >= COUNT).then_some(())
    });
    drop(waiting);
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
    // Announcements to a client that may read once are paced, and would leave these quits out.
    frodo.send(&user_that_reads_cut_frames(101, "frodo", ""));
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

/// A server whose limit of open files is set by `ulimit`.
struct LimitedServer {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl LimitedServer {
    fn start(ulimit: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let script = format!(
            "ulimit {ulimit}; exec \"$0\" server --listen 127.0.0.1:0 --id 1 --control \"$1\""
        );
        let mut child = Command::new("sh")
            .args(["-c", &script, CRC])
            .arg(dir.path().join("control"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(dir.path().join("log")).expect("a log"))
            .spawn()
            .expect("a shell");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        stdout.read_line(&mut line).expect("a line");
        let port = line.trim_end().rsplit(':').next().and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("{line:?} names no port"));
        Self { child, port, dir }
    }

    fn ctl(&self, words: &[&str]) -> Output {
        ctl(&self.dir.path().join("control"), words)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).expect("a log")
    }
}

impl Drop for LimitedServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn server_raises_its_descriptor_limit_to_the_hard_limit() {
    let server = LimitedServer::start("-S -n 64");
    let mut clients: Vec<RawClient> = (0..150).map(|_| RawClient::connect(server.port)).collect();
    for (peer, id) in clients.iter_mut().zip(1000..) {
        peer.send(&user(id, "n", ""));
        peer.expect_frame(&welcome_frame(1, "n"));
    }
}

#[test]
fn server_without_descriptors_refuses_newcomers_and_serves_the_others() {
    let server = LimitedServer::start("-n 40");
    let mut frodo = RawClient::connect(server.port);
    frodo.send(&user(101, "frodo", ""));
    frodo.expect_frame(&welcome_frame(1, "frodo"));
    let mut crowd: Vec<RawClient> = Vec::new();
    for id in 1000..1100 {
        let mut peer = RawClient::connect(server.port);
        // A refused connection may be reset while this is written.
        let _ = peer.stream.write_all(&user(id, "n", ""));
        crowd.push(peer);
    }
    let mut members = Vec::new();
    let mut refused = 0;
    for mut peer in crowd {
        let mut first = [0];
        match peer.stream.read(&mut first) {
            Ok(1) => members.push(peer),
            Ok(_) => refused += 1,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => refused += 1,
            Err(error) => panic!("neither served nor refused: {error}"),
        }
    }
    assert!(members.len() > 10 && refused > 60, "{} served, {refused} refused", members.len());
    frodo.send(&chat(101, 101, "still here"));
    frodo.expect_frame(&chat(101, 101, "still here"));
    check_never_wakes(server.child.id());

    // The operator is served, by two connections at once, again and again.
    for _ in 0..3 {
        let _other = UnixStream::connect(server.dir.path().join("control")).expect("a connection");
        let output = server.ctl(&["num_users"]);
        let expected = format!("{} users are connected to this server\n", members.len() + 1);
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{output:?}");
    }
    let log = server.log();
    assert_eq!(log.matches("out of file descriptors (limit 40)").count(), 1, "{log}");
    assert_eq!(log.matches("ulimit -n").count(), 1, "{log}");

    drop(members);
    eventually("a newcomer is served", || {
        let mut last = RawClient::connect(server.port);
        last.stream.write_all(&user(102, "last", "")).ok()?;
        last.stream.read(&mut [0; 1]).is_ok_and(|count| count == 1).then_some(())
    });
}

#[test]
fn log_lines_of_one_kind_are_counted_when_there_are_too_many() {
    let one = Server::start(&["--id", "1", "--log", "info"]);
    let mut frodo = one.connect();
    frodo.send(&user(101, "frodo", ""));
    frodo.expect_frame(&welcome_frame(1, "frodo"));
    for _ in 0..100 {
        let mut restless = one.connect();
        restless.send(&user(101, "frodo", "").repeat(50));
        restless.send(&user(102, "n", ""));
        restless.expect_frame(&welcome_frame(1, "n"));
        restless.send(&quit(102, ""));
        restless.read_until_closed();
    }
    one.wait_for_log("further lines of this kind are counted");
    let log = fs::read_to_string(&one.log).expect("a log");
    assert_eq!(log.matches("registration refused").count(), 200, "5,000 were refused");
    assert_eq!(log.matches("user 102 n joined").count(), 100, "another kind");
}

#[test]
fn newcomers_take_the_places_of_silent_connections_when_descriptors_are_short() {
    let server = LimitedServer::start("-n 64");
    let mut frodo = RawClient::connect(server.port);
    frodo.send(&user(101, "frodo", ""));
    frodo.expect_frame(&welcome_frame(1, "frodo"));
    let silent: Vec<RawClient> = (0..500).map(|_| RawClient::connect(server.port)).collect();
    let started_at = Instant::now();
    let output = server.ctl(&["num_users"]);
    let ctl_time = started_at.elapsed();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1 user is connected to this server\n");
    let mut longest = Duration::ZERO;
    for id in 1000..1020 {
        let connects_at = Instant::now();
        let mut newcomer = RawClient::connect(server.port);
        newcomer.send(&user(id, "n", ""));
        newcomer.expect_frame(&welcome_frame(1, "n"));
        longest = longest.max(connects_at.elapsed());
        frodo.send(&chat(101, id, "Hi"));
        newcomer.expect_frame(&chat(101, id, "Hi"));
    }
    println!("crc ctl answers in {ctl_time:?}, newcomers are served within {longest:?}");
    let elapsed = started_at.elapsed();
    assert!(elapsed < Duration::from_secs(8), "{elapsed:?}: nobody waits for a deadline");
    check_never_wakes(server.child.id());
    let log = server.log();
    assert_eq!(log.matches("connections that have not registered are closed").count(), 1, "{log}");
    drop(silent);
}

#[test]
fn connection_whose_frame_is_never_complete_is_closed_on_every_wire() {
    let options = ["--frame-deadline", "0.3", "--register-deadline", "60"];
    let wires = ["--direct", "127.0.0.1:0", "--classic", "127.0.0.1:0"];
    let one = Server::start(&[&options[..], &wires].concat());
    let mut frodo = one.connect();
    frodo.send(&user(101, "frodo", ""));
    for (wire, beginning) in
        [("crc", &b"\x81\0\0"[..]), ("direct", b"\0\0\0\x09\x10"), ("classic", b"-SERVER-")]
    {
        let mut slow = RawClient::connect(one.port_of(wire));
        slow.send(beginning);
        slow.read_until_closed();
    }
    one.wait_for_log("a frame was not complete in time");
    frodo.send(&chat(101, 101, "still here"));
    frodo.expect_frame(&chat(101, 101, "still here"));
}
