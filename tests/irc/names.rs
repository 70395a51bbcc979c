//! Names of others: nicks and aliases.

use super::*;

#[test]
fn names_that_are_no_nicks_have_an_alias_that_reaches_them() {
    let mut net = Net::chain(2);
    let frodo = net.register(1, "frodo");
    let sam = net.crc_user(2, 102, "Samwise Gamgee");
    net.send(frodo, "PRIVMSG samwise_gamgee|102 :Hi");
    assert_eq!(net.take_chats(sam), ["Hi"]);
    let id = net.id_of(1, "frodo");
    net.chat(sam, 102, id, "Ho");
    net.expect(frodo, &[":Samwise_Gamgee|102!102@crc PRIVMSG frodo :Ho"]);
    net.check(frodo, "PRIVMSG Sam|102 :x", &[":s1 401 frodo Sam|102 :No such nick/channel"]);
    net.check(frodo, "PRIVMSG |102 :x", &[":s1 401 frodo |102 :No such nick/channel"]);
}

#[test]
fn second_user_of_a_name_has_an_alias_until_it_leaves() {
    let mut net = Net::chain(2);
    let frodo = net.register(1, "frodo");
    let (first, second) = (net.crc_user(2, 102, "sam"), net.crc_user(1, 101, "sam"));
    net.send(frodo, "PRIVMSG sam :first\nPRIVMSG sam|101 :second");
    assert_eq!(net.take_chats(first), ["first"]);
    assert_eq!(net.take_chats(second), ["second"]);
    net.world.send(first, &quit(102, ""));
    net.world.run_until_quiescent();
    let kept = ":s1 301 frodo sam :Not online; the message is kept until this user is back";
    net.check(frodo, "PRIVMSG sam :x", &[kept]);
    net.check(frodo, "NICK sam", &[":s1 433 frodo sam :Nickname is already in use"]);
    net.check(frodo, "PRIVMSG sam|101 :still there", &[]);
    assert_eq!(net.take_chats(second), ["still there"]);
}

#[test]
fn names_are_known_to_clients_who_come_later() {
    let mut net = Net::chain(1);
    net.crc_user(1, 102, "sam");
    net.crc_user(1, 101, "sam");
    let frodo = net.register(1, "frodo");
    net.check(frodo, "ISON sam sam|101 sam|102 frodo", &[":s1 303 frodo :sam sam|101 frodo"]);
    // All clients leave, and others come.
    net.send(frodo, "QUIT");
    let frodo = net.register(1, "frodo");
    net.check(frodo, "ISON sam sam|101 sam|102 frodo", &[":s1 303 frodo :sam sam|101 frodo"]);
}

#[test]
fn monitored_users_are_reported_as_they_come_and_go() {
    let mut net = Net::chain(2);
    let frodo = net.register(1, "frodo");
    net.check(
        frodo,
        "MONITOR + sam,Merry,frodo",
        &[":s1 730 frodo :frodo!frodo@crc", ":s1 731 frodo :sam,Merry"],
    );
    let sam = net.crc_user(2, 102, "sam");
    net.expect(frodo, &[":s1 730 frodo :sam!102@crc"]);
    net.world.send(sam, &quit(102, ""));
    net.world.run_until_quiescent();
    net.expect(frodo, &[":s1 731 frodo :sam"]);
    net.check(
        frodo,
        "MONITOR L",
        &[":s1 732 frodo :sam,Merry,frodo", ":s1 733 frodo :End of MONITOR list"],
    );
    net.check(
        frodo,
        "MONITOR - sam\nMONITOR S",
        &[":s1 730 frodo :frodo!frodo@crc", ":s1 731 frodo :Merry"],
    );
    net.check(frodo, "MONITOR C\nMONITOR L", &[":s1 733 frodo :End of MONITOR list"]);
    let many: Vec<String> = (0..40).map(|i| format!("n{i}")).collect();
    let list = many.join(",");
    for prefix in ["a", "b"] {
        let list = list.replace('n', prefix);
        net.send(frodo, &format!("MONITOR + {list}"));
    }
    let lines = net.ask(frodo, &format!("MONITOR + {list}"));
    let full = lines.last().expect("a reply");
    assert!(full.starts_with(":s1 734 frodo 100 n20,n21,"), "{lines:?}");
}

#[test]
fn recipient_who_has_left_is_named_by_its_last_nick() {
    let mut net = Net::chain(2);
    let (frodo, sam) = (net.register(1, "frodo"), net.register(2, "sam"));
    net.check(frodo, "PRIVMSG sam :Hi", &[]);
    net.send(sam, "NICK Samwise");
    net.check(frodo, "PRIVMSG Samwise :Hi", &[]);
    net.world.kill(net.servers[1]);
    net.world.run_for(SECOND);
    net.check(frodo, "PRIVMSG Samwise :Hi", &[]);
    net.world.run_for(SPLIT_GRACE * 2);
    // The server that is lost has not acknowledged the earlier texts either.
    net.expect(frodo, &[":s1 401 frodo Samwise :No such nick/channel"; 3]);
}
