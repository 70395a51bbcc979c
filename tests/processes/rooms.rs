//! Rooms: the bundled client on every wire, and what the operator sees.

use std::process::ChildStdin;
use std::sync::mpsc::{Receiver, channel};

use super::*;

/// A running `crc client --json`.
struct JsonClient {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    received: Vec<String>,
}

impl JsonClient {
    /// Starts a client, and waits until it is connected.
    #[track_caller]
    fn start(uri: &str, options: &[&str]) -> Self {
        let mut child = Command::new(CRC)
            .args(["client", uri, "--json"])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("crc client runs");
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut client = Self { child, stdin, lines, received: Vec::new() };
        client.expect_matching("connected", |line| line.starts_with(r#"{"event":"connected""#));
        client
    }

    fn type_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("open");
        writeln!(stdin, "{line}").expect("the client reads");
    }

    /// Waits for an event, among those received already too.
    #[track_caller]
    fn expect(&mut self, event: &str) {
        self.expect_matching(event, |line| line == event);
    }

    #[track_caller]
    fn expect_matching(&mut self, what: &str, is_match: impl Fn(&str) -> bool) {
        while !self.received.iter().any(|line| is_match(line)) {
            match self.lines.recv_timeout(TIMEOUT) {
                Ok(line) => self.received.push(line),
                Err(_) => panic!("never: {what}; received {:#?}", self.received),
            }
        }
    }

    /// Waits for a message in a room. `sender` are the keys of the sender, as the wire has them.
    #[track_caller]
    fn expect_in_room(&mut self, room: &str, sender: &str, text: &str) {
        self.expect(&format!(r#"{{"event":"room","room":"{room}",{sender},"text":"{text}"}}"#));
    }

    /// Ends the input, and returns every event.
    fn quit(mut self) -> Vec<String> {
        drop(self.stdin.take());
        self.expect(r#"{"event":"disconnected","text":"left"}"#);
        std::mem::take(&mut self.received)
    }
}

impl Drop for JsonClient {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two servers that listen on every wire. Users are joined to the second one.
fn start_servers() -> (Server, Server) {
    let wires = ["--direct", "127.0.0.1:0", "--classic", "127.0.0.1:0"];
    let one = Server::start(&[&["--id", "1"], &wires[..]].concat());
    let two = Server::start(&[&["--id", "2", "--parent", &one.address()], &wires[..]].concat());
    one.wait_for_hosts(&[2]);
    (one, two)
}

/// Waits until a server knows the members of `#lab`.
#[track_caller]
fn wait_for_members(server: &Server, here: u64, elsewhere: u64) {
    eventually(&format!("{here} members here, {elsewhere} elsewhere"), || {
        let state = server.state();
        let rooms = state["rooms"].as_array().expect("rooms");
        let room = rooms.iter().find(|room| room["name"].as_str() == Some("#lab"))?;
        (room["members_here"] == here && room["members_elsewhere"] == elsewhere).then_some(())
    });
}

fn ctl_text(server: &Server, arguments: &[&str]) -> String {
    let output = server.ctl(arguments);
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn clients_on_every_wire_talk_in_a_room() {
    let (one, two) = start_servers();
    let (direct, classic) = (two.port_of("direct"), one.port_of("classic"));
    let mut frodo = JsonClient::start(&one.address(), &["--id", "101", "--name", "frodo"]);
    let mut sam = JsonClient::start(&two.address(), &["--id", "102", "--name", "sam"]);
    let mut seven = JsonClient::start(&format!("direct://127.0.0.1:{direct}"), &["--id", "7"]);
    let mut cla = JsonClient::start(&format!("classic://127.0.0.1:{classic}"), &["--name", "cla"]);
    let mut eve = JsonClient::start(&two.address(), &["--id", "103", "--name", "eve"]);
    for client in [&mut frodo, &mut sam, &mut seven, &mut cla] {
        client.type_line("/join #lab");
    }
    frodo.expect(r##"{"event":"room_join","room":"#lab","id":101,"name":"frodo"}"##);
    seven.expect(r##"{"event":"room_join","room":"#lab","id":7,"name":"7"}"##);
    cla.expect(r##"{"event":"room_join","room":"#lab","name":"cla"}"##);
    wait_for_members(&one, 2, 2);
    wait_for_members(&two, 2, 2);

    frodo.type_line("#lab Hi from frodo");
    sam.expect_in_room("#lab", r#""from":101,"name":"frodo""#, "Hi from frodo");
    seven.expect_in_room("#lab", r#""from":101"#, "Hi from frodo");
    cla.expect_in_room("#lab", r#""name":"frodo""#, "Hi from frodo");
    seven.type_line("Hi from seven");
    cla.expect_in_room("#lab", r#""name":"7""#, "Hi from seven");
    frodo.expect_in_room("#lab", r#""from":7,"name":"7""#, "Hi from seven");
    cla.type_line("Hi from cla");
    sam.expect_matching("cla speaks", |line| {
        line.starts_with(r##"{"event":"room","room":"#lab","from":"##)
            && line.ends_with(r#","name":"cla","text":"Hi from cla"}"#)
    });

    eve.type_line("/rooms");
    eve.expect(r##"{"event":"rooms","rooms":[{"room":"#lab","users":4}]}"##);
    eve.type_line("#lab let me in");
    let refusal = "Not delivered to #lab: you are not in this room; join it first";
    eve.expect(&format!(r#"{{"event":"status","code":5,"text":"{refusal}"}}"#));
    eve.type_line("/names #none");
    eve.expect(r##"{"event":"room_users","room":"#none","users":[]}"##);

    sam.type_line("/part #lab so long");
    sam.expect(r##"{"event":"room_part","room":"#lab","id":102,"name":"sam","text":"so long"}"##);
    wait_for_members(&one, 2, 1);
    sam.type_line("/join #lab");
    wait_for_members(&one, 2, 2);
    sam.type_line("/names");
    sam.expect_matching("the members", |line| {
        let is_members = line.starts_with(r##"{"event":"room_users","room":"#lab","users":["##);
        is_members && line.contains(r#"{"id":102,"name":"sam"}"#) && line.matches("id").count() == 4
    });
    for client in [frodo, sam, seven, cla, eve] {
        let events = client.quit();
        assert!(!events.iter().any(|event| event.contains(r##""name":"#lab""##)), "{events:#?}");
    }
}

#[test]
fn operator_sees_the_members_of_rooms() {
    let (one, two) = start_servers();
    assert_eq!(ctl_text(&one, &["rooms"]), "name  here  elsewhere  id\n");
    let mut frodo = JsonClient::start(&one.address(), &["--id", "101", "--name", "frodo"]);
    let mut seven =
        JsonClient::start(&format!("direct://127.0.0.1:{}", two.port_of("direct")), &["--id", "7"]);
    frodo.type_line("/join #lab");
    seven.type_line("/join #lab");
    seven.type_line("/join #ops");
    wait_for_members(&one, 1, 1);
    eventually("#ops is known", || ctl_text(&one, &["rooms"]).contains("#ops").then_some(()));
    // The id is the start of what `printf '#lab' | sha256sum` prints, with the top bit set.
    let lab = 0xe64b_7641_u32;
    let expected = format!("#lab     1          1  {lab}\n#ops     0          1           -\n");
    assert_eq!(
        ctl_text(&one, &["rooms"]),
        format!("name  here  elsewhere          id\n{expected}")
    );
    assert_eq!(
        ctl_text(&one, &["--json", "rooms"]),
        format!(
            "[{{\"name\":\"#lab\",\"members_here\":1,\"members_elsewhere\":1,\"id\":{lab}}},\
             {{\"name\":\"#ops\",\"members_here\":0,\"members_elsewhere\":1}}]\n"
        )
    );
    frodo.quit();
    seven.quit();
    eventually("no room is left", || {
        (one.state()["rooms"].as_array().expect("rooms").is_empty()).then_some(())
    });
}
