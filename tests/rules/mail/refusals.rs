//! Mail that is not kept: the sender is notified before anything that it sent later is answered.

use super::*;
use crc::link::Machine as _;
use crc::wires::direct::codec;

/// Sends `frames` as client 7 and checks the notices and echoes that it receives.
#[track_caller]
fn check_received(limits: Limits, frames: &[Vec<u8>], expected: &[(i64, &str)]) {
    let OneServer { mut world, seven, .. } = one_server_in(world(), limits);
    world.send(seven.client, &frames.concat());
    world.run_until_quiescent();
    assert_eq!(sender_texts(&take_messages(&mut world, &seven)), expected);
}

#[test]
fn mail_beyond_the_message_limit_is_refused_before_the_echo() {
    let refusal = "not kept for 9: 2 messages wait for that id already";
    check_received(
        Limits { mail_messages_max: 2, ..Limits::default() },
        &[text_frame(9, "a"), text_frame(9, "b"), text_frame(9, "c"), text_frame(0, "echo")],
        &[(0, refusal), (7, "echo")],
    );
    check_received(
        Limits { mail_messages_max: 2, ..Limits::default() },
        &[
            text_frame(9, "a"),
            text_frame(0, "first"),
            text_frame(9, "b"),
            text_frame(9, "c"),
            text_frame(8, "d"),
            text_frame(0, "second"),
        ],
        &[(7, "first"), (0, refusal), (7, "second")],
    );
}

#[test]
fn mail_beyond_the_mailbox_size_is_refused_before_the_echo() {
    // Each message counts 64 bytes and its text.
    check_received(
        Limits { mail_bytes_max: 200, ..Limits::default() },
        &[
            text_frame(9, "fits"),
            text_frame(8, &"x".repeat(100)),
            text_frame(5_000_000_000, "fits"),
            text_frame(0, "echo"),
        ],
        &[(0, "not kept for 8: the mailbox is full: 200 bytes"), (7, "echo")],
    );
}

#[test]
fn refusal_is_a_message_from_the_server_to_the_sender() {
    let limits = Limits { mail_messages_max: 0, ..Limits::default() };
    let OneServer { mut world, seven, .. } = one_server_in(world(), limits);
    world.send(seven.client, &text_frame(9, "a"));
    world.run_until_quiescent();
    let msg = "not kept for 9: 0 messages wait for that id already".to_owned();
    let expected = codec::Message { from: 0, to: 7, msg, ..codec::Message::default() };
    assert_eq!(take_messages(&mut world, &seven), [expected]);
}

#[test]
fn failed_store_refuses_all_unstored_mail_before_the_echo() {
    let OneServer { mut world, one, seven } = one_server();
    world.fail_next_store_request(one);
    let frames = [text_frame(9, "a"), text_frame(8, "b"), text_frame(0, "echo")].concat();
    for _ in 0..2 {
        world.send(seven.client, &frames);
        world.run_until_quiescent();
        let refusal =
            |to: i64| format!("not kept for {to}: the mailbox has failed: a simulated fault");
        let (nine, eight) = (refusal(9), refusal(8));
        assert_eq!(
            sender_texts(&take_messages(&mut world, &seven)),
            [(0, nine.as_str()), (0, eight.as_str()), (7, "echo")]
        );
    }
}

#[test]
fn refusal_to_a_sender_who_has_left_is_dropped() {
    let OneServer { mut world, one, seven } = one_server();
    world.fail_next_store_request(one);
    world.send(seven.client, &text_frame(9, "a"));
    world.disconnect(seven.client);
    world.run_until_quiescent();
    assert_eq!(world.node(one).expect("alive").spool().refused(), 1);
}

/// A node whose store replies are made by the test.
struct Rig {
    node: Node,
    link: LinkId,
}

