//! Limits, expiry and failure of the mailbox.

use super::*;
use crc::internal::operator::{Answer, Format, execute};
use crc::link::Machine as _;

#[test]
fn full_mailbox_keeps_the_oldest_and_refuses_new_mail() {
    let limits = Limits { mail_messages_max: 3, mail_bytes_max: 1000, ..Limits::default() };
    let OneServer { mut world, one, seven } = one_server_in(world(), limits);
    send_numbered_texts(&mut world, &seven, 8, 0..5);
    assert_eq!(stored_counts(&world, one), [(8, 3)]);
    assert_eq!(world.node(one).expect("alive").spool().refused(), 2);
    // Each message counts 64 bytes and its text: 195 bytes so far.
    let text = "x".repeat(1000 - 195 - 64);
    world.send(seven.client, &text_frame(9, &(text.clone() + "x")));
    world.run_until_quiescent();
    assert_eq!(stored_counts(&world, one), [(8, 3)]);
    world.send(seven.client, &text_frame(9, &text));
    world.run_until_quiescent();
    assert_eq!(stored_counts(&world, one), [(8, 3), (9, 1)]);
    world.send(seven.client, &text_frame(10, ""));
    world.run_until_quiescent();
    assert_eq!(stored_counts(&world, one), [(8, 3), (9, 1)]);
    let eight = connect_with_id(&mut world, one, 8);
    assert_messages(&mut world, &eight, &numbered_texts(7, 0..3));
    world.send(seven.client, &text_frame(10, ""));
    world.run_until_quiescent();
    assert_eq!(stored_counts(&world, one), [(9, 1), (10, 1)]);
}

#[test]
fn mail_expires_exactly_at_its_age_limit() {
    let OneServer { mut world, one, seven } = one_server();
    send_numbered_texts(&mut world, &seven, 8, 0..1);
    world.run_for(10 * DAY);
    send_numbered_texts(&mut world, &seven, 8, 1..2);
    world.run_for(20 * DAY - SECOND);
    assert_eq!(stored_counts(&world, one), [(8, 2)]);
    world.run_for(2 * SECOND);
    assert_eq!(stored_counts(&world, one), [(8, 1)]);
    // The mailbox clock stops with the server, and loses at most a day.
    world.kill(one);
    world.run_for(100 * DAY);
    let one = world.start(ServerSpec::new(1, None));
    world.run_for(10 * DAY - 10 * SECOND);
    assert_eq!(stored_counts(&world, one), [(8, 1)]);
    world.run_for(DAY + 10 * SECOND);
    assert_eq!(stored_counts(&world, one), []);
    assert_eq!(world.node(one).expect("alive").next_deadline(), None, "no expiry check");
}

#[test]
fn operator_drops_waiting_mail() {
    let OneServer { mut world, one, seven } = one_server();
    send_numbered_texts(&mut world, &seven, 8, 0..5);
    send_numbered_texts(&mut world, &seven, 9, 0..2);
    assert_eq!(world.with_node(one, |node, _| node.delete_mail(WideId(8))), 5);
    world.run_until_quiescent();
    assert_eq!(stored_counts(&world, one), [(9, 2)]);
    assert_eq!(world.with_node(one, |node, _| node.delete_mail(WideId(8))), 0);
    let eight = connect_with_id(&mut world, one, 8);
    assert_messages(&mut world, &eight, &[]);
}

#[test]
fn failed_store_disables_mail_but_not_chat() {
    let OneServer { mut world, one, seven } = one_server();
    let eight = connect_with_id(&mut world, one, 8);
    send_numbered_texts(&mut world, &seven, 9, 0..2);
    world.fail_next_store_request(one);
    world.send(
        seven.client,
        &[text_frame(9, "lost"), text_frame(8, "Hi"), text_frame(0, "echo")].concat(),
    );
    world.run_until_quiescent();
    assert_eq!(sender_texts(&take_messages(&mut world, &eight)), [(7, "Hi")]);
    let refusal = "not kept for 9: the mailbox has failed: a simulated fault";
    let expected = [(0, refusal), (7, "echo")];
    assert_eq!(sender_texts(&take_messages(&mut world, &seven)), expected);
    let spool = world.node(one).expect("alive").spool();
    assert_eq!(spool.failure(), Some("a simulated fault"));
    assert_eq!((stored_counts(&world, one), spool.refused()), (vec![(9, 2)], 1));
    world.send(seven.client, &[text_frame(9, "lost too"), text_frame(0, "echo")].concat());
    world.run_until_quiescent();
    assert_eq!(sender_texts(&take_messages(&mut world, &seven)), expected);
    // Mail that was kept is there after a restart.
    world.kill(one);
    let one = world.start(ServerSpec::new(1, None));
    let nine = connect_with_id(&mut world, one, 9);
    assert_messages(&mut world, &nine, &numbered_texts(7, 0..2));
}

#[test]
fn mail_in_a_failed_store_cannot_be_dropped() {
    let OneServer { mut world, one, seven } = one_server();
    send_numbered_texts(&mut world, &seven, 9, 0..2);
    world.fail_next_store_request(one);
    send_numbered_texts(&mut world, &seven, 9, 2..3);
    let answer = world.with_node(one, |node, now| execute(node, now, "mail drop 9", Format::Text));
    assert!(matches!(answer, Answer::Ready(Err(_))), "{answer:?}");
}

#[test]
fn outstanding_store_requests_are_bounded() {
    let own =
        Identity { id: HostId(1), is_id_configured: true, name: b"one".to_vec(), info: Vec::new() };
    let (mut node, now) = (Node::new(own, 0, Limits::default(), 1), Time::default());
    let text = "x".repeat(1_000_000);
    let links: Vec<LinkId> = (0..20).map(|_| node.open_link(now, Wire::DIRECT)).collect();
    for &link in &links {
        node.receive(now, link, &[text_frame(8, &text), text_frame(9, "too")].concat());
    }
    let take_append_ids = |node: &mut Node| -> Vec<MailId> {
        let actions = std::iter::from_fn(|| node.poll_action());
        let appends = actions.filter_map(|action| match action {
            Action::Store(StoreRequest::Append(mail)) => Some(mail.id),
            _ => None,
        });
        appends.collect()
    };
    let mut appended = 0;
    while let ids = take_append_ids(&mut node)
        && !ids.is_empty()
    {
        assert!(ids.len() <= 2 * (MAIL_UNACKED_BYTES_MAX as usize / text.len() + 1), "{ids:?}");
        appended += ids.len();
        node.on_store_reply(now, StoreReply::Appended(ids));
    }
    assert_eq!(appended, 40);
    assert!(links.iter().all(|&link| node.wants_read(link)));
}
