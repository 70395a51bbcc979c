//! Bounds for connections from strangers: incomplete frames, connections that have not registered,
//! connections of one address, and the buffers of all together.

use std::net::SocketAddr;

use crc::limits::{
    ConnectionLimits, FRAME_DEADLINE, JOINS_PER_ADDRESS_MAX, REFUSED_REGISTRATIONS_MAX,
};
use crc::link::{ListenerId, Machine as _, Origin, Security};

use super::*;
use crc::relay::Admission;

/// A node with a CRC listener, and the connections that it has closed.
struct Rig {
    node: Node,
    listener: ListenerId,
    now: Time,
    closed: Vec<(LinkId, CloseReason)>,
}

impl Rig {
    fn new(connections: ConnectionLimits) -> Self {
        Self::with_limits(Limits { connections, ..Limits::default() })
    }

    fn with_limits(limits: Limits) -> Self {
        let own = Identity { id: HostId(1), is_id_configured: true, name: vec![], info: vec![] };
        let mut node = Node::new(own, 0, limits, 1);
        let everywhere = ["0.0.0.0/0", "::/0"].map(|it| it.parse().expect("a range"));
        node.set_admission(Admission { allowed: everywhere.to_vec(), ..Admission::default() });
        let listener = node.add_listener(Wire::CRC);
        Self { node, listener, now: Time::default(), closed: Vec::new() }
    }

    fn accept(&mut self, address: &str) -> LinkId {
        self.accept_with(address, Security::Plain)
    }

    fn accept_with(&mut self, address: &str, security: Security) -> LinkId {
        let address: SocketAddr = address.parse().expect("an address");
        let origin = Origin { security, ..Origin::new(address) };
        let link = self.node.accepted(self.now, self.listener, &origin);
        self.reap();
        link
    }

    fn receive(&mut self, link: LinkId, bytes: &[u8]) {
        self.node.receive(self.now, link, bytes);
        self.reap();
    }

    /// Runs timers up to `span` from now.
    fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.node.next_deadline().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.node.advance(self.now);
            self.reap();
        }
        self.now = end;
    }

    /// Closes the connections that the node has ended.
    fn reap(&mut self) {
        while let Some(action) = self.node.poll_action() {
            if let Action::Close { link, reason } = action {
                self.node.closed(self.now, link, &reason);
                self.closed.push((link, reason));
            }
        }
        self.node.check();
    }

    fn take_closed(&mut self) -> Vec<LinkId> {
        std::mem::take(&mut self.closed).into_iter().map(|(link, _)| link).collect()
    }

    fn users(&self) -> usize {
        host_ids(&self.node).len()
    }
}

#[test]
fn frame_that_takes_too_long_closes_its_link_and_others_leave_no_timer() {
    let mut rig = Rig::new(ConnectionLimits::default());
    let [slow, quick, idle] = [101, 102, 103].map(|id| {
        let link = rig.accept("127.0.0.1:1");
        rig.receive(link, &fast_user(id, "n"));
        link
    });
    rig.run_for(SECOND);
    assert_eq!(rig.node.next_deadline(), None, "no frame has begun");
    let frame = chat(101, 103, &"x".repeat(1000));
    rig.receive(slow, &frame[..1]);
    rig.receive(quick, &chat(102, 103, "whole")[..9]);
    // A byte now and then does not give the frame more time, and one that ends it does.
    for second in 1..30 {
        rig.run_for(SECOND);
        rig.receive(slow, &frame[second..=second]);
    }
    rig.receive(quick, &[&chat(102, 103, "whole")[9..], &chat(102, 103, "again")[..3]].concat());
    rig.run_for(SECOND / 2);
    assert_eq!(rig.closed, []);
    rig.run_for(SECOND / 2);
    assert_eq!(rig.closed, [(slow, CloseReason::FrameDeadline)]);
    rig.receive(quick, &chat(102, 103, "again")[3..]);
    assert_eq!((rig.users(), rig.node.next_deadline()), (2, None));
    rig.run_for(2 * FRAME_DEADLINE);
    assert_eq!(rig.take_closed(), [slow]);
    assert!(rig.node.is_open(idle) && rig.node.is_open(quick));
}

#[test]
fn newcomer_takes_the_place_of_the_oldest_unregistered_connection() {
    let limits = ConnectionLimits { unregistered_max: 3, ..ConnectionLimits::default() };
    let mut rig = Rig::new(limits);
    let frodo = rig.accept("127.0.0.1:1");
    rig.receive(frodo, &user(101, "frodo", ""));
    let mut silent = Vec::new();
    for port in 0..6 {
        rig.run_for(SECOND / 10);
        silent.push(rig.accept(&format!("127.0.0.1:{port}")));
    }
    assert_eq!(rig.take_closed(), silent[..3]);
    rig.receive(silent[5], &user(102, "sam", ""));
    assert_eq!((rig.users(), rig.node.unregistered()), (2, 2));
    let newest = rig.accept("127.0.0.1:9");
    assert!(rig.node.make_room(rig.now), "two have not registered, beside the newest");
    rig.reap();
    assert_eq!(rig.take_closed(), silent[3..5]);
    assert!(rig.node.make_room(rig.now) && rig.node.is_open(newest), "it was not read yet");
    rig.receive(newest, &user(103, "merry", ""));
    assert!(!rig.node.make_room(rig.now), "all have registered");
    assert_eq!((rig.users(), rig.node.closed_for_bound().crowded), (3, 5));
}

