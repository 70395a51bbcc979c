//! A peer under attack: forged frames and exhausted bounds affect only the link that sends them.

use std::time::Duration;

use crc::limits::{
    PEER_INBOX_SENDERS_MAX, PEER_LINKS_MAX, PEER_QUEUES_BYTES_MAX, PEER_SEEN_PAIRS_MAX,
    PEER_TEXT_BYTES_MAX, PEERS_MAX,
};
use crc::link::{CloseReason, LinkId, ListenerId, Machine as _, Origin, Time};
use crc::peer::wire::{Advertisement, Body, Chat, Hello, Receipt};
use crc::peer::{Action, Event, Peer};

use super::bounds::{PeerHarness, chat, chat_body, incarnation_of, receipt_body};
use super::{error_texts, received_chats};

/// Sends a hello and returns the incarnation and the id of the grant that answers it.
fn request_grant(harness: &mut PeerHarness, link: LinkId, incarnation: u64) -> Option<(u64, i64)> {
    harness.send(link, Body::Hello(Hello { incarnation, id: 0, desired_id: 0 }));
    harness.take_bodies(link).into_iter().find_map(|body| match body {
        Body::Grant(grant) => Some((grant.incarnation, grant.id)),
        _ => None,
    })
}

#[test]
fn forged_last_version_makes_the_peer_reincarnate() {
    let mut harness = PeerHarness::new(1);
    let own_incarnation = incarnation_of(&mut harness.peer, harness.now);
    let (good, bad) = (harness.open_link(50), harness.open_link(60));
    harness.send(good, chat_body(50, 9, 1));
    let forged = Advertisement {
        incarnation: own_incarnation,
        version: u64::MAX - 1,
        id: 1,
        id_since: 0,
        neighbours: vec![],
    };
    harness.send(bad, Body::Advertisement(forged));
    // The peer's own frames remain valid: `take_bodies` panics otherwise.
    harness.take_bodies(good);
    let closed = harness.take_closed_links();
    assert_eq!(closed, [good, bad], "links to the old incarnation");
    for link in closed {
        harness.peer.closed(harness.now, link, &CloseReason::PeerClosed);
    }
    assert_eq!(error_texts(&harness.take_events()).len(), 1, "the user is notified");
    let new_link = harness.peer.accepted(harness.now, ListenerId::default(), &Origin::default());
    let (new_incarnation, _) = request_grant(&mut harness, new_link, 50).expect("a grant");
    assert_ne!(new_incarnation, own_incarnation);
    assert_eq!((harness.peer.id(), harness.peer.gauges().retained_messages), (Some(1), 1));
    harness.send(new_link, chat_body(50, 1, 1));
    assert_eq!(received_chats(&harness.take_events()).len(), 1);
    let message_id = harness.peer.send(harness.now, 9, "hello").expect("ready");
    assert_eq!((message_id.incarnation, message_id.sequence), (new_incarnation, 1));
    let bodies = harness.take_bodies(new_link);
    assert!(bodies.iter().any(|body| matches!(body, Body::Chat(chat) if chat.id() == message_id)));
}

#[test]
fn links_stay_within_peer_links_max() {
    let mut peer = Peer::new(Some(1), 1, crc_tests::sim::WALL_CLOCK_START, 1);
    peer.advance(Time::default());
    let Some(Action::Dial { link: dialled, .. }) = peer.poll_action() else { panic!("no dial") };
    let mut harness = PeerHarness { peer, now: Time::default() };
    // The peer has no id yet, so it cannot answer any hello.
    for incarnation in 1..=PEER_LINKS_MAX as u64 + 50 {
        let link = harness.peer.accepted(harness.now, ListenerId::default(), &Origin::default());
        harness.send(
            link,
            Body::Hello(Hello { incarnation: 1000 + incarnation, id: 0, desired_id: 0 }),
        );
    }
    harness.run_for(Duration::from_secs(2));
    assert_eq!(harness.peer.id(), Some(1));
    assert_eq!(harness.take_closed_links().len(), 50);
    assert_eq!(harness.peer.gauges().links, PEER_LINKS_MAX);
    // Dialled links are bounded in the same way.
    harness.peer.dialled(harness.now, dialled, &Origin::default());
    harness.take_bodies(dialled);
    harness.send(
        dialled,
        Body::Grant(crc::peer::wire::Grant { incarnation: 7, id: 1, refused: false }),
    );
    assert_eq!(harness.take_closed_links(), [dialled]);
    assert_eq!(harness.peer.gauges().links, PEER_LINKS_MAX);
    assert!(harness.peer.next_deadline().is_some(), "the target is dialled again");
}

#[test]
fn messages_retained_for_others_leave_room_for_own() {
    let mut harness = PeerHarness::new(1);
    let near = harness.open_link(50);
    for sequence in 1..=12_000 {
        harness.send(near, chat_body(50, 9, sequence));
    }
    let message_id = harness.peer.send(harness.now, 50, "still here").expect("own share");
    let bodies = harness.take_bodies(near);
    assert!(bodies.iter().any(|body| matches!(body, Body::Chat(chat) if chat.id() == message_id)));
    // The bound in bytes.
    let text = "x".repeat(PEER_TEXT_BYTES_MAX);
    for sequence in 1..=5 {
        harness.send(near, Body::Chat(Chat { text: text.clone(), ..chat(51, 9, sequence) }));
    }
    harness.peer.send(harness.now, 50, "here too").expect("own share");
}

