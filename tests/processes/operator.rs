//! The operator: console, control socket, `crc ctl`.

use std::os::fd::OwnedFd;

use super::*;

#[test]
fn console_answers_commands_and_its_end_of_input_keeps_the_server_running() {
    let mut one = Server::start_with_stdin(&["--id", "1"], Stdio::piped());
    let mut frodo = one.connect();
    frodo.send(&user(101, "frodo", ""));
    frodo.expect_frame(&welcome_frame(1, "frodo"));
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
    frodo.expect_frame(&status(1, 0, 3, "kicked: be\\ quiet"));
    stdin.write_all(b"num_users").expect("read by the server");
    drop(stdin);
    let mut line = String::new();
    stdout.read_line(&mut line).expect("the last line needs no newline");
    assert!(line.starts_with("0 "), "{line}");
    assert_eq!(one.ctl(&["num_users"]).status.code(), Some(0));
}

#[test]
fn console_reads_commands_from_a_file() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("commands");
    fs::write(&path, "num_users\nshutdown\n").expect("a file");
    let mut one = Server::start_with_stdin(&[], fs::File::open(&path).expect("a file").into());
    assert_eq!(one.wait_for_exit().code(), Some(0));
    let mut rest = String::new();
    one.child.stdout.take().expect("piped").read_to_string(&mut rest).expect("text");
    assert_eq!(rest, "0 users are connected to this server\nstopping\n");
}

#[test]
fn control_socket_is_private_and_replaced_only_when_stale() {
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
    drop(UnixListener::bind(&stale).expect("a socket without a listener"));
    let stale = stale.to_str().expect("text");
    let _two = Server::start(&["--control", stale]);
    assert_eq!(ctl(Path::new(stale), &["num_users"]).status.code(), Some(0));

    let file = dir.path().join("file");
    fs::write(&file, "precious").expect("a file");
    let output = run_server_with_control(file.to_str().expect("text"));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&file).expect("still there"), "precious");
}

#[test]
fn overlong_control_path_is_refused_with_its_length_and_the_limit() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path_of_len = |len: usize| {
        let folder = dir.path().to_str().expect("text");
        format!("{folder}/{}", "x".repeat(len - folder.len() - 1))
    };
    let path = path_of_len(108);
    let server = run_server_with_control(&path);
    for output in [server, ctl(Path::new(&path), &["state"])] {
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        let expected =
            format!("{path}: the path has 108 bytes, the limit is 107; choose a shorter");
        assert!(error.contains(&expected), "{error}");
    }
    let longest = path_of_len(107);
    let _server = Server::start(&["--control", &longest]);
    assert_eq!(ctl(Path::new(&longest), &["num_users"]).status.code(), Some(0));
}

fn run_server_with_control(control: &str) -> Output {
    let mut command = Command::new(CRC);
    command.args(["server", "--listen", "127.0.0.1:0", "--control", control]);
    command.stdin(Stdio::null()).output().expect("crc server runs")
}

#[test]
fn control_socket_accepts_split_requests_and_reports_errors() {
    let one = Server::start(&["--id", "1"]);
    let request = |pieces: &[&[u8]]| {
        let mut stream = UnixStream::connect(one.control()).expect("the control socket");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        for piece in pieces {
            stream.write_all(piece).expect("the server reads");
        }
        stream.shutdown(std::net::Shutdown::Write).expect("a connection");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    };
    assert_eq!(request(&[b"js", b"on num_us", b"ers\n"]), "ok 16\n{\"num_users\":0}\n");
    let twice = request(&[b"json num_users\njson num_users\n"]);
    assert_eq!(twice, "ok 16\n{\"num_users\":0}\n".repeat(2));
    assert!(request(&[b"state\n"]).starts_with("error "));
    assert!(request(&[b"json \xff\x1b\n"]).contains("unknown command"));
    assert!(request(&[&[b'x'; 70_000]]).contains("at most 65536 bytes"));
    assert_eq!(request(&[b"json num_users"]), "", "a request ends with its line");
}

