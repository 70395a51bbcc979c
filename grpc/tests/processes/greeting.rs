//! The greeting's server and clients.

use rustix::process::Signal;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::proto::greeting::greeting_server::{Greeting, GreetingServer};
use crate::proto::greeting::{ServerResponse, UserInfo};
use crate::support::*;

fn server() -> (Program, String) {
    let server = Program::start(&["greet-server", "0"]);
    let line = server.line();
    let port = line.strip_prefix("Server started, listening on ").expect("a port").to_owned();
    assert_ne!(port, "0");
    (server, port)
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines
}

#[test]
fn each_name_is_a_client_and_all_are_greeted() {
    let (mut server, port) = server();
    let mut clients = Program::start(&["greet", &port, "Bob", "Eve", "Ünal"]);
    for number in 1..=3 {
        clients.shows(&format!("Client {number} started"));
    }
    let greeted = sorted((0..3).map(|_| clients.line()));
    let names = ["Bob", "Eve", "Ünal"];
    let of = |name| format!("[{name}] Message received from server: \"Hello, {name}.\"");
    assert_eq!(greeted, names.map(of));
    assert_eq!(clients.ends(), Some(0));
    let asked = sorted((0..3).map(|_| server.line()));
    let of = |name| format!("[Server] Received request from user named '{name}'");
    assert_eq!(asked, names.map(of));

    let mut evil = Program::start(&["greet", &port, "a\u{1b}[2J\nb"]);
    evil.shows("Client 1 started");
    let shown = "a\\u{1b}[2J\\nb";
    evil.shows(&format!("[{shown}] Message received from server: \"Hello, {shown}.\""));
    assert_eq!(evil.ends(), Some(0));
    server.shows(&format!("[Server] Received request from user named '{shown}'"));
    server.ends_input();
    server.signal(Signal::TERM);
    assert_eq!(server.ends(), Some(0));
}

#[test]
fn fifty_names_at_the_same_time() {
    let (mut server, port) = server();
    let names: Vec<String> = (0..50).map(|number| format!("user{number}")).collect();
    let words = ["greet", &port].into_iter().chain(names.iter().map(String::as_str));
    let mut clients = Program::start(&words.collect::<Vec<_>>());
    for number in 1..=50 {
        clients.shows(&format!("Client {number} started"));
    }
    let of = |name| format!("[{name}] Message received from server: \"Hello, {name}.\"");
    assert_eq!(sorted((0..50).map(|_| clients.line())), sorted(names.iter().map(of)));
    assert_eq!(clients.ends(), Some(0));
    (0..50).for_each(|_| drop(server.line()));
    server.signal(Signal::INT);
    assert_eq!(server.ends(), Some(0));
}

#[test]
fn a_server_that_is_not_there_is_one_line() {
    let nowhere = Reserved::new();
    let mut clients = Program::start(&["greet", &nowhere.port, "Bob", "Eve"]);
    clients.shows("Client 1 started");
    clients.shows("Client 2 started");
    let why = format!("no server at 127.0.0.1:{}: Connection refused", nowhere.port);
    assert_eq!(clients.fails(), why);
}

#[test]
fn a_port_in_use_is_named() {
    let (_server, port) = server();
    let why = format!("cannot listen on 127.0.0.1:{port}: Address already in use");
    assert_eq!(Program::start(&["greet-server", &port]).fails(), why);
    assert_eq!(Program::start(&["chat", "Alice", &port, "1"]).fails(), why);
}

struct Moody;

#[tonic::async_trait]
impl Greeting for Moody {
    async fn greet(&self, request: Request<UserInfo>) -> Result<Response<ServerResponse>, Status> {
        match request.into_inner().name.as_str() {
            "Eve" => Err(Status::permission_denied("not\n you")),
            name => Ok(Response::new(ServerResponse { message: format!("Ah, {name}") })),
        }
    }
}

#[test]
fn an_error_status_is_one_line_and_concerns_only_its_client() {
    let (tell, port) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            tell.send(listener.local_addr().expect("bound").port()).expect("the test waits");
            let incoming = TcpIncoming::from(listener);
            Server::builder().serve_with_incoming(GreetingServer::new(Moody), incoming).await
        })
    });
    let port = port.recv().expect("it listens").to_string();

    let mut clients = Program::start(&["greet", &port, "Eve", "Bob"]);
    clients.shows("Client 1 started");
    clients.shows("Client 2 started");
    clients.shows("[Bob] Message received from server: \"Ah, Bob\"");
    assert_eq!(clients.fails(), "Eve: the answer is an error, PermissionDenied: not\\n you");

    let mut chat = Program::start(&["chat", "Alice", "0", &port]);
    chat.shows(WAITING);
    assert!(chat.note().contains("listening on 127.0.0.1:"));
    assert!(chat.fails().starts_with("who answers there does not chat: the answer is an error, "));
}

#[test]
fn wrong_usage_is_2_and_help_is_0() {
    for (words, code) in [
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
            .args(words)
            .env_remove("CRC_NETWORK")
            .stdin(std::process::Stdio::null())
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(code), "{words:?}");
    }
}
