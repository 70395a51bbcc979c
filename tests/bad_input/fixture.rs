//! A server, two honest neighbours, and an attacker.

use std::time::Duration;

use crc::id::HostId;
use crc::internal::operator::{Answer, Format, execute};
use crc::limits::Limits;
use crc::link::{LinkId, ListenerId, Machine as _, Origin, Time};
use crc::mail::store::MemoryMailbox;
use crc::node::{Action, Node};
use crc::relay::Identity;
use crc::relay::message::HostKind;
use crc::wires::Wire;
use crc_tests::frames::{registration, server, user};
use serde_json::Value;

use super::{CLIENT, Kind, SERVER, SERVERS_USER};

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    Closed,
    Counted,
    Answered,
    Ignored,
}

/// Server 1 with user 101, server 2 with user 202, and an attacker.
pub(super) struct Fixture {
    pub(super) node: Node,
    now: Time,
    honest: [LinkId; 2],
    pub(super) attacker: LinkId,
    is_closed: bool,
    store: MemoryMailbox,
    /// What the links of `honest`, and the attacker, have received since the last look.
    pub(super) received: [Vec<u8>; 3],
}

impl Fixture {
    pub(super) fn new(wire: Wire, origin: &Origin) -> Self {
        let now = Time::default();
        let identity =
            Identity { id: HostId(1), is_id_configured: true, name: b"one".to_vec(), info: vec![] };
        let mut node = Node::new(identity, 0, Limits::default(), 1);
        let listener: ListenerId = node.add_listener(wire);
        let [frodo, two] = [(); 2].map(|()| node.open_link(now, Wire::CRC));
        node.receive(now, frodo, &user(101, "frodo", ""));
        node.receive(now, two, &server(2, "two", ""));
        node.receive(now, two, &registration(HostKind::User, 202, 2, "sam", ""));
        let attacker = node.accepted(now, listener, origin);
        let received = [(); 3].map(|()| Vec::new());
        let (honest, store) = ([frodo, two], MemoryMailbox::new());
        Self { node, now, honest, attacker, is_closed: false, store, received }
    }

    /// Connects an attacker of one kind over the CRC wire.
    pub(super) fn connected(kind: Kind) -> Self {
        let mut fixture = Self::new(Wire::CRC, &kind.origin());
        match kind {
            Kind::Unregistered | Kind::UnregisteredStranger => {}
            Kind::Client | Kind::ClientStranger => fixture.send(&user(CLIENT, "gollum", "")),
            Kind::PlainServer => {
                fixture.send(&server(SERVER, "mordor", ""));
                fixture.send(&registration(HostKind::User, SERVERS_USER, SERVER, "orc", ""));
            }
            Kind::ExtendedServer => fixture.join_extended(),
        }
        fixture.settle();
        fixture.received.iter_mut().for_each(Vec::clear);
        fixture
    }

    /// Lets a real server join over the link of the attacker.
    fn join_extended(&mut self) {
        let identity = Identity {
            id: HostId(SERVER),
            is_id_configured: true,
            name: b"mordor".to_vec(),
            info: vec![],
        };
        let mut other = Node::new(identity, 1, Limits::default(), 2);
        let orc = other.open_link(self.now, Wire::CRC);
        other.receive(self.now, orc, &user(SERVERS_USER, "orc", ""));
        other.advance(self.now);
        let Some(Action::Dial { link, .. }) = other.poll_action() else { panic!("no dial") };
        other.dialled(self.now, link, &Origin::default());
        for _ in 0..20 {
            let bytes = other.unsent(link).to_vec();
            other.sent(link, bytes.len());
            self.send(&bytes);
            let answer = std::mem::take(&mut self.received[2]);
            if !answer.is_empty() {
                other.receive(self.now, link, &answer);
            }
            other.advance(self.now);
        }
        assert!(self.node.relay().is_extended(self.attacker), "the server has joined");
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        if !self.is_closed && !bytes.is_empty() {
            self.node.receive(self.now, self.attacker, bytes);
        }
        self.pump();
    }

    fn pump(&mut self) {
        loop {
            let mut is_done = true;
            while let Some(action) = self.node.poll_action() {
                is_done = false;
                match action {
                    Action::Close { link, reason } => {
                        assert_eq!(link, self.attacker, "another link is closed: {reason}");
                        self.take_unsent(2, link);
                        self.is_closed = true;
                        self.node.closed(self.now, link, &reason);
                    }
                    Action::Store(request) => self.store.request(request),
                    _ => {}
                }
                while let Some(reply) = self.store.poll() {
                    self.node.on_store_reply(self.now, reply);
                }
            }
            while let Some(link) = self.node.poll_unsent() {
                is_done = false;
                let index = self.honest.iter().position(|honest| *honest == link).unwrap_or(2);
                self.take_unsent(index, link);
            }
            if is_done {
                return;
            }
        }
    }

    fn take_unsent(&mut self, index: usize, link: LinkId) {
        self.received[index].extend_from_slice(self.node.unsent(link));
        self.node.sent(link, self.node.unsent(link).len());
    }

    /// Lets what waits for a moment happen; no deadline of a link is so near.
    pub(super) fn settle(&mut self) {
        for _ in 0..10 {
            self.now = self.now + Duration::from_millis(100);
            self.node.advance(self.now);
            self.pump();
        }
    }

    pub(super) fn state(&mut self) -> Value {
        let answer = execute(&mut self.node, self.now, "state", Format::Json);
        let Answer::Ready(Ok(text)) = answer else { panic!("{answer:?}") };
        serde_json::from_str(&text).expect("JSON")
    }

    /// Returns what became of a frame, by the states before and after it.
    pub(super) fn outcome(&self, before: &Value, after: &Value) -> Outcome {
        if self.is_closed {
            Outcome::Closed
        } else if counted(after) > counted(before) {
            Outcome::Counted
        } else if !self.received[2].is_empty() {
            Outcome::Answered
        } else {
            Outcome::Ignored
        }
    }
}

/// Returns what a server knows, without the attacker's own hosts and without counters.
pub(super) fn known(state: &Value, own_ids: &[u32]) -> Vec<String> {
    let is_own = |entry: &&Value| own_ids.iter().any(|id| entry["id"] == *id);
    let entries = |key: &str| -> Vec<String> {
        let all = state[key].as_array().expect("a list").iter();
        all.filter(|entry| !is_own(entry)).map(|entry| format!("{key} {entry}")).collect()
    };
    [entries("hosts"), entries("servers"), entries("status_updates")].concat()
}

/// Returns the sum of all counters of what was dropped and refused.
fn counted(state: &Value) -> u64 {
    let sum = |counts: &Value| -> u64 {
        counts.as_object().expect("counts").values().filter_map(Value::as_u64).sum()
    };
    let links = state["links"].as_array().expect("links").iter();
    sum(&state["dropped"]) + links.map(|link| sum(&link["refused"])).sum::<u64>()
}

/// Returns whether a frame that an honest neighbour received is about the attacker's own hosts.
pub(super) fn is_about(frame: &[u8], own_ids: &[u32]) -> bool {
    let source = frame[1..5].try_into().map(u32::from_be_bytes).expect("a source");
    own_ids.contains(&source)
}
