//! Changes of nicks, as others see them.

use super::*;

#[test]
fn nick_is_changed_once_for_all_rooms() {
    let mut net = Net::chain(3);
    let (frodo, sam) = (net.register(1, "frodo"), net.register(3, "sam"));
    for client in [frodo, sam] {
        net.send(client, "JOIN #a,#b,#c");
    }
    net.send(frodo, "JOIN #d");
    net.take(sam);
    net.send(frodo, "NICK Frodo");
    net.expect(sam, &[":frodo!frodo@crc NICK :Frodo"]);
    net.world.run_for(SECOND);
    net.send(frodo, "NICK underhill\nPRIVMSG sam :Hi");
    net.expect(sam, &[":Frodo!frodo@crc NICK :underhill", ":underhill!frodo@crc PRIVMSG sam :Hi"]);
    net.world.run_for(IRC_RENAME_TIMEOUT * 2);
    net.expect(sam, &[]);
    // Joins, leaves and quits are shown as always.
    net.send(frodo, "PART #a\nJOIN #a\nQUIT :bye");
    net.expect(
        sam,
        &[
            ":underhill!frodo@crc PART #a",
            ":underhill!frodo@crc JOIN #a",
            ":underhill!frodo@crc QUIT :bye",
        ],
    );
}

#[test]
fn user_who_only_says_that_it_comes_back_leaves() {
    let mut net = Net::chain(2);
    let (frodo, sam) = (net.register(1, "frodo"), net.register(2, "sam"));
    for client in [frodo, sam] {
        net.send(client, "JOIN #lab");
    }
    net.take(sam);
    let text = "is known as underhill from now on";
    net.send(frodo, &format!("QUIT :{text}"));
    net.expect(sam, &[]);
    net.world.run_for(IRC_RENAME_TIMEOUT + SECOND);
    net.expect(sam, &[&format!(":frodo!frodo@crc QUIT :{text}")]);
    // One who joins again under the nick is somebody else.
    let frodo = net.register(1, "underhill");
    net.send(frodo, "JOIN #lab");
    net.expect(sam, &[":underhill!underhill@crc JOIN #lab"]);
}

#[test]
fn user_who_takes_another_nick_while_its_server_is_lost_leaves_and_joins() {
    let mut net = Net::chain(2);
    let (frodo, sam) = (net.register(1, "frodo"), net.register(2, "sam"));
    for client in [frodo, sam] {
        net.send(client, "JOIN #lab");
    }
    net.take(sam);
    net.world.set_isolated(net.servers[1], true);
    net.world.cut_uplink(net.servers[1]);
    net.send(frodo, "NICK underhill");
    net.world.run_for(SPLIT_GRACE * 2);
    net.expect(sam, &[":frodo!frodo@crc QUIT :s2 s1"]);
    net.world.set_isolated(net.servers[1], false);
    net.world.run_for(SECOND * 20);
    net.expect(sam, &[":underhill!frodo@crc JOIN #lab"]);
}

#[test]
fn watched_nick_in_another_case_was_there_all_the_time() {
    let mut net = Net::chain(1);
    let (frodo, sam) = (net.register(1, "frodo"), net.register(1, "sam"));
    net.check(sam, "MONITOR + frodo", &[":s1 730 sam :frodo!frodo@crc"]);
    net.send(frodo, "NICK FRODO");
    net.expect(sam, &[]);
    net.world.run_for(SECOND);
    net.send(frodo, "NICK underhill");
    net.expect(sam, &[":s1 731 sam :FRODO"]);
}

#[test]
fn programs_are_shown_as_such() {
    let mut net = Net::chain(2);
    let (bot, sam) = (net.register(1, "bot"), net.register_with(1, "sam", "message-tags"));
    let merry = net.register_with(2, "merry", "message-tags");
    for client in [bot, sam, merry] {
        net.send(client, "JOIN #lab");
    }
    net.check(bot, "MODE bot +iB", &[":bot!bot@crc MODE bot :+B"]);
    net.check(bot, "MODE bot +B\nMODE bot", &[":s1 221 bot +B"; 2]);
    net.world.run_for(IRC_CHANGE_INTERVAL);
    net.send(bot, "NICK bot2");
    net.take(sam);
    let lines = net.ask(sam, "WHOIS bot2");
    assert!(lines.contains(&":s1 335 sam bot2 :is a program".to_owned()), "{lines:?}");
    let lines = net.ask(sam, "WHO bot2");
    assert_eq!(lines[0], ":s1 352 sam * bot crc s1 bot2 HB :0 bot B");
    net.take(merry);
    net.send(bot, "PRIVMSG #lab,sam :Hi");
    let texts = ["@bot :bot2!bot@crc PRIVMSG #lab :Hi", "@bot :bot2!bot@crc PRIVMSG sam :Hi"];
    net.expect(sam, &texts);
    net.expect(merry, &texts[..1]);
    net.world.run_for(IRC_CHANGE_INTERVAL);
    net.send(bot, "CAP REQ :echo-message message-tags server-time\nPRIVMSG #lab :Ho");
    let lines = net.take(bot);
    assert!(lines.last().expect("the echo").contains("Z;bot :bot2!bot@crc PRIVMSG"), "{lines:?}");
    let lines = net.ask(bot, "MODE bot2 -B");
    assert!(lines[0].ends_with("Z :bot2!bot@crc MODE bot2 :-B"), "{lines:?}");
    net.take(sam);
    net.send(bot, "PRIVMSG #lab :Hi");
    net.expect(sam, &[":bot2!bot@crc PRIVMSG #lab :Hi"]);
}
