//! What becomes of mail when servers end and links are lost.

use super::*;

#[test]
fn mail_outlives_its_server() {
    for seed in 0..50 {
        let world = World::new(seed, Weather { delay_max: SECOND, cuts: true });
        let Alone { mut world, one, seven } = alone_in(world, Limits::default());
        for number in 0..100 {
            world.send(seven.client, &saying(8, &number.to_string()));
        }
        world.pass(SECOND * (seed % 10) as u32 / 2);
        let acknowledged = kept(&world, one).first().map_or(0, |&(_, count)| count);
        world.kill(one);
        let one = world.start(ServerSpec::new(1, None));
        world.settle();
        let after = kept(&world, one).first().map_or(0, |&(_, count)| count);
        assert!(after >= acknowledged, "seed {seed}: {after} of {acknowledged}");
        let eight = direct(&mut world, one, 8);
        let after = u32::try_from(after).expect("few");
        assert_hears(&mut world, &eight, &numbers(7, 0..after));
    }
}

#[test]
fn a_server_that_stops_keeps_what_it_was_told_first() {
    for seed in 0..20 {
        let world = World::new(seed, Weather { delay_max: SECOND, cuts: false });
        let Alone { mut world, one, seven } = alone_in(world, Limits::default());
        world.send(seven.client, &saying(8, "at the last moment"));
        while !world.node(one).expect("alive").mail().is_keeping() {
            world.pass(SECOND / 100);
        }
        world.with_node(one, |node, now| node.stop(now));
        world.settle();
        assert!(world.node(one).is_none(), "it has ended");
        let one = world.start(ServerSpec::new(1, None));
        assert_eq!(kept(&world, one), [(8, 1)], "seed {seed}");
    }
}

#[test]
fn a_user_who_is_lost_and_found_gets_what_was_said_meanwhile() {
    let Pair { mut world, one, two, seven } = pair();
    let eight = direct(&mut world, two, 8);
    world.cut_uplink(two);
    world.pass(SECOND / 100);
    world.send(seven.client, &saying(8, "meanwhile"));
    world.pass(SECOND / 20);
    world.pass(SPLIT_GRACE);
    world.send(seven.client, &saying(8, "after"));
    world.settle();
    assert_eq!(texts(&hears(&mut world, &eight)), [(7, "meanwhile"), (7, "after")]);
    assert_eq!(kept(&world, one), []);
}

#[test]
fn a_user_who_is_lost_for_good_gets_it_when_it_is_back() {
    let Pair { mut world, one, two, seven } = pair();
    direct(&mut world, two, 8);
    world.kill(two);
    world.settle();
    world.send(seven.client, &saying(8, "in the grace"));
    world.pass(2 * SPLIT_GRACE);
    assert_eq!(kept(&world, one), [(8, 1)]);
    let eight = direct(&mut world, one, 8);
    assert_eq!(texts(&hears(&mut world, &eight)), [(7, "in the grace")]);
}

#[test]
fn a_sender_who_is_lost_is_not_spoken_for_towards_who_never_knew_it() {
    let Pair { mut world, two, seven, .. } = pair();
    send_numbers(&mut world, &seven, 8, 0..3);
    world.hang_up(seven.client);
    world.settle();
    direct(&mut world, two, 7);
    world.kill(two);
    world.pass(SECOND / 10);
    // In the grace of that split, with servers that have joined since.
    let three = world.start(ServerSpec::new(3, Some(1)));
    world.pass(SECOND / 10);
    let eight = direct(&mut world, three, 8);
    assert_hears(&mut world, &eight, &numbers(7, 0..3));
}

#[test]
fn mail_on_its_way_to_a_user_who_is_lost_waits_as_a_chat_does() {
    for (is_sender_there, is_found) in [(true, true), (false, true), (false, false)] {
        let Pair { mut world, one, two, seven } = pair();
        let plain = says(&mut world, two, &server(3, "three", ""));
        send_numbers(&mut world, &seven, 8, 0..2);
        if !is_sender_there {
            world.hang_up(seven.client);
            world.settle();
        }
        // Gone before the mail that its coming has set on its way is there.
        let told = [server(3, "three", ""), registration(Kind::User, 8, 3, "8", "")];
        world.send(plain, &told[1]);
        world.hang_up(plain);
        world.pass(SECOND);
        assert_eq!(kept(&world, one), []);
        if !is_found {
            world.pass(SPLIT_GRACE);
        }
        let plain = says(&mut world, two, &told.concat());
        let said = |frame: &Vec<u8>| frame[0] == 0x81 || frame[..11].ends_with(&[0, 4]);
        let heard: Vec<_> = heard(&mut world, plain).into_iter().filter(said).collect();
        let expected = ["0", "1"].map(|text| match is_sender_there {
            true => chat(7, 8, text),
            false => status(1, 8, 4, &format!("Mail from 7: {text}")),
        });
        assert_eq!(heard, if is_found { expected.to_vec() } else { vec![] });
        let updates = world.node(one).expect("alive").relay().status_updates();
        assert_eq!(updates.count(), 0, "a status is not answered");
    }
}
