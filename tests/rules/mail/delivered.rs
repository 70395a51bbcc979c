//! Who is handed what was kept, and in which form.

use super::*;

#[test]
fn what_is_kept_is_delivered_in_order_when_the_id_appears_here() {
    let Pair { mut world, one, seven, .. } = pair();
    send_numbers(&mut world, &seven, 8, 0..300);
    assert_eq!(kept(&world, one), [(8, 300)]);
    assert_hears(&mut world, &seven, &[]); // to the sender nothing is said
    let eight = direct(&mut world, one, 8);
    assert_hears(&mut world, &eight, &numbers(7, 0..300));
    assert_eq!(kept(&world, one), []);
    world.hang_up(eight.client);
    world.settle();
    let eight = direct(&mut world, one, 8);
    assert_hears(&mut world, &eight, &[]); // once
}

#[test]
fn it_is_delivered_wherever_the_id_appears_and_whoever_has_left_since() {
    for (to, is_sender_there) in
        [(8, true), (8, false), (5_000_000_000, true), (5_000_000_000, false)]
    {
        let Pair { mut world, one, two, seven } = pair();
        let three = world.start(ServerSpec::new(3, Some(2)));
        world.settle();
        let large = direct(&mut world, one, 6_000_000_000);
        send_numbers(&mut world, &seven, to, 0..3);
        send_numbers(&mut world, &large, to, 3..6);
        if !is_sender_there {
            world.hang_up(seven.client);
            world.hang_up(large.client);
            world.settle();
        }
        let addressee = direct(&mut world, three, to);
        let expected = [numbers(7, 0..3), numbers(6_000_000_000, 3..6)].concat();
        assert_hears(&mut world, &addressee, &expected);
        assert_eq!(kept(&world, one), []);
        for server in [one, two, three] {
            let counters = world.node(server).expect("alive").relay().counters();
            assert_eq!((counters.false_sources, counters.unroutable), (0, 0));
        }
    }
}

#[test]
fn a_crc_user_hears_mail_as_chat_from_its_sender() {
    for is_far in [false, true] {
        let Pair { mut world, one, two, seven } = pair();
        let large = direct(&mut world, one, 6_000_000_000);
        send_numbers(&mut world, &seven, 102, 0..2);
        send_numbers(&mut world, &large, 102, 2..3);
        world.hang_up(seven.client);
        world.hang_up(large.client);
        world.settle();
        let sam = says(&mut world, if is_far { two } else { one }, &user(102, "sam", ""));
        let told = heard(&mut world, sam);
        let large = status(0, 0, 4, "Mail from 6000000000: 2");
        assert_eq!(told[1..], [chat(7, 102, "0"), chat(7, 102, "1"), large]);
    }
}

#[test]
fn a_sender_who_is_on_the_addressees_side_by_now_is_still_heard() {
    let Pair { mut world, two, seven, .. } = pair();
    send_numbers(&mut world, &seven, 8, 0..3);
    world.hang_up(seven.client);
    world.settle();
    direct(&mut world, two, 7);
    let eight = direct(&mut world, two, 8);
    assert_hears(&mut world, &eight, &numbers(7, 0..3));
}

#[test]
fn a_plain_neighbour_is_told_in_words_that_it_knows() {
    let Alone { mut world, one, seven } = alone();
    let plain = says(&mut world, one, &server(9, "plain", ""));
    send_numbers(&mut world, &seven, 109, 0..1);
    send_numbers(&mut world, &seven, 110, 0..1);
    heard(&mut world, plain);
    world.send(plain, &registration(Kind::User, 109, 9, "pip", ""));
    world.settle();
    assert_heard(&mut world, plain, &[chat(7, 109, "0")]);
    world.hang_up(seven.client);
    world.settle();
    world.send(plain, &registration(Kind::User, 110, 9, "bill", ""));
    world.settle();
    let told = [quit(7, "connection closed"), status(1, 110, 4, "Mail from 7: 0")];
    assert_heard(&mut world, plain, &told);
}

#[test]
fn nobody_is_written_to_under_a_number_below_one() {
    let Alone { mut world, one, seven } = alone();
    world.send(seven.client, &[saying(-1, "Hi"), saying(i64::MIN, "Hi"), saying(0, "")].concat());
    world.settle();
    assert_eq!(texts(&hears(&mut world, &seven)), [(7, "")]);
    assert_eq!(kept(&world, one), []);
}

#[test]
fn mail_for_a_servers_id_waits_for_a_user() {
    let Pair { mut world, one, two, seven } = pair();
    send_numbers(&mut world, &seven, 2, 0..1);
    send_numbers(&mut world, &seven, 1, 0..1);
    assert_eq!(kept(&world, one), [(1, 1), (2, 1)]);
    world.kill(two);
    world.pass(2 * SPLIT_GRACE);
    let two = direct(&mut world, one, 2);
    assert_hears(&mut world, &two, &numbers(7, 0..1));
}

#[test]
fn mail_for_a_number_goes_to_who_has_it_next() {
    const LARGE: i64 = 5_000_000_000;
    let Pair { mut world, one, two, seven } = pair();
    let large = direct(&mut world, two, LARGE);
    // The next one with that number in its name.
    let sam = says(&mut world, one, &user(102, &LARGE.to_string(), ""));
    heard(&mut world, sam);
    world.cut_uplink(two);
    world.pass(SECOND / 1000);
    world.send(seven.client, &saying(LARGE, "meanwhile"));
    world.pass(SECOND / 100);
    world.kill(two);
    world.pass(2 * SPLIT_GRACE);
    world.send(seven.client, &saying(LARGE, "after"));
    world.settle();
    let chats: Vec<_> = heard(&mut world, sam).into_iter().filter(|f| f[0] == 0x81).collect();
    assert_eq!(chats, [chat(7, 102, "meanwhile"), chat(7, 102, "after")]);
    assert_eq!(kept(&world, one), []);
    drop(large);
}

#[test]
fn mail_for_an_id_reaches_it_whatever_number_is_its_name() {
    let Alone { mut world, one, seven } = alone();
    send_numbers(&mut world, &seven, 102, 0..2);
    let sam = says(&mut world, one, &user(102, "5000000000", ""));
    let told = heard(&mut world, sam);
    let chats: Vec<_> = told.into_iter().filter(|f| f[0] == 0x81).collect();
    assert_eq!(chats, [chat(7, 102, "0"), chat(7, 102, "1")]);
    assert_eq!(kept(&world, one), []);
}

#[test]
fn nobody_is_assigned_an_id_for_which_mail_waits() {
    let Alone { mut world, one, .. } = alone();
    // What the next client would be called.
    let next = {
        let client = world.connect_by(one, Door::Direct);
        world.settle();
        let handshake = crc::doors::direct::wire::handshake(&world.take_received(client));
        handshake.expect("a handshake").id
    };
    let Alone { mut world, one, seven } = alone();
    send_numbers(&mut world, &seven, next, 0..1);
    let client = world.connect_by(one, Door::Direct);
    world.settle();
    let handshake = crc::doors::direct::wire::handshake(&world.take_received(client));
    assert_ne!(handshake.expect("a handshake").id, next);
    assert_eq!(kept(&world, one), [(next, 1)]);
}
