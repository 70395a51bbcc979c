//! Properties that hold for any input: round trips, split streams, arbitrary bytes.

use crc::id::HostId;
use crc::limits::{FRAME_BYTES_MAX, Limits};
use crc::link::frame_decoder::FrameDecoder;
use crc::link::{LinkId, Machine as _, Time, Traffic};
use crc::node::{Action, Node};
use crc::relay::message::{HostKind, Message, Registration, StatusCode};
use crc::relay::{FirstLink, Identity};
use crc::wires::Wire;
use crc::wires::crc::codec;
use crc_tests::frames;
use proptest::collection::vec;
use proptest::prelude::*;

/// Ids from a small pool, so that messages meet hosts that exist, and a few special ones.
fn id() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 1..8_u32, 1 => Just(0), 1 => Just(u32::MAX), 1 => any::<u32>()]
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let text = || vec(any::<u8>(), 0..40);
    let kind = prop_oneof![Just(HostKind::Server), Just(HostKind::User)];
    let registration = (kind, id(), id(), vec(any::<u8>(), 0..=255), vec(any::<u8>(), 0..400));
    prop_oneof![
        registration.prop_map(|(kind, source, last_hop, name, info)| {
            let (source, last_hop) = (HostId(source), HostId(last_hop));
            let (name, info) = (&name[..], &info[..]);
            let message = Registration { kind, source, last_hop, name, info };
            frames::encode(&Message::Registration(message))
        }),
        (id(), id(), any::<u16>(), text()).prop_map(|(source, destination, code, text)| {
            let (source, destination) = (HostId(source), HostId(destination));
            let code = StatusCode(code % 4);
            frames::encode(&Message::Status { source, destination, code, text: &text })
        }),
        (id(), id(), text()).prop_map(|(source, replacement, text)| {
            let (source, replacement) = (HostId(source), HostId(replacement));
            frames::encode(&Message::ServerQuit { source, replacement, text: &text })
        }),
        (id(), id(), text()).prop_map(|(source, destination, text)| {
            let (source, destination) = (HostId(source), HostId(destination));
            frames::encode(&Message::Chat { source, destination, text: &text })
        }),
        (id(), text()).prop_map(|(source, text)| {
            frames::encode(&Message::ClientQuit { source: HostId(source), text: &text })
        }),
    ]
}

fn node(limits: Limits) -> Node {
    let own =
        Identity { id: HostId(1), is_id_configured: true, name: b"one".to_vec(), info: Vec::new() };
    Node::new(own, 0, limits, 1)
}

/// Returns all unsent bytes of a link, and marks them as sent.
fn drain(node: &mut Node, link: LinkId) -> Vec<u8> {
    while node.poll_unsent().is_some() {}
    let mut bytes = Vec::new();
    while !node.unsent(link).is_empty() {
        bytes.extend_from_slice(node.unsent(link));
        node.sent(link, node.unsent(link).len());
    }
    bytes
}

/// Closes the links that the node closes, as the shell would.
fn apply_actions(node: &mut Node, now: Time) {
    while let Some(action) = node.poll_action() {
        if let Action::Close { link, reason } = action {
            node.closed(now, link, &reason);
        }
    }
}

/// A run of chats: source (3 to 5), destination, count, length of the first text, and whether the
/// frames claim a false source.
type RunSpec = (u32, u32, usize, usize, bool);

fn chat_frames(&(source, destination, count, len, is_false): &RunSpec) -> Vec<Vec<u8>> {
    let claimed = if is_false { source + 1 } else { source };
    (0..count).map(|n| frames::chat(claimed, destination, &"x".repeat((len + n) % 900))).collect()
}

/// A node with one server (2), three users (3 to 5) and a user behind the server (6).
struct ChatNetwork {
    node: Node,
    now: Time,
    /// Links of the hosts 2 to 5, and the bytes that each received.
    links: Vec<LinkId>,
    received: Vec<Vec<u8>>,
}

