//! The classic wire against a `Node` in memory, to the byte.
//!
//! The tests encode messages without the codec, in both forms. CRC users and a neighbouring server
//! take part. Time is virtual.

mod chats;
mod connecting;
mod lists;
mod splits;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crc::id::HostId;
use crc::limits::{
    BROADCAST_QUEUE_HIGH_WATER_BYTES, BROADCAST_STALL_TIMEOUT, CLASSIC_FORM_DETECTION_TIMEOUT,
    CLASSIC_PAGE_INTERVAL, CLASSIC_WORK_INTERVAL, CLASSIC_WORK_PER_HOST, CLASSIC_WORK_PER_TURN,
    CLIENT_QUEUE_BYTES_MAX, FALSE_SOURCES_MAX, Limits, QUEUE_LOW_WATER_BYTES, REGISTER_DEADLINE,
    SPLIT_DEFERRED_BYTES_MAX, SPLIT_GRACE,
};
use crc::link::{CloseReason, LinkId, Machine as _, Time};
use crc::node::{Action, Node};
use crc::relay::Identity;
use crc::relay::extension::{Epoch, Frame, Hello, Nonce};
use crc::relay::message::HostKind;
use crc::wires::Wire;
use crc_tests::frames::{chat, extension, quit, registration, server, split_frames, status, user};

const SECOND: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_secs(10);

/// The form of a client's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Full,
    Short,
}

const FORMS: [Form; 2] = [Form::Full, Form::Short];

/// Encodes a message of a client.
fn encode_message(form: Form, to: &str, from: &str, text: &str) -> Vec<u8> {
    let mut bytes = format!("{to:<8}{from:<8}{text}\0").into_bytes();
    if form == Form::Full {
        bytes.resize(256, 0);
    }
    bytes
}

