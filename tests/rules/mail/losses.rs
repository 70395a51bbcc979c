//! Mail when servers stop and links are lost.

use super::*;
use crc::link::Machine as _;

#[test]
fn stored_mail_survives_a_server_kill() {
    for seed in 0..50 {
        let world = World::new(seed, NetConditions { delay_max: SECOND, splits_writes: true });
        let OneServer { mut world, one, seven } = one_server_in(world, Limits::default());
        for number in 0..100 {
            world.send(seven.client, &text_frame(8, &number.to_string()));
        }
        world.run_for(SECOND * (seed % 10) as u32 / 2);
        let acknowledged = stored_counts(&world, one).first().map_or(0, |&(_, count)| count);
        world.kill(one);
        let one = world.start(ServerSpec::new(1, None));
        world.run_until_quiescent();
        let after = stored_counts(&world, one).first().map_or(0, |&(_, count)| count);
        assert!(after >= acknowledged, "seed {seed}: {after} of {acknowledged}");
        let eight = connect_with_id(&mut world, one, 8);
        let after = u32::try_from(after).expect("few");
        assert_messages(&mut world, &eight, &numbered_texts(7, 0..after));
    }
}

#[test]
fn stopping_server_stores_pending_mail_first() {
    for seed in 0..20 {
        let world = World::new(seed, NetConditions { delay_max: SECOND, splits_writes: false });
        let OneServer { mut world, one, seven } = one_server_in(world, Limits::default());
        world.send(seven.client, &text_frame(8, "at the last moment"));
        while !world.node(one).expect("alive").spool().has_unacked() {
            world.run_for(SECOND / 100);
        }
        world.with_node(one, |node, now| node.stop(now));
        world.run_until_quiescent();
        assert!(world.node(one).is_none(), "it has ended");
        let one = world.start(ServerSpec::new(1, None));
        assert_eq!(stored_counts(&world, one), [(8, 1)], "seed {seed}");
    }
}

#[test]
fn user_back_from_a_split_receives_chats_sent_meanwhile() {
    let TwoServers { mut world, one, two, seven } = two_servers();
    let eight = connect_with_id(&mut world, two, 8);
    world.cut_uplink(two);
    world.run_for(SECOND / 100);
    world.send(seven.client, &text_frame(8, "meanwhile"));
    world.run_for(SECOND / 20);
    world.run_for(SPLIT_GRACE);
    world.send(seven.client, &text_frame(8, "after"));
    world.run_until_quiescent();
    assert_eq!(sender_texts(&take_messages(&mut world, &eight)), [(7, "meanwhile"), (7, "after")]);
    assert_eq!(stored_counts(&world, one), []);
}

#[test]
fn messages_behind_mail_that_is_queued_on_a_lost_link_do_not_overtake_it() {
    // With some seeds, the connection takes all of the mail before its end is paused.
    let queued = (1..100).filter(|&seed| check_mail_behind_a_lost_link(seed)).count();
    assert!(queued > 0);
}

/// Returns whether mail was queued when the link was lost.
fn check_mail_behind_a_lost_link(seed: u64) -> bool {
    let delays = NetConditions { delay_max: SECOND / 10, splits_writes: false };
    let TwoServers { mut world, one, two, seven } = two_servers_in(World::new(seed, delays));
    let mail: String = "x".repeat(10_000);
    for _ in 0..9 {
        world.send(seven.client, &text_frame(8, &mail));
    }
    world.run_until_quiescent();
    let eight = world.connect_on(two, Wire::DIRECT);
    world.send(eight, &[0, 0, 0, 2, 0x20, 8]);
    while world.node(two).expect("alive").relay().hosts().get(HostId(8)).is_none() {
        world.run_for(SECOND / 1000);
    }
    // The first messages fill the connection, and the others stay in the queue.
    world.pause(two, SECOND);
    world.run_for(SECOND / 5);
    let is_queued = matches!(stored_counts(&world, one)[..], [(8, 1..9)]);
    world.send(seven.client, &text_frame(8, "behind it"));
    world.run_for(SECOND / 5);
    world.cut_uplink(two);
    world.run_for(SPLIT_GRACE);
    if is_queued {
        let eight = DirectClient { client: eight, id: 8, early_messages: RefCell::default() };
        let received = take_messages(&mut world, &eight);
        let texts: Vec<_> = received.iter().filter(|it| it.from == 7).map(|it| &*it.msg).collect();
        assert_eq!(texts.len(), 10);
        assert_eq!(texts.last(), Some(&"behind it"));
        assert_eq!(stored_counts(&world, one), []);
    }
    is_queued
}

#[test]
fn chat_to_a_lost_user_becomes_mail_after_the_grace() {
    let TwoServers { mut world, one, two, seven } = two_servers();
    connect_with_id(&mut world, two, 8);
    world.kill(two);
    world.run_until_quiescent();
    world.send(seven.client, &text_frame(8, "in the grace"));
    world.run_for(2 * SPLIT_GRACE);
    assert_eq!(stored_counts(&world, one), [(8, 1)]);
    let eight = connect_with_id(&mut world, one, 8);
    assert_eq!(sender_texts(&take_messages(&mut world, &eight)), [(7, "in the grace")]);
}

#[test]
fn mail_from_a_lost_sender_reaches_a_server_that_never_knew_it() {
    let TwoServers { mut world, two, seven, .. } = two_servers();
    send_numbered_texts(&mut world, &seven, 8, 0..3);
    world.disconnect(seven.client);
    world.run_until_quiescent();
    connect_with_id(&mut world, two, 7);
    world.kill(two);
    world.run_for(SECOND / 10);
    // During the grace, with a server that has joined since.
    let three = world.start(ServerSpec::new(3, Some(1)));
    world.run_for(SECOND / 10);
    let eight = connect_with_id(&mut world, three, 8);
    assert_messages(&mut world, &eight, &numbered_texts(7, 0..3));
}

#[test]
fn mail_in_flight_to_a_lost_user_waits_for_the_grace() {
    for (is_sender_there, is_found) in [(true, true), (false, true), (false, false)] {
        let TwoServers { mut world, one, two, seven } = two_servers();
        let plain = connect_and_send(&mut world, two, &server(3, "three", ""));
        send_numbered_texts(&mut world, &seven, 8, 0..2);
        if !is_sender_there {
            world.disconnect(seven.client);
            world.run_until_quiescent();
        }
        // It leaves before its mail arrives.
        let burst = [server(3, "three", ""), registration(HostKind::User, 8, 3, "8", "")];
        world.send(plain, &burst[1]);
        world.disconnect(plain);
        world.run_for(SECOND);
        assert_eq!(stored_counts(&world, one), []);
        if !is_found {
            world.run_for(SPLIT_GRACE);
        }
        let plain = connect_and_send(&mut world, two, &burst.concat());
        let is_mail = |frame: &Vec<u8>| frame[0] == 0x81 || frame[..11].ends_with(&[0, 4]);
        let received: Vec<_> = take_frames(&mut world, plain).into_iter().filter(is_mail).collect();
        let expected = ["0", "1"].map(|text| match is_sender_there {
            true => chat(7, 8, text),
            false => status(1, 8, 4, &format!("Mail from 7: {text}")),
        });
        assert_eq!(received, if is_found { expected.to_vec() } else { vec![] });
        let updates = world.node(one).expect("alive").relay().status_updates();
        assert_eq!(updates.count(), 0, "a status is not answered");
    }
}
