//! The binary itself: real processes, real sockets, port 0, waiting on conditions with deadlines.

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crc_tests::frames::{chat, frames, quit, registration, server, status, user};
use rustix::process::Signal;
use serde_json::Value;

use self::support::{CRC, PATIENCE, Peer, Server, ctl, eventually};

fn welcome(server: u32, name: &str) -> Vec<u8> {
    status(server, 0, 0, &format!("Welcome to the Clemson Relay Chat network {name}"))
}

#[test]
fn people_on_three_servers_talk() {
    let one = Server::start(&["--id", "1", "--name", "theshire", "--info", "Home"]);
    let two = Server::start(&["--id", "2", "--parent", &one.address()]);
    let three = Server::start(&["--id", "3", "--parent", &format!("localhost:{}", two.port)]);
    one.knows(&[2, 3]);
    let (mut frodo, mut sam) = (one.connect(), three.connect());
    frodo.says(&user(101, "frodo", "ring"));
    frodo.hears(&welcome(1, "frodo"));
    three.knows(&[1, 2, 101]);
    for byte in user(102, "sam", "") {
        sam.says(&[byte]);
    }
    sam.hears(&registration(crc::relay::message::Kind::User, 101, 3, "frodo", "ring"));
    one.knows(&[2, 3, 101, 102]);
    let stream = [chat(101, 102, "Hello Sam"), chat(101, 102, "and again")].concat();
    for piece in stream.chunks(5) {
        frodo.says(piece);
    }
    sam.hears(&chat(101, 102, "Hello Sam"));
    sam.hears(&chat(101, 102, "and again"));
    sam.says(&[chat(102, 101, "Hello"), chat(102, 7, "?")].concat());
    frodo.hears(&chat(102, 101, "Hello"));
    sam.hears(&status(3, 0, 1, "Unknown ID 7"));
    sam.says(&quit(102, "Leaving"));
    frodo.hears(&quit(102, "Leaving"));
    sam.hears_end();
    one.knows(&[2, 3, 101]);
}

#[test]
fn an_idle_server_is_one_thread_that_does_nothing() {
    let server = Server::start_with(&["--id", "1"], Stdio::piped());
    let mut frodo = server.connect();
    frodo.says(&user(101, "frodo", ""));
    frodo.hears(&welcome(1, "frodo"));
    server.knows(&[101]);
    let proc = PathBuf::from(format!("/proc/{}", server.child.id()));
    let tasks = fs::read_dir(proc.join("task")).expect("a running process").count();
    assert_eq!(tasks, 1);
    // Every call that waits and every wake-up is a context switch of the process.
    let switches = || {
        let status = fs::read_to_string(proc.join("status")).expect("a running process");
        let lines = status.lines().filter(|line| line.contains("voluntary_ctxt_switches"));
        let counts = lines.map(|line| line.rsplit('\t').next().expect("a count").to_owned());
        counts.collect::<Vec<_>>()
    };
    let is_waiting = || {
        let stat = fs::read_to_string(proc.join("stat")).expect("a running process");
        stat.contains(") S ").then_some(())
    };
    eventually("the server waits", is_waiting);
    let before = switches();
    let end = Instant::now() + Duration::from_secs(2); // what is observed is this span itself
    eventually("the span is over", || (Instant::now() >= end).then_some(()));
    assert_eq!(switches(), before);
}

