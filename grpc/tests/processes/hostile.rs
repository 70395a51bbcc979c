//! Silent peers, slow readers, and exhausted descriptors.

use std::fs;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::*;

/// Returns the processor time of a program, in hundredths of a second.
fn cpu_ticks(program: &Program) -> u64 {
    let stat =
        fs::read_to_string(format!("/proc/{}/stat", program.process_id())).expect("it is there");
    let (_, fields) = stat.rsplit_once(") ").expect("after its name");
    let field = |index: usize| fields.split(' ').nth(index).and_then(|text| text.parse().ok());
    field(11).zip(field(12)).map(|(user, system): (u64, u64)| user + system).expect("two numbers")
}

/// Run by `deadlines`.
pub(crate) fn silent_connections_use_no_cpu_and_are_closed_for_new_clients() {
    let mut command = Command::new("sh");
    let greet_server = concat!("ulimit -n 24; exec ", env!("CARGO_BIN_EXE_crc-grpc"));
    command.args(["-c", &format!("{greet_server} greet-server 0")]);
    let server = Program::spawn(&mut command);
    let line = server.next_line();
    let port = line.strip_prefix("Server started, listening on ").expect("a port");
    let pid = server.process_id();
    // Descriptors inherited from the test runner may be above the limit, and do not count.
    let descriptors = || {
        let all = fs::read_dir(format!("/proc/{pid}/fd")).expect("it is there");
        let names = all.map_while(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter(|name| name.parse::<u32>().is_ok_and(|number| number < 24)).count()
    };
    let mut silent = Vec::new();
    wait_until("the server has no descriptors left", || {
        // Few enough that closing the first of them makes room for a client.
        if silent.len() < 14 {
            silent.push(TcpStream::connect(format!("127.0.0.1:{port}")).expect("a connection"));
        }
        descriptors() == 24
    });
    let (before, second) = (cpu_ticks(&server), Instant::now() + Duration::from_secs(1));
    wait_until("a second has passed", || Instant::now() >= second);
    let used = cpu_ticks(&server) - before;
    assert!(used < 30, "{used} of 100 ticks while idle");
    // A client is served while the silent connections are open.
    let mut client = Program::start(&["greet", port, "Bob"]);
    client.expect_line("Client 1 started");
    client.expect_line("[Bob] Message received from server: \"Hello, Bob.\"");
    assert_eq!(client.wait_for_exit_code(), Some(0));
    server.expect_line("[Server] Received request from user named 'Bob'");
    drop(silent);
}

#[test]
fn more_names_than_descriptors_are_greeted() {
    let server = Program::start(&["greet-server", "0"]);
    let line = server.next_line();
    let port = line.strip_prefix("Server started, listening on ").expect("a port");
    let script =
        format!("ulimit -n 300; exec {} greet {port} $(seq 1 400)", env!("CARGO_BIN_EXE_crc-grpc"));
    let mut clients = Program::spawn(Command::new("sh").args(["-c", &script]));
    (0..800).for_each(|_| drop(clients.next_line()));
    assert_eq!(clients.wait_for_exit_code(), Some(0));
}

#[test]
fn closed_stderr_does_not_crash_the_client() {
    let nowhere = ReservedPort::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_crc-grpc"))
        .args(["greet", &nowhere.port, "Bob"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .stdin(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(child.stderr.take());
    assert_eq!(wait_for_exit(&mut child).code(), Some(1));
}

#[test]
fn slow_stdout_reader_gets_every_line() {
    let server = Program::start(&["greet-server", "0"]);
    let line = server.next_line();
    let port = line.strip_prefix("Server started, listening on ").expect("a port").to_owned();
    let name = "x".repeat(50_000);
    let mut child = Command::new(env!("CARGO_BIN_EXE_crc-grpc"))
        .args(["greet", &port])
        .args([&name; 8])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    (0..8).for_each(|_| drop(server.next_line()));
    // The pipe is full and not read for longer than any other timeout of the program.
    let later = Instant::now() + Duration::from_secs(2);
    wait_until("it has waited", || Instant::now() >= later);
    let mut output = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut output).expect("text");
    assert_eq!(wait_for_exit(&mut child).code(), Some(0));
    assert_eq!(output.lines().count(), 16);
}

/// Returns a listener that accepts connections and answers nothing.
fn silent_listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port().to_string();
    (listener, port)
}

#[test]
fn sigint_while_connecting_exits_with_code_0() {
    let (listener, port) = silent_listener();
    let address = format!("127.0.0.1:{port}");
    for arguments in [&["greet", &port, "Bob"][..], &["chat", "Alice", "--network", &address]] {
        let mut program = Program::start(arguments);
        let mut stream = accept(&listener);
        stream.read_exact(&mut [0; 8]).expect("the first bytes");
        if arguments[0] == "greet" {
            program.expect_line("Client 1 started");
        }
        let signalled_at = Instant::now();
        program.send_signal(Signal::INT);
        assert_eq!(program.wait_for_exit_code(), Some(0), "{arguments:?}");
        assert!(signalled_at.elapsed() < Duration::from_secs(3), "{:?}", signalled_at.elapsed());
    }
}

#[test]
fn chat_connections_use_tcp_keepalive_at_both_ends() {
    let (one, two) = (ReservedPort::new(), ReservedPort::new());
    let alice = Program::start(&["chat", "Alice", &one.port, &two.port]);
    let bob = Program::start(&["chat", "Bob", &two.port, &one.port]);
    for program in [&alice, &bob] {
        program.expect_line(WAITING_LINE);
        assert!(program.next_line().starts_with("Welcome, "));
    }
    // /proc/net/tcp has hexadecimal addresses, state 01 (established) and timer 02 (keepalive).
    let ports = [&one, &two].map(|port| {
        let port: u16 = port.port.parse().expect("a number");
        format!(":{port:04X}")
    });
    wait_until("both ends of both connections use keepalive", || {
        let table = fs::read_to_string("/proc/net/tcp").expect("the system's table");
        let probed = table.lines().filter(|row| {
            let fields: Vec<&str> = row.split_whitespace().collect();
            let is_ours = ports.iter().any(|port| {
                fields[1].ends_with(port.as_str()) || fields[2].ends_with(port.as_str())
            });
            is_ours && fields[3] == "01" && fields[5].starts_with("02:")
        });
        probed.count() == 4
    });
}