impl Rig {
    fn new(limits: Limits) -> Self {
        let name = b"one".to_vec();
        let identity = Identity { id: HostId(1), is_id_configured: true, name, info: Vec::new() };
        let mut node = Node::new(identity, 0, limits, 1);
        let link = node.open_link(Time::default(), Wire::DIRECT);
        let mut rig = Self { node, link };
        rig.receive(&[vec![0, 0, 0, 2, 0x20, 7]]);
        rig.take_texts();
        rig
    }

    fn receive(&mut self, frames: &[Vec<u8>]) {
        self.node.receive(Time::default(), self.link, &frames.concat());
    }

    /// Returns the ids of the append requests since the last call.
    fn take_appends(&mut self) -> Vec<MailId> {
        let actions = std::iter::from_fn(|| self.node.poll_action());
        let append_id = |action| match action {
            Action::Store(StoreRequest::Append(mail)) => Some(mail.id),
            _ => None,
        };
        actions.filter_map(append_id).collect()
    }

    /// Returns the texts in the send queue, and empties it.
    fn take_texts(&mut self) -> Vec<String> {
        let unsent = self.node.unsent(self.link).to_vec();
        self.node.sent(self.link, unsent.len());
        let (mut texts, mut rest) = (Vec::new(), unsent.as_slice());
        while !rest.is_empty() {
            let len = codec::frame_len(rest, 2 << 20).expect("a frame").expect("a whole header");
            let message = codec::parse_frame(&rest[..len]).expect("a message");
            texts.push(message.msg);
            rest = &rest[len..];
        }
        texts
    }

    fn reply(&mut self, reply: StoreReply) {
        self.node.on_store_reply(Time::default(), reply);
    }
}

#[test]
fn refusals_come_in_the_order_of_the_messages() {
    let mut rig = Rig::new(Limits { mail_messages_max: 1, ..Limits::default() });
    rig.receive(&[text_frame(9, "a"), text_frame(9, "b"), text_frame(0, "echo")]);
    let appends = rig.take_appends();
    assert_eq!(appends.len(), 1);
    assert_eq!(rig.take_texts(), [""; 0], "the second waits for the result of the first");
    rig.reply(StoreReply::Appended(appends));
    let refusal = "not kept for 9: 1 messages wait for that id already";
    assert_eq!(rig.take_texts(), [refusal, "echo"]);
    assert_eq!(rig.take_appends(), []);
}

#[test]
fn mail_behind_a_refused_message_takes_its_place() {
    let mut rig = Rig::new(Limits { mail_messages_max: 1, ..Limits::default() });
    rig.receive(&[text_frame(9, "a"), text_frame(9, "b"), text_frame(0, "echo")]);
    let error = "database or disk is full".to_owned();
    let ids = rig.take_appends();
    rig.reply(StoreReply::AppendFailed { ids, error });
    let refusal = "not kept for 9: the mailbox cannot store it: database or disk is full";
    assert_eq!(rig.take_texts(), [refusal], "the echo waits for the second message");
    let ids = rig.take_appends();
    assert_eq!(ids.len(), 1);
    rig.reply(StoreReply::Appended(ids));
    assert_eq!(rig.take_texts(), ["echo"]);
}

#[test]
fn echo_waits_until_every_message_before_it_is_stored_or_refused() {
    let mut rig = Rig::new(Limits::default());
    rig.receive(&[text_frame(9, "a"), text_frame(8, "b"), text_frame(0, "echo")]);
    let ids = rig.take_appends();
    let (first, second) = (vec![ids[0]], vec![ids[1]]);
    rig.reply(StoreReply::AppendFailed { ids: first, error: "full".to_owned() });
    assert_eq!(rig.take_texts(), ["not kept for 9: the mailbox cannot store it: full"]);
    rig.reply(StoreReply::AppendFailed { ids: second, error: "full".to_owned() });
    assert_eq!(rig.take_texts(), ["not kept for 8: the mailbox cannot store it: full", "echo"]);
}