#[test]
fn forged_senders_do_not_evict_known_senders() {
    let mut harness = PeerHarness::new(1);
    let (good, bad) = (harness.open_link(50), harness.open_link(60));
    for incarnation in [50, 51] {
        let advertisement = Advertisement {
            incarnation,
            version: 1,
            id: incarnation as i64,
            id_since: incarnation,
            neighbours: vec![],
        };
        harness.send(good, Body::Advertisement(advertisement));
    }
    harness.send(good, chat_body(50, 1, 1));
    let mut shown = received_chats(&harness.take_events()).len();
    for incarnation in 0..PEER_INBOX_SENDERS_MAX as u64 + 100 {
        harness.send(bad, chat_body((1 << 60) + incarnation, 1, 1));
        harness.take_bodies(bad);
        harness.take_bodies(good);
        shown += received_chats(&harness.take_events()).len();
    }
    assert!(shown > PEER_INBOX_SENDERS_MAX);
    assert!(harness.peer.gauges().senders <= PEER_INBOX_SENDERS_MAX);
    harness.send(good, chat_body(50, 1, 2));
    assert_eq!(
        received_chats(&harness.take_events()),
        [(50, "2".to_owned())],
        "a known sender with a mark"
    );
    harness.send(good, chat_body(51, 1, 1));
    assert_eq!(
        received_chats(&harness.take_events()),
        [(51, "1".to_owned())],
        "a known sender without a mark"
    );
    harness.send(bad, chat_body(50, 1, 1));
    harness.send(bad, chat_body(1 << 60, 1, 1));
    assert_eq!(received_chats(&harness.take_events()), [], "nothing is shown twice");
}

#[test]
fn ids_beyond_512_per_interval_are_granted_in_the_next() {
    let mut harness = PeerHarness::new(1);
    let mut ids = Vec::new();
    let waiting = loop {
        let link = harness.peer.accepted(harness.now, ListenerId::default(), &Origin::default());
        match request_grant(&mut harness, link, 1000 + ids.len() as u64) {
            Some((_, id)) => ids.push(id),
            None => break link,
        }
        harness.peer.closed(harness.now, link, &CloseReason::PeerClosed);
        assert!(ids.len() <= 512, "more ids than an interval has");
    };
    assert_eq!(ids.len(), 512);
    assert_eq!(harness.take_bodies(waiting), []);
    harness.run_for(Duration::from_millis(9));
    assert_eq!(harness.take_bodies(waiting), []);
    harness.run_for(Duration::from_millis(1));
    let last = harness.take_bodies(waiting).into_iter().find_map(|body| match body {
        Body::Grant(grant) => Some(grant.id),
        _ => None,
    });
    ids.push(last.expect("granted in the next interval"));
    assert!(ids.is_sorted_by(|a, b| a < b));
}

#[test]
fn recipients_beyond_peer_seen_pairs_max_can_still_be_sent_to() {
    let mut harness = PeerHarness::new(1);
    let near = harness.open_link(50);
    for to in 2..PEER_SEEN_PAIRS_MAX as i64 + 100 {
        let message_id = harness.peer.send(harness.now, to, "hello").expect("room");
        harness.send(near, receipt_body(message_id.incarnation, to, message_id.sequence));
        harness.take_bodies(near);
    }
    let next_message = harness.peer.send(harness.now, 2, "hello again").expect("room");
    assert!(next_message.sequence > 1, "a sequence number is not reused: {next_message:?}");
    let bodies = harness.take_bodies(near);
    let first_unacked = bodies.iter().find_map(|body| match body {
        Body::Chat(chat) => Some(chat.first_unacked),
        _ => None,
    });
    assert_eq!(first_unacked, Some(next_message.sequence), "no earlier message is missing");
}

#[test]
fn forged_advertisements_stay_within_peers_max() {
    let mut harness = PeerHarness::new(1);
    let bad = harness.open_link(60);
    for incarnation in 1000..1000 + 2 * PEERS_MAX as u64 {
        let advertisement = Advertisement {
            incarnation,
            version: 1,
            id: 5,
            id_since: incarnation,
            neighbours: vec![incarnation + 1],
        };
        harness.send(bad, Body::Advertisement(advertisement));
        assert!(harness.peer.gauges().peers <= PEERS_MAX);
    }
    harness.run_for(Duration::from_secs(11));
    assert_eq!(harness.peer.gauges().peers, 0, "unreachable peers expire");
    let events = harness.take_events();
    assert!(!events.iter().any(|event| matches!(event, Event::PeerUp { .. })), "{events:?}");
}

#[test]
fn late_receipt_without_its_message_is_ignored() {
    let mut harness = PeerHarness::new(1);
    let near = harness.open_link(50);
    harness.send(near, Body::Receipt(Receipt { incarnation: 50, sequence: 1, to: 9, late: true }));
    harness.send(near, chat_body(50, 9, 1));
    assert_eq!(harness.peer.gauges().retained_messages, 1);
}

#[test]
fn slow_readers_stay_within_peer_queues_bytes_max() {
    let mut harness = PeerHarness::new(1);
    let slow_links: Vec<LinkId> =
        (100..120).map(|incarnation| harness.open_link(incarnation)).collect();
    let sender_link = harness.open_link(50);
    let text = "x".repeat(1_000_000);
    let mut closed = 0;
    for sequence in 1..=30 {
        harness.send(sender_link, Body::Chat(Chat { text: text.clone(), ..chat(50, 9, sequence) }));
        for link in harness.take_closed_links() {
            assert!(slow_links.contains(&link));
            harness.peer.closed(harness.now, link, &CloseReason::PeerClosed);
            closed += 1;
        }
        let unsent: usize = slow_links.iter().map(|&link| harness.peer.unsent(link).len()).sum();
        assert!(unsent <= PEER_QUEUES_BYTES_MAX, "{unsent} after {sequence}");
    }
    assert_eq!(closed, slow_links.len(), "every slow link is closed");
    assert!(harness.peer.is_open(sender_link));
}
