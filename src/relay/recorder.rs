//! [`Recorder`]: an outbox that records what the relay does, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::Relay;
use super::extension::codec::VERSION;
use super::extension::{Digest, Epoch, Frame, Hello, Nonce, ServerFact};
use super::mail_text::MailText;
use super::message::{HostKind, Message, StatusCode, Summary};
use super::notice::Notice;
use super::outbox::{Interests, Outbox, Unacknowledged, View};
use super::topology::{Host, Identity};
use crate::id::HostId;
use crate::limits::Limits;
use crate::link::{CloseReason, LinkId, Origin, Security, Time, Traffic};

/// Records each call as a line that begins with the index of the link.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    lines: Vec<String>,
    /// Unsent bytes of the links whose queues are not empty.
    pub(super) unsent: BTreeMap<LinkId, usize>,
    /// When bytes last arrived over a link.
    pub(super) received: BTreeMap<LinkId, Time>,
    /// The addresses at the other ends.
    pub(super) addresses: BTreeMap<LinkId, SocketAddr>,
    /// Bytes that have been handled on each link.
    pub(super) handled: BTreeMap<LinkId, u64>,
    /// Chats that were not acknowledged: source, destination, end, and whether they were sent.
    pub(super) unacknowledged: BTreeMap<LinkId, Vec<(u32, u32, u64, bool)>>,
    /// Links whose output has ended.
    pub(super) ended: BTreeSet<LinkId>,
    /// The digest of the last PING or PONG that was sent.
    pub(super) digest: Option<Digest>,
    /// Links that are held back.
    pub(super) held: BTreeSet<LinkId>,
    /// Links whose clients are sent room events.
    pub(super) with_room_events: BTreeSet<LinkId>,
    /// Links whose wires carry no announcements.
    pub(super) without_presence: BTreeSet<LinkId>,
    dialled: u32,
    /// Code and payload of each frame of the extension that was sent.
    extension: Vec<(StatusCode, Vec<u8>)>,
}

impl Recorder {
    fn record(&mut self, link: LinkId, line: impl std::fmt::Display) {
        self.lines.push(format!("{}: {line}", link.index));
    }

    /// Removes and returns the lines recorded so far.
    pub(super) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    /// Removes and returns the frames of the extension sent so far.
    pub(super) fn take_extension(&mut self) -> Vec<(StatusCode, Vec<u8>)> {
        std::mem::take(&mut self.extension)
    }
}

impl Outbox for Recorder {
    fn deliver(&mut self, link: LinkId, message: &Message<'_>) {
        if self.ended.contains(&link) {
            return;
        }
        if let Message::Status { destination: HostId::EXTENSION, code, text, .. } = *message {
            if let Some(Ok(Frame::Ping(ping) | Frame::Pong(ping))) = Frame::parse(code, text) {
                self.digest = ping.digest;
            }
            self.extension.push((code, text.to_vec()));
        }
        self.record(link, Summary(message));
    }

    fn notify(&mut self, link: LinkId, _view: View<'_>, notice: &Notice<'_>) {
        let text = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        match *notice {
            Notice::Joined(registration) => self.record(link, format!("+{}", registration.source)),
            Notice::Quit { source, text: why } => {
                self.record(link, format!("-{source} {}", text(why)));
            }
            Notice::Chat { source, text: said, .. } => {
                self.record(link, format!("<{source}> {}", text(said)));
            }
            Notice::Mail { mail, .. } => {
                let MailText { sender, nick, sent_at_ms, text: said } = mail;
                let dated = match mail.is_dated() {
                    true => format!(" {} at {sent_at_ms}", text(nick)),
                    false => String::new(),
                };
                self.record(link, format!("mail <{sender}{dated}> {}", text(said)));
            }
            Notice::RoomChat { room, source, text: said, .. } => {
                self.record(link, format!("{room} <{source}> {}", text(said)));
            }
            Notice::RoomTags { room, source, tags } => {
                self.record(link, format!("{room} <{source}> @{}", text(tags)));
            }
            Notice::RoomJoined { room, user, .. } => self.record(link, format!("{room} +{user}")),
            Notice::RoomParted { room, user, text: why, .. } => {
                self.record(link, format!("{room} -{user} {}", text(why)));
            }
            Notice::RoomTopic { room, user, text: topic, .. } => {
                self.record(link, format!("{room} topic by {user}: {}", text(topic)));
            }
            Notice::Away { user, text: why } => {
                self.record(link, format!("{user} away: {}", text(why)));
            }
            Notice::RealName { user, text: name } => {
                self.record(link, format!("{user} is {}", text(name)));
            }
            Notice::RoomRefused { reason, .. } => self.record(link, reason),
            Notice::NickChanged(user) => self.record(link, format!("nick of {user}")),
            Notice::Welcome { .. }
            | Notice::IdTaken { .. }
            | Notice::UnknownId(_)
            | Notice::Kicked { .. }
            | Notice::Status { .. }
            | Notice::MailKept
            | Notice::MailRefused { .. } => {
                let (_, status) = notice.status().expect("a status");
                self.record(link, text(&status));
            }
        }
    }

