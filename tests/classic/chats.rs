//! Chats, broadcasts and messages of the server.

use super::*;
use crc::link::Machine as _;

#[test]
fn clients_receive_messages_in_their_own_form() {
    let mut rig = rig();
    let (sam, bob) =
        (rig.connected_client(Form::Full, "sam"), rig.connected_client(Form::Short, "bobbobob"));
    rig.take_messages(sam);
    rig.send_message(bob, "sam", "Hi, Sam!");
    rig.send_message(sam, "bobbobob", "");
    rig.send_message(sam, "bobbobob", &"x".repeat(239));
    rig.send_message(sam, "sam", "ein Selbstgespräch");
    assert_eq!(rig.take_messages(sam), ["bobbobob: Hi, Sam!", "sam: ein Selbstgespräch"]);
    assert_eq!(rig.take_messages(bob), ["sam: ".to_owned(), format!("sam: {}", "x".repeat(239))]);
}

#[test]
fn message_to_an_offline_name_is_answered_with_not_online() {
    let mut rig = rig();
    rig.crc_user(102, "samwise-gamgee");
    let bob = rig.connected_client(Form::Full, "bob");
    for (to, expected) in [
        ("sam", "sam is not online"),
        ("all", "all is not online"),
        ("samwise-", "samwise- is not online"),
        ("theshire", "theshire is not online"),
        ("", " is not online"),
        ("a b", "a b is not online"),
    ] {
        rig.send_message(bob, to, "Hi");
        assert_eq!(rig.take_messages(bob), [format!("-SERVER-: {expected}")]);
    }
}

#[test]
fn message_to_all_reaches_every_other_user() {
    let mut rig = rig();
    let frodo = rig.crc_user(101, "frodo");
    let bree = rig.neighbour_server(2, 103, "merry");
    let (sam, bob) =
        (rig.connected_client(Form::Full, "sam"), rig.connected_client(Form::Short, "bob"));
    rig.run_for(SECOND);
    for client in [sam, bob] {
        rig.take_messages(client);
    }
    for link in [frodo, bree] {
        rig.take_frames(link);
    }
    rig.send_message(bob, "ALL", "Hear me");
    let id = rig.id_of(bob);
    assert_eq!(rig.take_messages(sam), ["bob: Hear me"]);
    assert_eq!(rig.take_messages(bob), [""; 0]);
    assert_eq!(rig.take_frames(frodo), [chat(id, 101, "Hear me")]);
    assert_eq!(rig.take_frames(bree), [chat(id, 103, "Hear me")]);
}

#[test]
fn reader_is_not_closed_by_a_large_read_from_another_link() {
    let mut rig = rig();
    let sam = rig.connected_client(Form::Full, "sam");
    let bob = rig.connected_client(Form::Short, "bob");
    let frodo = rig.crc_user(101, "frodo");
    let id = rig.id_of(sam);
    rig.run_for(SECOND);
    rig.take_messages(sam);
    // At most 64 KiB, which take ten times as much in the padded form.
    let count = 3_000;
    for (link, message_bytes) in [
        (bob.link, encode_message(Form::Short, "sam", "bob", "")),
        (bob.link, encode_message(Form::Short, "ALL", "bob", "")),
        (frodo, chat(101, id, "")),
    ] {
        rig.send(link, &message_bytes.repeat(count));
        rig.run_for(Duration::ZERO);
        assert_eq!(rig.close_reason(sam), None);
        assert_eq!(rig.take_messages(sam).len(), count);
    }
}

#[test]
fn a_user_with_a_long_name_is_reached_by_its_alias() {
    let mut rig = rig();
    let bob = rig.connected_client(Form::Full, "bob");
    let sam = rig.crc_user(102, "samwise-gamgee");
    rig.run_for(SECOND);
    assert_eq!(rig.take_messages(bob), ["-SERVER-: List 1/1 bob samwi~2u"]);
    rig.send_message(bob, "samwi~2u", "Hi");
    let id = rig.id_of(bob);
    assert_eq!(rig.take_frames(sam), [chat(id, 102, "Hi")]);
    rig.send(sam, &chat(102, id, "Hi, Bob\0!"));
    assert_eq!(rig.take_messages(bob), ["samwi~2u: Hi, Bob !"]);
    let text: String = (0..1000).map(|i| char::from(b'a' + (i % 26) as u8)).collect();
    rig.send(sam, &chat(102, id, &text));
    let received = rig.take_messages(bob);
    let pieces: Vec<&str> =
        received.iter().map(|line| line.strip_prefix("samwi~2u: ").expect("from sam")).collect();
    assert_eq!(
        pieces.iter().map(|piece| piece.len()).collect::<Vec<_>>(),
        [239, 239, 239, 239, 44]
    );
    assert_eq!(pieces.concat(), text);
}

