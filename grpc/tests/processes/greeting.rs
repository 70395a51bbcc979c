//! The greeting server and its clients.

use rustix::process::Signal;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::proto::greeting::greeting_server::{Greeting, GreetingServer};
use crate::proto::greeting::{ServerResponse, UserInfo};
use crate::support::*;

fn start_server() -> (Program, String) {
    let server = Program::start(&["greet-server", "0"]);
    let line = server.next_line();
    let port = line.strip_prefix("Server started, listening on ").expect("a port").to_owned();
    assert_ne!(port, "0");
    (server, port)
}

fn sorted_lines(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines
}

#[test]
fn every_name_is_greeted_by_a_client_of_its_own() {
    let (mut server, port) = start_server();
    let mut clients = Program::start(&["greet", &port, "Bob", "Eve", "Ünal"]);
    for number in 1..=3 {
        clients.expect_line(&format!("Client {number} started"));
    }
    let greeted = sorted_lines((0..3).map(|_| clients.next_line()));
    let names = ["Bob", "Eve", "Ünal"];
    let expected_line = |name| format!("[{name}] Message received from server: \"Hello, {name}.\"");
    assert_eq!(greeted, names.map(expected_line));
    assert_eq!(clients.wait_for_exit_code(), Some(0));
    let requests = sorted_lines((0..3).map(|_| server.next_line()));
    let expected_line = |name| format!("[Server] Received request from user named '{name}'");
    assert_eq!(requests, names.map(expected_line));

    let mut evil = Program::start(&["greet", &port, "a\u{1b}[2J\nb"]);
    evil.expect_line("Client 1 started");
    let shown = "a\\u{1b}[2J\\nb";
    evil.expect_line(&format!("[{shown}] Message received from server: \"Hello, {shown}.\""));
    assert_eq!(evil.wait_for_exit_code(), Some(0));
    server.expect_line(&format!("[Server] Received request from user named '{shown}'"));
    server.close_stdin();
    server.send_signal(Signal::TERM);
    assert_eq!(server.wait_for_exit_code(), Some(0));
}

#[test]
fn fifty_names_are_greeted_concurrently() {
    let (mut server, port) = start_server();
    let names: Vec<String> = (0..50).map(|number| format!("user{number}")).collect();
    let words = ["greet", &port].into_iter().chain(names.iter().map(String::as_str));
    let mut clients = Program::start(&words.collect::<Vec<_>>());
    for number in 1..=50 {
        clients.expect_line(&format!("Client {number} started"));
    }
    let expected_line = |name| format!("[{name}] Message received from server: \"Hello, {name}.\"");
    assert_eq!(
        sorted_lines((0..50).map(|_| clients.next_line())),
        sorted_lines(names.iter().map(expected_line))
    );
    assert_eq!(clients.wait_for_exit_code(), Some(0));
    (0..50).for_each(|_| drop(server.next_line()));
    server.send_signal(Signal::INT);
    assert_eq!(server.wait_for_exit_code(), Some(0));
}

#[test]
fn unreachable_server_is_reported_in_one_line() {
    let nowhere = ReservedPort::new();
    let mut clients = Program::start(&["greet", &nowhere.port, "Bob", "Eve"]);
    clients.expect_line("Client 1 started");
    clients.expect_line("Client 2 started");
    let why = format!("no server at 127.0.0.1:{}: Connection refused", nowhere.port);
    assert_eq!(clients.expect_failure(), why);
}

#[test]
fn port_in_use_is_named_in_the_error() {
    let (_server, port) = start_server();
    let why = format!("cannot listen on 127.0.0.1:{port}: Address already in use");
    assert_eq!(Program::start(&["greet-server", &port]).expect_failure(), why);
    assert_eq!(Program::start(&["chat", "Alice", &port, "1"]).expect_failure(), why);
}

struct SelectiveGreeter;

#[tonic::async_trait]
impl Greeting for SelectiveGreeter {
    async fn greet(&self, request: Request<UserInfo>) -> Result<Response<ServerResponse>, Status> {
        match request.into_inner().name.as_str() {
            "Eve" => Err(Status::permission_denied("not\n you")),
            name => Ok(Response::new(ServerResponse { message: format!("Ah, {name}") })),
        }
    }
}

#[test]
fn error_status_is_reported_in_one_line_for_its_client_only() {
    let (port_sender, port) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            port_sender.send(listener.local_addr().expect("bound").port()).expect("the test waits");
            let incoming = TcpIncoming::from(listener);
            Server::builder()
                .serve_with_incoming(GreetingServer::new(SelectiveGreeter), incoming)
                .await
        })
    });
    let port = port.recv().expect("it listens").to_string();

    let mut clients = Program::start(&["greet", &port, "Eve", "Bob"]);
    clients.expect_line("Client 1 started");
    clients.expect_line("Client 2 started");
    clients.expect_line("[Bob] Message received from server: \"Ah, Bob\"");
    assert_eq!(
        clients.expect_failure(),
        "Eve: the answer is an error, PermissionDenied: not\\n you"
    );

    let mut chat = Program::start(&["chat", "Alice", "0", &port]);
    chat.expect_line(WAITING_LINE);
    assert!(chat.next_note().contains("listening on 127.0.0.1:"));
    assert!(chat.expect_failure().starts_with(&format!(
        "the server at 127.0.0.1:{port} is not a chat: the answer is an error, "
    )));
}

#[test]
fn invalid_usage_exits_with_2_and_help_with_0() {
    for (arguments, code) in [
        (&["greet"][..], 2),
        (&["greet", "5", ""], 1),
        (&["greet", "0", "Bob"], 2),
        (&["greet-server", "x"], 2),
        (&["chat", "Alice"], 2),
        (&["chat", "Alice", "5", "5"], 2),
        (&["chat", "Alice", "5", "6", "--network", "a:1"], 2),
        (&["--help"], 0),
        (&["chat", "--help"], 0),
    ] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_crc-grpc"))
            .args(arguments)
            .env_remove("CRC_NETWORK")
            .stdin(std::process::Stdio::null())
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
}
