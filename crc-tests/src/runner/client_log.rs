//! Collects the events of the bundled client into the lists of a client.

use crc::internal::client::{Event, Text};
use crc::wires::Wire;

use crate::runner::command::LaunchClient;
use crate::runner::state::{ASSIGNED_ID, HostState, Key};

/// The lists of a client, and counts of events by which the runner detects quiescence.
#[derive(Clone, Debug)]
pub(crate) struct ClientLog {
    wire: Wire,
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
    /// The lists of rooms and of members.
    rooms: Vec<String>,
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
    id: Option<i64>,
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
            rooms: Vec::new(),
            frame_count: 0,
            rejected_line_count: 0,
            fence_count: 0,
            is_disconnected: false,
        }
    }

    /// Records an event.
    pub(crate) fn record(&mut self, event: &Event) {
        match event {
            Event::Connected { id, name } => self.identity = Some(identity(*id, name)),
            Event::Disconnected { .. } => self.is_disconnected = true,
            Event::Status { text, .. } | Event::Chat { text, .. }
                if text.0.starts_with(FENCE.as_bytes()) =>
            {
                self.fence_count += 1;
            }
            Event::Status { text, .. } => self.statuses.push(lossy(text)),
            Event::Chat { from, name, text } => {
                self.senders.push(identity(*from, name.as_ref().unwrap_or(&Text::default())));
                self.chats.push(lossy(text));
            }
            Event::Room { room, from, name, text } => {
                // A room message on the CRC wire has the name, and the id only if that is clear.
                let sender = name.as_ref().map(lossy);
                self.senders.push(sender.unwrap_or_else(|| identity(*from, &Text::default())));
                self.chats.push(format!("{} {}", lossy(room), lossy(text)));
            }
            Event::Join { id, name, .. } => {
                self.other_users.push(OtherUser { id: *id, name: lossy(name) });
            }
            Event::Quit { id, name, .. } => self.remove_other_user(*id, name.as_ref()),
            Event::Error { text } => {
                // Before registration, an error is the reason why it failed.
                self.rejected_line_count += u64::from(self.is_connected());
                self.errors.push(lossy(text));
            }
            Event::Rooms { rooms, .. } => {
                let rooms = rooms.iter().map(|it| format!("{} {}", lossy(&it.room), it.users));
                self.rooms.push(rooms.collect::<Vec<_>>().join(", "));
            }
            Event::RoomUsers { room, users, .. } => {
                let mut names: Vec<String> = users.iter().map(|user| lossy(&user.name)).collect();
                names.sort();
                self.rooms.push(format!("{}: {}", lossy(room), names.join(", ")));
            }
            Event::Users { .. }
            | Event::RoomJoin { .. }
            | Event::RoomPart { .. }
            | Event::Help { .. }
            | Event::Ready { .. }
            | Event::PeerChat { .. }
            | Event::Receipt { .. }
            | Event::Peer { .. } => {}
        }
        let is_frame = matches!(
            event,
            Event::Status { .. }
                | Event::Chat { .. }
                | Event::Room { .. }
                | Event::Join { .. }
                | Event::Quit { .. }
        );
        self.frame_count += u64::from(is_frame);
    }

    /// Removes a user, by its id, or by its name on a wire without ids.
    fn remove_other_user(&mut self, id: Option<i64>, name: Option<&Text>) {
        let name = name.map(lossy).unwrap_or_default();
        let matches = |other: &OtherUser| match id {
            Some(_) => other.id == id,
            None => other.name == name,
        };
        if let Some(at) = self.other_users.iter().position(matches) {
            self.other_users.swap_remove(at);
        }
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
        let ids = self.other_users.iter().filter_map(|other| other.id);
        state.set(Key::ConnectedUserIds, ids.map(|id| id.to_string()).collect());
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
        state.set(Key::RoomsLog, self.rooms.clone());
        state.set(Key::ErrorsLog, self.errors.clone());
        state
    }

    fn display_identity(&self, own: &str) -> String {
        let is_assigned = self.wire == Wire::DIRECT
            && self.desired_id.is_none_or(|desired| desired.to_string() != own);
        if is_assigned { ASSIGNED_ID.to_owned() } else { own.to_owned() }
    }
}

/// Returns the id of a user as text, or its name on a wire without ids.
fn identity(id: Option<i64>, name: &Text) -> String {
    id.map_or_else(|| lossy(name), |id| id.to_string())
}