#[test]
fn handshakes_at_once_are_bounded_by_themselves() {
    let limits = ConnectionLimits { handshakes_max: 2, ..ConnectionLimits::default() };
    let mut rig = Rig::new(limits);
    let mut links = Vec::new();
    for port in 0..4 {
        rig.run_for(SECOND / 10);
        let link = rig.accept_with(&format!("10.0.0.1:{port}"), Security::Encrypted);
        if port == 1 {
            let origin = Origin::new("10.0.0.1:1".parse().expect("an address"));
            let origin = Origin { security: Security::Encrypted, ..origin };
            rig.node.identified(rig.now, link, &origin);
        }
        links.push(link);
    }
    assert_eq!(rig.take_closed(), [links[0]], "its handshake has not ended");
    let plain = (10..20).map(|port| rig.accept(&format!("10.0.0.1:{port}"))).collect::<Vec<_>>();
    assert!(plain.iter().all(|&link| rig.node.is_open(link)));
}

#[test]
fn address_may_have_a_bounded_number_of_connections_of_each_kind() {
    let mut rig = Rig::new(ConnectionLimits {
        unregistered_per_address_max: 3,
        users_per_address_max: 2,
        servers_per_address_max: 1,
        ..ConnectionLimits::default()
    });
    // The first half of an IPv6 address counts, and a mapped address is the IPv4 address in it.
    for (address, other) in [
        ("192.0.2.1:1", "192.0.2.2:1"),
        ("[2001:db8::1]:1", "[2001:db8:0:1::1]:1"),
        ("[::ffff:192.0.2.9]:1", "192.0.2.8:1"),
    ] {
        let silent: Vec<LinkId> = (0..4).map(|_| rig.accept(address)).collect();
        assert_eq!(
            rig.closed,
            [(silent[3], CloseReason::AddressLimit("that have not registered"))]
        );
        rig.closed.clear();
        let elsewhere = rig.accept(other);
        assert!(rig.node.is_open(elsewhere));
        let users_before = rig.users();
        let base = 1000 + 10 * u32::try_from(users_before).expect("few");
        for (link, id) in silent[..3].iter().zip(base..) {
            rig.receive(*link, &user(id, "n", ""));
        }
        assert_eq!(rig.users() - users_before, 2);
        assert_eq!(rig.take_closed(), [silent[2]]);
        let servers: Vec<LinkId> = (0..2).map(|_| rig.accept(address)).collect();
        for (link, id) in servers.iter().zip(base + 5..) {
            rig.receive(*link, &server(id, "s", ""));
        }
        assert_eq!(rig.closed, [(servers[1], CloseReason::AddressLimit("of servers"))]);
        rig.closed.clear();
        // A user that leaves makes room.
        rig.node.closed(rig.now, silent[0], &CloseReason::PeerClosed);
        let next = rig.accept(address);
        rig.receive(next, &user(base + 9, "n", ""));
        assert_eq!(rig.closed, []);
    }
    let local: Vec<LinkId> = (0..20).map(|_| rig.accept("127.0.0.1:1")).collect();
    for (link, id) in local.iter().zip(5000..) {
        rig.receive(*link, &user(id, "n", ""));
    }
    assert_eq!(rig.closed, [], "this machine is not counted");
}

#[test]
fn address_that_is_learnt_later_counts_from_then_on() {
    let limits =
        ConnectionLimits { unregistered_per_address_max: 1, ..ConnectionLimits::default() };
    let mut rig = Rig::new(limits);
    let origin = |address: &str| Origin::new(address.parse().expect("an address"));
    let [first, second, third] = [1, 2, 3].map(|port| rig.accept(&format!("127.0.0.1:{port}")));
    for (link, address) in [(first, "10.0.0.1:1"), (second, "10.0.0.2:1"), (third, "10.0.0.1:2")] {
        rig.node.identified(rig.now, link, &origin(address));
        rig.reap();
    }
    assert_eq!(rig.take_closed(), [third]);
    rig.node.closed(rig.now, first, &CloseReason::PeerClosed);
    let again = rig.accept("10.0.0.1:3");
    assert!(rig.node.is_open(again));
}

