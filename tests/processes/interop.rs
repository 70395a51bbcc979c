//! The clients of `docs/INTEROP.md`, run as they stand in the page, against servers and each other.

use std::collections::HashMap;
use std::process::ChildStdin;
use std::sync::mpsc::{Receiver, channel};

use super::*;

/// Returns the programs of the page by their file names.
fn page_programs() -> HashMap<&'static str, &'static str> {
    let page = include_str!("../../docs/INTEROP.md");
    let blocks = page.split("```python ").skip(1);
    let program = |block: &'static str| {
        let (name, rest) = block.split_once('\n').expect("a name");
        (name, rest.split("```").next().expect("an end"))
    };
    blocks.map(program).collect()
}

fn python() -> Option<String> {
    let python = std::env::var("CRC_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let version = Command::new(&python).arg("--version").output();
    version.is_ok_and(|output| output.status.success()).then_some(python)
}

/// A running client of the page.
struct ScriptClient {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    received: Vec<String>,
}

impl ScriptClient {
    fn start(python: &str, program: &str, arguments: &[&str]) -> Self {
        Self::run(python, page_programs()[program], arguments)
    }

    fn run(python: &str, program: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(python)
            .args(["-c", program])
            .args(arguments)
            .env("PYTHONIOENCODING", "utf-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python runs");
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, stdin, lines, received: Vec::new() }
    }

    fn send_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("open");
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).expect("it reads");
    }

    /// Waits for a line for which `matcher` returns a value.
    #[track_caller]
    fn expect_line_matching<T>(&mut self, what: &str, matcher: impl Fn(&str) -> Option<T>) -> T {
        loop {
            if let Some(found) = self.received.iter().find_map(|line| matcher(line)) {
                return found;
            }
            match self.lines.recv_timeout(TIMEOUT) {
                Ok(line) => self.received.push(line),
                Err(_) => panic!("never: {what}; received {:#?}", self.received),
            }
        }
    }

    #[track_caller]
    fn expect_line(&mut self, line: &str) {
        self.expect_line_matching(line, |received| (received == line).then_some(()));
    }

    /// Closes its input and waits until it exits.
    fn close_input(&mut self) {
        drop(self.stdin.take());
        let status = eventually("the client ends", || self.child.try_wait().expect("a child"));
        assert!(status.success());
    }
}

