//! What a peer stands though others mean it ill: it stays up, and those who mean it well are heard.

use std::time::Duration;

use crc::limits::{
    PEER_INBOX_SENDERS_MAX, PEER_LINKS_MAX, PEER_QUEUES_BYTES_MAX, PEER_SEEN_PAIRS_MAX,
    PEER_TEXT_BYTES_MAX, PEERS_MAX,
};
use crc::link::{CloseReason, LinkId, Time};
use crc::peer::wire::{Body, Chat, Hello, Here, Receipt};
use crc::peer::{Action, Event, Peer};

use super::bounds::{Bench, bench_life, chat, receipt, said};
use super::{chats, errors};

/// What the answer to a hello says: the life of who grants, and the id.
fn granted(bench: &mut Bench, link: LinkId, life: u64) -> Option<(u64, i64)> {
    bench.says(link, Body::Hello(Hello { life, id: 0, desired_id: 0 }));
    bench.hears(link).into_iter().find_map(|body| match body {
        Body::Grant(grant) => Some((grant.life, grant.id)),
        _ => None,
    })
}

#[test]
fn who_is_spoken_for_up_to_the_last_version_begins_another_life() {
    let mut bench = Bench::new(1);
    let own = bench_life(&mut bench.peer, bench.now);
    let (good, bad) = (bench.link(50), bench.link(60));
    bench.says(good, said(50, 9, 1));
    let forged = Here { life: own, version: u64::MAX - 1, id: 1, since: 0, neighbours: vec![] };
    bench.says(bad, Body::Here(forged));
    // What it says of itself is still what others take; `hears` panics if not.
    bench.hears(good);
    let closed = bench.closed();
    assert_eq!(closed, [good, bad], "both link to a life that is over");
    for link in closed {
        bench.peer.closed(bench.now, link, &CloseReason::PeerClosed);
    }
    assert_eq!(errors(&bench.events()).len(), 1, "its user is told");
    let again = bench.peer.accepted(bench.now, None);
    let (life, _) = granted(&mut bench, again, 50).expect("a grant");
    assert_ne!(life, own);
    assert_eq!((bench.peer.id(), bench.peer.gauges().kept_messages), (Some(1), 1));
    bench.says(again, said(50, 1, 1));
    assert_eq!(chats(&bench.events()).len(), 1);
    let said = bench.peer.say(bench.now, 9, "hello").expect("ready");
    assert_eq!((said.life, said.number), (life, 1));
    let heard = bench.hears(again);
    assert!(heard.iter().any(|body| matches!(body, Body::Chat(chat) if chat.id() == said)));
}

#[test]
fn links_stay_within_their_bound_however_they_come() {
    let mut peer = Peer::new(Some(1), 1, crc_tests::sim::WALL_CLOCK_START, 1);
    peer.advance(Time::default());
    let Some(Action::Dial { link: dialled, .. }) = peer.poll_action() else { panic!("no dial") };
    let mut bench = Bench { peer, now: Time::default() };
    // Nobody grants it an id yet, so it can answer nobody.
    for life in 1..=PEER_LINKS_MAX as u64 + 50 {
        let link = bench.peer.accepted(bench.now, None);
        bench.says(link, Body::Hello(Hello { life: 1000 + life, id: 0, desired_id: 0 }));
    }
    bench.pass(Duration::from_secs(2));
    assert_eq!(bench.peer.id(), Some(1));
    assert_eq!(bench.closed().len(), 50);
    assert_eq!(bench.peer.gauges().links, PEER_LINKS_MAX);
    // Those named are bound in the same way.
    bench.peer.dialled(bench.now, dialled, None);
    bench.hears(dialled);
    bench.says(dialled, Body::Grant(crc::peer::wire::Grant { life: 7, id: 1, refused: false }));
    assert_eq!(bench.closed(), [dialled]);
    assert_eq!(bench.peer.gauges().links, PEER_LINKS_MAX);
    assert!(bench.peer.next_deadline().is_some(), "it is dialled again");
}

#[test]
fn what_others_leave_with_it_does_not_silence_a_peer() {
    let mut bench = Bench::new(1);
    let near = bench.link(50);
    for number in 1..=12_000 {
        bench.says(near, said(50, 9, number));
    }
    let own = bench.peer.say(bench.now, 50, "still here").expect("room of its own");
    let heard = bench.hears(near);
    assert!(heard.iter().any(|body| matches!(body, Body::Chat(chat) if chat.id() == own)));
    // In bytes as well.
    let text = "x".repeat(PEER_TEXT_BYTES_MAX);
    for number in 1..=5 {
        bench.says(near, Body::Chat(Chat { text: text.clone(), ..chat(51, 9, number) }));
    }
    bench.peer.say(bench.now, 50, "here too").expect("room of its own");
}

