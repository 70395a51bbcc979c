//! Peers that violate the protocol or exceed a bound.

use std::time::Duration;

use crc::limits::{
    PEER_FRAME_TIMEOUT, PEER_IDLE_TIMEOUT, PEER_QUEUE_BYTES_MAX, PEER_REORDER_MESSAGES_MAX,
    PEER_RETAINED_AGE_MAX, PEER_RETAINED_BYTES_MAX, PEER_RETAINED_MESSAGES_MAX, REGISTER_DEADLINE,
};
use crc::link::{LinkId, ListenerId, Machine as _, Origin, Time};
use crc::peer::wire::{self, Advertisement, Body, Chat, Empty, Grant, Hello, Receipt};
use crc::peer::{Action, Event, Peer};

use super::{error_texts, receipt_counts, received_chats};

/// One peer, and the far ends of its links, driven by the test.
pub(super) struct PeerHarness {
    pub(super) peer: Peer,
    pub(super) now: Time,
}

impl PeerHarness {
    pub(super) fn new(id: i64) -> Self {
        let mut peer = Peer::new(Some(id), 0, crc_tests::sim::WALL_CLOCK_START, 1);
        peer.advance(Time::default());
        Self { peer, now: Time::default() }
    }

    /// Opens a link from a peer whose id is its incarnation.
    pub(super) fn open_link(&mut self, incarnation: u64) -> LinkId {
        let link = self.peer.accepted(self.now, ListenerId::default(), &Origin::default());
        self.send(link, Body::Hello(Hello { incarnation, id: incarnation as i64, desired_id: 0 }));
        self.take_bodies(link);
        link
    }

    pub(super) fn send(&mut self, link: LinkId, body: Body) {
        let mut frame = Vec::new();
        wire::encode(body, &mut frame);
        self.peer.receive(self.now, link, &frame);
    }

    /// Takes all unsent frames of a link and parses them.
    pub(super) fn take_bodies(&mut self, link: LinkId) -> Vec<Body> {
        let bytes = self.peer.unsent(link).to_vec();
        self.peer.sent(link, bytes.len());
        let mut rest = &bytes[..];
        let mut bodies = Vec::new();
        while let Some(len) = wire::frame_len(rest).expect("a frame") {
            bodies.extend(wire::parse(&rest[..len]).expect("valid"));
            rest = &rest[len..];
        }
        bodies
    }

    /// Runs all timers within a span of virtual time.
    pub(super) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.peer.next_deadline().filter(|&at| at <= end) {
            self.now = at;
            self.peer.advance(at);
        }
        self.now = end;
    }

    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.peer.poll_event()).collect()
    }

    pub(super) fn take_closed_links(&mut self) -> Vec<LinkId> {
        let actions = std::iter::from_fn(|| self.peer.poll_action());
        let closed = actions.filter_map(|action| match action {
            Action::Close { link, .. } => Some(link),
            _ => None,
        });
        closed.collect()
    }
}

pub(super) fn chat(incarnation: u64, to: i64, sequence: u64) -> Chat {
    Chat {
        incarnation,
        sequence,
        from: incarnation as i64,
        to,
        first_unacked: 1,
        age_ms: 0,
        text: sequence.to_string(),
    }
}

pub(super) fn chat_body(incarnation: u64, to: i64, sequence: u64) -> Body {
    Body::Chat(chat(incarnation, to, sequence))
}

pub(super) fn receipt_body(incarnation: u64, to: i64, sequence: u64) -> Body {
    Body::Receipt(Receipt { incarnation, sequence, to, late: false })
}