impl Drop for ScriptClient {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const WIRE_OPTIONS: [&str; 4] = ["--direct", "127.0.0.1:0", "--classic", "127.0.0.1:0"];

/// Two servers, and a client of the page on each wire of each.
struct InteropNetwork {
    python: String,
    one: Server,
    /// Kept running; clients are connected to it.
    _two: Server,
    /// CRC user 102 at server 1.
    sam: ScriptClient,
    /// Direct user 3 at server 2.
    three: ScriptClient,
    /// Classic user at server 2, in the padded form.
    alice: ScriptClient,
    /// Classic user at server 1, in the form that ends with a NUL.
    bob: ScriptClient,
    /// The CRC id of `alice`.
    alice_id: u32,
}

impl InteropNetwork {
    fn start(python: String) -> Self {
        let one = Server::start(&[&["--id", "1"][..], &WIRE_OPTIONS].concat());
        let parent = one.address();
        let two = Server::start(&[&["--id", "2", "--parent", &parent][..], &WIRE_OPTIONS].concat());
        one.wait_for_hosts(&[2]);
        let start = |program, port, own: &[&str]| start_script(&python, program, port, own);
        let mut sam = start("crc_chat.py", one.port, &["102", "samwise"]);
        sam.expect_line("* Welcome to the Clemson Relay Chat network samwise");
        let mut three = start("direct_chat.py", two.port_of("direct"), &["3"]);
        three.expect_line("* I am 3");
        let mut alice = start("classic_chat.py", two.port_of("classic"), &["alice"]);
        alice.expect_line("-SERVER-: Interval 10");
        // The form without padding, made as the page describes.
        let (padded_form, terminated_form) =
            (r#"message[:255].ljust(256, b"\0")"#, r#"message[:255] + b"\0""#);
        let program = page_programs()["classic_chat.py"];
        assert!(program.contains(padded_form), "the page has the form that is replaced here");
        let classic = one.port_of("classic").to_string();
        let mut bob = ScriptClient::run(
            &python,
            &program.replace(padded_form, terminated_form),
            &["127.0.0.1", &classic, "bob"],
        );
        bob.expect_line("-SERVER-: List 1/1 3 alice bob samwise");
        alice.expect_line("-SERVER-: List 1/1 3 alice bob samwise");
        sam.expect_line("+ 3 3");
        let alice_id = sam.expect_line_matching("alice joins", |line| {
            line.strip_prefix("+ ")?.strip_suffix(" alice")?.parse().ok()
        });
        Self { python, one, _two: two, sam, three, alice, bob, alice_id }
    }

    /// Sends a message between every pair of wires.
    fn check_chats(&mut self) {
        let Self { sam, three, alice, bob, alice_id, .. } = self;
        sam.send_line("3 Hello 3");
        three.expect_line("102: Hello 3");
        sam.send_line(&format!("{alice_id} Hello Alice"));
        alice.expect_line("samwise: Hello Alice");
        three.send_line("102 Hello Sam");
        sam.expect_line("3: Hello Sam");
        three.send_line(&format!("{alice_id} Hello Älice"));
        alice.expect_line("3: Hello Älice");
        alice.send_line("samwise Hi Sam");
        sam.expect_line(&format!("{alice_id}: Hi Sam"));
        alice.send_line("3 Hi 3");
        three.expect_line(&format!("{alice_id}: Hi 3"));
        bob.send_line("alice Hi Alice");
        alice.expect_line("bob: Hi Alice");
        alice.send_line("ALL Hi all");
        bob.expect_line("alice: Hi all");
        sam.expect_line(&format!("{alice_id}: Hi all"));
        three.expect_line(&format!("{alice_id}: Hi all"));
    }

    /// Sends messages to users who are not online. Returns the client that gets its mail late.
    fn check_absent_users(&mut self) -> ScriptClient {
        let Self { python, one, sam, three, bob, .. } = self;
        sam.send_line("77 Anybody?");
        sam.expect_line("* Unknown ID 77");
        bob.send_line("carol Anybody?");
        bob.expect_line("-SERVER-: carol is not online");
        three.send_line("78 Later");
        three.send_line("0 echo");
        three.expect_line("3: echo");
        let mut later = start_script(python, "direct_chat.py", one.port_of("direct"), &["78"]);
        later.expect_line("3: Later");
        later
    }

    fn check_taken_names(&self) {
        let Self { python, one, .. } = self;
        let classic = one.port_of("classic");
        let mut taken = start_script(python, "classic_chat.py", classic, &["alice"]);
        taken.expect_line("-SERVER-: Error alice is already online");
        taken.expect_line("closed");
        let mut taken = start_script(python, "direct_chat.py", one.port_of("direct"), &["102"]);
        taken.expect_line("* 102 is in use");
        taken.close_input();
    }
}

/// Starts a program of the page with an address of a server and its own arguments.
fn start_script(python: &str, program: &str, port: u16, own: &[&str]) -> ScriptClient {
    let port = port.to_string();
    ScriptClient::start(python, program, &[&["127.0.0.1", &port][..], own].concat())
}

#[test]
fn interop_page_clients_exchange_messages_across_servers() {
    let Some(python) = python() else {
        println!("not checked: there is no Python");
        return;
    };
    let mut network = InteropNetwork::start(python);
    network.check_chats();
    let mut later = network.check_absent_users();
    network.check_taken_names();
    let InteropNetwork { one, mut sam, mut three, mut alice, mut bob, alice_id, .. } = network;
    alice.close_input();
    bob.expect_line("-SERVER-: List 1/1 3 78 bob samwise");
    sam.expect_line(&format!("- {alice_id}"));
    for client in [&mut sam, &mut three, &mut bob, &mut later] {
        client.close_input();
    }
    one.wait_for_hosts(&[2]);
}

#[test]
fn json_client_of_the_interop_page_exchanges_messages() {
    let Some(python) = python() else {
        println!("not checked: there is no Python");
        return;
    };
    let listeners = ["--listen", "127.0.0.1:0", "--listen", "http://127.0.0.1:0"];
    let one = Server::start(&[&["--id", "1"][..], &listeners].concat());
    let mut sam = start_script(&python, "crc_chat.py", one.port, &["102", "samwise"]);
    sam.expect_line("* Welcome to the Clemson Relay Chat network samwise");
    let http = one.port_of("http");
    let mut merry = start_script(&python, "json_chat.py", http, &["merry"]);
    let id: u32 =
        merry.expect_line_matching("an id", |line| line.strip_prefix("* I am ")?.parse().ok());
    merry.expect_line("+ 102 samwise");
    sam.expect_line(&format!("+ {id} merry"));
    let long = "ä ".repeat(300);
    for text in ["Hello Sam", long.trim_end()] {
        merry.send_line(&format!("samwise {text}"));
        sam.expect_line(&format!("{id}: {text}"));
        sam.send_line(&format!("{id} {text}"));
        merry.expect_line(&format!("102: {text}"));
    }
    merry.send_line("77 Anybody?");
    merry.expect_line("* Unknown ID 77");
    let mut pippin = start_script(&python, "json_chat.py", http, &["pippin"]);
    for (client, name) in [(&mut pippin, "pippin"), (&mut merry, "merry")] {
        client.send_line("#lab");
        client.expect_line_matching("the own join", |line| {
            (line.contains("room_join") && line.contains(name)).then_some(())
        });
    }
    merry.send_line("#lab Hi all");
    pippin.expect_line(&format!("#lab {id}: Hi all"));
    for client in [&mut merry, &mut pippin] {
        client.close_input();
    }
    sam.expect_line(&format!("- {id}"));
    sam.close_input();
}
