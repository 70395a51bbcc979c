//! Mail on its way: what it waits for, what waits for it, and those who read slowly.

use super::*;

/// Frames by which a plain neighbour tells of a user who has a name of its own.
fn tells(id: u32, by: u32, name: &str) -> Vec<u8> {
    registration(Kind::User, id, by, name, "")
}

#[test]
fn what_follows_mail_waits_until_it_is_kept() {
    let world = World::new(1, Weather { delay_max: SECOND, cuts: false });
    let Alone { mut world, one, seven } = alone_in(world, Limits::default());
    let eight = direct(&mut world, one, 8);
    let bytes: Vec<u8> =
        [saying(9, "kept"), saying(9, "too"), saying(8, "Hi"), saying(0, "echo")].concat();
    world.send(seven.client, &bytes);
    world.hang_up(seven.client); // what was said before counts all the same
    let mut was_kept = false;
    for _ in 0..200 {
        world.pass(SECOND / 20);
        was_kept |= kept(&world, one) == [(9, 2)];
        let heard = hears(&mut world, &eight);
        if !heard.is_empty() {
            assert_eq!(texts(&heard), [(7, "Hi")]);
            assert!(was_kept, "heard before the mail was kept");
            return;
        }
    }
    panic!("the chat never came");
}

#[test]
fn what_is_said_later_does_not_overtake_mail() {
    let Pair { mut world, one, two, seven } =
        pair_in(World::new(1, Weather { delay_max: SECOND, cuts: false }));
    send_numbers(&mut world, &seven, 8, 0..1000);
    let eight = world.connect_by(two, Door::Direct);
    world.settle();
    let mut desire = vec![0, 0, 0, 2];
    desire.extend([0x20, 8]);
    world.send(eight, &desire);
    // All through the hand-over there is more.
    for number in 1000..1100 {
        world.send(seven.client, &saying(8, &number.to_string()));
        world.pass(SECOND / 20);
    }
    world.settle();
    world.take_received(seven.client);
    let eight = Direct { client: eight, id: 8, early: RefCell::default() };
    let heard = hears(&mut world, &eight);
    let heard: Vec<_> = heard.iter().filter(|m| m.control.is_none()).map(|m| &*m.msg).collect();
    let expected: Vec<_> = (0..1100).map(|number| number.to_string()).collect();
    assert_eq!(heard[1..], expected, "after the handshake, which is no message");
    assert_eq!(kept(&world, one), []);
}

#[test]
fn a_long_absence_comes_back_in_portions() {
    let text = "x".repeat(1000);
    let Alone { mut world, one, seven } = alone();
    let count = 20 * (BURST_PORTION_BYTES + MAIL_COLLECT_BYTES) / 1000;
    for _ in 0..count {
        world.send(seven.client, &saying(8, &text));
    }
    world.settle();
    assert_eq!(kept(&world, one), [(8, count as u64)]);
    // More than a client's queue holds: it stays, however slowly it reads.
    let eight = direct_deaf(&mut world, one);
    let mut heard = 0;
    for _ in 0..10_000 {
        world.undeafen(eight);
        world.deafen(eight);
        world.settle();
        assert!(!world.is_closed(eight));
        heard += world.take_received(eight).len();
        if kept(&world, one).is_empty() {
            break;
        }
    }
    assert!(heard > count * 1000, "{heard}");
    assert_eq!(kept(&world, one), []);
}

#[test]
fn what_did_not_leave_the_queue_waits_on() {
    let Alone { mut world, one, seven } = alone();
    let text = "x".repeat(10_000);
    for _ in 0..20 {
        world.send(seven.client, &saying(8, &text));
    }
    world.settle();
    let deaf = direct_deaf(&mut world, one);
    let left = kept(&world, one);
    assert!(left[0].1 < 20, "some have gone into the pipe: {left:?}");
    world.hang_up(deaf);
    world.settle();
    assert_eq!(kept(&world, one), left);
    let eight = direct(&mut world, one, 8);
    assert_eq!(hears(&mut world, &eight).len() as u64, left[0].1);
    assert_eq!(kept(&world, one), []);
}

#[test]
fn a_hand_over_ends_with_its_user_whoever_else_had_its_number() {
    const LARGE: &str = "5000000000";
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let [two, three] = [2, 3].map(|id| says(&mut world, one, &server(id, "plain", "")));
    let seven = direct(&mut world, one, 7);
    let text = "x".repeat(10_000);
    for _ in 0..30 {
        world.send(seven.client, &saying(66, &text));
    }
    world.settle();
    let first = says(&mut world, one, &user(65, LARGE, ""));
    world.deafen(two);
    world.send(two, &tells(66, 2, LARGE));
    world.settle();
    assert!(!kept(&world, one).is_empty());
    world.hang_up(first); // the number is now that of 66
    world.settle();
    world.send(two, &quit(66, ""));
    world.settle();
    world.deafen(three);
    world.send(three, &tells(66, 3, LARGE));
    world.settle();
    for _ in 0..20 {
        for neighbour in [two, three] {
            world.take_received(neighbour);
            world.undeafen(neighbour);
            world.deafen(neighbour);
            world.settle();
        }
    }
    assert_eq!(kept(&world, one), []);
    direct(&mut world, one, 9); // of whom both neighbours are told
}

#[test]
fn what_is_dropped_during_a_hand_over_is_not_sent_and_what_comes_later_is() {
    let Alone { mut world, one, seven } = alone();
    for _ in 0..30 {
        world.send(seven.client, &saying(8, &"x".repeat(10_000)));
    }
    world.settle();
    let eight = direct_deaf(&mut world, one);
    assert!(!kept(&world, one).is_empty());
    world.with_node(one, |node, _| node.drop_mail(WideId(8)));
    world.send(seven.client, &saying(8, "later"));
    world.settle();
    world.undeafen(eight);
    world.settle();
    let eight = Direct { client: eight, id: 8, early: RefCell::default() };
    let bytes = world.take_received(eight.client);
    assert!(bytes.len() < 150_000, "{}", bytes.len());
    assert!(bytes.ends_with(b"later"));
    assert_eq!(kept(&world, one), []);
    world.send(seven.client, &saying(8, "and after"));
    world.settle();
    assert_eq!(texts(&hears(&mut world, &eight)), [(7, "and after")]);
}
