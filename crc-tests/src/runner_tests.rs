//! The runner on a network that only writes down what it is asked.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::command::{LaunchClient, LaunchServer};
use crate::state::{Key, NodeState};

#[derive(Default)]
struct Diary {
    entries: Vec<String>,
    users: Vec<u32>,
    hosts: Vec<u32>,
    refuses: Option<&'static str>,
}

impl Diary {
    fn note(&mut self, entry: impl Into<String>) -> Result<(), Fault> {
        self.entries.push(entry.into());
        match self.refuses {
            Some(entry) if self.entries.last().is_some_and(|last| last == entry) => {
                Err(Fault::new("no"))
            }
            _ => Ok(()),
        }
    }
}

impl Backend for Diary {
    fn launch_server(&mut self, launch: &LaunchServer) -> Result<(), Fault> {
        self.note(format!("server {}", launch.servername))
    }
    fn launch_client(&mut self, launch: &LaunchClient) -> Result<(), Fault> {
        self.note(format!("client {}", launch.username))
    }
    fn client_command(&mut self, username: &str, action: &Action) -> Result<(), Fault> {
        match action {
            Action::Message { text, .. } => self.note(format!("{username} says {text}")),
            Action::Quit { text } => self.note(format!("{username} quits {text}")),
        }
    }
    fn wait(&mut self, duration: Duration) -> Result<(), Fault> {
        self.note(format!("wait {duration:?}"))
    }
    fn kill(&mut self, name: &str) -> Result<(), Fault> {
        self.note(format!("kill {name}"))
    }
    fn freeze(&mut self, username: &str) -> Result<(), Fault> {
        self.note(format!("freeze {username}"))
    }
    fn settle(&mut self) -> Result<(), Fault> {
        self.note("-")
    }
    fn server_state(&mut self, _: &str) -> Result<NodeState, Fault> {
        let mut state = NodeState::default();
        state.set_ids(Key::AdjacentUserIds, self.users.iter().copied());
        state.set_ids(Key::HostsDb, self.hosts.iter().copied());
        Ok(state)
    }
    fn client_state(&mut self, _: &str) -> Result<NodeState, Fault> {
        Ok(NodeState::default())
    }
    fn trace(&mut self) -> Vec<String> {
        vec!["a frame".to_owned()]
    }
}

fn case() -> Case {
    let text = r#"{"type": "CRC_functionality", "commands": [
        "LAUNCHSERVER --id 1 --servername a --port 1",
        "LAUNCHCLIENT --id 101 --username f --serverhost a --serverport 1",
        "CLIENTCOMMAND --username f --command MESSAGE 1 x",
        "CLIENTCOMMAND --username f --command MESSAGE 1 y",
        "WAIT 0.5", "CLIENTCOMMAND --username f --command QUIT", "KILL f", "FREEZE f", "KILL ALL", "WAIT 9"],
        "final_state": {"a": {"adjacent_user_ids": [101], "hosts_db": [101]}, "f": {}}}"#;
    Case::parse(Path::new("a.json"), text.as_bytes()).expect("a good case")
}

#[test]
fn all_but_messages_find_a_network_at_rest() {
    let mut diary = Diary { users: vec![101], hosts: vec![101], ..Diary::default() };
    let outcome = play(&case(), &mut diary, true);
    assert_eq!(outcome, Outcome::Passed { warnings: vec![] });
    let expected = [
        "-",
        "server a",
        "-",
        "client f",
        "-",
        "f says x",
        "f says y",
        "-",
        "wait 500ms",
        "-",
        "f quits ",
        "-",
        "kill f",
        "-",
        "freeze f",
        "-",
    ];
    assert_eq!(diary.entries, expected);
}

#[test]
fn adjacent_lists_count_only_when_strict() {
    let network = || Diary { hosts: vec![101], ..Diary::default() };
    let missing = || vec!["a: adjacent_user_ids: missing 101".to_owned()];
    let lenient = play(&case(), &mut network(), false);
    assert_eq!(lenient, Outcome::Passed { warnings: missing() });
    let strict = play(&case(), &mut network(), true);
    let trace = vec!["a frame".to_owned()];
    assert_eq!(strict, Outcome::Failed { reasons: missing(), trace });
}

#[test]
fn a_difference_or_a_fault_fails() {
    let check = |mut network: Diary, expected: &str| match play(&case(), &mut network, false) {
        Outcome::Failed { reasons, .. } => assert_eq!(reasons, [expected]),
        Outcome::Passed { .. } => panic!("passed in spite of: {expected}"),
    };
    let users = || vec![101];
    check(Diary { users: users(), ..Diary::default() }, "a: hosts_db: missing 101");
    check(
        Diary { users: users(), hosts: users(), refuses: Some("kill f"), ..Diary::default() },
        "command 7 (KILL f): no",
    );
    check(
        Diary { users: users(), hosts: users(), refuses: Some("-"), ..Diary::default() },
        "command 1 (LAUNCHSERVER --id 1 --servername a --port 1): no",
    );
}