#[test]
fn forged_senders_do_not_silence_those_who_are_there() {
    let mut bench = Bench::new(1);
    let (good, bad) = (bench.link(50), bench.link(60));
    for life in [50, 51] {
        let here = Here { life, version: 1, id: life as i64, since: life, neighbours: vec![] };
        bench.says(good, Body::Here(here));
    }
    bench.says(good, said(50, 1, 1));
    let mut shown = chats(&bench.events()).len();
    for life in 0..PEER_INBOX_SENDERS_MAX as u64 + 100 {
        bench.says(bad, said((1 << 60) + life, 1, 1));
        bench.hears(bad);
        bench.hears(good);
        shown += chats(&bench.events()).len();
    }
    assert!(shown > PEER_INBOX_SENDERS_MAX);
    assert!(bench.peer.gauges().senders <= PEER_INBOX_SENDERS_MAX);
    bench.says(good, said(50, 1, 2));
    assert_eq!(chats(&bench.events()), [(50, "2".to_owned())], "who has spoken before");
    bench.says(good, said(51, 1, 1));
    assert_eq!(chats(&bench.events()), [(51, "1".to_owned())], "who has not");
    bench.says(bad, said(50, 1, 1));
    bench.says(bad, said(1 << 60, 1, 1));
    assert_eq!(chats(&bench.events()), [], "nor is anything shown twice");
}

#[test]
fn more_ids_than_an_interval_has_are_waited_for() {
    let mut bench = Bench::new(1);
    let mut ids = Vec::new();
    let waiting = loop {
        let link = bench.peer.accepted(bench.now, None);
        match granted(&mut bench, link, 1000 + ids.len() as u64) {
            Some((_, id)) => ids.push(id),
            None => break link,
        }
        bench.peer.closed(bench.now, link, &CloseReason::PeerClosed);
        assert!(ids.len() <= 512, "more than there are");
    };
    assert_eq!(ids.len(), 512);
    assert_eq!(bench.hears(waiting), []);
    bench.pass(Duration::from_millis(9));
    assert_eq!(bench.hears(waiting), []);
    bench.pass(Duration::from_millis(1));
    let last = bench.hears(waiting).into_iter().find_map(|body| match body {
        Body::Grant(grant) => Some(grant.id),
        _ => None,
    });
    ids.push(last.expect("granted in the next"));
    assert!(ids.is_sorted_by(|a, b| a < b));
}

#[test]
fn there_is_no_end_to_those_one_can_speak_to() {
    let mut bench = Bench::new(1);
    let near = bench.link(50);
    for to in 2..PEER_SEEN_PAIRS_MAX as i64 + 100 {
        let own = bench.peer.say(bench.now, to, "hello").expect("room");
        bench.says(near, receipt(own.life, to, own.number));
        bench.hears(near);
    }
    let again = bench.peer.say(bench.now, 2, "hello again").expect("room");
    assert!(again.number > 1, "a number is used once: {again:?}");
    let heard = bench.hears(near);
    let base = heard.iter().find_map(|body| match body {
        Body::Chat(chat) => Some(chat.base),
        _ => None,
    });
    assert_eq!(base, Some(again.number), "nothing comes before it");
}

#[test]
fn a_flood_of_peers_that_are_not_there_stays_within_bounds() {
    let mut bench = Bench::new(1);
    let bad = bench.link(60);
    for life in 1000..1000 + 2 * PEERS_MAX as u64 {
        let here = Here { life, version: 1, id: 5, since: life, neighbours: vec![life + 1] };
        bench.says(bad, Body::Here(here));
        assert!(bench.peer.gauges().peers <= PEERS_MAX);
    }
    bench.pass(Duration::from_secs(11));
    assert_eq!(bench.peer.gauges().peers, 0, "nobody vouches for them");
    let events = bench.events();
    assert!(!events.iter().any(|event| matches!(event, Event::Peer { .. })), "{events:?}");
}

#[test]
fn a_receipt_that_says_late_is_for_a_message_that_is_kept() {
    let mut bench = Bench::new(1);
    let near = bench.link(50);
    bench.says(near, Body::Receipt(Receipt { life: 50, number: 1, to: 9, late: true }));
    bench.says(near, said(50, 9, 1));
    assert_eq!(bench.peer.gauges().kept_messages, 1);
}

#[test]
fn many_that_do_not_read_take_no_more_room_than_all_links_may() {
    let mut bench = Bench::new(1);
    let deaf: Vec<LinkId> = (100..120).map(|life| bench.link(life)).collect();
    let loud = bench.link(50);
    let text = "x".repeat(1_000_000);
    let mut closed = 0;
    for number in 1..=30 {
        bench.says(loud, Body::Chat(Chat { text: text.clone(), ..chat(50, 9, number) }));
        for link in bench.closed() {
            assert!(deaf.contains(&link));
            bench.peer.closed(bench.now, link, &CloseReason::PeerClosed);
            closed += 1;
        }
        let unsent: usize = deaf.iter().map(|&link| bench.peer.unsent(link).len()).sum();
        assert!(unsent <= PEER_QUEUES_BYTES_MAX, "{unsent} after {number}");
    }
    assert_eq!(closed, deaf.len(), "each in its turn");
    assert!(bench.peer.is_open(loud));
}