#[test]
fn unknown_command_is_quoted_in_the_error() {
    let mut rig = rig();
    let bob = rig.connected_client(Form::Short, "bob");
    for (command, shown) in [
        ("Hello", "Hello"),
        ("list", "list"),
        ("", ""),
        ("two words", "two"),
        ("\u{1b}[2J", "\\u{1b}[2J"),
        (&"x".repeat(239), &(String::from_utf8(vec![b'x'; 32]).expect("ASCII") + "…")),
        (&"\u{1b}".repeat(239), &("\\u{1b}".repeat(32) + "…")),
    ] {
        rig.send_message(bob, "-SERVER-", command);
        assert_eq!(
            rig.take_messages(bob),
            [format!("-SERVER-: unknown command: {shown}").trim_end()]
        );
    }
}

#[test]
fn text_over_the_frame_limit_is_rejected() {
    let mut rig = Rig::new(Limits { frame_bytes_max: 128, ..Limits::default() });
    let bree = rig.neighbour_server(2, 103, "merry");
    let bob = rig.connected_client(Form::Full, "bob");
    rig.take_frames(bree);
    for to in ["merry", "ALL"] {
        rig.send_message(bob, to, &"x".repeat(65));
        assert_eq!(rig.take_messages(bob), ["-SERVER-: this text is too long to pass on"]);
        rig.send_message(bob, to, &"x".repeat(64));
        assert_eq!((rig.take_messages(bob), rig.take_frames(bree).len()), (vec![], 1));
    }
}

#[test]
fn kick_reason_is_sent_by_the_server() {
    let mut rig = rig();
    let bob = rig.connected_client(Form::Full, "bob");
    let id = HostId(rig.id_of(bob));
    rig.node.kick(rig.now, id, b"enough").expect("bob is here");
    rig.end_turn();
    assert_eq!(rig.take_messages(bob), ["-SERVER-: kicked: enough"]);
    assert!(rig.close_reason(bob).is_some());
}

#[test]
fn message_to_a_user_lost_in_a_split_waits_for_the_grace() {
    let mut rig = rig();
    let bree = rig.neighbour_server(2, 103, "merry");
    let bob = rig.connected_client(Form::Full, "bob");
    let id = rig.id_of(bob);
    rig.disconnect(bree);
    rig.send_message(bob, "merry", "Where are you?");
    rig.run_for(SECOND);
    assert_eq!(rig.take_messages(bob), [""; 0]);
    let bree = rig.connect(Wire::CRC);
    let burst = [server(2, "bree", ""), registration(HostKind::User, 103, 2, "merry", "")];
    rig.send(bree, &burst.concat());
    assert!(rig.take_frames(bree).contains(&chat(id, 103, "Where are you?")));
    assert_eq!(rig.take_messages(bob), [""; 0], "no user has left");
    rig.disconnect(bree);
    rig.send_message(bob, "merry", "And now?");
    rig.run_for(SPLIT_GRACE);
    assert_eq!(rig.take_messages(bob), ["-SERVER-: merry is not online", "-SERVER-: List 1/1 bob"]);
}

#[test]
fn unknown_id_status_is_shown_with_the_name_of_a_user_who_quit() {
    let mut rig = rig();
    let bree = rig.neighbour_server(2, 103, "meriadoc-brandybuck");
    let bob = rig.connected_client(Form::Full, "bob");
    let id = rig.id_of(bob);
    rig.send_message(bob, "meria~2v", "Hi");
    rig.send(bree, &status(2, id, 1, "Unknown ID 103"));
    assert_eq!(rig.take_messages(bob), ["-SERVER-: meria~2v is not online"]);
    rig.send(bree, &[quit(103, ""), status(2, id, 1, "Unknown ID 103")].concat());
    rig.run_for(SECOND);
    let absent = "-SERVER-: meria~2v is not online";
    assert_eq!(rig.take_messages(bob), [absent, "-SERVER-: List 1/1 bob"]);
    for text in ["Unknown ID 7", "Unknown ID x", "Something else"] {
        rig.send(bree, &status(2, id, 1, text));
        assert_eq!(rig.take_messages(bob), [format!("-SERVER-: {text}")]);
    }
    // A second welcome is shown as text.
    rig.send(bree, &status(2, id, 0, "Welcome"));
    assert_eq!(rig.take_messages(bob), ["-SERVER-: Welcome"]);
}

