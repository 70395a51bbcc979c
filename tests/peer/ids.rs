//! The assignment of ids.

use crc::peer::Event;
use crc::peer::id::decode_id;
use crc_tests::sim::PeerWorld;

use super::{error_texts, seconds, world};

fn id_of(world: &PeerWorld, peer: usize) -> i64 {
    world.peer(peer).expect("alive").id().expect("an id")
}

#[test]
fn desired_id_is_granted_and_one_is_assigned_without_it() {
    let mut world = world();
    let one = world.start("one", Some(77_252_666_718_255_105), &[]);
    let two = world.start("two", Some(5), &["one"]);
    let three = world.start("three", None, &["two"]);
    world.run_for(seconds(1));
    assert_eq!((id_of(&world, one), id_of(&world, two)), (77_252_666_718_255_105, 5));
    let assigned = decode_id(id_of(&world, three));
    assert_eq!(assigned.assigner_hash, crc::peer::id::assigner_hash(5));
    assert!(
        assigned.unix_time >= crc_tests::sim::WALL_CLOCK_START
            && assigned.unix_time < crc_tests::sim::WALL_CLOCK_START + seconds(1)
    );
    assert_eq!(error_texts(&world.take_events(three)), Vec::<String>::new());
}

#[test]
fn id_taken_anywhere_in_the_network_is_replaced() {
    let mut world = world();
    world.start("one", Some(5), &[]);
    world.start("two", Some(2), &["one"]);
    let three = world.start("three", Some(3), &["two"]);
    world.run_for(seconds(1));
    let late = world.start("late", Some(5), &["three"]);
    world.run_for(seconds(1));
    assert_ne!(id_of(&world, late), 5);
    let text = format!("id 5 is taken: this peer is {}", id_of(&world, late));
    assert_eq!(error_texts(&world.take_events(late)), [text]);
    assert_eq!(world.peer(three).expect("alive").other_ids().count(), 3);
}

#[test]
fn an_id_is_free_again_when_its_holder_is_gone() {
    let mut world = world();
    let one = world.start("one", Some(5), &[]);
    world.start("two", Some(2), &["one"]);
    world.start("three", Some(3), &["two"]);
    world.run_for(seconds(1));
    world.kill(one);
    world.run_for(seconds(1));
    let again = world.start("one", Some(5), &["three"]);
    world.run_for(seconds(1));
    assert_eq!(id_of(&world, again), 5);
}

#[test]
fn older_id_claim_wins_when_partitions_merge() {
    for younger_dials in [false, true] {
        let mut world = world();
        let (old_targets, new_targets): (&[&str], &[&str]) =
            if younger_dials { (&[], &["old"]) } else { (&["new"], &[]) };
        let old = world.start("old", Some(5), old_targets);
        world.run_for(seconds(3));
        // Each partition is alone at first.
        let far = world.start("far", Some(5), &[]);
        let new = world.start("new", Some(6), &[&["far"], new_targets].concat());
        world.run_for(seconds(30));
        assert_eq!(id_of(&world, old), 5, "the older claim wins");
        assert_ne!(id_of(&world, far), 5);
        assert_eq!(id_of(&world, new), 6);
        let text =
            format!("another peer has had id 5 for longer: this peer is {}", id_of(&world, far));
        let far_events = world.take_events(far);
        assert_eq!(error_texts(&far_events), [text]);
        for events in [far_events, world.take_events(old)] {
            let mut own = 0;
            for event in events {
                match event {
                    Event::Ready { id } => own = id,
                    Event::PeerUp { id } => assert_ne!(id, own, "its own id is reported as a peer"),
                    _ => {}
                }
            }
        }
        world.send(old, id_of(&world, far), "hello").expect("ready");
        world.run_for(seconds(1));
        assert_eq!(super::received_chats(&world.take_events(far)), [(5, "hello".to_owned())]);
    }
}

#[test]
fn concurrent_requests_for_one_id_have_one_winner() {
    let mut world = world();
    world.start("hub", Some(1), &[]);
    world.start("left", Some(2), &["hub"]);
    world.start("right", Some(3), &["hub"]);
    world.run_for(seconds(1));
    let (a, b) = (world.start("a", Some(9), &["left"]), world.start("b", Some(9), &["right"]));
    let (c, d) = (world.start("c", Some(8), &["hub"]), world.start("d", Some(8), &["hub"]));
    world.run_for(seconds(5));
    for (a, b, desired_id) in [(a, b, 9), (c, d, 8)] {
        let ids = [id_of(&world, a), id_of(&world, b)];
        assert_eq!(ids.iter().filter(|&&id| id == desired_id).count(), 1, "{ids:?}");
    }
}

#[test]
fn ring_of_peers_without_ids_self_assigns_them() {
    let mut world = world();
    let ring: Vec<usize> = (0..4)
        .map(|i| world.start(&format!("p{i}"), None, &[&format!("p{}", (i + 1) % 4)]))
        .collect();
    world.run_for(seconds(5));
    let mut ids: Vec<i64> = ring.iter().map(|&peer| id_of(&world, peer)).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    assert!(ring.iter().all(|&peer| world.peer(peer).expect("alive").other_ids().count() == 3));
}
