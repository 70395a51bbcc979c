//! Chats in a row are passed on together, and nobody can tell: any row, over any wire, comes out as if
//! each frame had been read alone.

use crc::doors::Door;
use crc::doors::classic::wire::{self as classic, Form, MESSAGE_BYTES, NAME_BYTES, Name};
use crc::doors::direct::wire::{self as direct, Control};
use crc::limits::{
    CLASSIC_FORM_WAIT, CLIENT_QUEUE_BYTES_MAX, FRAME_BYTES_MAX, Limits, QUEUE_BYTES_MAX_FLOOR,
    QUEUE_PRESSED_BYTES,
};
use crc::mailbox::Memory;
use crc::node::{Action, Node, Traffic};
use crc::relay::message::{HostId, Kind};
use crc::relay::{Identity, LinkId, Time};
use crc_tests::frames;
use proptest::collection::vec;
use proptest::prelude::*;

/// Who is there: the door through which each came, the id that it has where it can choose, its name.
const USERS: [(Door, u32, &str); 6] = [
    (Door::Crc, 3, "u3"),
    (Door::Direct, 4, "4"),
    (Door::Classic, 0, "u5"),
    (Door::Direct, 6, "6"),
    (Door::Classic, 0, "u7"),
    (Door::Crc, 8, "u8"),
];
/// And a server, behind which there is one more.
const BEHIND: (u32, &str) = (9, "u9");
/// Addressees beyond those.
const NOBODY: (u32, &str) = (99, "nobody");
const SERVER: (u32, &str) = (0, "-SERVER-");
const EVERYONE: (u32, &str) = (1, "ALL");

/// What somebody says in one read: to whom, how often, how long, in what form.
type Row = (usize, usize, usize, u8);

struct World {
    node: Node,
    store: Memory,
    now: Time,
    links: Vec<LinkId>,
    got: Vec<Vec<u8>>,
}

impl World {
    fn new(limits: Limits) -> Self {
        let own = Identity { id: HostId(1), id_is_chosen: true, name: vec![], info: vec![] };
        let node = Node::new(own, 0, limits, 1);
        let (store, now) = (Memory::new(), Time::default());
        let mut world = Self { node, store, now, links: Vec::new(), got: Vec::new() };
        for (door, id, name) in USERS {
            let frame = match door {
                Door::Crc => frames::user(id, name, ""),
                Door::Direct => desired(id),
                Door::Classic => said(Name::SERVER, named(name), &format!("Connect {name}"), 1),
            };
            world.connect(door, &frame);
        }
        world.connect(Door::Crc, &frames::server(2, "two", ""));
        let (id, name) = BEHIND;
        let behind = frames::registration(Kind::User, id, 2, name, "");
        world.node.receive(world.now, world.links[USERS.len()], &behind);
        world.now = world.now + CLASSIC_FORM_WAIT;
        world.go_on(0);
        world
    }

    fn connect(&mut self, door: Door, frame: &[u8]) {
        let link = self.node.accepted(self.now, door, None);
        self.node.receive(self.now, link, frame);
        self.links.push(link);
        self.got.push(Vec::new());
    }

    /// Lets the node do what can be done now, while the first few links read nothing.
    fn go_on(&mut self, unread: usize) {
        loop {
            let mut is_done = self.node.next_deadline().is_none_or(|at| at > self.now);
            while self.node.poll_unsent().is_some() {}
            for (link, got) in self.links.iter().zip(&mut self.got).skip(unread) {
                let unsent = self.node.unsent(*link);
                got.extend_from_slice(unsent);
                is_done &= unsent.is_empty();
                self.node.sent(*link, unsent.len());
            }
            while let Some(action) = self.node.poll_action() {
                is_done = false;
                match action {
                    Action::Close { link, reason } => {
                        let place = self.links.iter().position(|other| *other == link);
                        let got = &mut self.got[place.expect("a link")];
                        got.extend_from_slice(self.node.unsent(link));
                        self.node.closed(self.now, link, &reason);
                    }
                    Action::Mail(request) => self.store.request(request),
                    _ => {}
                }
                while let Some(reply) = self.store.poll() {
                    self.node.mail_replied(self.now, reply);
                }
            }
            if is_done {
                return;
            }
            self.write_pressed(unread);
            self.node.advance(self.now);
        }
    }