impl ChatNetwork {
    fn new() -> Self {
        let (mut node, now) = (node(Limits::default()), Time::default());
        let users = (3..6).map(|id| frames::user(id, "", ""));
        let registrations = std::iter::once(frames::server(2, "two", "")).chain(users);
        let links: Vec<LinkId> = (2..)
            .zip(registrations)
            .map(|(id, registration)| {
                let link = node.open_link(now, Wire::CRC);
                node.receive(now, link, &registration);
                // Announcements must not wait for a timer.
                node.receive(now, link, &frames::status(id, u32::MAX, 0xC700, ""));
                link
            })
            .collect();
        node.receive(now, links[0], &frames::registration(HostKind::User, 6, 2, "", ""));
        let received = vec![Vec::new(); links.len()];
        let mut network = Self { node, now, links, received };
        network.drain_all(0);
        network
    }

    /// Takes what the node has for each link but the first few.
    fn drain_all(&mut self, unread_links: usize) {
        for (link, received) in self.links.iter().zip(&mut self.received).skip(unread_links) {
            received.extend(drain(&mut self.node, *link));
        }
    }

    /// Receives bytes from a host. Direct writes accept at most as many bytes as `write_sizes`
    /// says.
    fn receive(
        &mut self,
        source: u32,
        bytes: &[u8],
        write_sizes: &mut impl Iterator<Item = usize>,
    ) {
        let link = self.links[source as usize - 2];
        let mut direct_writes = Vec::new();
        self.node.receive_with_direct_write(self.now, link, bytes, &mut |to, pieces| {
            let mut written = pieces.concat();
            written.truncate(write_sizes.next().expect("endless"));
            let count = written.len();
            direct_writes.push((to, written));
            count
        });
        for (to, written) in direct_writes {
            let index = self.links.iter().position(|link| *link == to).expect("a link");
            self.received[index].extend(written);
        }
    }

    /// Runs turns until nothing is due, while the first few links read nothing. Input that a long
    /// queue deferred is handled in the next turn.
    fn run_until_quiescent(&mut self, unread_links: usize) {
        self.drain_all(unread_links);
        while self.node.next_deadline().is_some_and(|at| at <= self.now) {
            self.node.advance(self.now);
            self.drain_all(unread_links);
        }
        apply_actions(&mut self.node, self.now);
    }

