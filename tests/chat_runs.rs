//! A run of consecutive chats between any two wires gives the same bytes as if each frame had been
//! read alone.

use crc::id::HostId;
use crc::limits::{
    CLASSIC_FORM_DETECTION_TIMEOUT, CLIENT_QUEUE_BYTES_MAX, FRAME_BYTES_MAX, Limits,
    QUEUE_BYTES_MAX_FLOOR, QUEUE_HIGH_WATER_BYTES,
};
use crc::link::{LinkId, Machine as _, Time, Traffic};
use crc::mail::store::MemoryMailbox;
use crc::node::{Action, Node};
use crc::relay::Identity;
use crc::relay::message::HostKind;
use crc::wires::Wire;
use crc::wires::classic::codec as classic;
use crc::wires::classic::codec::{Form, MESSAGE_BYTES, NAME_BYTES, Name};
use crc::wires::direct::codec as direct;
use crc::wires::direct::codec::Control;
use crc_tests::frames;
use proptest::collection::vec;
use proptest::prelude::*;

/// The users: wire, id (0 if the wire's clients do not choose one), and name.
const USERS: [(Wire, u32, &str); 8] = [
    (Wire::CRC, 3, "u3"),
    (Wire::DIRECT, 4, "4"),
    (Wire::CLASSIC, 0, "u5"),
    (Wire::DIRECT, 6, "6"),
    (Wire::CLASSIC, 0, "u7"),
    (Wire::CRC, 8, "u8"),
    (Wire::IRC, 0, "i1"),
    (Wire::IRC, 0, "i2"),
];
/// A user behind a server with id 2.
const REMOTE_USER: (u32, &str) = (9, "u9");
/// Further destinations.
const UNKNOWN_USER: (u32, &str) = (99, "nobody");
const SERVER: (u32, &str) = (0, "-SERVER-");
const EVERYONE: (u32, &str) = (1, "ALL");

/// A run of chats: index of the destination, count, length of the first text, and form.
type RunSpec = (usize, usize, usize, u8);

struct World {
    node: Node,
    store: MemoryMailbox,
    now: Time,
    links: Vec<LinkId>,
    received: Vec<Vec<u8>>,
}

impl World {
    fn new(limits: Limits) -> Self {
        let own = Identity { id: HostId(1), is_id_configured: true, name: vec![], info: vec![] };
        let node = Node::new(own, 0, limits, 1);
        let (store, now) = (MemoryMailbox::new(), Time::default());
        let mut world = Self { node, store, now, links: Vec::new(), received: Vec::new() };
        for (wire, id, name) in USERS {
            let frame = match wire.name() {
                // Announcements must not wait for a timer.
                "crc" => {
                    let reads_cut_frames = frames::status(id, u32::MAX, 0xC700, "");
                    [frames::user(id, name, ""), reads_cut_frames].concat()
                }
                "direct" => desired_id_frame(id),
                "irc" => format!("NICK {name}\r\nUSER {name} 0 * :{name}\r\n").into_bytes(),
                _ => classic_frame(Name::SERVER, classic_name(name), &format!("Connect {name}"), 1),
            };
            world.connect(wire, &frame);
        }
        let reads_cut_frames = frames::status(2, u32::MAX, 0xC700, "");
        let registration = [frames::server(2, "two", ""), reads_cut_frames].concat();
        world.connect(Wire::CRC, &registration);
        let (id, name) = REMOTE_USER;
        let registration = frames::registration(HostKind::User, id, 2, name, "");
        world.node.receive(world.now, world.links[USERS.len()], &registration);
        world.now = world.now + CLASSIC_FORM_DETECTION_TIMEOUT;
        world.run_until_quiescent(0);
        world
    }

    fn connect(&mut self, wire: Wire, frame: &[u8]) {
        let link = self.node.open_link(self.now, wire);
        self.node.receive(self.now, link, frame);
        self.links.push(link);
        self.received.push(Vec::new());
    }

    /// Runs the node until nothing is due, while the first few links read nothing.
    fn run_until_quiescent(&mut self, unread_links: usize) {
        loop {
            let mut is_done = self.node.next_deadline().is_none_or(|at| at > self.now);
            while self.node.poll_unsent().is_some() {}
            for (link, received) in self.links.iter().zip(&mut self.received).skip(unread_links) {
                let unsent = self.node.unsent(*link);
                received.extend_from_slice(unsent);
                is_done &= unsent.is_empty();
                self.node.sent(*link, unsent.len());
            }
            while let Some(action) = self.node.poll_action() {
                is_done = false;
                match action {
                    Action::Close { link, reason } => {
                        let index = self.links.iter().position(|other| *other == link);
                        let received = &mut self.received[index.expect("a link")];
                        received.extend_from_slice(self.node.unsent(link));
                        self.node.closed(self.now, link, &reason);
                    }
                    Action::Store(request) => self.store.request(request),
                    _ => {}
                }
                while let Some(reply) = self.store.poll() {
                    self.node.on_store_reply(self.now, reply);
                }
            }
            if is_done {
                return;
            }
            self.write_above_high_water(unread_links);
            self.node.advance(self.now);
        }
    }