#[test]
fn ctl_answers_like_the_console_in_text_and_json() {
    let one = Server::start(&["--id", "1", "--name", "theshire"]);
    let mut frodo = one.connect();
    frodo.send(&user(101, "fr\u{1b}[2Jodo", "Test info"));
    frodo.expect_frame(&welcome_frame(1, "fr\u{1b}[2Jodo"));
    let ctl_text = |words: &[&str]| {
        let output = one.ctl(words);
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    assert!(ctl_text(&["num_users"]).starts_with("1 "));
    assert!(ctl_text(&["users"]).contains("101  fr\\u{1b}[2Jodo  crc   here  Test info"));
    assert!(ctl_text(&["links"]).lines().nth(1).expect("a link").contains("user"));
    assert!(ctl_text(&["servers"]).starts_with("id  name"));
    assert!(ctl_text(&["state"]).contains("theshire"));
    assert!(ctl_text(&["help"]).contains("kick ID [text]"));
    let state = one.state();
    assert_eq!(state["id"], 1);
    assert_eq!(state["name"], "theshire");
    assert_eq!(state["adjacent_user_ids"], serde_json::json!([101]));
    assert_eq!(state["hosts"][0]["kind"], "user");
    assert_eq!(state["hosts"][0]["first_link_id"], 101);
    assert_eq!(state["hosts"][0]["info"], "Test info");
    let links: Value = serde_json::from_str(&ctl_text(&["--json", "links"])).expect("JSON");
    assert_eq!((&links[0]["frames_in"], &links[0]["frames_out"]), (&1.into(), &1.into()));
    for (words, part) in [
        (&["kick"][..], "kick ID"),
        (&["kick", "x"], "not an id"),
        (&["kick", "7"], "nobody has this id"),
        (&["users", "all"], "unexpected \"all\"; write `users`"),
        (&["frobnicate"], "unknown command"),
    ] {
        let output = one.ctl(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(part), "{words:?}: {output:?}");
    }
    let output = ctl(Path::new("/nowhere/at/all"), &["state"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/at/all"));
    ctl_text(&["kick", "101", "be", "quiet"]);
    frodo.expect_frame(&status(1, 0, 3, "kicked: be quiet"));
}

#[test]
fn servers_sharing_standard_input_do_not_block_each_other() {
    let (input, mut keyboard) = std::io::pipe().expect("a pipe");
    let servers: Vec<Server> = (0..3)
        .map(|_| Server::start_with_stdin(&[], input.try_clone().expect("a pipe's end").into()))
        .collect();
    for _ in 0..20 {
        keyboard.write_all(b"num_users\n").expect("a reader");
        for server in &servers {
            assert_eq!(server.ctl(&["num_users"]).status.code(), Some(0));
        }
    }
}

#[test]
fn unread_console_output_blocks_nothing_and_is_not_lost() {
    let (reader, pipe) = std::io::pipe().expect("a pipe");
    check_unread_console_output(pipe.into(), OwnedFd::from(reader).into());
    let (reader, socket) = UnixStream::pair().expect("sockets");
    check_unread_console_output(OwnedFd::from(socket).into(), OwnedFd::from(reader).into());
}

fn check_unread_console_output(stdout: Stdio, mut reader: fs::File) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let control = dir.path().join("control");
    let mut child = Command::new(CRC)
        .args(["server", "--listen", "127.0.0.1:0", "--id", "1", "--control"])
        .arg(&control)
        .stdin(Stdio::piped())
        .stdout(stdout)
        .stderr(Stdio::null())
        .spawn()
        .expect("crc server runs");
    let mut keyboard = child.stdin.take().expect("piped");
    let typing = std::thread::spawn(move || {
        // Several times the bound of pending output, so that reading of commands pauses.
        keyboard.write_all("help\n".repeat(5_000).as_bytes())
    });
    eventually("it answers others", || {
        ctl(&control, &["num_users"]).status.success().then_some(())
    });
    let (mut lines, mut buffer) = (0, [0; 4096]);
    let help = String::from_utf8(ctl(&control, &["help"]).stdout).expect("text");
    let expected = 1 + 5_000 * help.lines().count(); // where it listens, and the answers
    while lines < expected {
        let count = reader.read(&mut buffer).expect("answers");
        assert!(count > 0, "ended after {lines} lines of {expected}");
        lines += buffer[..count].iter().filter(|&&byte| byte == b'\n').count();
    }
    assert_eq!(lines, expected);
    typing.join().expect("a thread").expect("all is taken");
    child.kill().and_then(|()| child.wait()).expect("it runs");
}

#[test]
fn control_connection_that_never_reads_is_bounded() {
    let one = Server::start(&["--id", "1"]);
    let mut stream = UnixStream::connect(one.control()).expect("the control socket");
    stream.set_write_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    let requests = "text help\n".repeat(1000);
    let mut sent = 0;
    while sent < 20_000_000 {
        match stream.write(requests.as_bytes()) {
            Ok(count) => sent += count,
            Err(_) => break, // the bound is reached
        }
    }
    assert!(sent < 20_000_000, "it took everything");
    assert_eq!(one.ctl(&["num_users"]).status.code(), Some(0));
    assert!(one.resident_kib() < 40_000, "{} KiB", one.resident_kib());
}

#[test]
fn endless_control_requests_do_not_block_the_server() {
    let one = Server::start(&["--id", "1"]);
    let mut request_stream = UnixStream::connect(one.control()).expect("the control socket");
    let mut response_stream = request_stream.try_clone().expect("a second handle");
    let flood = std::thread::spawn(move || {
        let requests = "json num_users\n".repeat(1000);
        while request_stream.write_all(requests.as_bytes()).is_ok() {}
    });
    let read =
        std::thread::spawn(move || std::io::copy(&mut response_stream, &mut std::io::sink()));
    let mut frodo = one.connect();
    frodo.send(&user(101, "frodo", ""));
    frodo.expect_frame(&welcome_frame(1, "frodo"));
    drop(one); // while requests are in flight
    flood.join().expect("a thread");
    read.join().expect("a thread").map(drop).unwrap_or_default();
}

#[test]
fn every_pipelined_control_request_is_answered() {
    let one = Server::start(&["--id", "1"]);
    let mut stream = UnixStream::connect(one.control()).expect("the control socket");
    stream.set_write_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    let requests = "text help\n".repeat(100_000);
    // Writes until the server reads no more, since its answers are not read.
    let mut sent = 0;
    while let Ok(count) = stream.write(&requests.as_bytes()[sent..])
        && count > 0
    {
        sent += count;
    }
    assert!(sent < requests.len(), "it took everything");
    stream.shutdown(std::net::Shutdown::Write).expect("a connection");
    let help = String::from_utf8(one.ctl(&["help"]).stdout).expect("text");
    let answer = format!("ok {}\n", help.len()).len() + help.len();
    let expected = sent / "text help\n".len() * answer;
    let count = std::io::copy(&mut stream, &mut std::io::sink()).expect("answers to the end");
    assert_eq!(count, expected as u64);
}