    fn unix_time(&self) -> Duration {
        Duration::ZERO
    }

    fn unsent_bytes(&self, link: LinkId) -> usize {
        self.unsent.get(&link).copied().unwrap_or(0)
    }

    fn traffic(&self, _: LinkId) -> Traffic {
        Traffic::default()
    }

    fn received_at(&self, link: LinkId) -> Time {
        self.received.get(&link).copied().unwrap_or_default()
    }

    fn origin(&self, link: LinkId) -> Origin {
        Origin { address: self.addresses.get(&link).copied(), security: Security::Plain }
    }

    fn check_address(&mut self, _: LinkId, _: HostKind) -> Result<(), CloseReason> {
        Ok(())
    }

    fn link_registered(&mut self, link: LinkId, _kind: HostKind) -> Interests {
        Interests {
            users: !self.without_presence.contains(&link),
            room_events: self.with_room_events.contains(&link),
            reads_cut_frames: false,
        }
    }

    fn close(&mut self, link: LinkId, reason: CloseReason) {
        self.record(link, format!("close: {reason}"));
    }

    fn keep_unacknowledged(&mut self, _link: LinkId) {}

    fn handled_bytes(&self, link: LinkId) -> u64 {
        self.handled.get(&link).copied().unwrap_or(0)
    }

    fn acknowledge(&mut self, _link: LinkId, _handled_bytes: u64) {}

    fn acknowledge_input(&mut self, link: LinkId) {
        self.record(link, "acknowledged");
    }

    fn end_output(&mut self, link: LinkId) -> u64 {
        self.ended.insert(link);
        1000
    }

    fn take_unacknowledged(&mut self, link: LinkId, each: &mut dyn FnMut(Unacknowledged<'_>)) {
        for (source, destination, end_position, was_sent) in
            self.unacknowledged.remove(&link).unwrap_or_default()
        {
            let (source, destination) = (HostId(source), HostId(destination));
            let message = Message::Chat { source, destination, text: b"hi" };
            each(Unacknowledged { message, end_position, was_sent });
        }
    }

    fn hold_back(&mut self, link: LinkId) -> bool {
        self.record(link, "held back");
        self.held.insert(link)
    }

    fn is_held_back(&self, link: LinkId) -> bool {
        self.held.contains(&link)
    }

    fn release(&mut self, link: LinkId) {
        self.held.remove(&link);
        self.record(link, "released");
    }

    fn dial(&mut self, _parent: usize) -> LinkId {
        self.dialled += 1;
        LinkId { index: 100 + self.dialled, generation: 1 }
    }

    fn dial_address(&mut self, address: SocketAddr) -> LinkId {
        let link = self.dial(0);
        self.record(link, format!("dial {address}"));
        link
    }

    fn awaits_hosts(&self) -> bool {
        false
    }

    fn host_up(&mut self, _host: &Host) {}

    fn rooms_changed(&mut self) {}

    fn host_down(&mut self, _host: &Host) {}
}

/// A relay with server id 1 and default limits.
pub(super) struct Bench {
    pub(super) relay: Relay,
    pub(super) out: Recorder,
    pub(super) now: Time,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(0, Limits::default())
    }

    pub(super) fn with(parent_count: usize, limits: Limits) -> Self {
        Self::create(true, parent_count, limits)
    }

    /// Creates a relay whose operator has not chosen its id.
    pub(super) fn with_any_id(parent_count: usize) -> Self {
        Self::create(false, parent_count, Limits::default())
    }

    fn create(is_id_configured: bool, parent_count: usize, limits: Limits) -> Self {
        let identity = Identity { id: HostId(1), is_id_configured, name: vec![], info: vec![] };
        let relay = Relay::new(identity, parent_count, limits, 1);
        Self { relay, out: Recorder::default(), now: Time::default() }
    }

    /// Handles a message and checks the relay.
    pub(super) fn receive(&mut self, link: u32, message: &Message<'_>) {
        self.relay.receive(self.now, link_id(link), message, &mut self.out);
        self.relay.on_input_end(self.now, link_id(link), &mut self.out);
        self.relay.check();
    }

    /// Accepts a link and registers a host over it.
    pub(super) fn join(&mut self, link: u32, kind: HostKind, id: u32) {
        self.relay.accepted(self.now, link_id(link), &mut self.out);
        self.receive(link, &registration(kind, id, 0));
    }