#[test]
fn receipt_applies_only_to_its_message_and_recipient() {
    let mut harness = PeerHarness::new(1);
    let (near, far) = (harness.open_link(50), harness.open_link(60));
    let message_id = harness.peer.send(harness.now, 9, "hello").expect("ready");
    harness.send(near, chat_body(50, 9, 1));
    harness.take_bodies(far);
    for (incarnation, to, sequence) in [
        (message_id.incarnation, 8, 1),
        (message_id.incarnation, 9, 2),
        (51, 9, 1),
        (50, 8, 1),
        (50, 9, 2),
        (50, 9, u64::MAX),
    ] {
        harness.send(far, receipt_body(incarnation, to, sequence));
    }
    assert_eq!(
        harness.peer.gauges().retained_messages,
        2,
        "receipts for other messages are ignored"
    );
    assert_eq!(
        harness.take_bodies(near).iter().filter(|b| matches!(b, Body::Receipt(_))).count(),
        0
    );
    harness.send(far, receipt_body(message_id.incarnation, 9, 1));
    harness.send(far, receipt_body(50, 9, 1));
    for _ in 0..3 {
        harness.send(far, receipt_body(message_id.incarnation, 9, 1));
    }
    assert_eq!(
        receipt_counts(&harness.take_events()),
        [(9, 1)].into(),
        "a repeated receipt is ignored"
    );
    assert_eq!(harness.peer.gauges().retained_messages, 0);
    // A receipt that arrives before its message is not stored.
    harness.send(near, chat_body(50, 9, 2));
    assert_eq!(harness.peer.gauges().retained_messages, 1);
    // A copy of an acknowledged message is answered with the receipt.
    harness.take_bodies(far);
    harness.send(far, chat_body(50, 9, 1));
    assert_eq!(harness.take_bodies(far), [receipt_body(50, 9, 1)]);
}

#[test]
fn late_duplicate_is_not_shown_again() {
    let mut harness = PeerHarness::new(1);
    let (near, far) = (harness.open_link(50), harness.open_link(60));
    for sequence in 1..=3 {
        harness.send(near, chat_body(50, 1, sequence));
    }
    assert_eq!(harness.take_bodies(far).len(), 3, "receipts");
    harness.run_for(Duration::from_secs(1));
    for sequence in [2, 1, 3, 3] {
        harness.send(far, chat_body(50, 1, sequence));
        assert_eq!(harness.take_bodies(far), [receipt_body(50, 1, sequence)]);
    }
    assert_eq!(received_chats(&harness.take_events()).len(), 3);
}

#[test]
fn gap_is_waited_for_and_later_arrivals_are_not_shown() {
    let mut harness = PeerHarness::new(1);
    let near = harness.open_link(50);
    harness.send(near, chat_body(50, 1, 1));
    harness.send(near, chat_body(50, 1, 3));
    assert_eq!(received_chats(&harness.take_events()).len(), 1);
    harness.run_for(Duration::from_secs(2));
    assert_eq!(received_chats(&harness.take_events()), [(50, "3".to_owned())]);
    harness.take_bodies(near);
    harness.send(near, chat_body(50, 1, 2));
    let late = Receipt { incarnation: 50, sequence: 2, to: 1, late: true };
    assert_eq!(harness.take_bodies(near), [Body::Receipt(late)]);
    assert_eq!((received_chats(&harness.take_events()).len(), harness.peer.gauges().late), (0, 1));
}

#[test]
fn late_receipt_is_reported_to_the_sender() {
    let mut harness = PeerHarness::new(1);
    let near = harness.open_link(50);
    let message_id = harness.peer.send(harness.now, 9, "hello").expect("ready");
    harness.send(
        near,
        Body::Receipt(Receipt {
            incarnation: message_id.incarnation,
            sequence: 1,
            to: 9,
            late: true,
        }),
    );
    let events = harness.take_events();
    assert_eq!(receipt_counts(&events).len(), 0);
    assert_eq!(error_texts(&events), ["a message to 9 came too late to be shown: send it again"]);
}

