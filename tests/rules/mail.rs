//! Mail (contract section 3): what is said to an id that nobody has.

use std::cell::RefCell;

use super::direct::{Direct, direct, hears, saying, texts};
use super::*;

use crc::limits::{BURST_PORTION_BYTES, MAIL_COLLECT_BYTES, MAIL_UNKEPT_BYTES_MAX};
use crc::mail::{MailId, Reply, Request};
use crc::relay::message::WideId;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn pair(world: &mut World) -> (usize, usize) {
    let one = world.start(ServerSpec::new(1, None));
    let two = world.start(ServerSpec::new(2, Some(1)));
    world.settle();
    (one, two)
}

/// How many messages a server keeps for each id.
fn kept(world: &World, server: usize) -> Vec<(i64, u64)> {
    let waiting = world.node(server).expect("alive").mail().waiting();
    waiting.into_iter().map(|(WideId(to), waiting)| (to, waiting.messages)).collect()
}

fn numbers(from: i64, range: std::ops::Range<u32>) -> Vec<(i64, String)> {
    range.map(|number| (from, number.to_string())).collect()
}

fn send_numbers(world: &mut World, direct: &Direct, to: i64, range: std::ops::Range<u32>) {
    let bytes: Vec<u8> = range.flat_map(|number| saying(to, &number.to_string())).collect();
    world.send(direct.client, &bytes);
    world.settle();
}

#[track_caller]
fn assert_hears(world: &mut World, direct: &Direct, expected: &[(i64, String)]) {
    let heard = hears(world, direct);
    let heard: Vec<(i64, String)> =
        texts(&heard).into_iter().map(|(from, text)| (from, text.to_owned())).collect();
    assert_eq!(heard, expected);
}

#[test]
fn what_is_kept_is_delivered_in_order_when_the_id_appears_here() {
    let mut world = world();
    let (one, _) = pair(&mut world);
    let seven = direct(&mut world, one, 7);
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
        let mut world = world();
        let (one, two) = pair(&mut world);
        let three = world.start(ServerSpec::new(3, Some(2)));
        world.settle();
        let seven = direct(&mut world, one, 7);
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
        let mut world = world();
        let (one, two) = pair(&mut world);
        let seven = direct(&mut world, one, 7);
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
    let mut world = world();
    let (one, two) = pair(&mut world);
    let seven = direct(&mut world, one, 7);
    send_numbers(&mut world, &seven, 8, 0..3);
    world.hang_up(seven.client);
    world.settle();
    direct(&mut world, two, 7);
    let eight = direct(&mut world, two, 8);
    assert_hears(&mut world, &eight, &numbers(7, 0..3));
}