    /// Handles a frame of the extension from a server, and checks the relay.
    pub(super) fn receive_extension(&mut self, link: u32, id: u32, frame: &Frame<'_>) {
        self.receive_last_extension(link, id, frame);
        self.relay.check();
    }

    /// Handles a frame of the extension after which the relay waits for a link to close.
    pub(super) fn receive_last_extension(&mut self, link: u32, id: u32, frame: &Frame<'_>) {
        let mut text = Vec::new();
        frame.encode_payload(&mut text);
        let (source, destination) = (HostId(id), HostId::EXTENSION);
        let message = Message::Status { source, destination, code: frame.code(), text: &text };
        self.relay.receive(self.now, link_id(link), &message, &mut self.out);
    }

    /// Accepts a link and a server that speaks the extension over it and listens on port 3600.
    pub(super) fn join_extended(&mut self, link: u32, id: u32) {
        let epoch = Epoch { boot: 1, attach: 0 };
        self.join_with_hello(link, id, &Hello { epoch, ..hello(id) });
    }

    /// Accepts a link and a server that sends this HELLO over it.
    pub(super) fn join_with_hello(&mut self, link: u32, id: u32, hello: &Hello) {
        self.relay.accepted(self.now, link_id(link), &mut self.out);
        let registration = registration(HostKind::Server, id, 0);
        self.relay.receive(self.now, link_id(link), &registration, &mut self.out);
        self.receive_extension(link, id, &Frame::Hello(*hello));
        let commit = Frame::Commit { epoch: hello.epoch, known: Epoch::default() };
        self.receive_extension(link, id, &commit);
    }

    /// Learns that `id` is reached over an extended neighbour, by way of the server `via`.
    pub(super) fn learn_server(&mut self, link: u32, neighbour: u32, id: u32, via: u32) {
        let fact = ServerFact {
            id: HostId(id),
            epoch: Epoch { boot: 2, attach: 3 },
            nonce: Nonce(id.into()),
            via: HostId(via),
            users: 0,
            digest: Digest::default(),
        };
        self.receive_extension(link, neighbour, &Frame::Server(fact));
        self.receive(link, &registration(HostKind::Server, id, neighbour));
    }

    /// Learns over an extended neighbour that a user without a name is registered at a home.
    pub(super) fn learn_user(
        &mut self,
        (link, neighbour): (u32, u32),
        (home, stamp): (u32, u64),
        id: u32,
    ) {
        let stamps = [stamp];
        let (home, stamps) = (HostId(home), stamps.as_slice().into());
        self.receive_extension(link, neighbour, &Frame::Users { home, stamps });
        self.receive(link, &registration(HostKind::User, id, neighbour));
    }

    /// Shows that the host at the other end of a link reads cut frames.
    pub(super) fn show_reads_cut_frames(&mut self, link: u32, id: u32) {
        let (source, destination) = (HostId(id), HostId::EXTENSION);
        let code = super::message::StatusCode::READS_CUT_FRAMES;
        self.receive(link, &Message::Status { source, destination, code, text: b"" });
    }

    pub(super) fn chat(&mut self, link: u32, source: u32, destination: u32) {
        let (source, destination) = (HostId(source), HostId(destination));
        self.receive(link, &Message::Chat { source, destination, text: b"hi" });
    }

    /// Ends a link that the other end closed, and checks the relay.
    pub(super) fn close(&mut self, link: u32) {
        let reason = CloseReason::PeerClosed;
        self.relay.closed(self.now, link_id(link), &reason, &mut self.out);
        self.relay.check();
    }

    /// Lets time pass, with all timers that fire, and checks the relay.
    pub(super) fn wait(&mut self, time: std::time::Duration) {
        let end = self.now + time;
        while let Some(at) = self.relay.next_deadline(self.now).filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.relay.advance(self.now, &mut self.out);
            while self.relay.announce_next(self.now, &mut self.out) {}
            self.relay.check();
        }
        self.now = end;
    }
}

/// Returns the id of the first link at an index.
pub(super) fn link_id(index: u32) -> LinkId {
    LinkId { index, generation: 1 }
}

/// Returns HELLO or OFFER of a server that speaks all of the extension and listens on port 3600.
pub(super) fn hello(id: u32) -> Hello {
    Hello {
        version: VERSION,
        is_moving: false,
        capabilities: 0,
        epoch: Epoch { boot: 2, attach: 3 },
        nonce: Nonce(id.into()),
        port: 3600,
        token: 7,
        replay_token: 0,
        handled_bytes: 0,
        known: Epoch::default(),
    }
}

/// Returns a registration without a name.
pub(super) fn registration(kind: HostKind, id: u32, last_hop: u32) -> Message<'static> {
    let (source, last_hop) = (HostId(id), HostId(last_hop));
    let registration =
        super::message::Registration { kind, source, last_hop, name: b"", info: b"" };
    Message::Registration(registration)
}
