//! Streams the JSON of `crc ctl --json state` in portions.

use serde::Serialize;

use crate::limits::{WEB_HOSTS_PER_STEP_MAX, WEB_LIST_ENTRIES_MAX};
use crate::link::Time;
use crate::node::Node;
use crate::operator::rooms::RoomEntry;
use crate::operator::snapshot::{HostEntry, LinkEntry, ServerEntry};
use crate::operator::state::{StateHead, StateTail};

/// How far the state was written.
#[derive(Clone, Debug, Default)]
pub(super) struct StateStream {
    stage: Stage,
    /// The next entry of the table that the stage is about.
    next: usize,
    /// The key of the last room that was written.
    last_room: Option<Box<[u8]>>,
    /// The list has an entry already.
    has_entries: bool,
}

/// The parts of the state, in the order in which they are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Head,
    Hosts,
    Links,
    Servers,
    Rooms,
    Tail,
}

impl StateStream {
    /// Returns the next part of the JSON, and whether there is more. Hosts that come or go while it
    /// is written may be in it or not.
    pub(super) fn next_portion(&mut self, node: &Node, now: Time) -> (Vec<u8>, bool) {
        let mut out = Vec::new();
        match self.stage {
            Stage::Head => {
                out = serde_json::to_vec(&StateHead::new(node)).expect("plain values");
                out.pop(); // the brace
                self.enter(Stage::Hosts, "hosts", &mut out);
            }
            Stage::Hosts => {
                let hosts = node.relay().hosts();
                let end = hosts.slot_count().min(self.next + WEB_HOSTS_PER_STEP_MAX);
                let mut count = 0;
                while self.next < end && count < WEB_LIST_ENTRIES_MAX {
                    if let Some(host) = hosts.at_slot(self.next) {
                        self.push(&HostEntry::new(node, host), &mut out);
                        count += 1;
                    }
                    self.next += 1;
                }
                if self.next >= hosts.slot_count() {
                    self.enter(Stage::Links, "links", &mut out);
                }
            }
            Stage::Links => {
                let end = node.link_slots().min(self.next + WEB_LIST_ENTRIES_MAX);
                while self.next < end {
                    if let Some(link) = node.link_at(self.next) {
                        self.push(&LinkEntry::new(node, now, link), &mut out);
                    }
                    self.next += 1;
                }
                if self.next >= node.link_slots() {
                    self.enter(Stage::Servers, "servers", &mut out);
                }
            }
            Stage::Servers => {
                let hosts = node.relay().hosts();
                let end = hosts.slot_count().min(self.next + WEB_HOSTS_PER_STEP_MAX);
                let mut count = 0;
                while self.next < end && count < WEB_LIST_ENTRIES_MAX {
                    let host = hosts.at_slot(self.next);
                    if let Some(server) = host.and_then(|host| ServerEntry::new(node, host)) {
                        self.push(&server, &mut out);
                        count += 1;
                    }
                    self.next += 1;
                }
                if self.next >= hosts.slot_count() {
                    self.enter(Stage::Rooms, "rooms", &mut out);
                }
            }
            Stage::Rooms => {
                let last = self.last_room.take();
                let rooms: Vec<_> =
                    node.relay().rooms_after(last.as_deref()).take(WEB_LIST_ENTRIES_MAX).collect();
                for room in &rooms {
                    self.push(&RoomEntry::new(*room), &mut out);
                }
                self.last_room = rooms.last().map(|room| room.name.key().into());
                if rooms.len() < WEB_LIST_ENTRIES_MAX {
                    self.stage = Stage::Tail;
                    out.extend_from_slice(b"],");
                }
            }
            Stage::Tail => {
                let tail = serde_json::to_vec(&StateTail::new(node)).expect("plain values");
                out.extend_from_slice(&tail[1..]); // without the brace
                out.push(b'\n');
                return (out, false);
            }
        }
        (out, true)
    }

    /// Begins the list of a stage.
    fn enter(&mut self, stage: Stage, key: &str, out: &mut Vec<u8>) {
        if self.stage != Stage::Head {
            out.push(b']');
        }
        (self.stage, self.next, self.has_entries) = (stage, 0, false);
        out.extend_from_slice(format!(",\"{key}\":[").as_bytes());
    }

    fn push(&mut self, entry: &impl Serialize, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_entries, true) {
            out.push(b',');
        }
        serde_json::to_writer(out, entry).expect("plain values");
    }
}
