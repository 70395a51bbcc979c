//! What users say of themselves: `AWAY`, `SETNAME` and the mode of programs.

use super::*;

/// Sends a line that changes what a client says of itself, once the client may.
#[track_caller]
fn change(net: &mut Net, client: ClientId, line: &str) -> Vec<String> {
    net.world.run_for(IRC_CHANGE_INTERVAL);
    net.ask(client, line)
}

#[test]
fn absence_is_known_on_all_servers() {
    let mut net = Net::chain(3);
    let (frodo, sam) = (net.register(1, "frodo"), net.register(3, "sam"));
    change(&mut net, sam, "AWAY :gone fishing");
    net.check(frodo, "PRIVMSG sam :Hi", &[":s1 301 frodo sam :gone fishing"]);
    net.check(frodo, "USERHOST sam", &[":s1 302 frodo :sam=-sam@crc"]);
    let lines = net.ask(frodo, "WHOIS sam\nWHO sam");
    assert!(lines.contains(&":s1 301 frodo sam :gone fishing".to_owned()), "{lines:?}");
    assert!(lines.contains(&":s1 352 frodo * sam crc s3 sam G :2 sam B".to_owned()), "{lines:?}");
    // A server that joins later learns it, too.
    let spec = ServerSpec::new(4, Some(3));
    net.servers.push(net.world.start(spec));
    net.world.run_for(SECOND);
    let merry = net.register(4, "merry");
    net.check(merry, "PRIVMSG sam :Hi", &[":s4 301 merry sam :gone fishing"]);
    change(&mut net, sam, "AWAY");
    net.check(frodo, "PRIVMSG sam :Hi", &[]);
    net.check(merry, "PRIVMSG sam :Hi", &[]);
}

#[test]
fn change_while_a_link_is_lost_is_known_behind_it_later() {
    let mut net = Net::chain(2);
    let (frodo, sam) = (net.register(1, "frodo"), net.register(2, "sam"));
    change(&mut net, sam, "AWAY :one");
    net.world.set_isolated(net.servers[1], true);
    net.world.cut_uplink(net.servers[1]);
    net.world.run_for(SECOND);
    change(&mut net, sam, "AWAY :two");
    net.check(frodo, "PRIVMSG sam :Hi", &[":s1 301 frodo sam :one"]);
    net.world.set_isolated(net.servers[1], false);
    net.world.run_for(SPLIT_GRACE * 4);
    net.check(frodo, "PRIVMSG sam :Hi", &[":s1 301 frodo sam :two"]);
    net.world.set_isolated(net.servers[1], true);
    net.world.cut_uplink(net.servers[1]);
    net.world.run_for(SECOND);
    change(&mut net, sam, "AWAY");
    net.world.set_isolated(net.servers[1], false);
    net.world.run_for(SPLIT_GRACE * 4);
    net.check(frodo, "PRIVMSG sam :Hi", &[]);
}

#[test]
fn those_who_share_a_room_are_told_who_is_away() {
    let mut net = Net::chain(2);
    let frodo = net.register_with(1, "frodo", "away-notify");
    let (rosie, merry) = (net.register(1, "rosie"), net.register_with(1, "merry", "away-notify"));
    let sam = net.register_with(2, "sam", "away-notify");
    for client in [frodo, rosie, sam] {
        net.send(client, "JOIN #lab,#dev");
    }
    for client in [frodo, rosie, merry, sam] {
        net.take(client);
    }
    let lines = change(&mut net, sam, "AWAY :lunch");
    assert_eq!(lines, [":s2 306 sam :You have been marked as being away"]);
    net.expect(frodo, &[":sam!sam@crc AWAY :lunch"]);
    net.expect(rosie, &[]);
    net.expect(merry, &[]);
    change(&mut net, sam, "AWAY :lunch");
    net.expect(frodo, &[]);
    change(&mut net, sam, "AWAY");
    net.expect(frodo, &[":sam!sam@crc AWAY"]);
    // One who is away says so to those whose room it joins.
    change(&mut net, sam, "AWAY :again");
    net.take(frodo);
    net.send(merry, "JOIN #inn");
    net.take(merry);
    net.send(sam, "JOIN #inn");
    net.expect(merry, &[":sam!sam@crc JOIN #inn", ":sam!sam@crc AWAY :again"]);
    // A change of the nick keeps it, and is no news of it.
    net.world.run_for(IRC_CHANGE_INTERVAL);
    net.send(sam, "NICK Sam");
    net.expect(frodo, &[":sam!sam@crc NICK :Sam"]);
    net.check(frodo, "PRIVMSG Sam :Hi", &[":s1 301 frodo Sam :again"]);
}