    /// Writes each queue above its high-water mark before the input that filled it continues.
    fn write_above_high_water(&mut self, unread_links: usize) {
        while let Some(long_queue) = self.node.poll_above_high_water() {
            for (link, received) in self.links.iter().zip(&mut self.received).skip(unread_links) {
                if *link == long_queue {
                    received.extend_from_slice(self.node.unsent(*link));
                    self.node.sent(*link, self.node.unsent(*link).len());
                }
            }
        }
    }

    fn id(&self, name: &str) -> u32 {
        let host = self.node.relay().hosts().iter().find(|host| host.name() == name.as_bytes());
        host.map_or(0, |host| host.id.0)
    }

    /// Returns the frames of a run.
    fn run_frames(&self, sender: usize, &(to, count, len, form): &RunSpec) -> Vec<Vec<u8>> {
        let (wire, own, own_name) = USERS[sender];
        let others = [REMOTE_USER, UNKNOWN_USER, SERVER, EVERYONE];
        let (id, name) = match USERS.get(to) {
            Some(&(_, 0, name)) => (self.id(name), name),
            Some(&(_, id, name)) => (id, name),
            None => others[to - USERS.len()],
        };
        // The frame in the middle may differ: a false source, or another type of message.
        let is_odd = |n: usize| form & 8 != 0 && n == count / 2;
        let text = |n: usize| match form & 3 {
            0 | 1 => "x".repeat((len + n) % 900),
            2 => "世".repeat((len + n) % 300),
            _ => format!("{}\0x", "x".repeat((len + n) % 900)),
        };
        let frame = |n: usize| match wire.name() {
            "crc" => frames::chat(if is_odd(n) { own + 1 } else { own }, id, &text(n)),
            "direct" if is_odd(n) => match form >> 4 & 3 {
                0 => desired_id_frame(own),
                1 => vec![0, 0, 0, 4, 0x18, 0, 0x10, id as u8], // not the type of a text
                2 => vec![0, 0, 0, 8, 0x10, 5, 0x10, id as u8, 0x32, 0, 0x1a, 0],
                _ => vec![0, 0, 0, 3, 0x1a, 1, 0xff],
            },
            "direct" => {
                let mut frame = Vec::new();
                direct::encode_plain(n as i64 % 3, id.into(), &text(n), &mut frame);
                frame
            }
            "irc" => {
                // A user of the direct wire has no name that is a nick.
                let is_number = name.starts_with(|c: char| c.is_ascii_digit());
                let nick = if is_number { format!("|{name}") } else { name.to_owned() };
                let (command, end) = match form >> 4 & 3 {
                    _ if !is_odd(n) => ("PRIVMSG ", ""),
                    0 => ("NOTICE ", ""),
                    1 => ("privmsg ", ""),
                    2 => ("PRIVMSG ", ",u3"),
                    _ => ("@a=b PRIVMSG ", ""),
                };
                let text = match form & 3 {
                    2 => "世".repeat((len + n) % 160),
                    3 => format!("{}\0x", "x".repeat((len + n) % 500)),
                    _ => "x".repeat((len + n) % 520),
                };
                format!("{command}{nick}{end} :{text}\r\n").into_bytes()
            }
            _ => {
                let source = if is_odd(n) { "u3" } else { own_name };
                let text = match form & 3 {
                    2 => "世".repeat((len + n) % 80),
                    _ => "x".repeat((len + n) % 240),
                };
                classic_frame(classic_name(name), classic_name(source), &text, form >> 4)
            }
        };
        (0..count).map(frame).collect()
    }
}

fn desired_id_frame(id: u32) -> Vec<u8> {
    let control = Some(Control::DesiredId(id.into()));
    let mut frame = Vec::new();
    direct::encode(&direct::Message { control, ..direct::Message::default() }, &mut frame);
    frame
}

fn classic_name(name: &str) -> Name {
    Name::new(name.as_bytes()).expect("short")
}

