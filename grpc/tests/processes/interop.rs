//! The files and programs of the gRPC section of `docs/INTEROP.md`.
//!
//! The programs run if `python3`, or the interpreter in `CRC_PYTHON`, has the package `grpcio`.

use std::fs;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::*;

/// Returns the code blocks in one language, with their file names.
fn blocks(language: &str) -> Vec<(&'static str, &'static str)> {
    let page = include_str!("../../../docs/INTEROP.md");
    let (_, page) = page.split_once("\n## gRPC\n").expect("the section");
    let opening_fence = format!("```{language} ");
    let block = |block: &'static str| {
        let (name, rest) = block.split_once('\n').expect("a name");
        (name, rest.split("```").next().expect("an end"))
    };
    page.split(&*opening_fence).skip(1).map(block).collect()
}

#[test]
fn interop_page_contains_the_proto_files() {
    let files = [
        ("greeting.proto", include_str!("../../proto/greeting.proto")),
        ("chat.proto", include_str!("../../proto/chat.proto")),
    ];
    assert_eq!(blocks("proto"), files);
}

/// The programs of the page, in a folder.
struct InteropPage {
    python: String,
    dir: TempDir,
}

impl InteropPage {
    fn open() -> Option<Self> {
        let python = std::env::var("CRC_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let has_grpc = Command::new(&python).args(["-c", "import grpc"]).output();
        if !has_grpc.is_ok_and(|output| output.status.success()) {
            println!("not checked: {python} has no grpcio package");
            return None;
        }
        let dir = tempfile::tempdir().expect("a folder");
        for (name, program) in blocks("python") {
            fs::write(dir.path().join(name), program).expect("written");
        }
        Some(Self { python, dir })
    }

    fn start(&self, arguments: &[&str]) -> Program {
        let mut command = Command::new(&self.python);
        command.args(arguments).current_dir(self.dir.path()).env("PYTHONIOENCODING", "utf-8");
        Program::spawn(command.env("GRPC_VERBOSITY", "NONE"))
    }
}

#[test]
fn greetings_interoperate_with_python() {
    let Some(page) = InteropPage::open() else { return };
    let server = page.start(&["greet_server.py", "0"]);
    let line = server.next_line();
    let port = line.strip_prefix("Server started, listening on ").expect("a port");
    let mut client = Program::start(&["greet", port, "Jürgen"]);
    client.expect_line("Client 1 started");
    client.expect_line("[Jürgen] Message received from server: \"Hello, Jürgen.\"");
    assert_eq!(client.wait_for_exit_code(), Some(0));
    server.expect_line("[Server] Received request from user named 'Jürgen'");

    let mut server = Program::start(&["greet-server", "0"]);
    let line = server.next_line();
    let port = line.strip_prefix("Server started, listening on ").expect("a port");
    let mut client = page.start(&["greet_client.py", port, "Jürgen"]);
    client.expect_line("[Jürgen] Message received from server: \"Hello, Jürgen.\"");
    assert_eq!(client.wait_for_exit_code(), Some(0));
    server.expect_line("[Server] Received request from user named 'Jürgen'");
    server.send_signal(Signal::TERM);
    assert_eq!(server.wait_for_exit_code(), Some(0));
}

#[test]
fn chat_interoperates_with_python_whichever_starts_first() {
    let Some(page) = InteropPage::open() else { return };
    for is_rust_first in [true, false] {
        let (one, two) = (ReservedPort::new(), ReservedPort::new());
        let start_rust = || Program::start(&["chat", "Alice", &one.port, &two.port]);
        let start_python = || page.start(&["chat_peer.py", "Bob", &two.port, &one.port]);
        let (mut alice, mut bob);
        if is_rust_first {
            alice = start_rust();
            alice.expect_line(WAITING_LINE);
            bob = start_python();
            bob.expect_line(WAITING_LINE);
        } else {
            bob = start_python();
            bob.expect_line(WAITING_LINE);
            alice = start_rust();
            alice.expect_line(WAITING_LINE);
        }
        alice.expect_line("Welcome, Alice. You are chatting with Bob.");
        bob.expect_line("Welcome, Bob. You are chatting with Alice.");
        alice.type_line("Hello, Bob!");
        bob.expect_message("Alice> Hello, Bob!");
        for number in 0..20 {
            bob.type_line(&format!("Grüße {number}"));
            alice.type_line(&format!("A{number}"));
        }
        for number in 0..20 {
            alice.expect_message(&format!("Bob> Grüße {number}"));
            bob.expect_message(&format!("Alice> A{number}"));
        }
        bob.exit_at_end_of_input();
        alice.expect_note("Bob is away");
        alice.expect_line(WAITING_LINE);
        alice.exit_at_end_of_input();
    }
}
