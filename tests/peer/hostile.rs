//! What a peer stands though others mean it ill: it stays up, and those who mean it well are heard.

use std::time::Duration;

use crc::limits::{PEER_TEXT_BYTES_MAX, PEERS_MAX};
use crc::peer::Event;
use crc::peer::wire::{Body, Chat, Hello, Here, Receipt};
use crc::relay::{CloseReason, LinkId};

use super::bounds::{Bench, chat, said};

/// What the answer to a hello says: the life of who grants, and the id.
fn granted(bench: &mut Bench, link: LinkId, life: u64) -> Option<(u64, i64)> {
    bench.says(link, Body::Hello(Hello { life, id: 0, desired_id: 0 }));
    bench.hears(link).into_iter().find_map(|body| match body {
        Body::Grant(grant) => Some((grant.life, grant.id)),
        _ => None,
    })
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
