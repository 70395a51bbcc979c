//! Mail in flight: input that waits for it, order, and slow readers.

use super::*;

/// Encodes the registration by which a server announces a user.
fn user_registration(id: u32, by: u32, name: &str) -> Vec<u8> {
    registration(HostKind::User, id, by, name, "")
}

#[test]
fn input_after_mail_waits_until_the_mail_is_stored() {
    let world = World::new(1, NetConditions { delay_max: SECOND, splits_writes: false });
    let OneServer { mut world, one, seven } = one_server_in(world, Limits::default());
    let eight = connect_with_id(&mut world, one, 8);
    let bytes: Vec<u8> =
        [text_frame(9, "kept"), text_frame(9, "too"), text_frame(8, "Hi"), text_frame(0, "echo")]
            .concat();
    world.send(seven.client, &bytes);
    world.disconnect(seven.client); // what it sent before is still handled
    let mut is_stored = false;
    for _ in 0..200 {
        world.run_for(SECOND / 20);
        is_stored |= stored_counts(&world, one) == [(9, 2)];
        let received = take_messages(&mut world, &eight);
        if !received.is_empty() {
            assert_eq!(sender_texts(&received), [(7, "Hi")]);
            assert!(is_stored, "delivered before the mail was stored");
            return;
        }
    }
    panic!("the chat was not delivered");
}

#[test]
fn later_chats_do_not_overtake_mail() {
    let TwoServers { mut world, one, two, seven } =
        two_servers_in(World::new(1, NetConditions { delay_max: SECOND, splits_writes: false }));
    send_numbered_texts(&mut world, &seven, 8, 0..1000);
    let eight = world.connect_on(two, Wire::DIRECT);
    world.run_until_quiescent();
    let mut desired_id = vec![0, 0, 0, 2];
    desired_id.extend([0x20, 8]);
    world.send(eight, &desired_id);
    // More is sent during the delivery.
    for number in 1000..1100 {
        world.send(seven.client, &text_frame(8, &number.to_string()));
        world.run_for(SECOND / 20);
    }
    world.run_until_quiescent();
    world.take_received(seven.client);
    let eight = DirectClient { client: eight, id: 8, early_messages: RefCell::default() };
    let received = take_messages(&mut world, &eight);
    let received: Vec<_> =
        received.iter().filter(|m| m.control.is_none()).map(|m| &*m.msg).collect();
    let expected: Vec<_> = (0..1100).map(|number| number.to_string()).collect();
    assert_eq!(received[1..], expected, "after the handshake");
    assert_eq!(stored_counts(&world, one), []);
}

#[test]
fn large_mailbox_is_delivered_in_batches() {
    let text = "x".repeat(1000);
    let OneServer { mut world, one, seven } = one_server();
    let count = 20 * (QUEUE_LOW_WATER_BYTES + MAIL_FETCH_BYTES_MAX) / 1000;
    for _ in 0..count {
        world.send(seven.client, &text_frame(8, &text));
    }
    world.run_until_quiescent();
    assert_eq!(stored_counts(&world, one), [(8, count as u64)]);
    // More than a client's send queue holds: a slow reader is not closed.
    let eight = connect_stalled(&mut world, one);
    let mut received = 0;
    for _ in 0..10_000 {
        world.resume_reading(eight);
        world.pause_reading(eight);
        world.run_until_quiescent();
        assert!(!world.is_closed(eight));
        received += world.take_received(eight).len();
        if stored_counts(&world, one).is_empty() {
            break;
        }
    }
    assert!(received > count * 1000, "{received}");
    assert_eq!(stored_counts(&world, one), []);
}

#[test]
fn mail_still_queued_at_disconnect_stays_stored() {
    let OneServer { mut world, one, seven } = one_server();
    let text = "x".repeat(10_000);
    for _ in 0..20 {
        world.send(seven.client, &text_frame(8, &text));
    }
    world.run_until_quiescent();
    let stalled = connect_stalled(&mut world, one);
    let remaining = stored_counts(&world, one);
    assert!(remaining[0].1 < 20, "some have gone into the pipe: {remaining:?}");
    world.disconnect(stalled);
    world.run_until_quiescent();
    assert_eq!(stored_counts(&world, one), remaining);
    let eight = connect_with_id(&mut world, one, 8);
    assert_eq!(take_messages(&mut world, &eight).len() as u64, remaining[0].1);
    assert_eq!(stored_counts(&world, one), []);
}

#[test]
fn delivery_ends_with_its_user_even_if_the_wide_id_had_other_holders() {
    const LARGE: &str = "5000000000";
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let [two, three] =
        [2, 3].map(|id| connect_and_send(&mut world, one, &fast_server(id, "plain")));
    let seven = connect_with_id(&mut world, one, 7);
    world.run_for(LATE_ECHO_TIMEOUT); // neither neighbour announces 7 back
    let text = "x".repeat(10_000);
    for _ in 0..30 {
        world.send(seven.client, &text_frame(66, &text));
    }
    world.run_until_quiescent();
    let first_holder = connect_and_send(&mut world, one, &user(65, LARGE, ""));
    world.pause_reading(two);
    world.send(two, &user_registration(66, 2, LARGE));
    world.run_until_quiescent();
    assert!(!stored_counts(&world, one).is_empty());
    world.disconnect(first_holder); // user 66 owns the wide id now
    world.run_until_quiescent();
    world.send(two, &quit(66, ""));
    world.run_until_quiescent();
    world.pause_reading(three);
    world.send(three, &user_registration(66, 3, LARGE));
    world.run_until_quiescent();
    for _ in 0..20 {
        for neighbour in [two, three] {
            world.take_received(neighbour);
            world.resume_reading(neighbour);
            world.pause_reading(neighbour);
            world.run_until_quiescent();
        }
    }
    assert_eq!(stored_counts(&world, one), []);
    connect_with_id(&mut world, one, 9); // announced to both neighbours
}

#[test]
fn mail_dropped_during_delivery_is_not_sent_and_later_mail_is() {
    let OneServer { mut world, one, seven } = one_server();
    for _ in 0..30 {
        world.send(seven.client, &text_frame(8, &"x".repeat(10_000)));
    }
    world.run_until_quiescent();
    let eight = connect_stalled(&mut world, one);
    assert!(!stored_counts(&world, one).is_empty());
    world.with_node(one, |node, _| node.delete_mail(WideId(8)));
    world.send(seven.client, &text_frame(8, "later"));
    world.run_until_quiescent();
    world.resume_reading(eight);
    world.run_until_quiescent();
    let eight = DirectClient { client: eight, id: 8, early_messages: RefCell::default() };
    let bytes = world.take_received(eight.client);
    assert!(bytes.len() < 150_000, "{}", bytes.len());
    assert!(bytes.ends_with(b"later"));
    assert_eq!(stored_counts(&world, one), []);
    world.send(seven.client, &text_frame(8, "and after"));
    world.run_until_quiescent();
    assert_eq!(sender_texts(&take_messages(&mut world, &eight)), [(7, "and after")]);
}