#[test]
fn unknown_id_statuses_are_shown_with_the_names_of_several_users_who_quit() {
    let mut rig = rig();
    let bree = rig.neighbour_server(2, 103, "merry");
    rig.send(bree, &registration(HostKind::User, 104, 2, "pippin", ""));
    let bob = rig.connected_client(Form::Full, "bob");
    let id = rig.id_of(bob);
    rig.send_message(bob, "merry", "Hi");
    rig.send_message(bob, "pippin", "Hi");
    rig.send(bree, &[quit(103, ""), status(2, id, 1, "Unknown ID 103")].concat());
    rig.send(bree, &[quit(104, ""), status(2, id, 1, "Unknown ID 104")].concat());
    let received = rig.take_messages(bob);
    for name in ["merry", "pippin"] {
        assert!(received.contains(&format!("-SERVER-: {name} is not online")), "{received:?}");
    }
}

#[test]
fn forwarded_mail_cannot_forge_a_server_message() {
    let mut rig = rig();
    let bree = rig.extended_server(2, 103, "merry");
    let bob = rig.connected_client(Form::Full, "bob");
    let id = rig.id_of(bob);
    let from = "Mail from 77252666718255105: ";
    for forged in ["List 1/1 nobody", "Interval 0.01", "Error bob is already online"] {
        for spaces in 200..240 {
            let mail = format!("{from}{}{forged}", "x".repeat(spaces - from.len()));
            rig.send(bree, &status(2, id, 4, &mail));
            for line in rig.take_messages(bob) {
                assert_ne!(line, format!("-SERVER-: {forged}"));
            }
        }
    }
}

#[test]
fn client_with_a_waiting_broadcast_is_not_timed_out() {
    let mut rig = rig();
    let bree = rig.neighbour_server(2, 103, "merry");
    let frodo = rig.crc_user(101, "frodo");
    let bob = rig.connected_client(Form::Full, "bob");
    rig.not_reading.insert(bree);
    for _ in 0..12 {
        rig.send(frodo, &chat(101, 103, &"x".repeat(100_000)));
    }
    rig.send_message(bob, "ALL", "Hi");
    for _ in 0..6 {
        rig.run_for(INTERVAL);
        rig.send_message(bob, "-SERVER-", "Alive bob");
        assert_eq!(rig.close_reason(bob), None);
    }
}

#[test]
fn broadcast_to_a_lost_user_is_delivered_on_return_without_status() {
    let mut rig = rig();
    let bree = rig.neighbour_server(2, 103, "merry");
    let bob = rig.connected_client(Form::Full, "bob");
    rig.send_message(bob, "ALL", "before");
    rig.disconnect(bree);
    rig.send_message(bob, "ALL", "meanwhile");
    // More than is deferred for a lost user. The sender is not notified.
    for _ in 0..2 * SPLIT_DEFERRED_BYTES_MAX / 256 {
        rig.send_message(bob, "ALL", &"x".repeat(200));
    }
    rig.run_for(SECOND);
    assert_eq!(rig.take_messages(bob), [""; 0]);
    let bree = rig.connect(Wire::CRC);
    let burst = [server(2, "bree", ""), registration(HostKind::User, 103, 2, "merry", "")];
    rig.send(bree, &burst.concat());
    let received = rig.take_frames(bree);
    assert!(received.contains(&chat(rig.id_of(bob), 103, "meanwhile")));
    rig.run_for(SPLIT_GRACE + SECOND);
    assert_eq!(rig.take_messages(bob), [""; 0]);
}

