//! Collects the events that `crc client --json` prints into the lists of a client.

use std::fmt::Display;

use crc::printable::Printable;
use serde_json::Value;

use crate::runner::command::{ClientWire, LaunchClient};
use crate::runner::state::{ASSIGNED_ID, HostState, Key};

/// The lists of a client, and counts of events by which the runner detects quiescence.
#[derive(Clone, Debug)]
pub(crate) struct ClientLog {
    wire: ClientWire,
    desired_id: Option<i64>,
    /// Its id or name, once it is connected.
    identity: Option<String>,
    /// The other users, with ids where the wire has them.
    other_users: Vec<OtherUser>,
    statuses: Vec<String>,
    chats: Vec<String>,
    /// The senders of `chats`, in the same order.
    senders: Vec<String>,
    errors: Vec<String>,
    /// Number of events that stand for one received frame each. Used on the CRC wire.
    pub(crate) frame_count: u64,
    /// Number of typed lines that the client refused, so that it sent no frame.
    pub(crate) rejected_line_count: u64,
    /// Number of the runner's own messages that came back, see [`FENCE`].
    pub(crate) fence_count: u64,
    /// Whether the connection is closed.
    pub(crate) is_disconnected: bool,
}

/// Prefix of the messages that the runner sends from a client to itself. No list has them.
pub(crate) const FENCE: &str = "[crc-tests fence]";

#[derive(Clone, Debug, PartialEq, Eq)]
struct OtherUser {
    id: Option<u32>,
    name: String,
}

impl ClientLog {
    /// Returns the empty log of a client.
    pub(crate) fn new(launch: &LaunchClient) -> Self {
        Self {
            wire: launch.wire,
            desired_id: launch.id,
            identity: None,
            other_users: Vec::new(),
            statuses: Vec::new(),
            chats: Vec::new(),
            senders: Vec::new(),
            errors: Vec::new(),
            frame_count: 0,
            rejected_line_count: 0,
            fence_count: 0,
            is_disconnected: false,
        }
    }

    /// Records one line of output.
    ///
    /// # Errors
    /// The line is not a documented event; the message shows it.
    pub(crate) fn record_line(&mut self, line: &str) -> Result<(), String> {
        let invalid =
            |why: &dyn Display| format!("not an event, {why}: {}", Printable(line.as_bytes()));
        let event: Value = serde_json::from_str(line).map_err(|error| invalid(&error))?;
        // A key is absent exactly if the wire does not have it.
        let id = |name: &str| match (self.wire, &event[name]) {
            (ClientWire::Classic, Value::Null) => Ok(None),
            (ClientWire::Crc, id) => {
                let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
                id.map(Some).ok_or_else(|| invalid(&format!("`{name}` is not an id")))
            }
            (ClientWire::Direct | ClientWire::Classic, _) => {
                Err(invalid(&format!("`{name}` on a wire without it")))
            }
        };
        let text_field = |name: &str| {
            event[name].as_str().map(str::to_owned).ok_or_else(|| invalid(&format!("no `{name}`")))
        };
        let text = || text_field("text");
        let kind = event["event"].as_str();
        match kind {
            Some("connected") => {
                self.identity = Some(match self.wire {
                    ClientWire::Classic => text_field("name")?,
                    _ => event["id"]
                        .as_i64()
                        .ok_or_else(|| invalid(&"`id` is not an id"))?
                        .to_string(),
                });
            }
            Some("disconnected") => self.is_disconnected = true,
            Some("status" | "chat") if text()?.starts_with(FENCE) => self.fence_count += 1,
            Some("status") => self.statuses.push(text()?),
            Some("chat") => {
                let sender = match self.wire {
                    ClientWire::Classic => text_field("name")?,
                    _ => event["from"]
                        .as_i64()
                        .ok_or_else(|| invalid(&"`from` is not an id"))?
                        .to_string(),
                };
                self.senders.push(sender);
                self.chats.push(text()?);
            }
            Some("join") => {
                self.other_users.push(OtherUser { id: id("id")?, name: text_field("name")? });
            }
            Some("quit") => {
                let id = id("id")?;
                let name = if id.is_none() { Some(text_field("name")?) } else { None };
                let matches = |other: &OtherUser| match &name {
                    Some(name) => other.name == *name,
                    None => other.id == id,
                };
                if let Some(at) = self.other_users.iter().position(matches) {
                    self.other_users.swap_remove(at);
                }
            }
            Some("error") => {
                // Before registration, an error is the reason why it failed.
                self.rejected_line_count += u64::from(self.is_connected());
                self.errors.push(text()?);
            }
            Some("users" | "help") => {}
            _ => return Err(invalid(&"unknown `event`")),
        }
        self.frame_count += u64::from(matches!(kind, Some("status" | "chat" | "join" | "quit")));
        Ok(())
    }

