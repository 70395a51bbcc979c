//! What is kept, for how long, and what the store does to it.

use super::*;

#[test]
fn at_a_bound_the_oldest_stay_and_the_new_is_refused() {
    let limits = Limits { mail_messages_max: 3, mail_bytes_max: 1000, ..Limits::default() };
    let Alone { mut world, one, seven } = alone_in(world(), limits);
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
    let Alone { mut world, one, seven } = alone();
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
    let Alone { mut world, one, seven } = alone();
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
    let Alone { mut world, one, seven } = alone();
    let eight = direct(&mut world, one, 8);
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
fn what_a_store_that_failed_holds_cannot_be_dropped() {
    let Alone { mut world, one, seven } = alone();
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