    /// Long queues are written before what has made them long goes on.
    fn write_pressed(&mut self, unread: usize) {
        while let Some(pressed) = self.node.poll_pressed() {
            for (link, got) in self.links.iter().zip(&mut self.got).skip(unread) {
                if *link == pressed {
                    got.extend_from_slice(self.node.unsent(*link));
                    self.node.sent(*link, self.node.unsent(*link).len());
                }
            }
        }
    }

    fn id(&self, name: &str) -> u32 {
        let host = self.node.relay().hosts().iter().find(|host| host.name() == name.as_bytes());
        host.map_or(0, |host| host.id.0)
    }

    /// The frames of a row.
    fn frames(&self, sender: usize, &(to, count, len, form): &Row) -> Vec<Vec<u8>> {
        let (door, own, own_name) = USERS[sender];
        let others = [BEHIND, NOBODY, SERVER, EVERYONE];
        let (id, name) = match USERS.get(to) {
            Some(&(Door::Classic, _, name)) => (self.id(name), name),
            Some(&(_, id, name)) => (id, name),
            None => others[to - USERS.len()],
        };
        // One in the middle is of another kind.
        let is_odd = |n: usize| form & 8 != 0 && n == count / 2;
        let text = |n: usize| match form & 3 {
            0 | 1 => "x".repeat((len + n) % 900),
            2 => "世".repeat((len + n) % 300),
            _ => format!("{}\0x", "x".repeat((len + n) % 900)),
        };
        let frame = |n: usize| match door {
            Door::Crc => frames::chat(if is_odd(n) { own + 1 } else { own }, id, &text(n)),
            Door::Direct if is_odd(n) => match form >> 4 & 3 {
                0 => desired(own),
                1 => vec![0, 0, 0, 4, 0x18, 0, 0x10, id as u8], // no type that a text has
                2 => vec![0, 0, 0, 8, 0x10, 5, 0x10, id as u8, 0x32, 0, 0x1a, 0],
                _ => vec![0, 0, 0, 3, 0x1a, 1, 0xff],
            },
            Door::Direct => {
                let mut frame = Vec::new();
                direct::encode_plain(n as i64 % 3, id.into(), &text(n), &mut frame);
                frame
            }
            Door::Classic => {
                let source = if is_odd(n) { "u3" } else { own_name };
                let text = match form & 3 {
                    2 => "世".repeat((len + n) % 80),
                    _ => "x".repeat((len + n) % 240),
                };
                said(named(name), named(source), &text, form >> 4)
            }
        };
        (0..count).map(frame).collect()
    }
}

fn desired(id: u32) -> Vec<u8> {
    let control = Some(Control::DesiredId(id.into()));
    let mut frame = Vec::new();
    direct::encode(&direct::Message { control, ..direct::Message::default() }, &mut frame);
    frame
}

fn named(name: &str) -> Name {
    Name::new(name.as_bytes()).expect("short")
}

/// A classic message in either form, or with some NULs behind it.
fn said(destination: Name, source: Name, text: &str, form: u8) -> Vec<u8> {
    let mut frame = Vec::new();
    let message = classic::Message { destination, source, text: text.as_bytes() };
    let (form, more) = match form & 3 {
        0 => (Form::Short, 0),
        1 => (Form::Full, 0),
        2 => (Form::Full, 2),
        _ => (Form::Short, 2),
    };
    classic::encode(&message, form, &mut frame);
    frame.resize(frame.len() + more, 0);
    frame
}