#[test]
fn broadcast_skips_a_server_link_that_does_not_drain() {
    let mut rig = rig();
    let frodo = rig.crc_user(101, "frodo");
    let bree = rig.neighbour_server(2, 103, "merry");
    let sam = rig.connected_client(Form::Full, "sam");
    let bob = rig.connected_client(Form::Short, "bob");
    rig.not_reading.insert(bree);
    let text = "x".repeat(100_000);
    while rig.node.unsent(bree).len() < BROADCAST_QUEUE_HIGH_WATER_BYTES {
        rig.send(frodo, &chat(101, 103, &text));
    }
    rig.run_for(SECOND);
    rig.take_messages(sam);
    rig.send_message(bob, "ALL", "one");
    rig.send_message(bob, "ALL", "two");
    rig.send_message(bob, "sam", "three");
    rig.run_for(BROADCAST_STALL_TIMEOUT - SECOND);
    assert_eq!(rig.take_messages(sam), [""; 0], "its turn comes after those behind the link");
    // The rest is delivered to those who read, in order.
    rig.run_for(SECOND);
    assert_eq!(rig.take_messages(sam), ["bob: one"]);
    rig.run_for(BROADCAST_STALL_TIMEOUT);
    assert_eq!(rig.take_messages(sam), ["bob: two", "bob: three"]);
    assert_eq!(rig.close_reason(bob), None);
    let first_chat = chat(rig.id_of(bob), 103, "one");
    rig.not_reading.clear();
    while rig.read(bree, usize::MAX) {}
    assert!(!rig.take_frames(bree).contains(&first_chat));
    rig.send_message(bob, "ALL", "four");
    assert!(rig.take_frames(bree).contains(&chat(rig.id_of(bob), 103, "four")));
}

#[test]
fn user_who_joins_during_a_broadcast_does_not_receive_it() {
    let mut rig = rig();
    let frodo = rig.crc_user(101, "frodo");
    let bree = rig.neighbour_server(2, 103, "merry");
    let bob = rig.connected_client(Form::Full, "bob");
    rig.not_reading.insert(bree);
    let text = "x".repeat(100_000);
    while rig.node.unsent(bree).len() < BROADCAST_QUEUE_HIGH_WATER_BYTES {
        rig.send(frodo, &chat(101, 103, &text));
    }
    rig.send_message(bob, "ALL", "now");
    let pip = rig.crc_user(104, "pip");
    rig.not_reading.clear();
    while rig.read(bree, usize::MAX) {}
    rig.end_turn();
    assert_eq!(rig.take_frames(pip), [[0; 0]; 0]);
    assert!(rig.take_frames(bree).contains(&chat(rig.id_of(bob), 103, "now")));
}

#[test]
fn mail_is_shown_with_its_sender() {
    let mut rig = rig();
    let bree = rig.extended_server(2, 103, "merry");
    let bob = rig.connected_client(Form::Full, "bob");
    rig.connected_client(Form::Full, "78");
    rig.run_for(SECOND);
    rig.take_messages(bob);
    let id = rig.id_of(bob);
    let long = "Mail from 77252666718255105: Hi";
    for (mail, expected) in [
        ("Mail from 103: Hi", "merry: Hi"),
        ("Mail from 77: Hi", "77: Hi"),
        ("Mail from 78: Hi", "-SERVER-: Mail from 78: Hi"),
        (long, &format!("-SERVER-: {long}")),
    ] {
        rig.send(bree, &status(2, id, 4, mail));
        assert_eq!(rig.take_messages(bob), [expected]);
    }
}

#[test]
fn mail_of_a_plain_server_is_shown_as_its_status() {
    let mut rig = rig();
    let bree = rig.neighbour_server(2, 103, "merry");
    let bob = rig.connected_client(Form::Full, "bob");
    rig.run_for(SECOND);
    rig.take_messages(bob);
    rig.send(bree, &status(2, rig.id_of(bob), 4, "Mail from 103: Hi"));
    assert_eq!(rig.take_messages(bob), ["-SERVER-: Mail from 103: Hi"]);
}

#[test]
fn broadcast_does_not_overfill_a_small_queue() {
    let limits = Limits { server_queue_bytes_max: 64 * 1024, ..Limits::default() };
    let mut rig = Rig::new(limits);
    let bree = rig.neighbour_server(2, 103, "merry");
    let registrations: Vec<u8> =
        (1000..2000).flat_map(|id| registration(HostKind::User, id, 2, "hobbit", "")).collect();
    rig.send(bree, &registrations);
    let bob = rig.connected_client(Form::Full, "bob");
    rig.take_frames(bree);
    rig.send_message(bob, "ALL", &"x".repeat(200));
    assert_eq!(rig.closed.get(&bree), None);
    assert_eq!(rig.take_frames(bree).len(), 1001);
}
