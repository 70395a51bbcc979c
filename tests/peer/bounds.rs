//! What a peer that breaks the rules, or knows no bounds, can do: little.

use std::time::Duration;

use crc::limits::{
    PEER_FRAME_TIMEOUT, PEER_IDLE_TIMEOUT, PEER_QUEUE_BYTES_MAX, PEER_REORDER_MESSAGES_MAX,
    PEER_RETAINED_AGE_MAX, PEER_RETAINED_BYTES_MAX, PEER_RETAINED_MESSAGES_MAX, REGISTER_DEADLINE,
};
use crc::link::{LinkId, Time};
use crc::peer::wire::{self, Body, Chat, Empty, Grant, Hello, Here, Receipt};
use crc::peer::{Action, Event, Peer};

use super::{chats, errors, receipts};

/// One peer, and the far ends of its links in our hands.
pub(super) struct Bench {
    pub(super) peer: Peer,
    pub(super) now: Time,
}

impl Bench {
    pub(super) fn new(id: i64) -> Self {
        let mut peer = Peer::new(Some(id), 0, crc_tests::sim::WALL_CLOCK_START, 1);
        peer.advance(Time::default());
        Self { peer, now: Time::default() }
    }

    pub(super) fn link(&mut self, life: u64) -> LinkId {
        let link = self.peer.accepted(self.now, None);
        self.says(link, Body::Hello(Hello { life, id: life as i64, desired_id: 0 }));
        self.hears(link);
        link
    }

    pub(super) fn says(&mut self, link: LinkId, body: Body) {
        let mut frame = Vec::new();
        wire::encode(body, &mut frame);
        self.peer.receive(self.now, link, &frame);
    }

    pub(super) fn hears(&mut self, link: LinkId) -> Vec<Body> {
        let bytes = self.peer.unsent(link).to_vec();
        self.peer.sent(link, bytes.len());
        let mut rest = &bytes[..];
        let mut heard = Vec::new();
        while let Some(len) = wire::frame_len(rest).expect("a frame") {
            heard.extend(wire::parse(&rest[..len]).expect("valid"));
            rest = &rest[len..];
        }
        heard
    }

    pub(super) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.peer.next_deadline().filter(|&at| at <= end) {
            self.now = at;
            self.peer.advance(at);
        }
        self.now = end;
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.peer.poll_event()).collect()
    }

    pub(super) fn closed(&mut self) -> Vec<LinkId> {
        let actions = std::iter::from_fn(|| self.peer.poll_action());
        let closed = actions.filter_map(|action| match action {
            Action::Close { link, .. } => Some(link),
            _ => None,
        });
        closed.collect()
    }
}

pub(super) fn chat(life: u64, to: i64, number: u64) -> Chat {
    Chat { life, number, from: life as i64, to, base: 1, age_ms: 0, text: number.to_string() }
}

pub(super) fn said(life: u64, to: i64, number: u64) -> Body {
    Body::Chat(chat(life, to, number))
}

pub(super) fn receipt(life: u64, to: i64, number: u64) -> Body {
    Body::Receipt(Receipt { life, number, to, late: false })
}

#[test]
fn a_receipt_counts_for_its_message_and_addressee_alone() {
    let mut bench = Bench::new(1);
    let (near, far) = (bench.link(50), bench.link(60));
    let own = bench.peer.say(bench.now, 9, "hello").expect("ready");
    bench.says(near, said(50, 9, 1));
    bench.hears(far);
    for (life, to, number) in
        [(own.life, 8, 1), (own.life, 9, 2), (51, 9, 1), (50, 8, 1), (50, 9, 2), (50, 9, u64::MAX)]
    {
        bench.says(far, receipt(life, to, number));
    }
    assert_eq!(bench.peer.gauges().kept_messages, 2, "receipts for other messages do nothing");
    assert_eq!(bench.hears(near).iter().filter(|b| matches!(b, Body::Receipt(_))).count(), 0);
    bench.says(far, receipt(own.life, 9, 1));
    bench.says(far, receipt(50, 9, 1));
    for _ in 0..3 {
        bench.says(far, receipt(own.life, 9, 1));
    }
    assert_eq!(receipts(&bench.events()), [(9, 1)].into(), "a receipt counts once");
    assert_eq!(bench.peer.gauges().kept_messages, 0);
    // A receipt that came before its message is not remembered.
    bench.says(near, said(50, 9, 2));
    assert_eq!(bench.peer.gauges().kept_messages, 1);
    // The copy of a message that has had its receipt is answered with it.
    bench.hears(far);
    bench.says(far, said(50, 9, 1));
    assert_eq!(bench.hears(far), [receipt(50, 9, 1)]);
}