    /// Returns whether the client is registered.
    pub(crate) fn is_connected(&self) -> bool {
        self.identity.is_some()
    }

    /// Returns the id or name, once it is connected.
    pub(crate) fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// Returns whether the server has sent anything. A classic server refuses by an error only.
    pub(crate) fn has_server_response(&self) -> bool {
        let is_refusal = |text: &String| text.ends_with(" is already online");
        self.is_connected() || self.frame_count > 0 || self.errors.iter().any(is_refusal)
    }

    /// Returns the names of the other users.
    pub(crate) fn other_user_names(&self) -> impl Iterator<Item = &str> {
        self.other_users.iter().map(|other| &*other.name)
    }

    /// Returns the text of the latest error.
    pub(crate) fn last_error(&self) -> &str {
        self.errors.last().map_or("", String::as_str)
    }

    /// Returns the lists that a case can state.
    #[must_use]
    pub(crate) fn state(&self) -> HostState {
        let mut state = HostState::default();
        state.set_ids(Key::ConnectedUserIds, self.other_users.iter().filter_map(|other| other.id));
        state.set(Key::ConnectedUserNames, self.other_user_names().map(str::to_owned).collect());
        state.set(
            Key::ConnectedAs,
            self.identity.iter().map(|own| self.display_identity(own)).collect(),
        );
        state.set(Key::StatusUpdatesLog, self.statuses.clone());
        state.set(Key::ChatMessagesLog, self.chats.clone());
        let sequence = self.senders.iter().zip(&self.chats);
        let said = sequence.map(|(sender, text)| format!("{sender}: {text}"));
        state.set(Key::ChatSequence, said.collect());
        state.set(Key::ErrorsLog, self.errors.clone());
        state
    }