/// Parses the messages in `bytes`.
#[track_caller]
fn parse_messages(form: Form, bytes: &[u8]) -> Vec<[String; 3]> {
    let mut chunks: Vec<&[u8]> = match form {
        Form::Full => bytes.chunks(256).collect(),
        Form::Short => bytes.split_inclusive(|&byte| byte == 0).collect(),
    };
    for message in &mut chunks {
        let end = message.iter().position(|&byte| byte == 0).expect("a NUL");
        assert!(message[end..].iter().all(|&byte| byte == 0));
        assert_eq!(message.len(), if form == Form::Full { 256 } else { end + 1 });
        assert!((16..256).contains(&end));
        *message = &message[..end];
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    chunks.iter().map(|m| [text(&m[8..16]), text(&m[16..]), text(&m[..8])]).collect()
}

#[derive(Clone, Copy, Debug)]
struct Client {
    link: LinkId,
    name: &'static str,
    form: Form,
}

/// A server and its shell.
struct Rig {
    node: Node,
    now: Time,
    received: BTreeMap<LinkId, Vec<u8>>,
    closed: BTreeMap<LinkId, String>,
    /// Clients that do not read.
    not_reading: BTreeSet<LinkId>,
}

impl Rig {
    fn new(limits: Limits) -> Self {
        let (id, name, info) = (HostId(1), b"theshire".to_vec(), Vec::new());
        let node = Node::new(Identity { id, is_id_configured: true, name, info }, 0, limits, 7);
        let (received, closed, not_reading) = Default::default();
        Self { node, now: Time::default(), received, closed, not_reading }
    }

    fn connect(&mut self, wire: Wire) -> LinkId {
        self.node.open_link(self.now, wire)
    }

    /// Receives bytes on a link without ending the turn.
    fn receive(&mut self, link: LinkId, bytes: &[u8]) {
        self.node.receive(self.now, link, bytes);
    }

    /// Receives bytes on a link and ends the turn.
    fn send(&mut self, link: LinkId, bytes: &[u8]) {
        self.receive(link, bytes);
        self.end_turn();
    }

    fn end_turn(&mut self) {
        loop {
            let mut is_done = true;
            while let Some(action) = self.node.poll_action() {
                is_done = false;
                if let Action::Close { link, reason } = action {
                    self.read(link, usize::MAX);
                    self.closed.insert(link, reason.to_string());
                    self.node.closed(self.now, link, &reason);
                }
            }
            while let Some(link) = self.node.poll_unsent() {
                is_done = false;
                while !self.not_reading.contains(&link) && self.read(link, usize::MAX) {}
            }
            if is_done {
                return;
            }
        }
    }

    /// Reads some unsent bytes of a link. Returns whether there were any.
    fn read(&mut self, link: LinkId, bytes_max: usize) -> bool {
        let unsent = self.node.unsent(link);
        let unsent = &unsent[..unsent.len().min(bytes_max)];
        let count = unsent.len();
        self.received.entry(link).or_default().extend_from_slice(unsent);
        if count > 0 {
            self.node.sent(link, count);
        }
        count > 0
    }

    fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.end_turn();
        for _ in 0..100_000 {
            match self.node.next_deadline().filter(|&at| at <= end) {
                Some(at) => {
                    self.now = self.now.max(at);
                    self.node.advance(self.now);
                    self.end_turn();
                }
                None => {
                    self.now = end;
                    return;
                }
            }
        }
        panic!("deadlines that are always due");
    }

    /// Connects a classic client and discards the answer.
    #[track_caller]
    fn connected_client(&mut self, form: Form, name: &'static str) -> Client {
        let client = self.unregistered_client(form, name);
        self.send_message(client, "-SERVER-", &format!("Connect {name}"));
        self.run_for(CLASSIC_FORM_DETECTION_TIMEOUT);
        assert_eq!(self.take_messages(client)[0], "-SERVER-: Interval 10");
        client
    }

    /// Opens a link for a classic client that has not registered.
    fn unregistered_client(&mut self, form: Form, name: &'static str) -> Client {
        Client { link: self.connect(Wire::CLASSIC), name, form }
    }

    fn send_message(&mut self, client: Client, to: &str, text: &str) {
        self.send(client.link, &encode_message(client.form, to, client.name, text));
    }

    /// Returns the messages to a client since the last call.
    #[track_caller]
    fn take_messages(&mut self, client: Client) -> Vec<String> {
        let bytes = self.received.remove(&client.link).unwrap_or_default();
        let mut lines = Vec::new();
        for [from, text, to] in parse_messages(client.form, &bytes) {
            assert_eq!(to, client.name);
            lines.push(format!("{from}: {text}"));
        }
        lines
    }

    /// Registers a CRC user and discards the answer.
    fn crc_user(&mut self, id: u32, name: &str) -> LinkId {
        let link = self.connect(Wire::CRC);
        self.send(link, &user(id, name, ""));
        self.received.remove(&link);
        link
    }

    /// Registers a server with a user behind it.
    fn neighbour_server(&mut self, id: u32, user_id: u32, name: &str) -> LinkId {
        let link = self.connect(Wire::CRC);
        let burst = [
            server(id, "bree", ""),
            status(id, u32::MAX, 0xC700, "reads cut frames"),
            registration(HostKind::User, user_id, id, name, ""),
        ];
        self.send(link, &burst.concat());
        self.received.remove(&link);
        link
    }

    /// Connects a server that speaks the extension, with a user.
    fn extended_server(&mut self, id: u32, user_id: u32, name: &str) -> LinkId {
        let link = self.connect(Wire::CRC);
        let (epoch, known, nonce) = (Epoch { boot: 1, attach: 0 }, Epoch::default(), Nonce(1));
        let (version, capabilities, port, token) = (1, 0, 0, 1);
        let (is_moving, replay_token, handled_bytes) = (false, 0, 0);
        let hello = Hello {
            version,
            is_moving,
            capabilities,
            epoch,
            nonce,
            port,
            token,
            replay_token,
            handled_bytes,
            known,
        };
        self.send(link, &[server(id, "bree", ""), extension(id, &Frame::Hello(hello))].concat());
        let users = Frame::Users { home: HostId(id), stamps: [1].as_slice().into() };
        let burst = [
            extension(id, &Frame::Commit { epoch, known }),
            extension(id, &users),
            registration(HostKind::User, user_id, id, name, ""),
        ];
        self.send(link, &burst.concat());
        self.received.remove(&link);
        link
    }

    fn take_frames(&mut self, link: LinkId) -> Vec<Vec<u8>> {
        split_frames(&self.received.remove(&link).unwrap_or_default())
    }

    fn disconnect(&mut self, link: LinkId) {
        self.node.closed(self.now, link, &CloseReason::PeerClosed);
        self.end_turn();
    }

    /// Returns why a link was closed.
    fn close_reason(&self, client: Client) -> Option<&str> {
        self.closed.get(&client.link).map(String::as_str)
    }

    fn id_of(&self, client: Client) -> u32 {
        self.node.relay().adjacent_host(client.link).expect("online").id.0
    }

    fn false_sources(&self) -> u64 {
        self.node.relay().counters().false_sources
    }
}

fn rig() -> Rig {
    Rig::new(Limits::default())
}
