//! Messages: delivered once, in order, retained for absent peers, released by receipts.

use crc::peer::{Event, SendError};
use crc::room::RoomName;

use super::{receipt_counts, received_chats, seconds, world};

#[test]
fn message_in_a_ring_is_shown_once() {
    let mut world = world();
    let ring: Vec<usize> = (0..5)
        .map(|i| {
            let next = format!("p{}", (i + 1) % 5);
            world.start(&format!("p{i}"), Some(i + 1), &[&next])
        })
        .collect();
    world.run_for(seconds(10));
    for i in 0..20 {
        world.send(ring[0], 3, &format!("{i}")).expect("ready");
    }
    world.run_for(seconds(1));
    let expected: Vec<_> = (0..20).map(|i| (1, format!("{i}"))).collect();
    assert_eq!(received_chats(&world.take_events(ring[2])), expected);
    assert_eq!(receipt_counts(&world.take_events(ring[0])), [(3, 20)].into());
    for &peer in &ring {
        let gauges = world.peer(peer).expect("alive").gauges();
        assert_eq!((gauges.links, gauges.retained_messages, gauges.reorder_messages), (2, 0, 0));
    }
}

#[test]
fn room_message_in_a_ring_is_shown_once_by_each_member() {
    let room = |name: &'static str| RoomName::parse(name.as_bytes()).expect("a name");
    let mut world = world();
    let ring: Vec<usize> = (0..5)
        .map(|i| {
            let next = format!("p{}", (i + 1) % 5);
            world.start(&format!("p{i}"), Some(i + 1), &[&next])
        })
        .collect();
    world.run_for(seconds(10));
    for &member in &ring[..4] {
        world.join_room(member, room("#lab"));
    }
    assert_eq!(world.send_to_room(ring[4], room("#lab"), "x"), Err(SendError::NotInRoom));
    for i in 0..20 {
        world.send_to_room(ring[0], room("#LAB"), &format!("{i}")).expect("a member");
        world.send_to_room(ring[2], room("#lab"), &format!("{i}")).expect("a member");
    }
    world.run_for(seconds(1));
    let texts_from = |events: &[Event], sender: i64| -> Vec<String> {
        let texts = events.iter().filter_map(|event| match event {
            Event::RoomChat { from, text, .. } if *from == sender => Some(text.clone()),
            _ => None,
        });
        texts.collect()
    };
    let all: Vec<String> = (0..20).map(|i| format!("{i}")).collect();
    for (i, &peer) in ring.iter().enumerate() {
        let events = world.take_events(peer);
        let expected = |sender: usize| if i == sender || i == 4 { vec![] } else { all.clone() };
        assert_eq!(texts_from(&events, 1), expected(0), "peer {i}");
        assert_eq!(texts_from(&events, 3), expected(2), "peer {i}");
        assert_eq!(world.peer(peer).expect("alive").gauges().retained_messages, 0);
    }
}

#[test]
fn message_to_own_id_is_delivered_and_acknowledged() {
    let mut world = world();
    let one = world.start("one", Some(7), &[]);
    let message = world.send(one, 7, "note").expect("ready");
    let expected = [
        Event::Ready { id: 7 },
        Event::Chat { from: 7, to: 7, text: "note".to_owned() },
        Event::Receipt { from: 7, message },
    ];
    assert_eq!(world.take_events(one), expected);
}

#[test]
fn message_is_retained_for_an_absent_peer_until_its_receipt() {
    let mut world = world();
    let one = world.start("one", Some(1), &[]);
    let two = world.start("two", Some(2), &["one"]);
    world.run_for(seconds(1));
    for text in ["a", "b", "c"] {
        world.send(one, 9, text).expect("ready");
    }
    world.run_for(seconds(1));
    // The sender dies; the other peer retains the messages and forwards them to new links.
    world.kill(one);
    let three = world.start("three", Some(3), &["two"]);
    world.run_for(seconds(1));
    assert_eq!(world.peer(three).expect("alive").gauges().retained_messages, 3);
    world.kill(two);
    let nine = world.start("nine", Some(9), &["three"]);
    world.run_for(seconds(1));
    let received = received_chats(&world.take_events(nine));
    assert_eq!(received, [(1, "a".to_owned()), (1, "b".to_owned()), (1, "c".to_owned())]);
    assert_eq!(world.peer(three).expect("alive").gauges().retained_messages, 0);
}

#[test]
fn rejoining_partition_learns_of_a_receipt() {
    let mut world = world();
    let one = world.start("one", Some(1), &[]);
    let two = world.start("two", Some(2), &["one"]);
    world.run_for(seconds(1));
    world.send(one, 9, "hello").expect("ready");
    world.run_for(seconds(1));
    world.kill(one); // `two` retains the message, alone
    world.take_events(two);
    let far = world.start("far", Some(4), &["two"]);
    world.run_for(seconds(1));
    world.reset_links(two, far);
    let nine = world.start("nine", Some(9), &["far"]);
    world.run_for(seconds(60));
    assert_eq!(received_chats(&world.take_events(nine)).len(), 1);
    for peer in [two, far, nine] {
        assert_eq!(world.peer(peer).expect("alive").gauges().retained_messages, 0);
    }
}

#[test]
fn ring_reroutes_around_a_lost_link_and_redials_it() {
    let mut world = world();
    let one = world.start("one", Some(1), &["two"]);
    let two = world.start("two", Some(2), &["three"]);
    let three = world.start("three", Some(3), &["one"]);
    world.run_for(seconds(10));
    for peer in [one, two, three] {
        world.take_events(peer);
    }
    assert!(world.reset_links(one, two));
    world.send(one, 2, "around the ring").expect("ready");
    world.run_for(seconds(0) + std::time::Duration::from_millis(50));
    let events = world.take_events(two);
    assert_eq!(received_chats(&events).len(), 1);
    assert!(!events.iter().any(|event| matches!(event, Event::PeerDown { .. })), "{events:?}");
    world.run_for(seconds(20));
    assert_eq!(world.connected_pairs(), [(one, two), (one, three), (two, three)]);
}

#[test]
fn mutual_and_self_targets_leave_one_link() {
    let mut world = world();
    let one = world.start("one", Some(1), &["two", "one", "two"]);
    let two = world.start("two", Some(2), &["one"]);
    world.run_for(seconds(30));
    for peer in [one, two] {
        assert_eq!(world.peer(peer).expect("alive").gauges().links, 1);
    }
    world.take_events(one);
    world.reset_links(one, two);
    world.run_for(seconds(30));
    assert_eq!(world.peer(one).expect("alive").gauges().links, 1, "one link is set up again");
}

#[test]
fn reachability_changes_are_reported_as_events() {
    let mut world = world();
    let one = world.start("one", Some(1), &[]);
    let two = world.start("two", Some(2), &["one"]);
    let three = world.start("three", Some(3), &["two"]);
    world.run_for(seconds(2));
    let events = world.take_events(one);
    let expected = [Event::Ready { id: 1 }, Event::PeerUp { id: 2 }, Event::PeerUp { id: 3 }];
    assert_eq!(events, expected);
    world.kill(two); // the only path to `three`
    world.run_for(seconds(1));
    assert_eq!(world.take_events(one), [Event::PeerDown { id: 2 }, Event::PeerDown { id: 3 }]);
    assert_eq!(world.peer(three).expect("alive").other_ids().count(), 0);
}