/// Returns a classic message, padded or compact, with or without trailing NULs.
fn classic_frame(destination: Name, source: Name, text: &str, form: u8) -> Vec<u8> {
    let mut frame = Vec::new();
    let message = classic::Message { destination, source, text: text.as_bytes() };
    let (form, more) = match form & 3 {
        0 => (Form::Compact, 0),
        1 => (Form::Padded, 0),
        2 => (Form::Padded, 2),
        _ => (Form::Compact, 2),
    };
    classic::encode(&message, form, &mut frame);
    frame.resize(frame.len() + more, 0);
    frame
}

/// Returns the bytes that each link received, and its counters.
fn outcome(
    limits: Limits,
    runs: &[(usize, Vec<RunSpec>)],
    is_batched: bool,
) -> (Vec<Vec<u8>>, Vec<Option<Traffic>>) {
    let mut world = World::new(limits);
    for (turn, (sender, specs)) in runs.iter().enumerate() {
        let frames: Vec<_> =
            specs.iter().flat_map(|spec| world.run_frames(*sender, spec)).collect();
        let reads = if is_batched { vec![frames.concat()] } else { frames };
        for piece in reads {
            world.node.receive(world.now, world.links[*sender], &piece);
            world.run_until_quiescent(turn % 3);
        }
    }
    world.run_until_quiescent(0);
    let traffic =
        |link: &LinkId| world.node.links().find(|l| l.id() == *link).map(crc::node::Link::traffic);
    let traffic = world.links.iter().map(traffic).collect();
    (world.received, traffic)
}

#[test]
fn chat_run_stops_at_the_queue_high_water_mark() {
    // A short chat of the direct wire becomes a classic message of 256 bytes, and the longest text
    // four.
    const CHAT_BYTES_MAX: usize = 4 * MESSAGE_BYTES;
    let mut world = World::new(Limits::default());
    let (sender, addressee) = (world.links[1], world.links[2]);
    let spec: (usize, usize, usize, u8) = (2, 5000, 0, 0);
    let before = world.received[2].len();
    let run = world.run_frames(1, &spec).concat();
    world.node.receive(world.now, sender, &run);
    let queued_bytes = world.node.unsent(addressee).len();
    assert!(
        (QUEUE_HIGH_WATER_BYTES..QUEUE_HIGH_WATER_BYTES + CHAT_BYTES_MAX).contains(&queued_bytes),
        "{queued_bytes}"
    );
    assert!(!world.node.wants_read(sender), "the rest waits for the next turn");
    // A link that reads receives every chat.
    world.run_until_quiescent(0);
    let received_bytes = world.received[2].len() - before;
    assert!(
        received_bytes >= 5000 * (2 * NAME_BYTES + 1) && world.node.wants_read(sender),
        "{received_bytes}"
    );
    // A link that does not read is closed at the bound.
    world.node.receive(world.now, sender, &run);
    world.node.advance(world.now);
    assert!(!world.node.is_open(addressee) && world.node.is_open(sender));
    let expected = CLIENT_QUEUE_BYTES_MAX + 1..=CLIENT_QUEUE_BYTES_MAX + CHAT_BYTES_MAX;
    let queued_bytes = world.node.unsent(addressee).len();
    assert!(expected.contains(&queued_bytes), "{queued_bytes}");
}

#[test]
fn input_deferred_for_mail_does_not_overfill_a_read_queue() {
    // The first chat is stored as mail, so the others are deferred. They then arrive at once, and
    // are more than a queue may hold.
    let runs = [(1, vec![(9, 1, 0, 32), (2, 29, 715, 144), (2, 49, 479, 64)])];
    let limits = Limits { client_queue_bytes_max: QUEUE_BYTES_MAX_FLOOR, ..Limits::default() };
    assert!(outcome(limits, &runs, true) == outcome(limits, &runs, false));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chat_run_equals_single_chats_on_every_wire(
        runs in vec(
            (0..USERS.len(), vec((0..USERS.len() + 4, 1..60_usize, 0..900_usize, any::<u8>()), 1..5)),
            1..12,
        ),
        frame_bytes_max in prop_oneof![Just(FRAME_BYTES_MAX), 860..970_usize],
    ) {
        // No link reaches its bound, since the excess depends on the size of a read.
        let client_queue_bytes_max = 16 * 1024 * 1024;
        let limits = Limits { frame_bytes_max, client_queue_bytes_max, ..Limits::default() };
        let (batched, single) = (outcome(limits, &runs, true), outcome(limits, &runs, false));
        for (index, (together, alone)) in batched.0.iter().zip(&single.0).enumerate() {
            prop_assert!(together == alone, "link {}: {} bytes, {}", index, together.len(), alone.len());
        }
        prop_assert_eq!(batched.1, single.1);
    }
}