/// Returns a text as `crc client --json` prints it.
fn lossy(text: &Text) -> String {
    String::from_utf8_lossy(&text.0).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::command::Endpoint;

    fn log(wire: Wire, id: Option<i64>) -> ClientLog {
        ClientLog::new(&LaunchClient {
            wire,
            id,
            username: "frodo".to_owned(),
            server: Endpoint { host: String::new(), port: String::new() },
            info: String::new(),
            log_file: None,
        })
    }

    fn record(log: &mut ClientLog, events: impl IntoIterator<Item = Event>) {
        for event in events {
            log.record(&event);
        }
    }

    fn join(id: Option<i64>, name: &str) -> Event {
        Event::Join { id, name: name.into(), info: None }
    }

    fn chat(from: Option<i64>, name: &str, text: &str) -> Event {
        Event::Chat { from, name: Some(name.into()), text: text.into() }
    }

    fn status(text: &str) -> Event {
        Event::Status { code: None, text: text.into() }
    }

    fn check(log: &ClientLog, key: Key, expected: &[&str]) {
        assert_eq!(log.state().items(key), expected, "{}", key.name());
    }

    #[test]
    fn crc_client_events_fill_the_state_lists() {
        let mut log = log(Wire::CRC, Some(101));
        record(
            &mut log,
            [
                Event::Connected { id: Some(101), name: "frodo".into() },
                status("Welcome"),
                join(Some(102), "sam"),
                join(Some(103), "pip"),
                Event::Quit { id: Some(102), name: Some("sam".into()), text: Some("x".into()) },
                Event::Quit { id: Some(7), name: None, text: Some("never seen".into()) },
                chat(Some(103), "pip", "\"Hi\""),
                Event::Users { users: Vec::new(), more: false },
                Event::error("no such user"),
            ],
        );
        check(&log, Key::ConnectedUserIds, &["103"]);
        check(&log, Key::ConnectedUserNames, &["pip"]);
        check(&log, Key::ConnectedAs, &["101"]);
        check(&log, Key::StatusUpdatesLog, &["Welcome"]);
        check(&log, Key::ChatMessagesLog, &["\"Hi\""]);
        check(&log, Key::ChatSequence, &["103: \"Hi\""]);
        check(&log, Key::ErrorsLog, &["no such user"]);
        assert_eq!((log.frame_count, log.rejected_line_count), (6, 1));
        assert!(log.is_connected() && !log.is_disconnected);
        log.record(&Event::Disconnected { text: "gone".into() });
        assert!(log.is_disconnected);
    }

    #[test]
    fn classic_client_log_identifies_users_by_name() {
        let mut log = log(Wire::CLASSIC, None);
        record(
            &mut log,
            [
                Event::Connected { id: None, name: "frodo".into() },
                join(None, "102"),
                join(None, "samwi~2u"),
                Event::Quit { id: None, name: Some("102".into()), text: None },
                chat(None, "samwi~2u", "Hi"),
                chat(None, "frodo", "[crc-tests fence] 1"),
                status("102 is not online"),
            ],
        );
        check(&log, Key::ConnectedAs, &["frodo"]);
        check(&log, Key::ConnectedUserNames, &["samwi~2u"]);
        check(&log, Key::ConnectedUserIds, &[]);
        check(&log, Key::ChatSequence, &["samwi~2u: Hi"]);
        check(&log, Key::StatusUpdatesLog, &["102 is not online"]);
        assert_eq!((log.fence_count, log.identity()), (1, Some("frodo")));
    }

    #[test]
    fn direct_client_log_identifies_users_by_number() {
        let (number, name) = (1 << 56, "72057594037927936");
        for (desired, expected) in [(Some(number), name), (Some(8), "assigned"), (None, "assigned")]
        {
            let mut log = log(Wire::DIRECT, desired);
            log.record(&Event::Connected { id: Some(number), name: name.into() });
            check(&log, Key::ConnectedAs, &[expected]);
            let from = Some(9_007_199_254_740_993);
            log.record(&Event::Chat { from, name: None, text: "Hi".into() });
            log.record(&status("[crc-tests fence] 1"));
            check(&log, Key::ChatSequence, &["9007199254740993: Hi"]);
            assert_eq!(log.fence_count, 1);
        }
    }

    #[test]
    fn refusal_is_a_server_response_and_a_failed_connect_is_not() {
        let refused = "frodo is already online";
        let unreachable = "cannot connect to 127.0.0.1:3602";
        for (text, expected) in [(refused, true), (unreachable, false)] {
            let mut log = log(Wire::CLASSIC, None);
            log.record(&Event::error(text));
            assert_eq!(log.has_server_response(), expected, "{text}");
            check(&log, Key::ConnectedAs, &[]);
        }
    }

    #[test]
    fn repeated_join_lists_the_user_twice() {
        let mut log = log(Wire::CRC, Some(101));
        record(&mut log, [join(Some(102), "sam"), join(Some(102), "sam")]);
        check(&log, Key::ConnectedUserIds, &["102", "102"]);
    }
}
