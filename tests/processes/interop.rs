//! The clients of `docs/INTEROP.md`, as they stand there, against servers and against each other.

use std::collections::HashMap;
use std::process::ChildStdin;
use std::sync::mpsc::{Receiver, channel};

use super::*;

/// The programs in the page by their file names.
fn programs() -> HashMap<&'static str, &'static str> {
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

/// One of the page's clients, running.
struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    heard: Vec<String>,
}

impl Client {
    fn start(python: &str, program: &str, arguments: &[&str]) -> Self {
        Self::run(python, programs()[program], arguments)
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
        Self { child, stdin, lines, heard: Vec::new() }
    }

    fn says(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("open");
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).expect("it reads");
    }

    /// Waits for a line of which `wanted` makes something.
    #[track_caller]
    fn hears_so<T>(&mut self, what: &str, wanted: impl Fn(&str) -> Option<T>) -> T {
        loop {
            if let Some(found) = self.heard.iter().find_map(|line| wanted(line)) {
                return found;
            }
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.heard.push(line),
                Err(_) => panic!("never: {what}; heard {:#?}", self.heard),
            }
        }
    }

    #[track_caller]
    fn hears(&mut self, line: &str) {
        self.hears_so(line, |heard| (heard == line).then_some(()));
    }

    /// Ends its input; it says what it does to leave, and ends.
    fn leaves(&mut self) {
        drop(self.stdin.take());
        let status = eventually("the client ends", || self.child.try_wait().expect("a child"));
        assert!(status.success());
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const DOORS: [&str; 4] = ["--direct", "127.0.0.1:0", "--classic", "127.0.0.1:0"];

#[test]
fn the_clients_of_the_page_reach_each_other_across_servers() {
    let Some(python) = python() else {
        println!("not checked: there is no Python");
        return;
    };
    let one = Server::start(&[&["--id", "1"][..], &DOORS].concat());
    let parent = one.address();
    let two = Server::start(&[&["--id", "2", "--parent", &parent][..], &DOORS].concat());
    one.knows(&[2]);
    let start = |program, port: u16, own: &[&str]| {
        let port = port.to_string();
        Client::start(&python, program, &[&["127.0.0.1", &port][..], own].concat())
    };
    let mut sam = start("crc_chat.py", one.port, &["102", "samwise"]);
    sam.hears("* Welcome to the Clemson Relay Chat network samwise");
    let mut three = start("direct_chat.py", two.door("direct"), &["3"]);
    three.hears("* I am 3");
    let mut alice = start("classic_chat.py", two.door("classic"), &["alice"]);
    alice.hears("-SERVER-: Interval 10");
    // The other form, as the page says it is made.
    let (full, short) = (r#"message[:255].ljust(256, b"\0")"#, r#"message[:255] + b"\0""#);
    let program = programs()["classic_chat.py"];
    assert!(program.contains(full), "the page still has the form that is replaced here");
    let classic = one.door("classic").to_string();
    let mut bob =
        Client::run(&python, &program.replace(full, short), &["127.0.0.1", &classic, "bob"]);
    bob.hears("-SERVER-: List 1/1 3 alice bob samwise");
    alice.hears("-SERVER-: List 1/1 3 alice bob samwise");
    sam.hears("+ 3 3");
    let alice_id: u32 = sam.hears_so("alice joins", |line| {
        line.strip_prefix("+ ")?.strip_suffix(" alice")?.parse().ok()
    });

    sam.says("3 Hello 3");
    three.hears("102: Hello 3");
    sam.says(&format!("{alice_id} Hello Alice"));
    alice.hears("samwise: Hello Alice");
    three.says("102 Hello Sam");
    sam.hears("3: Hello Sam");
    three.says(&format!("{alice_id} Hello Älice"));
    alice.hears("3: Hello Älice");
    alice.says("samwise Hi Sam");
    sam.hears(&format!("{alice_id}: Hi Sam"));
    alice.says("3 Hi 3");
    three.hears(&format!("{alice_id}: Hi 3"));
    bob.says("alice Hi Alice");
    alice.hears("bob: Hi Alice");
    alice.says("ALL Hi all");
    bob.hears("alice: Hi all");
    sam.hears(&format!("{alice_id}: Hi all"));
    three.hears(&format!("{alice_id}: Hi all"));
    sam.says("77 Anybody?");
    sam.hears("* Unknown ID 77");
    bob.says("carol Anybody?");
    bob.hears("-SERVER-: carol is not online");
    three.says("78 Later");
    three.says("0 echo");
    three.hears("3: echo");
    let mut later = start("direct_chat.py", one.door("direct"), &["78"]);
    later.hears("3: Later");

    let mut taken = start("classic_chat.py", one.door("classic"), &["alice"]);
    taken.hears("-SERVER-: Error alice is already online");
    taken.hears("closed");
    let mut taken = start("direct_chat.py", one.door("direct"), &["102"]);
    taken.hears("* 102 is in use");
    taken.leaves();
    alice.leaves();
    bob.hears("-SERVER-: List 1/1 3 78 bob samwise");
    sam.hears(&format!("- {alice_id}"));
    for client in [&mut sam, &mut three, &mut bob, &mut later] {
        client.leaves();
    }
    one.knows(&[2]);
}