/// What everybody has got in the end, and how it was counted.
fn outcome(
    limits: Limits,
    said: &[(usize, Vec<Row>)],
    together: bool,
) -> (Vec<Vec<u8>>, Vec<Option<Traffic>>) {
    let mut world = World::new(limits);
    for (turn, (sender, rows)) in said.iter().enumerate() {
        let frames: Vec<_> = rows.iter().flat_map(|row| world.frames(*sender, row)).collect();
        let pieces = if together { vec![frames.concat()] } else { frames };
        for piece in pieces {
            world.node.receive(world.now, world.links[*sender], &piece);
            world.go_on(turn % 3);
        }
    }
    world.go_on(0);
    let traffic =
        |link: &LinkId| world.node.links().find(|l| l.id() == *link).map(crc::node::Link::traffic);
    let traffic = world.links.iter().map(traffic).collect();
    (world.got, traffic)
}

#[test]
fn a_row_makes_a_queue_no_longer_than_each_of_its_chats_would() {
    // A few bytes of the direct wire are 256 of the classic; the longest of these texts are four such.
    const CHAT_BYTES_MAX: usize = 4 * MESSAGE_BYTES;
    let mut world = World::new(Limits::default());
    let (sender, addressee) = (world.links[1], world.links[2]);
    let row: (usize, usize, usize, u8) = (2, 5000, 0, 0);
    let before = world.got[2].len();
    let said = world.frames(1, &row).concat();
    world.node.receive(world.now, sender, &said);
    let long = world.node.unsent(addressee).len();
    assert!((QUEUE_PRESSED_BYTES..QUEUE_PRESSED_BYTES + CHAT_BYTES_MAX).contains(&long), "{long}");
    assert!(!world.node.is_listening(sender), "the rest waits for the next turn");
    // Who reads gets all of it.
    world.go_on(0);
    let long = world.got[2].len() - before;
    assert!(long >= 5000 * (2 * NAME_BYTES + 1) && world.node.is_listening(sender), "{long}");
    // Who does not is given up on, at the bound.
    world.node.receive(world.now, sender, &said);
    world.node.advance(world.now);
    assert!(!world.node.is_open(addressee) && world.node.is_open(sender));
    let expected = CLIENT_QUEUE_BYTES_MAX + 1..=CLIENT_QUEUE_BYTES_MAX + CHAT_BYTES_MAX;
    let longest = world.node.unsent(addressee).len();
    assert!(expected.contains(&longest), "{longest}");
}

#[test]
fn what_was_held_for_the_disk_does_not_overfill_a_queue_that_is_read() {
    // The first is kept, so the others wait, and then come all at once: more than a queue may hold.
    let said = [(1, vec![(7, 1, 0, 32), (2, 29, 715, 144), (2, 49, 479, 64)])];
    let limits = Limits { client_queue_bytes_max: QUEUE_BYTES_MAX_FLOOR, ..Limits::default() };
    assert!(outcome(limits, &said, true) == outcome(limits, &said, false));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chats_in_a_row_are_chats_on_every_wire(
        said in vec(
            (0..USERS.len(), vec((0..USERS.len() + 4, 1..60_usize, 0..900_usize, any::<u8>()), 1..5)),
            1..12,
        ),
        frame_bytes_max in prop_oneof![Just(FRAME_BYTES_MAX), 860..970_usize],
    ) {
        // Nobody is given up on: a bound is passed by as much as comes in one read, so that differs.
        let client_queue_bytes_max = 16 * 1024 * 1024;
        let limits = Limits { frame_bytes_max, client_queue_bytes_max, ..Limits::default() };
        let (together, alone) = (outcome(limits, &said, true), outcome(limits, &said, false));
        for (place, (together, alone)) in together.0.iter().zip(&alone.0).enumerate() {
            prop_assert!(together == alone, "link {}: {} bytes, {}", place, together.len(), alone.len());
        }
        prop_assert_eq!(together.1, alone.1);
    }
}