#[test]
fn signals_end_it_with_queues_flushed_and_exit_code_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut one = Server::start(&["--id", "1"]);
        let (mut frodo, mut near) = (one.connect(), one.connect());
        near.says(&server(2, "two", ""));
        frodo.says(&user(101, "frodo", ""));
        frodo.hears(&welcome(1, "frodo"));
        one.signal(signal);
        near.hears(&quit(101, "server shutdown"));
        near.hears_end();
        assert_eq!(one.wait().code(), Some(0), "{signal:?}");
        assert!(!one.control().exists(), "the control socket is removed");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut one = Server::start(&["--id", "1", "--server-queue", "80000000"]);
    let (mut near, mut frodo) = (one.connect(), one.connect());
    near.says(&server(2, "two", ""));
    near.says(&registration(crc::relay::message::Kind::User, 102, 2, "sam", ""));
    one.knows(&[2, 102]);
    frodo.says(&user(101, "frodo", ""));
    let text = "x".repeat(1_000_000);
    for _ in 0..30 {
        frodo.says(&chat(101, 102, &text)); // more than the kernel keeps for who does not read
    }
    eventually("the queue is long", || {
        let links = one.ctl(&["--json", "links"]).stdout;
        let links: Value = serde_json::from_slice(&links).expect("JSON");
        let links = links.as_array().expect("links");
        links.iter().any(|link| link["queue_bytes"].as_u64() > Some(1_000_000)).then_some(())
    });
    one.signal(Signal::TERM);
    one.has_logged("SIGTERM: stopping");
    assert!(one.child.try_wait().expect("a child").is_none(), "it waits for the queue");
    one.signal(Signal::TERM);
    assert_eq!(one.wait().code(), Some(0));
    one.has_logged("ending at once");
}

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
fn a_server_waits_for_its_parent_and_finds_it_again() {
    let mut one = Server::start(&["--id", "1"]);
    let port = one.port.to_string();
    one.signal(Signal::KILL);
    one.wait();
    let parent = format!("127.0.0.1:{port}");
    let two = Server::start(&["--id", "2", "--parent", &parent, "--split-grace", "60"]);
    two.has_logged("cannot connect to the parent");
    let mut sam = two.connect();
    sam.says(&user(102, "sam", ""));
    sam.hears(&welcome(2, "sam"));
    for _ in 0..2 {
        let mut one = Server::start(&["--id", "1", "--listen", &parent]);
        one.knows(&[2, 102]);
        two.knows(&[1, 102]);
        one.signal(Signal::KILL);
        one.wait();
    }
}

#[test]
fn the_console_answers_and_its_end_is_not_the_servers() {
    let mut one = Server::start_with(&["--id", "1"], Stdio::piped());
    let mut frodo = one.connect();
    frodo.says(&user(101, "frodo", ""));
    frodo.hears(&welcome(1, "frodo"));
    let mut stdin = one.child.stdin.take().expect("piped");
    let mut stdout = BufReader::new(one.child.stdout.take().expect("piped"));
    let mut answer = |command: &str| {
        stdin.write_all(command.as_bytes()).expect("read by the server");
        let mut line = String::new();
        stdout.read_line(&mut line).expect("an answer");
        line
    };
    assert!(answer("num_users\n").starts_with("1 "));
    assert!(answer("nonsense\x1b[2J\n").starts_with("unknown command \"nonsense\\u{1b}[2J\""));
    assert_eq!(answer("kick 101 be\\ quiet\n"), "kicked 101\n");
    frodo.hears(&status(1, 0, 3, "kicked: be\\ quiet"));
    stdin.write_all(b"num_users").expect("read by the server");
    drop(stdin);
    let mut line = String::new();
    stdout.read_line(&mut line).expect("the last line needs no end");
    assert!(line.starts_with("0 "), "{line}");
    assert_eq!(one.ctl(&["num_users"]).status.code(), Some(0));
}

#[test]
fn commands_may_come_from_a_file() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("commands");
    fs::write(&path, "num_users\nshutdown\n").expect("a file");
    let mut one = Server::start_with(&[], fs::File::open(&path).expect("a file").into());
    assert_eq!(one.wait().code(), Some(0));
    let mut rest = String::new();
    one.child.stdout.take().expect("piped").read_to_string(&mut rest).expect("text");
    assert_eq!(rest, "0 users are connected to this server\nstopping\n");
}