#[test]
fn a_plain_neighbour_is_told_in_words_that_it_knows() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let plain = says(&mut world, one, &server(9, "plain", ""));
    let seven = direct(&mut world, one, 7);
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
fn what_follows_mail_waits_until_it_is_kept() {
    let mut world = World::new(1, Weather { delay_max: SECOND, cuts: false });
    let one = world.start(ServerSpec::new(1, None));
    let [seven, eight] = [7, 8].map(|id| direct(&mut world, one, id));
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
    let mut world = World::new(1, Weather { delay_max: SECOND, cuts: false });
    let (one, two) = pair(&mut world);
    let seven = direct(&mut world, one, 7);
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
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let seven = direct(&mut world, one, 7);
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

/// A client known as 8 that reads nothing by itself.
fn direct_deaf(world: &mut World, server: usize) -> ClientId {
    let client = world.connect_by(server, Door::Direct);
    world.deafen(client);
    world.send(client, &[0, 0, 0, 2, 0x20, 8]);
    world.settle();
    client
}

#[test]
fn what_did_not_leave_the_queue_waits_on() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let seven = direct(&mut world, one, 7);
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
fn mail_outlives_its_server() {
    for seed in 0..50 {
        let mut world = World::new(seed, Weather { delay_max: SECOND, cuts: true });
        let one = world.start(ServerSpec::new(1, None));
        let seven = direct(&mut world, one, 7);
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
fn a_user_who_is_lost_and_found_gets_what_was_said_meanwhile() {
    let mut world = world();
    let (one, two) = pair(&mut world);
    let seven = direct(&mut world, one, 7);
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
    let mut world = world();
    let (one, two) = pair(&mut world);
    let seven = direct(&mut world, one, 7);
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
fn at_a_bound_the_oldest_stay_and_the_new_is_refused() {
    let mut world = world();
    let limits = Limits { mail_messages_max: 3, mail_bytes_max: 1000, ..Limits::default() };
    let one = world.start(ServerSpec { limits, ..ServerSpec::new(1, None) });
    let seven = direct(&mut world, one, 7);
    send_numbers(&mut world, &seven, 8, 0..5);
    assert_eq!(kept(&world, one), [(8, 3)]);
    assert_eq!(world.node(one).expect("alive").mail().refused(), 2);
    // 64 and the text for each: 195 so far.
    let text = "x".repeat(1000 - 195 - 64);
    world.send(seven.client, &saying(9, &(text.clone() + "x")));
    world.settle();
    assert_eq!(kept(&world, one), [(8, 3)]);
    world.send(seven.client, &saying(9, &text));
    world.settle();
    assert_eq!(kept(&world, one), [(8, 3), (9, 1)]);
    world.send(seven.client, &saying(10, ""));
    world.settle();
    assert_eq!(kept(&world, one), [(8, 3), (9, 1)]);
    let eight = direct(&mut world, one, 8);
    assert_hears(&mut world, &eight, &numbers(7, 0..3));
    world.send(seven.client, &saying(10, ""));
    world.settle();
    assert_eq!(kept(&world, one), [(9, 1), (10, 1)]);
}

#[test]
fn mail_is_forgotten_when_it_is_too_old_and_not_before() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let seven = direct(&mut world, one, 7);
    send_numbers(&mut world, &seven, 8, 0..1);
    world.pass(10 * DAY);
    send_numbers(&mut world, &seven, 8, 1..2);
    world.pass(20 * DAY - SECOND);
    assert_eq!(kept(&world, one), [(8, 2)]);
    world.pass(2 * SECOND);
    assert_eq!(kept(&world, one), [(8, 1)]);
    // The clock of the mailbox stands still while the server does, and loses a day at most.
    world.kill(one);
    world.pass(100 * DAY);
    let one = world.start(ServerSpec::new(1, None));
    world.pass(10 * DAY - 10 * SECOND);
    assert_eq!(kept(&world, one), [(8, 1)]);
    world.pass(DAY + 10 * SECOND);
    assert_eq!(kept(&world, one), []);
    assert_eq!(world.node(one).expect("alive").next_deadline(), None, "nothing to look for");
}

#[test]
fn the_operator_drops_what_waits() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let seven = direct(&mut world, one, 7);
    send_numbers(&mut world, &seven, 8, 0..5);
    send_numbers(&mut world, &seven, 9, 0..2);
    assert_eq!(world.with_node(one, |node, _| node.drop_mail(WideId(8))), 5);
    world.settle();
    assert_eq!(kept(&world, one), [(9, 2)]);
    assert_eq!(world.with_node(one, |node, _| node.drop_mail(WideId(8))), 0);
    let eight = direct(&mut world, one, 8);
    assert_hears(&mut world, &eight, &[]);
}

#[test]
fn a_store_that_fails_ends_mail_and_not_chat() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let [seven, eight] = [7, 8].map(|id| direct(&mut world, one, id));
    send_numbers(&mut world, &seven, 9, 0..2);
    world.break_store(one);
    world.send(seven.client, &[saying(9, "lost"), saying(8, "Hi"), saying(0, "echo")].concat());
    world.settle();
    assert_eq!(texts(&hears(&mut world, &eight)), [(7, "Hi")]);
    assert_eq!(texts(&hears(&mut world, &seven)), [(7, "echo")]);
    let room = world.node(one).expect("alive").mail();
    assert_eq!(room.failure(), Some("a simulated fault"));
    assert_eq!((kept(&world, one), room.refused()), (vec![(9, 2)], 1));
    world.send(seven.client, &[saying(9, "lost too"), saying(0, "echo")].concat());
    world.settle();
    assert_eq!(texts(&hears(&mut world, &seven)), [(7, "echo")]);
    // What was kept is there when the server is started again.
    world.kill(one);
    let one = world.start(ServerSpec::new(1, None));
    let nine = direct(&mut world, one, 9);
    assert_hears(&mut world, &nine, &numbers(7, 0..2));
}

#[test]
fn nobody_is_written_to_under_a_number_below_one() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let seven = direct(&mut world, one, 7);
    world.send(seven.client, &[saying(-1, "Hi"), saying(i64::MIN, "Hi"), saying(0, "")].concat());
    world.settle();
    assert_eq!(texts(&hears(&mut world, &seven)), [(7, "")]);
    assert_eq!(kept(&world, one), []);
}

#[test]
fn mail_for_a_servers_id_waits_for_a_user() {
    let mut world = world();
    let (one, two) = pair(&mut world);
    let seven = direct(&mut world, one, 7);
    send_numbers(&mut world, &seven, 2, 0..1);
    send_numbers(&mut world, &seven, 1, 0..1);
    assert_eq!(kept(&world, one), [(1, 1), (2, 1)]);
    world.kill(two);
    world.pass(2 * SPLIT_GRACE);
    let two = direct(&mut world, one, 2);
    assert_hears(&mut world, &two, &numbers(7, 0..1));
}

