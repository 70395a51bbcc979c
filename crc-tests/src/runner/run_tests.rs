//! The runner on a network that only writes down what it is asked.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::runner::command::{LaunchClient, LaunchServer};
use crate::runner::state::{HostState, Key};

#[derive(Default)]
struct RecordingBackend {
    calls: Vec<String>,
    users: Vec<u32>,
    hosts: Vec<u32>,
    fails_on: Option<&'static str>,
}

impl RecordingBackend {
    fn record(&mut self, entry: impl Into<String>) -> Result<(), RunError> {
        self.calls.push(entry.into());
        match self.fails_on {
            Some(entry) if self.calls.last().is_some_and(|last| last == entry) => {
                Err(RunError::new("no"))
            }
            _ => Ok(()),
        }
    }
}

impl Backend for RecordingBackend {
    fn launch_server(&mut self, launch: &LaunchServer) -> Result<(), RunError> {
        self.record(format!("server {}", launch.servername))
    }
    fn launch_client(&mut self, launch: &LaunchClient) -> Result<(), RunError> {
        self.record(format!("client {}", launch.username))
    }
    fn client_command(&mut self, username: &str, action: &Action) -> Result<(), RunError> {
        match action {
            Action::Message { text, .. } => self.record(format!("{username} says {text}")),
            Action::Quit { text } => self.record(format!("{username} quits {text}")),
            other => self.record(format!("{username} types {}", other.typed_line())),
        }
    }
    fn wait(&mut self, duration: Duration) -> Result<(), RunError> {
        self.record(format!("wait {duration:?}"))
    }
    fn kill(&mut self, name: &str) -> Result<(), RunError> {
        self.record(format!("kill {name}"))
    }
    fn freeze(&mut self, username: &str) -> Result<(), RunError> {
        self.record(format!("freeze {username}"))
    }
    fn wait_until_quiescent(&mut self) -> Result<(), RunError> {
        self.record("-")
    }
    fn server_state(&mut self, _: &str) -> Result<HostState, RunError> {
        let mut state = HostState::default();
        state.set_ids(Key::AdjacentUserIds, self.users.iter().copied());
        state.set_ids(Key::HostsDb, self.hosts.iter().copied());
        Ok(state)
    }
    fn client_state(&mut self, _: &str) -> Result<HostState, RunError> {
        Ok(HostState::default())
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
fn runner_waits_for_quiescence_before_every_command_but_repeated_messages() {
    let mut diary =
        RecordingBackend { users: vec![101], hosts: vec![101], ..RecordingBackend::default() };
    let outcome = run_case(&case(), &mut diary, true);
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
    assert_eq!(diary.calls, expected);
}

#[test]
fn adjacent_lists_count_only_when_strict() {
    let network = || RecordingBackend { hosts: vec![101], ..RecordingBackend::default() };
    let missing = || vec!["a: adjacent_user_ids: missing 101".to_owned()];
    let lenient = run_case(&case(), &mut network(), false);
    assert_eq!(lenient, Outcome::Passed { warnings: missing() });
    let strict = run_case(&case(), &mut network(), true);
    let trace = vec!["a frame".to_owned()];
    assert_eq!(strict, Outcome::Failed { reasons: missing(), trace });
}

#[test]
fn case_fails_on_a_difference_or_a_backend_error() {
    let check = |mut network: RecordingBackend, expected: &str| match run_case(
        &case(),
        &mut network,
        false,
    ) {
        Outcome::Failed { reasons, .. } => assert_eq!(reasons, [expected]),
        Outcome::Passed { .. } => panic!("passed in spite of: {expected}"),
    };
    let users = || vec![101];
    check(
        RecordingBackend { users: users(), ..RecordingBackend::default() },
        "a: hosts_db: missing 101",
    );
    check(
        RecordingBackend {
            users: users(),
            hosts: users(),
            fails_on: Some("kill f"),
            ..RecordingBackend::default()
        },
        "command 7 (KILL f): no",
    );
    check(
        RecordingBackend {
            users: users(),
            hosts: users(),
            fails_on: Some("-"),
            ..RecordingBackend::default()
        },
        "command 1 (LAUNCHSERVER --id 1 --servername a --port 1): no",
    );
}