#[test]
fn the_control_socket_is_its_owners_and_replaced_only_when_stale() {
    let one = Server::start(&["--id", "1"]);
    let mode = fs::metadata(one.control()).expect("the socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let control = one.control();
    let path = control.to_str().expect("text");
    let second = Command::new(CRC)
        .args(["server", "--listen", "127.0.0.1:0", "--control", path])
        .stdin(Stdio::null())
        .output()
        .expect("crc server runs");
    assert_eq!(second.status.code(), Some(1));
    let error = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(error.contains(path) && error.contains("another server answers"), "{error}");
    assert_eq!(one.ctl(&["num_users"]).status.code(), Some(0), "the first one is unharmed");

    let dir = tempfile::tempdir().expect("a temporary folder");
    let stale = dir.path().join("stale");
    drop(UnixListener::bind(&stale).expect("a socket that nobody listens on"));
    let stale = stale.to_str().expect("text");
    let _two = Server::start(&["--control", stale]);
    assert_eq!(ctl(Path::new(stale), &["num_users"]).status.code(), Some(0));

    let file = dir.path().join("file");
    fs::write(&file, "precious").expect("a file");
    let output = ctl_server(file.to_str().expect("text"));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&file).expect("still there"), "precious");
}

fn ctl_server(control: &str) -> Output {
    let mut command = Command::new(CRC);
    command.args(["server", "--listen", "127.0.0.1:0", "--control", control]);
    command.stdin(Stdio::null()).output().expect("crc server runs")
}

#[test]
fn the_control_socket_takes_any_cut_and_names_what_is_wrong() {
    let one = Server::start(&["--id", "1"]);
    let ask = |pieces: &[&[u8]]| {
        let mut stream = UnixStream::connect(one.control()).expect("the control socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        for piece in pieces {
            stream.write_all(piece).expect("the server reads");
        }
        stream.shutdown(std::net::Shutdown::Write).expect("a connection");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    };
    assert_eq!(ask(&[b"js", b"on num_us", b"ers\n"]), "ok 16\n{\"num_users\":0}\n");
    let twice = ask(&[b"json num_users\njson num_users\n"]);
    assert_eq!(twice, "ok 16\n{\"num_users\":0}\n".repeat(2));
    assert!(ask(&[b"state\n"]).starts_with("error "));
    assert!(ask(&[b"json \xff\x1b\n"]).contains("unknown command"));
    assert!(ask(&[&[b'x'; 70_000]]).contains("at most 65536 bytes"));
    assert_eq!(ask(&[b"json num_users"]), "", "a request ends with its line");
}

