//! Texts to users and rooms, on all wires.

use super::*;

#[test]
fn texts_reach_users_near_and_far() {
    let mut net = Net::chain(3);
    let (frodo, sam, merry) =
        (net.register(1, "frodo"), net.register(1, "sam"), net.register(3, "merry"));
    net.send(frodo, "PRIVMSG Sam,merry :Hi  there");
    net.expect(frodo, &[]);
    net.expect(sam, &[":frodo!frodo@crc PRIVMSG sam :Hi  there"]);
    net.expect(merry, &[":frodo!frodo@crc PRIVMSG merry :Hi  there"]);
    net.send(merry, "NOTICE frodo :\u{1}PONG 1\u{1}");
    net.expect(frodo, &[":merry!merry@crc NOTICE frodo :\u{1}PONG 1\u{1}"]);
    net.send(frodo, "PRIVMSG frodo :me");
    net.expect(frodo, &[":frodo!frodo@crc PRIVMSG frodo :me"]);
}

#[test]
fn texts_without_a_recipient_are_refused() {
    let mut net = Net::chain(1);
    let frodo = net.register(1, "frodo");
    net.check(frodo, "PRIVMSG", &[":s1 411 frodo :No recipient given"]);
    net.check(frodo, "PRIVMSG sam", &[":s1 412 frodo :No text to send"]);
    net.check(frodo, "PRIVMSG sam :", &[":s1 412 frodo :No text to send"]);
    net.check(frodo, "PRIVMSG sam :Hi", &[":s1 401 frodo sam :No such nick/channel"]);
    net.check(frodo, "PRIVMSG #lab :Hi", &[":s1 403 frodo #lab :No such channel"]);
    let sam = net.register(1, "sam");
    net.send(sam, "JOIN #lab");
    net.check(frodo, "PRIVMSG #lab :Hi", &[":s1 404 frodo #lab :You are not in this channel"]);
    net.check(frodo, "NOTICE nobody,#lab :Hi\nNOTICE", &[]);
    net.take(sam);
    net.check(frodo, "PRIVMSG sam,sam,sam,sam,sam :x", &[":s1 407 frodo sam :Too many targets"]);
    assert_eq!(net.take(sam).len(), 4);
}

#[test]
fn users_of_other_wires_and_irc_hear_each_other() {
    let mut net = Net::chain(2);
    let frodo = net.register(1, "frodo");
    let sam = net.crc_user(2, 102, "sam");
    let frodo_id = net.world.node(net.servers[0]).expect("alive").relay().hosts().iter();
    let frodo_id = frodo_id.into_iter().find(|host| host.name() == b"frodo").expect("a user").id.0;
    net.send(frodo, "PRIVMSG sam :Hi!\nNOTICE sam :a notice");
    assert_eq!(net.take_chats(sam), ["Hi!", "a notice"]);
    net.chat(sam, 102, frodo_id, "one\ntwo\n\nthree");
    net.expect(
        frodo,
        &[
            ":sam!102@crc PRIVMSG frodo :one",
            ":sam!102@crc PRIVMSG frodo :two",
            ":sam!102@crc PRIVMSG frodo : ",
            ":sam!102@crc PRIVMSG frodo :three",
        ],
    );
    // Only users of the IRC wire send notices; the texts of others are left as they are.
    net.chat(sam, 102, frodo_id, "\u{6}one");
    net.expect(frodo, &[":sam!102@crc PRIVMSG frodo :\u{6}one"]);
    let classic = net.world.connect_on(net.servers[1], Wire::CLASSIC);
    net.world.send(classic, b"-SERVER-pippin  Connect pippin\0");
    net.world.run_for(SECOND);
    net.world.take_received(classic);
    net.world.send(classic, b"frodo   pippin  Hello\0");
    net.world.run_until_quiescent();
    let lines = net.take(frodo);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with(":pippin!") && lines[0].ends_with("@crc PRIVMSG frodo :Hello"));
    net.send(frodo, "PRIVMSG pippin :Bye");
    let received = net.world.take_received(classic);
    assert!(received.starts_with(b"pippin  frodo   Bye\0"), "{received:?}");
}

#[test]
fn long_texts_become_several_lines() {
    let mut net = Net::chain(1);
    let frodo = net.register(1, "frodo");
    let sam = net.crc_user(1, 102, "sam");
    let id = net.world.node(net.servers[0]).expect("alive").relay().hosts().iter();
    let id = id.into_iter().find(|host| host.name() == b"frodo").expect("a user").id.0;
    net.chat(sam, 102, id, &"ü".repeat(500));
    let lines = net.take(frodo);
    let texts = lines.iter().map(|line| {
        assert!(line.len() <= 510);
        line.strip_prefix(":sam!102@crc PRIVMSG frodo :").expect("a text").to_owned()
    });
    assert_eq!(texts.collect::<String>(), "ü".repeat(500));
    assert_eq!(lines.len(), 3);
}

#[test]
fn clients_see_their_own_texts_and_times_if_they_ask() {
    let mut net = Net::chain(1);
    let frodo = net.register_with(1, "frodo", "echo-message server-time");
    let sam = net.register(1, "sam");
    net.send(frodo, "JOIN #lab");
    net.send(sam, "JOIN #lab");
    net.take(frodo);
    net.take(sam);
    let time = "@time=1970-01-01T00:00:01.000Z";
    net.send(frodo, "PRIVMSG #lab :Hi\nNOTICE sam :psst\nPRIVMSG nobody :x");
    let lines = net.take(frodo);
    let untimed: Vec<&str> = lines.iter().map(|l| l.split_once(" :").expect("a tag").1).collect();
    assert!(lines[0].starts_with(&time[..24]), "{lines:?}");
    assert_eq!(untimed[0], "frodo!frodo@crc PRIVMSG #lab :Hi");
    assert_eq!(untimed[1], "frodo!frodo@crc NOTICE sam :psst");
    assert_eq!(lines[2], ":s1 401 frodo nobody :No such nick/channel");
    net.expect(sam, &[":frodo!frodo@crc PRIVMSG #lab :Hi", ":frodo!frodo@crc NOTICE sam :psst"]);
}

#[test]
fn recipient_who_has_left_with_a_split_is_named() {
    let mut net = Net::chain(2);
    let frodo = net.register(1, "frodo");
    net.crc_user(2, 102, "Samwise Gamgee");
    net.world.kill(net.servers[1]);
    net.world.run_for(SECOND);
    net.check(frodo, "PRIVMSG Samwise_Gamgee|102 :Hi", &[]);
    net.world.run_for(SPLIT_GRACE * 2);
    net.expect(frodo, &[":s1 401 frodo Samwise_Gamgee|102 :No such nick/channel"]);
}