    /// Returns the bytes that each link received, and its counters.
    fn outcome(mut self) -> (Vec<Vec<u8>>, Vec<Option<Traffic>>) {
        self.drain_all(0);
        let traffic =
            |link: &LinkId| self.node.links().find(|l| l.id() == *link).map(|l| l.traffic());
        let traffic = self.links.iter().map(traffic).collect();
        (self.received, traffic)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn encoded_frame_parses_back(frame in any_frame()) {
        let (message, len) = codec::parse(&frame, FRAME_BYTES_MAX).expect("valid").expect("whole");
        prop_assert_eq!(len, frame.len());
        prop_assert_eq!(frames::encode(&message), frame);
    }

    #[test]
    fn any_split_of_a_stream_gives_the_same_frames(
        sent in vec(any_frame(), 1..12),
        cuts in vec(1..60_usize, 1..400),
    ) {
        let stream = sent.concat();
        let (mut decoder, mut decoded) = (FrameDecoder::default(), Vec::new());
        let (mut rest, mut cuts) = (&stream[..], cuts.into_iter().cycle());
        while !rest.is_empty() {
            let count = cuts.next().expect("a cycle").min(rest.len());
            let frame_len = |bytes: &[u8]| codec::frame_len(bytes, FRAME_BYTES_MAX);
            let on_frame = |frame: &[u8]| { decoded.push(frame.to_vec()); true };
            prop_assert_eq!(decoder.decode(&rest[..count], frame_len, on_frame), Ok(()));
            rest = &rest[count..];
        }
        prop_assert_eq!(decoded, sent);
        prop_assert!(!decoder.has_partial_frame());
    }

    #[test]
    fn any_split_of_a_stream_gives_the_same_answers(
        sent in vec(any_frame(), 1..20),
        cuts in vec(1..60_usize, 1..400),
    ) {
        let stream = [frames::server(2, "two", ""), sent.concat()].concat();
        let answers = |cuts: &mut dyn Iterator<Item = usize>| {
            let (mut node, now) = (node(Limits::default()), Time::default());
            let link = node.open_link(now, Wire::CRC);
            let (mut rest, mut answers) = (&stream[..], Vec::new());
            while !rest.is_empty() {
                let count = cuts.next().expect("endless").min(rest.len());
                node.receive(now, link, &rest[..count]);
                answers.extend(drain(&mut node, link));
                apply_actions(&mut node, now);
                rest = &rest[count..];
            }
            let hosts: Vec<(HostId, HostKind)> =
                node.relay().hosts().iter().map(|host| (host.id, host.kind)).collect();
            (answers, hosts)
        };
        let unsplit = answers(&mut std::iter::repeat(usize::MAX));
        let split = answers(&mut cuts.into_iter().cycle());
        prop_assert_eq!(unsplit, split);
    }

    /// Consecutive chats are forwarded as a run, and a long run is written past the queue as far as
    /// the socket accepts it. Every link receives the same bytes as if each chat had come alone.
    #[test]
    fn chat_run_equals_single_chats(
        runs in vec((3..6_u32, 2..9_u32, 1..60_usize, 0..900_usize, any::<bool>()), 1..20),
        write_sizes in vec(0..70_000_usize, 1..20),
    ) {
        let deliver = |is_together: bool| {
            let mut network = ChatNetwork::new();
            let mut write_sizes = write_sizes.iter().copied().cycle();
            for (turn, run) in runs.iter().enumerate() {
                let chats = chat_frames(run);
                let reads = if is_together { vec![chats.concat()] } else { chats };
                for bytes in reads {
                    network.receive(run.0, &bytes, &mut write_sizes);
                    network.run_until_quiescent(turn % 3);
                }
            }
            network.outcome()
        };
        prop_assert_eq!(deliver(true), deliver(false));
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        chunks in vec(vec(any::<u8>(), 0..200), 1..10),
    ) {
        let (mut node, now) = (node(Limits::default()), Time::default());
        let link = node.open_link(now, Wire::CRC);
        for chunk in chunks {
            node.receive(now, link, &chunk);
            apply_actions(&mut node, now);
        }
    }

    /// Several links send any frames and end at any time. Nothing panics, every host in the table
    /// has a live link or is in a split, and each link receives whole frames.
    #[test]
    fn every_route_has_a_live_link(
        steps in vec((0..5_usize, any_frame(), 0..12_u8), 1..150),
        batch_users_min in 0..3_usize,
    ) {
        let mut node = node(Limits { announce_batch_users_min: batch_users_min, ..Limits::default() });
        let mut now = Time::default();
        let mut links: Vec<Option<LinkId>> = vec![None; 5];
        for (index, frame, action) in steps {
            now = now + std::time::Duration::from_millis(u64::from(action) * 150);
            node.advance(now);
            apply_actions(&mut node, now);
            let link = *links[index].get_or_insert_with(|| {
                let link = node.open_link(now, Wire::CRC);
                if index < 3 {
                    let id = 20 + index as u32;
                    node.receive(now, link, &frames::server(id, "neighbour", ""));
                }
                link
            });
            match action {
                0 => {
                    node.closed(now, link, &crc::link::CloseReason::PeerClosed);
                    links[index] = None;
                }
                1..=6 if index < 3 => {
                    // A server forwards a registration with its own id as the last hop.
                    let mut frame = frame;
                    if frame[0] & 0x7f == 0 {
                        frame[5..9].copy_from_slice(&(20 + index as u32).to_be_bytes());
                    }
                    node.receive(now, link, &frame);
                }
                _ => node.receive(now, link, &frame),
            }
            apply_actions(&mut node, now);
            let live: Vec<LinkId> = node.links().map(|link| link.id()).collect();
            for slot in &mut links {
                if slot.is_some_and(|link| !live.contains(&link)) {
                    *slot = None;
                }
            }
            for host in node.relay().hosts().iter() {
                if let FirstLink::Link(link) = node.relay().first_link(host) {
                    prop_assert!(live.contains(&link), "{} is behind a link that is gone", host.id);
                }
                prop_assert!(host.id.is_registrable() && host.id != HostId(1));
            }
            for link in live {
                let sent = frames::split_frames(&drain(&mut node, link));
                prop_assert!(sent.iter().all(|frame| frame[0] != 0x02), "type 0x02 to a plain host");
            }
        }
    }
}
