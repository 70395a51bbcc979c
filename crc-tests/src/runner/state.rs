//! The final state of a server or client, expected and found, and their differences.
//!
//! A state consists of lists of strings: ids in decimal, texts unchanged, frames in lower-case hex.
//! Lists compare as sets and by length, [`Key::ChatSequence`] also by order. A list that a case
//! does not state is not compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crc::internal::Printable;
use crc::wires::Wire;
use serde_json::{Map, Value};

/// Maximum length of an item in a difference, in characters.
const ITEM_DISPLAY_CHARS_MAX: usize = 100;

/// The kind of host that a name in a case refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Launched by `LAUNCHSERVER`.
    Server,
    /// Launched by `LAUNCHCLIENT`.
    Client(Wire),
}

/// A list of a final state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The users connected to a server.
    AdjacentUserIds,
    /// The servers connected to a server.
    AdjacentServerIds,
    /// Every host that a server knows, without itself.
    HostsDb,
    /// The names of the users connected to a server.
    AdjacentUserNames,
    /// The names of all users that a server knows.
    KnownUserNames,
    /// The number of messages that a server keeps for each recipient, as `RECIPIENT: COUNT`.
    MailWaiting,
    /// The users that a client knows of.
    ConnectedUserIds,
    /// The names of the users that a client knows of.
    ConnectedUserNames,
    /// A client's id, or its name on the classic wire. `ASSIGNED_ID` stands for an id other than
    /// the desired one; the list is empty if the client was never connected.
    ConnectedAs,
    /// The texts of the statuses addressed to a server, or received by a client.
    StatusUpdatesLog,
    /// The texts of the chats that a client received.
    ChatMessagesLog,
    /// The chats in order, as `SENDER: TEXT`. The sender is an id, or a name on the classic wire.
    ChatSequence,
    /// The rooms that a server knows, as `ROOM: HERE here, ELSEWHERE elsewhere`.
    Rooms,
    /// The lists of rooms, as `ROOM COUNT, ROOM COUNT`, and those of members, as `ROOM: NAME,
    /// NAME`, that a client received.
    RoomsLog,
    /// The errors that a client printed.
    ErrorsLog,
    /// The first frame of each connection that a server accepted, in hex.
    FirstFrames,
}

/// Stands for an id that the server assigned at random.
pub(crate) const ASSIGNED_ID: &str = "assigned";

impl Key {
    const ALL: [Self; 16] = [
        Self::AdjacentUserIds,
        Self::AdjacentServerIds,
        Self::HostsDb,
        Self::AdjacentUserNames,
        Self::KnownUserNames,
        Self::MailWaiting,
        Self::ConnectedUserIds,
        Self::ConnectedUserNames,
        Self::ConnectedAs,
        Self::StatusUpdatesLog,
        Self::ChatMessagesLog,
        Self::ChatSequence,
        Self::Rooms,
        Self::RoomsLog,
        Self::ErrorsLog,
        Self::FirstFrames,
    ];

