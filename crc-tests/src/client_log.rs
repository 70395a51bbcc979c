//! What a client heard, from the events that `crc client --json` prints.

use std::fmt::Display;

use crc::printable::Printable;
use serde_json::Value;

use crate::state::{Key, NodeState};

/// The fold of a client's events, and the counts by which a runner knows that none is missing.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientLog {
    connected_user_ids: Vec<u32>,
    statuses: Vec<String>,
    chats: Vec<String>,
    /// Events that stand for one frame from the server each.
    pub(crate) frames: u64,
    /// Lines that were typed and refused, so that no frame was sent for them.
    pub(crate) refused_lines: u64,
    /// The text of the newest error.
    pub(crate) last_error: Option<String>,
    /// The server said welcome.
    pub(crate) is_connected: bool,
    /// The connection is over.
    pub(crate) is_disconnected: bool,
}

impl ClientLog {
    /// Takes in one line of output.
    ///
    /// # Errors
    /// It is no event of the contract; the message shows it.
    pub(crate) fn absorb(&mut self, line: &str) -> Result<(), String> {
        let at = |why: &dyn Display| {
            format!("a line that is no event, {why}: {}", Printable(line.as_bytes()))
        };
        let event: Value = serde_json::from_str(line).map_err(|error| at(&error))?;
        let id = |name: &str| {
            let id = event[name].as_u64().and_then(|id| u32::try_from(id).ok());
            id.ok_or_else(|| at(&format!("`{name}` is no id")))
        };
        let text = || event["text"].as_str().map(str::to_owned).ok_or_else(|| at(&"no `text`"));
        match event["event"].as_str() {
            Some("connected") => self.is_connected = true,
            Some("disconnected") => self.is_disconnected = true,
            Some("status") => self.statuses.push(text()?),
            Some("chat") => self.chats.push(text()?),
            Some("join") => self.connected_user_ids.push(id("id")?),
            Some("quit") => {
                let id = id("id")?;
                if let Some(at) = self.connected_user_ids.iter().position(|known| *known == id) {
                    self.connected_user_ids.swap_remove(at);
                }
            }
            Some("error") => {
                // Before the welcome an error tells why there will be none.
                self.refused_lines += u64::from(self.is_connected);
                self.last_error = Some(text()?);
            }
            Some("users" | "help") => {}
            _ => return Err(at(&"unknown `event`")),
        }
        self.frames +=
            u64::from(matches!(event["event"].as_str(), Some("status" | "chat" | "join" | "quit")));
        Ok(())
    }

    /// The lists that a case can ask for.
    #[must_use]
    pub(crate) fn state(&self) -> NodeState {
        let mut state = NodeState::default();
        state.set_ids(Key::ConnectedUserIds, self.connected_user_ids.iter().copied());
        state.set(Key::StatusUpdatesLog, self.statuses.clone());
        state.set(Key::ChatMessagesLog, self.chats.clone());
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_become_lists() {
        let mut log = ClientLog::default();
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
            log.absorb(line).expect(line);
        }
        let mut expected = NodeState::default();
        expected.set_ids(Key::ConnectedUserIds, [103]);
        expected.set(Key::StatusUpdatesLog, vec!["Welcome".to_owned()]);
        expected.set(Key::ChatMessagesLog, vec!["\"Hi\"".to_owned()]);
        assert_eq!(log.state(), expected);
        assert_eq!((log.frames, log.refused_lines), (6, 1));
        assert!(log.is_connected && !log.is_disconnected);
        log.absorb(r#"{"event":"disconnected","text":"gone"}"#).expect("an event");
        assert!(log.is_disconnected);
    }

    #[test]
    fn a_user_who_joins_twice_is_there_twice() {
        let mut log = ClientLog::default();
        for _ in 0..2 {
            log.absorb(r#"{"event":"join","id":102,"name":"sam"}"#).expect("an event");
        }
        let mut expected = NodeState::default();
        expected.set_ids(Key::ConnectedUserIds, [102, 102]);
        expected.set(Key::StatusUpdatesLog, vec![]);
        expected.set(Key::ChatMessagesLog, vec![]);
        assert_eq!(log.state(), expected);
    }

    #[test]
    fn what_is_no_event_is_shown() {
        let error = |line| ClientLog::default().absorb(line).expect_err(line);
        assert!(error("\u{1b}[2J").contains("no event, expected value"), "{}", error("\u{1b}[2J"));
        assert!(error("\u{1b}").ends_with("\\u{1b}"));
        assert!(error(r#"{"event":"dance"}"#).contains("unknown `event`"));
        assert!(error(r#"{"event":"join","id":-1}"#).contains("`id` is no id"));
        assert!(error(r#"{"event":"chat"}"#).contains("no `text`"));
    }
}