#[test]
fn retained_and_reorder_sets_stay_within_their_limits() {
    let mut harness = PeerHarness::new(1);
    let near = harness.open_link(50);
    let long = "x".repeat(4000);
    for sequence in 1..=4000 {
        harness.send(near, Body::Chat(Chat { text: long.clone(), ..chat(50, 9, sequence) }));
        harness.send(near, chat_body(sequence, 1, 2));
        harness.send(near, chat_body(100 + sequence, 8, 1));
        harness.send(near, Body::Advertisement(advertisement(10_000 + sequence, 1, 5)));
        let gauges = harness.peer.gauges();
        assert!(gauges.retained_bytes <= PEER_RETAINED_BYTES_MAX, "{gauges:?}");
        assert!(gauges.retained_messages <= PEER_RETAINED_MESSAGES_MAX, "{gauges:?}");
        assert!(gauges.reorder_messages <= PEER_REORDER_MESSAGES_MAX, "{gauges:?}");
    }
    assert!(harness.peer.gauges().dropped > 0);
    harness.run_for(PEER_RETAINED_AGE_MAX);
    let gauges = harness.peer.gauges();
    assert_eq!(
        (gauges.retained_messages, gauges.retained_bytes, gauges.reorder_messages),
        (0, 0, 0)
    );
}

#[test]
fn own_messages_have_a_reserved_share_and_fail_when_it_is_full() {
    let mut harness = PeerHarness::new(1);
    let near = harness.open_link(50);
    let own_incarnation = incarnation_of(&mut harness.peer, harness.now);
    let count =
        (0..).find(|_| harness.peer.send(harness.now, 9, "hello").is_err()).expect("a bound");
    assert!(count > 1000, "{count}");
    harness.take_bodies(near);
    for sequence in 1..=20_000 {
        harness.send(near, chat_body(50, 8, sequence));
    }
    for sequence in 1..=count {
        harness.send(near, receipt_body(own_incarnation, 9, sequence));
    }
    assert_eq!(receipt_counts(&harness.take_events())[&9], count as usize);
}

/// Returns the incarnation of a peer.
pub(super) fn incarnation_of(peer: &mut Peer, now: Time) -> u64 {
    peer.send(now, peer.id().expect("an id"), "").expect("a message to itself").incarnation
}

pub(super) fn advertisement(incarnation: u64, version: u64, id: i64) -> Advertisement {
    Advertisement { incarnation, version, id, id_since: incarnation, neighbours: vec![1] }
}

#[test]
fn link_that_violates_the_protocol_is_closed_alone() {
    let mut harness = PeerHarness::new(1);
    let good = harness.open_link(50);
    let bad: [(&str, Body); 9] = [
        ("no incarnation", Body::Hello(Hello { incarnation: 0, id: 0, desired_id: 5 })),
        ("a second hello", Body::Hello(Hello { incarnation: 60, id: 0, desired_id: 5 })),
        ("a grant nobody asked for", Body::Grant(Grant { incarnation: 60, id: 4, refused: false })),
        ("sequence 0", chat_body(60, 9, 0)),
        ("the highest sequence", chat_body(60, 9, u64::MAX)),
        ("no addressee", chat_body(60, 0, 1)),
        ("first_unacked above sequence", Body::Chat(Chat { first_unacked: 3, ..chat(60, 9, 2) })),
        (
            "unsorted neighbours",
            Body::Advertisement(Advertisement {
                neighbours: vec![3, 2],
                ..advertisement(60, 1, 5)
            }),
        ),
        ("no id", Body::Advertisement(advertisement(60, 1, 0))),
    ];
    for (what, body) in bad {
        let link = harness.open_link(60);
        harness.send(link, body);
        assert_eq!(harness.take_closed_links(), [link], "{what}");
        let reason = crc::link::CloseReason::PeerClosed;
        harness.peer.closed(harness.now, link, &reason);
    }
    let link = harness.peer.accepted(harness.now, ListenerId::default(), &Origin::default());
    harness.send(link, chat_body(60, 9, 1));
    assert_eq!(harness.take_closed_links(), [link], "a chat before the hello");
    assert!(harness.peer.is_open(good));
    assert_eq!(harness.peer.gauges().retained_messages, 0);
}

