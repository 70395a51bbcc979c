//! Delivery of mail: to whom, and in which form.

use super::*;

#[test]
fn stored_mail_is_delivered_in_order_when_its_id_joins() {
    let TwoServers { mut world, one, seven, .. } = two_servers();
    send_numbered_texts(&mut world, &seven, 8, 0..300);
    assert_eq!(stored_counts(&world, one), [(8, 300)]);
    assert_messages(&mut world, &seven, &[]); // nothing is sent to the sender
    let eight = connect_with_id(&mut world, one, 8);
    assert_messages(&mut world, &eight, &numbered_texts(7, 0..300));
    assert_eq!(stored_counts(&world, one), []);
    world.disconnect(eight.client);
    world.run_until_quiescent();
    let eight = connect_with_id(&mut world, one, 8);
    assert_messages(&mut world, &eight, &[]); // delivered once
}

#[test]
fn mail_is_delivered_at_any_server_even_when_its_sender_has_quit() {
    for (to, is_sender_there) in
        [(8, true), (8, false), (5_000_000_000, true), (5_000_000_000, false)]
    {
        let TwoServers { mut world, one, two, seven } = two_servers();
        let three = world.start(ServerSpec::new(3, Some(2)));
        world.run_until_quiescent();
        let large = connect_with_id(&mut world, one, 6_000_000_000);
        send_numbered_texts(&mut world, &seven, to, 0..3);
        send_numbered_texts(&mut world, &large, to, 3..6);
        if !is_sender_there {
            world.disconnect(seven.client);
            world.disconnect(large.client);
            world.run_until_quiescent();
        }
        let addressee = connect_with_id(&mut world, three, to);
        let expected = [numbered_texts(7, 0..3), numbered_texts(6_000_000_000, 3..6)].concat();
        assert_messages(&mut world, &addressee, &expected);
        assert_eq!(stored_counts(&world, one), []);
        for server in [one, two, three] {
            let counters = world.node(server).expect("alive").relay().counters();
            assert_eq!((counters.false_sources, counters.unroutable), (0, 0));
        }
    }
}

#[test]
fn crc_user_receives_mail_as_chat_from_its_sender() {
    for is_far in [false, true] {
        let TwoServers { mut world, one, two, seven } = two_servers();
        let large = connect_with_id(&mut world, one, 6_000_000_000);
        send_numbered_texts(&mut world, &seven, 102, 0..2);
        send_numbered_texts(&mut world, &large, 102, 2..3);
        world.disconnect(seven.client);
        world.disconnect(large.client);
        world.run_until_quiescent();
        let sam =
            connect_and_send(&mut world, if is_far { two } else { one }, &user(102, "sam", ""));
        let received = take_frames(&mut world, sam);
        let large = status(0, 0, 4, "Mail from 6000000000: 2");
        assert_eq!(received[1..], [chat(7, 102, "0"), chat(7, 102, "1"), large]);
    }
}

#[test]
fn mail_from_a_sender_who_moved_to_the_addressees_server_is_delivered() {
    let TwoServers { mut world, two, seven, .. } = two_servers();
    send_numbered_texts(&mut world, &seven, 8, 0..3);
    world.disconnect(seven.client);
    world.run_until_quiescent();
    connect_with_id(&mut world, two, 7);
    let eight = connect_with_id(&mut world, two, 8);
    assert_messages(&mut world, &eight, &numbered_texts(7, 0..3));
}

#[test]
fn mail_to_a_plain_server_is_sent_as_chat_or_status_4() {
    let OneServer { mut world, one, seven } = one_server();
    let plain = connect_and_send(&mut world, one, &server(9, "plain", ""));
    send_numbered_texts(&mut world, &seven, 109, 0..1);
    send_numbered_texts(&mut world, &seven, 110, 0..1);
    take_frames(&mut world, plain);
    world.send(plain, &registration(HostKind::User, 109, 9, "pip", ""));
    world.run_until_quiescent();
    assert_received(&mut world, plain, &[chat(7, 109, "0")]);
    world.disconnect(seven.client);
    world.run_until_quiescent();
    world.send(plain, &registration(HostKind::User, 110, 9, "bill", ""));
    world.run_until_quiescent();
    let expected = [quit(7, "connection closed"), status(1, 110, 4, "Mail from 7: 0")];
    assert_received(&mut world, plain, &expected);
}

#[test]
fn long_mail_to_a_plain_server_is_sent_in_pieces() {
    let OneServer { mut world, one, seven } = one_server();
    let plain = connect_and_send(&mut world, one, &server(9, "plain", ""));
    world.send(seven.client, &text_frame(109, &"x".repeat(1000)));
    world.run_for(PACED_PORTION_INTERVAL);
    take_frames(&mut world, plain);
    world.send(plain, &registration(HostKind::User, 109, 9, "pip", ""));
    world.run_until_quiescent();
    let [first, second] = [960, 40].map(|len| chat(7, 109, &"x".repeat(len)));
    assert_received(&mut world, plain, &[first]);
    world.run_for(2 * SECOND);
    assert_eq!(take_frames(&mut world, plain), [second]);
    assert_eq!(stored_counts(&world, one), []);
}