    fn display_identity(&self, own: &str) -> String {
        let is_assigned = self.wire == ClientWire::Direct
            && self.desired_id.is_none_or(|desired| desired.to_string() != own);
        if is_assigned { ASSIGNED_ID.to_owned() } else { own.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::command::Endpoint;

    fn log(wire: ClientWire, id: Option<i64>) -> ClientLog {
        ClientLog::new(&LaunchClient {
            wire,
            id,
            username: "frodo".to_owned(),
            server: Endpoint { host: String::new(), port: String::new() },
            info: String::new(),
            log_file: None,
        })
    }

    fn check(log: &ClientLog, key: Key, expected: &[&str]) {
        assert_eq!(log.state().items(key), expected, "{}", key.name());
    }

    #[test]
    fn crc_client_events_fill_the_state_lists() {
        let mut log = log(ClientWire::Crc, Some(101));
        for line in [
            r#"{"event":"connected","id":101,"name":"frodo"}"#,
            r#"{"event":"status","code":0,"text":"Welcome"}"#,
            r#"{"event":"join","id":102,"name":"sam","info":""}"#,
            r#"{"event":"join","id":103,"name":"pip","info":""}"#,
            r#"{"event":"quit","id":102,"name":"sam","text":"x"}"#,
            r#"{"event":"quit","id":7,"text":"never seen"}"#,
            r#"{"event":"chat","from":103,"name":"pip","text":"\"Hi\""}"#,
            r#"{"event":"users","users":[]}"#,
            r#"{"event":"error","text":"no such user"}"#,
        ] {
            log.record_line(line).expect(line);
        }
        check(&log, Key::ConnectedUserIds, &["103"]);
        check(&log, Key::ConnectedUserNames, &["pip"]);
        check(&log, Key::ConnectedAs, &["101"]);
        check(&log, Key::StatusUpdatesLog, &["Welcome"]);
        check(&log, Key::ChatMessagesLog, &["\"Hi\""]);
        check(&log, Key::ChatSequence, &["103: \"Hi\""]);
        check(&log, Key::ErrorsLog, &["no such user"]);
        assert_eq!((log.frame_count, log.rejected_line_count), (6, 1));
        assert!(log.is_connected() && !log.is_disconnected);
        log.record_line(r#"{"event":"disconnected","text":"gone"}"#).expect("an event");
        assert!(log.is_disconnected);
    }

    #[test]
    fn classic_client_log_identifies_users_by_name() {
        let mut log = log(ClientWire::Classic, None);
        for line in [
            r#"{"event":"connected","name":"frodo"}"#,
            r#"{"event":"join","name":"102"}"#,
            r#"{"event":"join","name":"samwi~2u"}"#,
            r#"{"event":"quit","name":"102"}"#,
            r#"{"event":"chat","name":"samwi~2u","text":"Hi"}"#,
            r#"{"event":"chat","name":"frodo","text":"[crc-tests fence] 1"}"#,
            r#"{"event":"status","text":"102 is not online"}"#,
        ] {
            log.record_line(line).expect(line);
        }
        check(&log, Key::ConnectedAs, &["frodo"]);
        check(&log, Key::ConnectedUserNames, &["samwi~2u"]);
        check(&log, Key::ConnectedUserIds, &[]);
        check(&log, Key::ChatSequence, &["samwi~2u: Hi"]);
        check(&log, Key::StatusUpdatesLog, &["102 is not online"]);
        assert_eq!((log.fence_count, log.identity()), (1, Some("frodo")));
    }

    #[test]
    fn direct_client_log_identifies_users_by_number() {
        let connected =
            r#"{"event":"connected","id":72057594037927936,"name":"72057594037927936"}"#;
        for (desired, expected) in
            [(Some(1 << 56), "72057594037927936"), (Some(8), "assigned"), (None, "assigned")]
        {
            let mut log = log(ClientWire::Direct, desired);
            log.record_line(connected).expect("an event");
            check(&log, Key::ConnectedAs, &[expected]);
            log.record_line(r#"{"event":"chat","from":9007199254740993,"text":"Hi"}"#)
                .expect("an event");
            log.record_line(r#"{"event":"status","text":"[crc-tests fence] 1"}"#)
                .expect("an event");
            check(&log, Key::ChatSequence, &["9007199254740993: Hi"]);
            assert_eq!(log.fence_count, 1);
        }
    }

    #[test]
    fn refusal_is_a_server_response_and_a_failed_connect_is_not() {
        let refused = r#"{"event":"error","text":"frodo is already online"}"#;
        let unreachable = r#"{"event":"error","text":"cannot connect to 127.0.0.1:3602"}"#;
        for (line, expected) in [(refused, true), (unreachable, false)] {
            let mut log = log(ClientWire::Classic, None);
            log.record_line(line).expect("an event");
            assert_eq!(log.has_server_response(), expected, "{line}");
            check(&log, Key::ConnectedAs, &[]);
        }
    }

    #[test]
    fn repeated_join_lists_the_user_twice() {
        let mut log = log(ClientWire::Crc, Some(101));
        for _ in 0..2 {
            log.record_line(r#"{"event":"join","id":102,"name":"sam"}"#).expect("an event");
        }
        check(&log, Key::ConnectedUserIds, &["102", "102"]);
    }

    #[test]
    fn invalid_event_line_is_reported_with_its_text() {
        let error = |line| log(ClientWire::Crc, Some(101)).record_line(line).expect_err(line);
        assert!(
            error("\u{1b}[2J").contains("not an event, expected value"),
            "{}",
            error("\u{1b}[2J")
        );
        assert!(error("\u{1b}").ends_with("\\u{1b}"));
        assert!(error(r#"{"event":"dance"}"#).contains("unknown `event`"));
        assert!(error(r#"{"event":"join","id":-1,"name":"sam"}"#).contains("`id` is not an id"));
        assert!(error(r#"{"event":"chat","from":7}"#).contains("no `text`"));
        let join = r#"{"event":"join","id":7,"name":"sam"}"#;
        let error = log(ClientWire::Classic, None).record_line(join).expect_err("an id");
        assert!(error.contains("`id` on a wire without it"), "{error}");
    }
}