#[test]
fn silent_slow_or_unread_links_are_closed() {
    let mut harness = PeerHarness::new(1);
    let silent = harness.peer.accepted(harness.now, ListenerId::default(), &Origin::default());
    harness.run_for(REGISTER_DEADLINE);
    assert_eq!(harness.take_closed_links(), [silent]);
    let dead = harness.open_link(50);
    harness.run_for(PEER_IDLE_TIMEOUT - Duration::from_millis(1));
    assert_eq!(harness.take_bodies(dead), [Body::Ping(Empty {})]);
    assert_eq!(harness.take_closed_links(), []);
    harness.run_for(Duration::from_millis(1));
    assert_eq!(harness.take_closed_links(), [dead]);
    let slow = harness.open_link(51);
    let mut frame = Vec::new();
    wire::encode(Body::Chat(Chat { text: "x".repeat(100), ..chat(51, 9, 1) }), &mut frame);
    for byte in &frame[..31] {
        harness.peer.receive(harness.now, slow, &[*byte]);
        harness.run_for(PEER_FRAME_TIMEOUT / 30);
    }
    assert_eq!(harness.take_closed_links(), [slow]);
    let (unread_link, sender_link) = (harness.open_link(52), harness.open_link(53));
    let text = "x".repeat(1_000_000);
    for sequence in 1.. {
        harness.send(sender_link, Body::Chat(Chat { text: text.clone(), ..chat(53, 9, sequence) }));
        assert!(harness.peer.unsent(unread_link).len() <= PEER_QUEUE_BYTES_MAX + 1_100_000);
        if harness.take_closed_links() == [unread_link] {
            break;
        }
        assert!(sequence < 30, "the slow link is never closed");
    }
    assert!(harness.peer.is_open(sender_link));
}

#[test]
fn forged_messages_of_own_incarnation_are_ignored() {
    let mut harness = PeerHarness::new(1);
    let own_incarnation = incarnation_of(&mut harness.peer, harness.now);
    let near = harness.open_link(50);
    harness.send(near, chat_body(own_incarnation, 9, 1));
    harness.send(near, chat_body(own_incarnation, 1, 7));
    harness.send(
        near,
        Body::Advertisement(Advertisement {
            incarnation: own_incarnation,
            version: 99,
            id: 77,
            id_since: 0,
            neighbours: vec![],
        }),
    );
    assert_eq!(harness.peer.gauges().retained_messages, 0);
    assert_eq!(received_chats(&harness.take_events()).len(), 1, "only its message to itself");
    let refuted = harness.take_bodies(near).into_iter().any(|body| {
        let Body::Advertisement(it) = body else { return false };
        (it.incarnation, it.version, it.id) == (own_incarnation, 100, 1)
    });
    assert!(refuted);
}

#[test]
fn expired_message_is_not_acknowledged() {
    let mut harness = PeerHarness::new(1);
    let near = harness.open_link(50);
    harness.send(near, chat_body(50, 9, 1));
    harness.run_for(PEER_RETAINED_AGE_MAX);
    assert_eq!(harness.peer.gauges().dropped, 1);
    let far = harness.open_link(60);
    harness.send(far, chat_body(50, 9, 1));
    assert_eq!(harness.take_bodies(far), [], "no receipt for an expired message");
    assert_eq!(
        harness.peer.gauges().retained_messages,
        0,
        "an expired message is not retained again"
    );
}

#[test]
fn granted_id_is_reserved_immediately() {
    let mut harness = PeerHarness::new(1);
    let mut request_grant = |incarnation| {
        let link = harness.peer.accepted(harness.now, ListenerId::default(), &Origin::default());
        harness.send(link, Body::Hello(Hello { incarnation, id: 0, desired_id: 8 }));
        match harness.take_bodies(link).first() {
            Some(Body::Grant(grant)) => (grant.id == 8, grant.refused),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(request_grant(60), (true, false));
    assert_eq!(request_grant(61), (false, true), "reserved before the first advertisement");
    assert_eq!(request_grant(60), (true, false), "the same incarnation over a second link");
}