#[test]
fn more_mail_than_may_wait_for_portions_is_not_sent_to_a_plain_server_at_once() {
    let OneServer { mut world, one, seven } = one_server();
    let plain = connect_and_send(&mut world, one, &server(9, "plain", ""));
    for _ in 0..30 {
        world.send(seven.client, &text_frame(109, &"x".repeat(10_000)));
    }
    world.run_for(PACED_PORTION_INTERVAL);
    world.take_received(plain);
    world.send(plain, &registration(HostKind::User, 109, 9, "pip", ""));
    for _ in 0..40 {
        world.run_for(PACED_PORTION_INTERVAL);
        assert!(world.take_received(plain).len() <= PACED_PORTION_BYTES_MAX);
    }
}

#[test]
fn mail_is_kept_until_a_plain_server_was_sent_its_last_piece() {
    for is_sender_there in [true, false] {
        let OneServer { mut world, one, seven } = one_server();
        world.send(seven.client, &text_frame(109, &"x".repeat(1000)));
        world.run_until_quiescent();
        if !is_sender_there {
            world.disconnect(seven.client);
        }
        let piece = |len| match (is_sender_there, "x".repeat(len)) {
            (true, text) => chat(7, 109, &text),
            (false, text) => status(1, 109, 4, &format!("Mail from 7: {text}")),
        };
        let pip = registration(HostKind::User, 109, 9, "pip", "");
        for is_lost_early in [true, false] {
            let plain = connect_and_send(&mut world, one, &server(9, "plain", ""));
            world.run_for(PACED_PORTION_INTERVAL);
            take_frames(&mut world, plain);
            world.send(plain, &pip);
            world.run_until_quiescent();
            assert_received(&mut world, plain, &[piece(960)]);
            assert_eq!(stored_counts(&world, one), [(109, 1)]);
            if is_lost_early {
                world.disconnect(plain);
                world.run_until_quiescent();
                continue;
            }
            world.run_for(2 * SECOND);
            assert_eq!(take_frames(&mut world, plain), [piece(40)]);
            assert_eq!(stored_counts(&world, one), []);
        }
    }
}

#[test]
fn mail_to_ids_below_one_is_not_stored() {
    let OneServer { mut world, one, seven } = one_server();
    world.send(
        seven.client,
        &[text_frame(-1, "Hi"), text_frame(i64::MIN, "Hi"), text_frame(0, "")].concat(),
    );
    world.run_until_quiescent();
    assert_eq!(sender_texts(&take_messages(&mut world, &seven)), [(7, "")]);
    assert_eq!(stored_counts(&world, one), []);
}

#[test]
fn mail_for_a_servers_id_waits_for_a_user() {
    let TwoServers { mut world, one, two, seven } = two_servers();
    send_numbered_texts(&mut world, &seven, 2, 0..1);
    send_numbered_texts(&mut world, &seven, 1, 0..1);
    assert_eq!(stored_counts(&world, one), [(1, 1), (2, 1)]);
    world.kill(two);
    world.run_for(2 * SPLIT_GRACE);
    let two = connect_with_id(&mut world, one, 2);
    assert_messages(&mut world, &two, &numbered_texts(7, 0..1));
}

#[test]
fn mail_for_a_wide_id_goes_to_its_next_holder() {
    const LARGE: i64 = 5_000_000_000;
    let TwoServers { mut world, one, two, seven } = two_servers();
    let large = connect_with_id(&mut world, two, LARGE);
    // The next user whose name is that id.
    let sam = connect_and_send(&mut world, one, &user(102, &LARGE.to_string(), ""));
    take_frames(&mut world, sam);
    world.cut_uplink(two);
    world.run_for(SECOND / 1000);
    world.send(seven.client, &text_frame(LARGE, "meanwhile"));
    world.run_for(SECOND / 100);
    world.kill(two);
    world.run_for(2 * SPLIT_GRACE);
    world.send(seven.client, &text_frame(LARGE, "after"));
    world.run_until_quiescent();
    let chats: Vec<_> = take_frames(&mut world, sam).into_iter().filter(|f| f[0] == 0x81).collect();
    assert_eq!(chats, [chat(7, 102, "meanwhile"), chat(7, 102, "after")]);
    assert_eq!(stored_counts(&world, one), []);
    drop(large);
}

#[test]
fn mail_for_an_id_is_delivered_to_a_user_with_a_numeric_name() {
    let OneServer { mut world, one, seven } = one_server();
    send_numbered_texts(&mut world, &seven, 102, 0..2);
    let sam = connect_and_send(&mut world, one, &user(102, "5000000000", ""));
    let received = take_frames(&mut world, sam);
    let chats: Vec<_> = received.into_iter().filter(|f| f[0] == 0x81).collect();
    assert_eq!(chats, [chat(7, 102, "0"), chat(7, 102, "1")]);
    assert_eq!(stored_counts(&world, one), []);
}

#[test]
fn id_with_waiting_mail_is_not_assigned() {
    let OneServer { mut world, one, .. } = one_server();
    // The id that the next client would get.
    let next_id = {
        let client = world.connect_on(one, Wire::DIRECT);
        world.run_until_quiescent();
        let handshake = crc::wires::direct::codec::parse_handshake(&world.take_received(client));
        handshake.expect("a handshake").id
    };
    let OneServer { mut world, one, seven } = one_server();
    send_numbered_texts(&mut world, &seven, next_id, 0..1);
    let client = world.connect_on(one, Wire::DIRECT);
    world.run_until_quiescent();
    let handshake = crc::wires::direct::codec::parse_handshake(&world.take_received(client));
    assert_ne!(handshake.expect("a handshake").id, next_id);
    assert_eq!(stored_counts(&world, one), [(next_id, 1)]);
}