    /// Returns the name in case files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AdjacentUserIds => "adjacent_user_ids",
            Self::AdjacentServerIds => "adjacent_server_ids",
            Self::HostsDb => "hosts_db",
            Self::AdjacentUserNames => "adjacent_user_names",
            Self::KnownUserNames => "known_user_names",
            Self::MailWaiting => "mail_waiting",
            Self::ConnectedUserIds => "connected_user_ids",
            Self::ConnectedUserNames => "connected_user_names",
            Self::ConnectedAs => "connected_as",
            Self::StatusUpdatesLog => "status_updates_log",
            Self::ChatMessagesLog => "chat_messages_log",
            Self::ChatSequence => "chat_sequence",
            Self::Rooms => "rooms",
            Self::RoomsLog => "rooms_log",
            Self::ErrorsLog => "errors_log",
            Self::FirstFrames => "recvd_messages_asdqw",
        }
    }

    /// Returns whether a host of `role` has this list. A client has the lists that its wire
    /// supports.
    #[must_use]
    pub fn applies_to(self, role: Role) -> bool {
        match self {
            Self::StatusUpdatesLog => true,
            Self::RoomsLog | Self::ConnectedUserIds => role == Role::Client(Wire::CRC),
            Self::ConnectedUserNames => {
                [Role::Client(Wire::CRC), Role::Client(Wire::CLASSIC)].contains(&role)
            }
            Self::ConnectedAs | Self::ChatMessagesLog | Self::ChatSequence | Self::ErrorsLog => {
                role != Role::Server
            }
            Self::AdjacentUserIds
            | Self::AdjacentServerIds
            | Self::HostsDb
            | Self::AdjacentUserNames
            | Self::KnownUserNames
            | Self::MailWaiting
            | Self::Rooms
            | Self::FirstFrames => role == Role::Server,
        }
    }

    /// Returns whether a difference is a warning without `--strict`. The course's runner does not
    /// compare these lists, and its files have wrong ones.
    #[must_use]
    pub fn is_lenient(self) -> bool {
        matches!(self, Self::AdjacentUserIds | Self::AdjacentServerIds)
    }

    /// Returns whether the order of items is compared.
    fn is_ordered(self) -> bool {
        self == Self::ChatSequence
    }

    /// Returns whether the items are ids.
    fn has_ids(self) -> bool {
        use Key::{AdjacentServerIds, AdjacentUserIds, ConnectedUserIds, HostsDb};
        matches!(self, AdjacentUserIds | AdjacentServerIds | HostsDb | ConnectedUserIds)
    }

    /// Parses one item. The error is what was expected.
    fn parse_item(self, value: &Value) -> Result<String, &'static str> {
        if self.has_ids() {
            let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
            return id.map(|id| id.to_string()).ok_or("an id");
        }
        match self {
            Self::FirstFrames => value.as_str().and_then(normalize_hex).ok_or("a text in hex"),
            _ => value.as_str().map(str::to_owned).ok_or("a text"),
        }
    }
}

/// Formats a frame as in lists of first frames.
pub(crate) fn hex(frame: &[u8]) -> String {
    frame.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns hex in lower case without white space.
fn normalize_hex(text: &str) -> Option<String> {
    let digits: String = text.split_ascii_whitespace().collect();
    let is_valid =
        digits.len().is_multiple_of(2) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_valid.then(|| digits.to_ascii_lowercase())
}

/// The lists of one server or client, as expected by a case or as found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostState(BTreeMap<Key, Vec<String>>);

impl HostState {
    /// Parses the final state of one host. Also returns the keys that do not apply to its role.
    ///
    /// # Errors
    /// Names the key, the item and what was expected there.
    pub fn parse(role: Role, object: &Map<String, Value>) -> Result<(Self, Vec<String>), String> {
        let mut state = Self::default();
        let mut unknown = Vec::new();
        for (name, value) in object {
            let key = Key::ALL.into_iter().find(|key| key.name() == name && key.applies_to(role));
            let Some(key) = key else {
                unknown.push(name.clone());
                continue;
            };
            let Some(values) = value.as_array() else {
                return Err(format!("{name}: expected a list, found {}", describe_value(value)));
            };
            let mut items = Vec::with_capacity(values.len());
            for (index, value) in values.iter().enumerate() {
                items.push(key.parse_item(value).map_err(|expected| {
                    format!(
                        "{name}: item {}: expected {expected}, found {}",
                        index + 1,
                        describe_value(value)
                    )
                })?);
            }
            state.set(key, items);
        }
        Ok((state, unknown))
    }

    /// Returns the items of a list, none if it is absent.
    pub(crate) fn items(&self, key: Key) -> &[String] {
        self.0.get(&key).map_or(&[], Vec::as_slice)
    }

    /// Sets one list.
    pub fn set(&mut self, key: Key, items: Vec<String>) {
        self.0.insert(key, items);
    }

    /// Sets one list of ids.
    pub fn set_ids(&mut self, key: Key, ids: impl IntoIterator<Item = u32>) {
        self.set(key, ids.into_iter().map(|id| id.to_string()).collect());
    }

    /// Returns whether a list is present.
    #[must_use]
    pub fn has(&self, key: Key) -> bool {
        self.0.contains_key(&key)
    }

    /// Returns the differences of `found` from this expected state.
    #[must_use]
    pub fn differences(&self, found: &Self) -> Vec<Difference> {
        let none = Vec::new();
        let each = self.0.iter().filter_map(|(&key, expected)| {
            let found = found.0.get(&key).unwrap_or(&none);
            Difference::between(key, expected, found)
        });
        each.collect()
    }
}

fn describe_value(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) => format!("\"{}\"", truncate_for_display(text)),
        other => other.to_string(),
    }
}

