//! The gRPC section of `docs/INTEROP.md`: its files, and its programs as they stand there.
//!
//! The programs run where `python3`, or what `CRC_PYTHON` names, has the package `grpcio`.

use std::fs;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::*;

/// The blocks of the page in one language, with their file names.
fn blocks(language: &str) -> Vec<(&'static str, &'static str)> {
    let page = include_str!("../../../docs/INTEROP.md");
    let (_, page) = page.split_once("\n## gRPC\n").expect("the section");
    let begin = format!("```{language} ");
    let block = |block: &'static str| {
        let (name, rest) = block.split_once('\n').expect("a name");
        (name, rest.split("```").next().expect("an end"))
    };
    page.split(&*begin).skip(1).map(block).collect()
}

#[test]
fn the_page_shows_the_files() {
    let files = [
        ("greeting.proto", include_str!("../../proto/greeting.proto")),
        ("chat.proto", include_str!("../../proto/chat.proto")),
    ];
    assert_eq!(blocks("proto"), files);
}

/// The page's programs in a folder.
struct Page {
    python: String,
    dir: TempDir,
}

impl Page {
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

    fn start(&self, words: &[&str]) -> Program {
        let mut command = Command::new(&self.python);
        command.args(words).current_dir(self.dir.path()).env("PYTHONIOENCODING", "utf-8");
        Program::run(command.env("GRPC_VERBOSITY", "NONE"))
    }
}

#[test]
fn greetings_pass_between_the_languages() {
    let Some(page) = Page::open() else { return };
    let server = page.start(&["greet_server.py", "0"]);
    let line = server.line();
    let port = line.strip_prefix("Server started, listening on ").expect("a port");
    let mut client = Program::start(&["greet", port, "Jürgen"]);
    client.shows("Client 1 started");
    client.shows("[Jürgen] Message received from server: \"Hello, Jürgen.\"");
    assert_eq!(client.ends(), Some(0));
    server.shows("[Server] Received request from user named 'Jürgen'");

    let mut server = Program::start(&["greet-server", "0"]);
    let line = server.line();
    let port = line.strip_prefix("Server started, listening on ").expect("a port");
    let mut client = page.start(&["greet_client.py", port, "Jürgen"]);
    client.shows("[Jürgen] Message received from server: \"Hello, Jürgen.\"");
    assert_eq!(client.ends(), Some(0));
    server.shows("[Server] Received request from user named 'Jürgen'");
    server.signal(Signal::TERM);
    assert_eq!(server.ends(), Some(0));
}

#[test]
fn people_chat_between_the_languages_whoever_is_first() {
    let Some(page) = Page::open() else { return };
    for is_ours_first in [true, false] {
        let (one, two) = (Reserved::new(), Reserved::new());
        let ours = || Program::start(&["chat", "Alice", &one.port, &two.port]);
        let theirs = || page.start(&["chat_peer.py", "Bob", &two.port, &one.port]);
        let (mut alice, mut bob);
        if is_ours_first {
            alice = ours();
            alice.shows(WAITING);
            bob = theirs();
            bob.shows(WAITING);
        } else {
            bob = theirs();
            bob.shows(WAITING);
            alice = ours();
            alice.shows(WAITING);
        }
        alice.shows("Welcome, Alice. You are chatting with Bob.");
        bob.shows("Welcome, Bob. You are chatting with Alice.");
        alice.types("Hello, Bob!");
        bob.hears("Alice> Hello, Bob!");
        for number in 0..20 {
            bob.types(&format!("Grüße {number}"));
            alice.types(&format!("A{number}"));
        }
        for number in 0..20 {
            alice.hears(&format!("Bob> Grüße {number}"));
            bob.hears(&format!("Alice> A{number}"));
        }
        bob.leaves();
        alice.notes("Bob is away");
        alice.shows(WAITING);
        alice.leaves();
    }
}