#[test]
fn real_name_is_changed_for_all() {
    let mut net = Net::chain(2);
    let frodo = net.register_with(1, "frodo", "setname");
    let (rosie, sam) = (net.register(1, "rosie"), net.register_with(2, "sam", "setname"));
    for client in [frodo, rosie, sam] {
        net.send(client, "JOIN #lab");
    }
    for client in [frodo, rosie] {
        net.take(client);
    }
    let lines = change(&mut net, sam, "SETNAME :Samwise the Brave");
    assert_eq!(lines, [":sam!sam@crc SETNAME :Samwise the Brave"]);
    net.expect(frodo, &[":sam!sam@crc SETNAME :Samwise the Brave"]);
    net.expect(rosie, &[]);
    let whois = net.ask(frodo, "WHOIS sam");
    assert_eq!(whois[0], ":s1 311 frodo sam sam crc * :Samwise the Brave");
    let who = net.ask(frodo, "WHO sam %nr");
    assert_eq!(who[0], ":s1 354 frodo sam :Samwise the Brave");
    change(&mut net, sam, "NICK Sam");
    let whois = net.ask(frodo, "WHOIS Sam");
    assert_eq!(whois[0], ":s1 311 frodo Sam sam crc * :Samwise the Brave");
    net.take(frodo);
    change(&mut net, sam, "SETNAME :sam B");
    net.expect(frodo, &[":Sam!sam@crc SETNAME :sam B"]);
    assert_eq!(net.ask(frodo, "WHOIS Sam")[0], ":s1 311 frodo Sam sam crc * :sam B");
    net.check(sam, "SETNAME", &[":s2 461 Sam SETNAME :Not enough parameters"]);
    let invalid = [":s2 FAIL SETNAME INVALID_REALNAME :Realname is not valid"];
    net.check(sam, "SETNAME :", &invalid);
    net.check(sam, &format!("SETNAME :{}", "x".repeat(129)), &invalid);
}

#[test]
fn programs_are_known_on_all_servers() {
    let mut net = Net::chain(2);
    let frodo = net.register_with(1, "frodo", "message-tags");
    let bot = net.register(2, "bot");
    for client in [frodo, bot] {
        net.send(client, "JOIN #lab");
    }
    change(&mut net, bot, "MODE bot +B");
    let lines = net.ask(frodo, "WHOIS bot\nWHO bot");
    assert!(lines.contains(&":s1 335 frodo bot :is a program".to_owned()), "{lines:?}");
    assert!(lines.contains(&":s1 352 frodo * bot crc s2 bot HB :1 bot B".to_owned()), "{lines:?}");
    net.send(bot, "PRIVMSG #lab :Hi\nPRIVMSG frodo :Hi");
    net.expect(
        frodo,
        &["@bot :bot!bot@crc PRIVMSG #lab :Hi", "@bot :bot!bot@crc PRIVMSG frodo :Hi"],
    );
}

#[test]
fn changes_wait_for_each_other() {
    let mut net = Net::chain(1);
    let frodo = net.register(1, "frodo");
    net.take(frodo);
    net.send(frodo, "AWAY :one\nAWAY :two\nPING 1");
    net.expect(frodo, &[":s1 306 frodo :You have been marked as being away"]);
    net.world.run_for(IRC_CHANGE_INTERVAL * 2);
    net.expect(frodo, &[":s1 306 frodo :You have been marked as being away", ":s1 PONG s1 :1"]);
}

#[test]
fn crc_users_are_away_by_a_command_to_a_server() {
    let mut net = Net::chain(2);
    let frodo = net.register_with(1, "frodo", "away-notify");
    let sam = net.crc_user(2, 102, "sam");
    net.send(frodo, "JOIN #lab");
    net.chat(sam, 102, 2, "/join #lab");
    net.take(frodo);
    net.chat(sam, 102, 2, "/away gone fishing");
    net.expect(frodo, &[":sam!102@crc AWAY :gone fishing"]);
    net.check(frodo, "PRIVMSG sam :Hi", &[":s1 301 frodo sam :gone fishing"]);
    net.chat(sam, 102, 2, "/away");
    net.expect(frodo, &[":sam!102@crc AWAY"]);
}