#[test]
fn link_that_holds_the_most_goes_first_when_all_buffers_are_too_large() {
    let buffer_bytes_max = 200_000;
    let mut rig = Rig::new(ConnectionLimits { buffer_bytes_max, ..ConnectionLimits::default() });
    let links: Vec<LinkId> = (0..20).map(|port| rig.accept(&format!("127.0.0.1:{port}"))).collect();
    for (link, id) in links.iter().zip(101..) {
        rig.receive(*link, &fast_user(id, "n"));
    }
    while let Some(link) = rig.node.poll_unsent() {
        rig.node.sent(link, rig.node.unsent(link).len());
    }
    for id in 102..121 {
        rig.receive(links[0], &chat(101, id, &"x".repeat(4_000)));
    }
    let mut chats = 0;
    while rig.closed.is_empty() {
        chats += 1;
        assert!(chats < 26, "{} bytes", rig.node.buffer_bytes());
        rig.receive(links[0], &chat(101, 110, &"x".repeat(10_000)));
        assert!(rig.node.buffer_bytes() <= buffer_bytes_max, "{}", rig.node.buffer_bytes());
    }
    let reason = &rig.closed[0].1;
    assert_eq!((rig.closed[0].0, rig.closed.len()), (links[9], 1), "{:?}", rig.closed);
    assert!(matches!(reason, CloseReason::BuffersFull { .. }), "{reason}");
    assert_eq!((rig.users(), rig.node.closed_for_bound().buffers), (19, 1));
}

#[test]
fn incomplete_frames_count_as_buffers() {
    let buffer_bytes_max = 3_000_000;
    let mut rig = Rig::new(ConnectionLimits { buffer_bytes_max, ..ConnectionLimits::default() });
    let frame = chat(101, 102, &"x".repeat(900_000));
    let links: Vec<LinkId> = (0..10).map(|port| rig.accept(&format!("127.0.0.1:{port}"))).collect();
    for link in &links {
        rig.receive(*link, &frame[..900_000]);
        assert!(rig.node.buffer_bytes() <= buffer_bytes_max, "{}", rig.node.buffer_bytes());
    }
    assert!(rig.closed.len() >= 6, "{:?}", rig.closed);
    for link in links {
        rig.node.closed(rig.now, link, &CloseReason::PeerClosed);
    }
    assert_eq!(rig.node.buffer_bytes(), 0);
}

#[test]
fn client_whose_registrations_are_refused_again_and_again_is_closed() {
    let mut rig = Rig::new(ConnectionLimits::default());
    let frodo = rig.accept("127.0.0.1:1");
    rig.receive(frodo, &user(101, "frodo", ""));
    let restless = rig.accept("127.0.0.1:2");
    for _ in 1..REFUSED_REGISTRATIONS_MAX {
        rig.receive(restless, &user(101, "frodo", ""));
    }
    assert_eq!(rig.closed, []);
    rig.receive(restless, &user(101, "frodo", "").repeat(10));
    assert_eq!(rig.closed, [(restless, CloseReason::RefusedRegistrations)]);
    assert_eq!(rig.users(), 1);
}

#[test]
fn address_whose_users_come_and_go_without_end_is_slowed_down() {
    let mut rig = Rig::new(ConnectionLimits::default());
    let join = |rig: &mut Rig, address: &str| {
        let link = rig.accept(address);
        rig.receive(link, &[user(101, "n", ""), quit(101, "bye")].concat());
        let reasons = std::mem::take(&mut rig.closed);
        let reason = reasons.into_iter().find(|(closed, _)| *closed == link).expect("it ends").1;
        reason == CloseReason::Quit
    };
    for _ in 0..JOINS_PER_ADDRESS_MAX {
        assert!(join(&mut rig, "192.0.2.1:1"));
    }
    assert!(!join(&mut rig, "192.0.2.1:1"));
    assert!(join(&mut rig, "192.0.2.2:1"));
    rig.run_for(SECOND);
    assert!(join(&mut rig, "192.0.2.1:1"));
    for _ in 0..2 * JOINS_PER_ADDRESS_MAX {
        assert!(join(&mut rig, "127.0.0.1:1"), "this machine is not counted");
    }
}

#[test]
fn hosts_of_servers_leave_room_for_users_who_connect() {
    let mut rig = Rig::with_limits(Limits { host_table_bytes_max: 100_000, ..Limits::default() });
    let neighbour = rig.accept("127.0.0.1:1");
    rig.receive(neighbour, &server(2, "two", ""));
    let mut id = 1000;
    while rig.closed.is_empty() {
        id += 1;
        rig.receive(neighbour, &registration(HostKind::User, id, 2, "", &"i".repeat(5_000)));
    }
    assert!((1010..1016).contains(&id), "{id}: three quarters of the table");
    assert_eq!(rig.closed, [(neighbour, CloseReason::TableFull)]);
    // Its hosts are kept for the grace, and users still find room.
    for user_id in 101..104 {
        let link = rig.accept("127.0.0.1:2");
        rig.receive(link, &user(user_id, "n", &"i".repeat(5_000)));
        assert!(rig.node.is_open(link));
    }
}