#[test]
fn a_copy_is_not_shown_again_however_late_it_comes() {
    let mut bench = Bench::new(1);
    let (near, far) = (bench.link(50), bench.link(60));
    for number in 1..=3 {
        bench.says(near, said(50, 1, number));
    }
    assert_eq!(bench.hears(far).len(), 3, "receipts");
    bench.pass(Duration::from_secs(1));
    for number in [2, 1, 3, 3] {
        bench.says(far, said(50, 1, number));
        assert_eq!(bench.hears(far), [receipt(50, 1, number)]);
    }
    assert_eq!(chats(&bench.events()).len(), 3);
}

#[test]
fn what_is_missing_is_waited_for_and_what_is_late_is_not_shown() {
    let mut bench = Bench::new(1);
    let near = bench.link(50);
    bench.says(near, said(50, 1, 1));
    bench.says(near, said(50, 1, 3));
    assert_eq!(chats(&bench.events()).len(), 1);
    bench.pass(Duration::from_secs(2));
    assert_eq!(chats(&bench.events()), [(50, "3".to_owned())]);
    bench.hears(near);
    bench.says(near, said(50, 1, 2));
    let late = Receipt { life: 50, number: 2, to: 1, late: true };
    assert_eq!(bench.hears(near), [Body::Receipt(late)]);
    assert_eq!((chats(&bench.events()).len(), bench.peer.gauges().late), (0, 1));
}

#[test]
fn the_sender_hears_that_a_message_came_too_late() {
    let mut bench = Bench::new(1);
    let near = bench.link(50);
    let own = bench.peer.say(bench.now, 9, "hello").expect("ready");
    bench.says(near, Body::Receipt(Receipt { life: own.life, number: 1, to: 9, late: true }));
    let events = bench.events();
    assert_eq!(receipts(&events).len(), 0);
    assert_eq!(errors(&events), ["a message to 9 came too late to be shown"]);
}

#[test]
fn sets_stay_within_their_bounds_whatever_comes() {
    let mut bench = Bench::new(1);
    let near = bench.link(50);
    let long = "x".repeat(4000);
    for number in 1..=4000 {
        bench.says(near, Body::Chat(Chat { text: long.clone(), ..chat(50, 9, number) }));
        bench.says(near, said(number, 1, 2));
        bench.says(near, said(100 + number, 8, 1));
        bench.says(near, Body::Here(here(10_000 + number, 1, 5)));
        let gauges = bench.peer.gauges();
        assert!(gauges.kept_bytes <= PEER_RETAINED_BYTES_MAX, "{gauges:?}");
        assert!(gauges.kept_messages <= PEER_RETAINED_MESSAGES_MAX, "{gauges:?}");
        assert!(gauges.waiting <= PEER_REORDER_MESSAGES_MAX, "{gauges:?}");
    }
    assert!(bench.peer.gauges().given_up > 0);
    bench.pass(PEER_RETAINED_AGE_MAX);
    let gauges = bench.peer.gauges();
    assert_eq!((gauges.kept_messages, gauges.kept_bytes, gauges.waiting), (0, 0, 0));
}

#[test]
fn ones_own_room_is_bounded_aloud_and_nobody_takes_it() {
    let mut bench = Bench::new(1);
    let near = bench.link(50);
    let own = bench_life(&mut bench.peer, bench.now);
    let count = (0..).find(|_| bench.peer.say(bench.now, 9, "hello").is_err()).expect("a bound");
    assert!(count > 1000, "{count}");
    bench.hears(near);
    for number in 1..=20_000 {
        bench.says(near, said(50, 8, number));
    }
    for number in 1..=count {
        bench.says(near, receipt(own, 9, number));
    }
    assert_eq!(receipts(&bench.events())[&9], count as usize);
}

/// The life that a peer says it is.
pub(super) fn bench_life(peer: &mut Peer, now: Time) -> u64 {
    peer.say(now, peer.id().expect("an id"), "").expect("to itself").life
}

pub(super) fn here(life: u64, version: u64, id: i64) -> Here {
    Here { life, version, id, since: life, neighbours: vec![1] }
}