#[test]
fn ctl_answers_like_the_console_in_text_and_json() {
    let one = Server::start(&["--id", "1", "--name", "theshire"]);
    let mut frodo = one.connect();
    frodo.says(&user(101, "fr\u{1b}[2Jodo", "Test info"));
    frodo.hears(&welcome(1, "fr\u{1b}[2Jodo"));
    let text = |words: &[&str]| {
        let output = one.ctl(words);
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    assert!(text(&["num_users"]).starts_with("1 "));
    assert!(text(&["users"]).contains("101  fr\\u{1b}[2Jodo  here  Test info"));
    assert!(text(&["links"]).lines().nth(1).expect("a link").contains("user"));
    assert!(text(&["servers"]).starts_with("id  name"));
    assert!(text(&["state"]).contains("theshire"));
    assert!(text(&["help"]).contains("kick ID [text]"));
    let state = one.state();
    assert_eq!(state["id"], 1);
    assert_eq!(state["name"], "theshire");
    assert_eq!(state["adjacent_user_ids"], serde_json::json!([101]));
    assert_eq!(state["hosts"][0]["kind"], "user");
    assert_eq!(state["hosts"][0]["first_link_id"], 101);
    assert_eq!(state["hosts"][0]["info"], "Test info");
    let links: Value = serde_json::from_str(&text(&["--json", "links"])).expect("JSON");
    assert_eq!((&links[0]["frames_in"], &links[0]["frames_out"]), (&1.into(), &1.into()));
    for (words, part) in [
        (&["kick"][..], "kick ID"),
        (&["kick", "x"], "not an id"),
        (&["kick", "7"], "nobody has this id"),
        (&["users", "all"], "takes nothing"),
        (&["frobnicate"], "unknown command"),
    ] {
        let output = one.ctl(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(part), "{words:?}: {output:?}");
    }
    let output = ctl(Path::new("/nowhere/at/all"), &["state"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/at/all"));
    text(&["kick", "101", "be", "quiet"]);
    frodo.hears(&status(1, 0, 3, "kicked: be quiet"));
}

#[test]
fn mistakes_have_their_exit_codes_and_say_what_to_do() {
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
fn servers_that_share_a_standard_input_do_not_wait_for_each_other() {
    let (input, mut keyboard) = std::io::pipe().expect("a pipe");
    let servers: Vec<Server> = (0..3)
        .map(|_| Server::start_with(&[], input.try_clone().expect("a pipe's end").into()))
        .collect();
    for _ in 0..20 {
        keyboard.write_all(b"num_users\n").expect("somebody reads");
        for server in &servers {
            assert_eq!(server.ctl(&["num_users"]).status.code(), Some(0));
        }
    }
}

#[test]
fn answers_that_nobody_reads_hold_nobody_up_and_none_is_lost() {
    let mut one = Server::start_with(&["--id", "1"], Stdio::piped());
    let mut keyboard = one.child.stdin.take().expect("piped");
    let typing = std::thread::spawn(move || {
        // Several times what pipes hold, in answers: it stops taking commands meanwhile.
        keyboard.write_all("help\n".repeat(5_000).as_bytes())
    });
    let mut frodo = one.connect();
    frodo.says(&user(101, "frodo", ""));
    frodo.hears(&welcome(1, "frodo"));
    let mut stdout = one.child.stdout.take().expect("piped");
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    let answers = |text: &[u8]| String::from_utf8_lossy(text).matches("kick ID [text]").count();
    while answers(&text) < 5_000 {
        let count = stdout.read(&mut buffer).expect("answers");
        assert!(count > 0, "ended after {} answers", answers(&text));
        text.extend_from_slice(&buffer[..count]);
        frodo.says(&chat(101, 101, "?"));
    }
    typing.join().expect("a thread").expect("all is taken");
}

#[test]
fn a_log_that_nobody_reads_holds_nobody_up() {
    let mut child = Command::new(CRC)
        .args(["server", "--listen", "127.0.0.1:0", "--id", "1", "--log", "debug"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
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
    for _ in 0..200 {
        let mut other = Peer::connect(port);
        other.says(&[user(102, "n", ""), quit(102, &text)].concat());
        other.hears_end();
        frodo.hears(&quit(102, &text));
        frodo.received.clear();
    }
    frodo.says(&chat(101, 101, "still here"));
    frodo.hears(&chat(101, 101, "still here"));
    child.kill().expect("it runs");
    let mut log = Vec::new();
    child.stderr.take().expect("piped").read_to_end(&mut log).expect("the log so far");
    assert!(log.len() < 1_000_000, "{} bytes: texts are shown in part", log.len());
    child.wait().expect("it ends");
}

#[test]
fn a_control_connection_that_asks_and_never_reads_is_bounded() {
    let one = Server::start(&["--id", "1"]);
    let mut stream = UnixStream::connect(one.control()).expect("the control socket");
    stream.set_write_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    let requests = "text help\n".repeat(1000);
    let mut sent = 0;
    while sent < 20_000_000 {
        match stream.write(requests.as_bytes()) {
            Ok(count) => sent += count,
            Err(_) => break, // it takes no more, as it should
        }
    }
    assert!(sent < 20_000_000, "it took everything");
    assert_eq!(one.ctl(&["num_users"]).status.code(), Some(0));
    assert!(one.resident_kib() < 40_000, "{} KiB", one.resident_kib());
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