/// The difference of one list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The list.
    pub key: Key,
    /// The items that occur another number of times than expected.
    counts: Vec<(String, ItemCounts)>,
    /// The items as found, if only their order differs.
    order: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ItemCounts {
    expected: usize,
    found: usize,
}

impl Difference {
    /// Returns the difference of two lists, if there is one.
    fn between(key: Key, expected: &[String], found: &[String]) -> Option<Self> {
        let set = |list: &'_ [String]| list.iter().cloned().collect::<BTreeSet<_>>();
        if expected.len() == found.len() && set(expected) == set(found) && !key.is_ordered() {
            return None;
        }
        let mut counts: BTreeMap<&String, ItemCounts> = BTreeMap::new();
        for item in expected {
            counts.entry(item).or_default().expected += 1;
        }
        for item in found {
            counts.entry(item).or_default().found += 1;
        }
        let differing = counts.into_iter().filter(|(_, times)| times.expected != times.found);
        let counts: Vec<_> = differing.map(|(item, times)| (item.clone(), times)).collect();
        let differs_in_order = counts.is_empty() && expected != found;
        let order = if differs_in_order { found.to_vec() } else { Vec::new() };
        (!counts.is_empty() || differs_in_order).then_some(Self { key, counts, order })
    }

    fn display_item(&self, item: &str) -> String {
        match self.key.has_ids() || self.key == Key::FirstFrames {
            true => truncate_for_display(item),
            false => format!("`{}`", truncate_for_display(item)),
        }
    }
}

/// Writes one line: `hosts_db: missing 102; unexpected 7; 101: 2 instead of 1`.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join_items = |count_of: fn(&ItemCounts) -> Option<usize>| {
            let items = self.counts.iter().filter_map(|(item, times)| {
                let count = count_of(times)?;
                let item = self.display_item(item);
                Some(if count == 1 { item } else { format!("{item} ({count} times)") })
            });
            items.collect::<Vec<_>>().join(", ")
        };
        let mut parts = Vec::new();
        let missing = join_items(|times| (times.found == 0).then_some(times.expected));
        if !missing.is_empty() {
            parts.push(format!("missing {missing}"));
        }
        let unexpected = join_items(|times| (times.expected == 0).then_some(times.found));
        if !unexpected.is_empty() {
            parts.push(format!("unexpected {unexpected}"));
        }
        for (item, times) in &self.counts {
            if times.expected > 0 && times.found > 0 {
                let item = self.display_item(item);
                parts.push(format!("{item}: {} instead of {}", times.found, times.expected));
            }
        }
        if !self.order.is_empty() {
            let order: Vec<_> = self.order.iter().map(|item| self.display_item(item)).collect();
            parts.push(format!("another order: {}", order.join(", ")));
        }
        write!(f, "{}: {}", self.key.name(), parts.join("; "))
    }
}

/// Escapes a text, and truncates it to [`ITEM_DISPLAY_CHARS_MAX`].
fn truncate_for_display(text: &str) -> String {
    match text.char_indices().nth(ITEM_DISPLAY_CHARS_MAX) {
        Some((end, _)) => {
            format!("{}… ({} bytes)", Printable(&text.as_bytes()[..end]), text.len())
        }
        None => Printable(text.as_bytes()).to_string(),
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