#[test]
fn who_breaks_the_rules_is_closed_and_nobody_else() {
    let mut bench = Bench::new(1);
    let good = bench.link(50);
    let bad: [(&str, Body); 9] = [
        ("no life", Body::Hello(Hello { life: 0, id: 0, desired_id: 5 })),
        ("a second hello", Body::Hello(Hello { life: 60, id: 0, desired_id: 5 })),
        ("a grant nobody asked for", Body::Grant(Grant { life: 60, id: 4, refused: false })),
        ("no number", said(60, 9, 0)),
        ("the last number", said(60, 9, u64::MAX)),
        ("to nobody", said(60, 0, 1)),
        ("a base above", Body::Chat(Chat { base: 3, ..chat(60, 9, 2) })),
        ("unsorted", Body::Here(Here { neighbours: vec![3, 2], ..here(60, 1, 5) })),
        ("no id", Body::Here(here(60, 1, 0))),
    ];
    for (what, body) in bad {
        let link = bench.link(60);
        bench.says(link, body);
        assert_eq!(bench.closed(), [link], "{what}");
        let reason = crc::link::CloseReason::PeerClosed;
        bench.peer.closed(bench.now, link, &reason);
    }
    let link = bench.peer.accepted(bench.now, None);
    bench.says(link, said(60, 9, 1));
    assert_eq!(bench.closed(), [link], "a word before the hello");
    assert!(bench.peer.is_open(good));
    assert_eq!(bench.peer.gauges().kept_messages, 0);
}

#[test]
fn who_is_silent_or_slow_or_does_not_read_is_closed() {
    let mut bench = Bench::new(1);
    let silent = bench.peer.accepted(bench.now, None);
    bench.pass(REGISTER_DEADLINE);
    assert_eq!(bench.closed(), [silent]);
    let dead = bench.link(50);
    bench.pass(PEER_IDLE_TIMEOUT - Duration::from_millis(1));
    assert_eq!(bench.hears(dead), [Body::Ping(Empty {})]);
    assert_eq!(bench.closed(), []);
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.closed(), [dead]);
    let slow = bench.link(51);
    let mut frame = Vec::new();
    wire::encode(Body::Chat(Chat { text: "x".repeat(100), ..chat(51, 9, 1) }), &mut frame);
    for byte in &frame[..31] {
        bench.peer.receive(bench.now, slow, &[*byte]);
        bench.pass(PEER_FRAME_TIMEOUT / 30);
    }
    assert_eq!(bench.closed(), [slow]);
    let (deaf, loud) = (bench.link(52), bench.link(53));
    let text = "x".repeat(1_000_000);
    for number in 1.. {
        bench.says(loud, Body::Chat(Chat { text: text.clone(), ..chat(53, 9, number) }));
        assert!(bench.peer.unsent(deaf).len() <= PEER_QUEUE_BYTES_MAX + 1_100_000);
        if bench.closed() == [deaf] {
            break;
        }
        assert!(number < 30, "it is never closed");
    }
    assert!(bench.peer.is_open(loud));
}

#[test]
fn nobody_speaks_for_this_peers_life() {
    let mut bench = Bench::new(1);
    let own = bench_life(&mut bench.peer, bench.now);
    let near = bench.link(50);
    bench.says(near, said(own, 9, 1));
    bench.says(near, said(own, 1, 7));
    bench.says(
        near,
        Body::Here(Here { life: own, version: 99, id: 77, since: 0, neighbours: vec![] }),
    );
    assert_eq!(bench.peer.gauges().kept_messages, 0);
    assert_eq!(chats(&bench.events()).len(), 1, "only what it said to itself");
    let refuted = bench.hears(near).into_iter().any(|body| {
        matches!(body, Body::Here(here) if here.life == own && here.version == 100 && here.id == 1)
    });
    assert!(refuted);
}

#[test]
fn what_was_given_up_has_no_receipt() {
    let mut bench = Bench::new(1);
    let near = bench.link(50);
    bench.says(near, said(50, 9, 1));
    bench.pass(PEER_RETAINED_AGE_MAX);
    assert_eq!(bench.peer.gauges().given_up, 1);
    let far = bench.link(60);
    bench.says(far, said(50, 9, 1));
    assert_eq!(bench.hears(far), [], "nobody has said that it was shown");
    assert_eq!(bench.peer.gauges().kept_messages, 0, "nor is it kept for another day");
}

#[test]
fn an_id_is_reserved_from_its_grant_on() {
    let mut bench = Bench::new(1);
    let mut granted = |life| {
        let link = bench.peer.accepted(bench.now, None);
        bench.says(link, Body::Hello(Hello { life, id: 0, desired_id: 8 }));
        match bench.hears(link).first() {
            Some(Body::Grant(grant)) => (grant.id == 8, grant.refused),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(granted(60), (true, false));
    assert_eq!(granted(61), (false, true), "though nobody has heard of the first yet");
    assert_eq!(granted(60), (true, false), "it asks over a second link");
}
