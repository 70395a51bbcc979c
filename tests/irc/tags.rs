//! Tags of clients, with a text and alone.

use super::*;

/// Frodo at server 1 and sam at server 2, who know tags, and merry at server 2, who does not; all
/// of them are in `#lab`.
fn net() -> (Net, [ClientId; 3]) {
    let mut net = Net::chain(2);
    let frodo = net.register_with(1, "frodo", "message-tags");
    let sam = net.register_with(2, "sam", "message-tags");
    let merry = net.register(2, "merry");
    for client in [frodo, sam, merry] {
        net.send(client, "JOIN #lab");
    }
    for client in [frodo, sam, merry] {
        net.take(client);
    }
    (net, [frodo, sam, merry])
}

#[test]
fn tags_of_texts_reach_clients_that_know_them() {
    let (mut net, [frodo, sam, merry]) = net();
    net.send(frodo, "@+a=b;label=1;c=d;+e\\s PRIVMSG #lab,sam,merry :Hi all");
    net.expect(
        sam,
        &[
            "@+a=b;+e\\s :frodo!frodo@crc PRIVMSG #lab :Hi all",
            "@+a=b;+e\\s :frodo!frodo@crc PRIVMSG sam :Hi all",
        ],
    );
    net.expect(
        merry,
        &[":frodo!frodo@crc PRIVMSG #lab :Hi all", ":frodo!frodo@crc PRIVMSG merry :Hi all"],
    );
    net.send(frodo, "@+a NOTICE #lab,sam :Hi");
    net.expect(
        sam,
        &["@+a :frodo!frodo@crc NOTICE #lab :Hi", "@+a :frodo!frodo@crc NOTICE sam :Hi"],
    );
    // A client that does not know tags sends none.
    net.send(merry, "@+a PRIVMSG #lab :Hi");
    net.expect(sam, &[":merry!merry@crc PRIVMSG #lab :Hi"]);
}

#[test]
fn tags_alone_reach_clients_that_know_them() {
    let (mut net, [frodo, sam, merry]) = net();
    net.take(merry);
    net.check(frodo, "@+typing=active TAGMSG #lab,sam,merry", &[]);
    let expected =
        ["#lab", "sam"].map(|to| format!("@+typing=active :frodo!frodo@crc TAGMSG {to}"));
    net.expect(sam, &[&expected[0], &expected[1]]);
    net.expect(merry, &[]);
    // Tags and texts that arrive together keep their order.
    net.send(frodo, "@+n=1 TAGMSG #lab\nPRIVMSG #lab :2\n@+n=3 TAGMSG #lab");
    net.expect(
        sam,
        &[
            "@+n=1 :frodo!frodo@crc TAGMSG #lab",
            ":frodo!frodo@crc PRIVMSG #lab :2",
            "@+n=3 :frodo!frodo@crc TAGMSG #lab",
        ],
    );
    net.check(frodo, "@x TAGMSG #lab", &[]);
    net.expect(sam, &[]);
}

#[test]
fn tags_are_no_part_of_texts_on_other_wires() {
    let (mut net, [frodo, sam, _]) = net();
    let pippin = net.crc_user(2, 102, "pippin");
    net.chat(pippin, 102, 2, "/join #lab");
    net.take_chats(pippin);
    net.send(frodo, "@+a=b PRIVMSG #lab,pippin :Hi\n@+a=b TAGMSG #lab,pippin");
    assert_eq!(net.take_chats(pippin), ["<frodo> Hi", "Hi"]);
    // What looks like tags on another wire is text.
    net.take(sam);
    let lab = crc::room::RoomName::parse(b"#lab").expect("a name").shown_ids().next();
    net.chat(pippin, 102, lab.expect("an id").0, "\u{6}\u{6}@+a=b Hi");
    net.expect(sam, &[":pippin!102@crc PRIVMSG #lab :\u{6}\u{6}@+a=b Hi"]);
}

#[test]
fn tags_are_echoed_and_refused_like_texts() {
    let mut net = Net::chain(1);
    let caps = "message-tags echo-message labeled-response batch";
    let frodo = net.register_with(1, "frodo", caps);
    net.send(frodo, "JOIN #lab");
    net.check(frodo, "@label=1;+a TAGMSG #lab", &["@label=1;+a :frodo!frodo@crc TAGMSG #lab"]);
    net.check(
        frodo,
        "@label=2;+a TAGMSG frodo",
        &["@label=2;+a :frodo!frodo@crc TAGMSG frodo", "@+a :frodo!frodo@crc TAGMSG frodo"],
    );
    net.check(frodo, "@+a=b PRIVMSG #lab :Hi", &["@+a=b :frodo!frodo@crc PRIVMSG #lab :Hi"]);
    net.check(frodo, "@+a TAGMSG sam", &[":s1 401 frodo sam :No such nick/channel"]);
    net.check(frodo, "@+a TAGMSG #dev", &[":s1 403 frodo #dev :No such channel"]);
    net.check(frodo, "TAGMSG", &[":s1 461 frodo TAGMSG :Not enough parameters"]);
    let sam = net.register(1, "sam");
    net.check(sam, "TAGMSG #lab", &[":s1 421 sam TAGMSG :Unknown command"]);
}

#[test]
fn tags_of_the_longest_kind_are_passed_on() {
    let (mut net, [frodo, sam, _]) = net();
    let tags = format!("+a={}", "x".repeat(4091));
    net.send(frodo, &format!("@{tags} PRIVMSG #lab :Hi"));
    net.expect(sam, &[&format!("@{tags} :frodo!frodo@crc PRIVMSG #lab :Hi")]);
    net.check(
        frodo,
        &format!("@{tags}x PRIVMSG #lab :Hi"),
        &[":s1 417 frodo :Input line was too long"],
    );
}