/// Frames by which a plain neighbour tells of a user who has a name of its own.
fn tells(id: u32, by: u32, name: &str) -> Vec<u8> {
    registration(Kind::User, id, by, name, "")
}

#[test]
fn a_sender_who_is_lost_is_not_spoken_for_towards_who_never_knew_it() {
    let mut world = world();
    let (one, two) = pair(&mut world);
    let seven = direct(&mut world, one, 7);
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
fn mail_for_a_number_goes_to_who_has_it_next() {
    const LARGE: i64 = 5_000_000_000;
    let mut world = world();
    let (one, two) = pair(&mut world);
    let large = direct(&mut world, two, LARGE);
    // The next one with that number in its name.
    let sam = says(&mut world, one, &user(102, &LARGE.to_string(), ""));
    let seven = direct(&mut world, one, 7);
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
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let seven = direct(&mut world, one, 7);
    send_numbers(&mut world, &seven, 102, 0..2);
    let sam = says(&mut world, one, &user(102, "5000000000", ""));
    let told = heard(&mut world, sam);
    let chats: Vec<_> = told.into_iter().filter(|f| f[0] == 0x81).collect();
    assert_eq!(chats, [chat(7, 102, "0"), chat(7, 102, "1")]);
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
fn what_a_store_that_failed_holds_cannot_be_dropped() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let seven = direct(&mut world, one, 7);
    send_numbers(&mut world, &seven, 9, 0..2);
    world.break_store(one);
    send_numbers(&mut world, &seven, 9, 2..3);
    let answer = world.with_node(one, |node, now| {
        crc::operator::answer(node, now, "mail drop 9", crc::operator::Format::Text)
    });
    assert!(answer.is_err(), "{answer:?}");
}

#[test]
fn no_more_is_asked_of_the_store_than_it_may_have_at_a_time() {
    let own =
        Identity { id: HostId(1), id_is_chosen: true, name: b"one".to_vec(), info: Vec::new() };
    let (mut node, now) = (Node::new(own, 0, Limits::default(), 1), Time::default());
    let text = "x".repeat(1_000_000);
    let links: Vec<LinkId> = (0..20).map(|_| node.accepted(now, Door::Direct, None)).collect();
    for &link in &links {
        node.receive(now, link, &[saying(8, &text), saying(9, "too")].concat());
    }
    let asked = |node: &mut Node| -> Vec<MailId> {
        let actions = std::iter::from_fn(|| node.poll_action());
        let keeps = actions.filter_map(|action| match action {
            Action::Mail(Request::Keep(mail)) => Some(mail.id),
            _ => None,
        });
        keeps.collect()
    };
    let mut kept = 0;
    while let ids = asked(&mut node)
        && !ids.is_empty()
    {
        assert!(ids.len() <= 2 * (MAIL_UNKEPT_BYTES_MAX as usize / text.len() + 1), "{ids:?}");
        kept += ids.len();
        node.mail_replied(now, Reply::Kept(ids));
    }
    assert_eq!(kept, 40);
    assert!(links.iter().all(|&link| node.is_listening(link)));
}

#[test]
fn what_is_dropped_during_a_hand_over_is_not_sent_and_what_comes_later_is() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let seven = direct(&mut world, one, 7);
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

#[test]
fn mail_on_its_way_to_a_user_who_is_lost_waits_as_a_chat_does() {
    for (is_sender_there, is_found) in [(true, true), (false, true), (false, false)] {
        let mut world = world();
        let (one, two) = pair(&mut world);
        let plain = says(&mut world, two, &server(3, "three", ""));
        let seven = direct(&mut world, one, 7);
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

#[test]
fn a_server_that_stops_keeps_what_it_was_told_first() {
    for seed in 0..20 {
        let mut world = World::new(seed, Weather { delay_max: SECOND, cuts: false });
        let one = world.start(ServerSpec::new(1, None));
        let seven = direct(&mut world, one, 7);
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
fn nobody_is_assigned_an_id_for_which_mail_waits() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let seven = direct(&mut world, one, 7);
    // What the next client would be called.
    let next = {
        let client = world.connect_by(one, Door::Direct);
        world.settle();
        let handshake = crc::doors::direct::wire::handshake(&world.take_received(client));
        handshake.expect("a handshake").id
    };
    let mut world = self::world();
    let one = world.start(ServerSpec::new(1, None));
    let again = direct(&mut world, one, 7);
    send_numbers(&mut world, &again, next, 0..1);
    let client = world.connect_by(one, Door::Direct);
    world.settle();
    let handshake = crc::doors::direct::wire::handshake(&world.take_received(client));
    assert_ne!(handshake.expect("a handshake").id, next);
    assert_eq!(kept(&world, one), [(next, 1)]);
    drop(seven);
}
