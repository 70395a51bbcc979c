//! One nick that two users take at two servers at once.

use super::*;

/// Registration of an IRC client that joins a room.
const SAM: &str = "NICK sam\nUSER sam 0 * :Sam\nJOIN #lab";

/// The last lines of a client whose nick another user keeps.
const COLLISION: &str = "ERROR :Closing link: nick collision";

impl Net {
    /// Checks that the connection of a client was closed for its nick.
    #[track_caller]
    fn expect_collision(&mut self, client: ClientId) {
        let lines = self.take(client);
        assert_eq!(lines.last().map(String::as_str), Some(COLLISION), "{lines:?}");
        assert!(self.world.is_closed(client));
    }

    /// Takes what a client was shown of others, and then what it was sent of the nicks that it
    /// watches.
    #[track_caller]
    fn expect_events(&mut self, client: ClientId, events: &[&str], monitor: &[&str]) {
        let lines = self.take(client);
        let is_reply = |line: &&str| line[2..].starts_with(|c: char| c.is_ascii_digit());
        let (replies, shown): (Vec<_>, Vec<_>) =
            lines.iter().map(String::as_str).partition(is_reply);
        assert_eq!(shown, events, "{lines:?}");
        assert_eq!(replies, monitor, "{lines:?}");
    }

    /// Separates the last two servers for longer than the grace.
    fn split(&mut self) {
        let last = *self.servers.last().expect("a server");
        self.world.set_isolated(last, true);
        self.world.cut_uplink(last);
        self.world.run_for(SPLIT_GRACE * 2);
    }

    /// Lets the servers join again.
    fn heal(&mut self) {
        self.world.set_isolated(*self.servers.last().expect("a server"), false);
        self.world.run_for(SECOND * 20);
    }
}

#[test]
fn one_of_two_users_who_take_a_nick_at_once_keeps_it() {
    let mut net = Net::chain(3);
    let (merry, pippin) = (net.register(2, "merry"), net.register(3, "pippin"));
    for client in [merry, pippin] {
        net.send(client, "MONITOR + sam\nJOIN #lab");
    }
    net.take(merry);
    net.take(pippin);
    // With equal stamps, the user of the server with the smaller id wins.
    let (first, second) = (net.begin(1, SAM), net.begin(3, SAM));
    net.world.run_for(SECOND);
    net.expect_collision(second);
    net.expect_events(
        pippin,
        &[":sam!sam@crc JOIN #lab", ":sam!sam@crc QUIT :nick collision", ":sam!sam@crc JOIN #lab"],
        &[":s3 730 pippin :sam!sam@crc"], // the nick was online all the time
    );
    let lines = net.take(merry);
    let joins = lines.iter().filter(|line| line.starts_with(":sam!sam@crc JOIN"));
    assert!((1..=2).contains(&joins.count()), "{lines:?}");
    let mut quits = lines.iter().filter(|line| line.starts_with(":sam!sam@crc QUIT"));
    assert!(quits.all(|line| line.ends_with(" :nick collision")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains(" 731 ")), "{lines:?}");
    for client in [merry, pippin] {
        net.send(client, "PRIVMSG sam :Hi");
        let lines = net.ask(client, "NAMES #lab");
        let mut nicks: Vec<&str> = lines[0].rsplit(':').next().expect("names").split(' ').collect();
        nicks.sort_unstable();
        assert_eq!(nicks, ["merry", "pippin", "sam"]);
    }
    let lines = net.take(first);
    let texts = lines.iter().filter(|line| line.contains(" PRIVMSG sam :Hi"));
    assert_eq!(texts.count(), 2, "{lines:?}");
}

#[test]
fn earlier_of_two_users_who_took_a_nick_during_a_split_keeps_it() {
    let mut net = Net::chain(2);
    net.split();
    let winner = net.connect(2, SAM);
    let frodo = net.register(1, "frodo");
    net.send(frodo, "JOIN #lab");
    let loser = net.connect(1, SAM);
    for client in [winner, frodo, loser] {
        net.take(client);
    }
    // The nick has the same id at both servers.
    let winner_id = net.id_of(2, "sam");
    assert_eq!(winner_id, net.id_of(1, "sam"));
    net.heal();
    net.expect_collision(loser);
    net.expect(frodo, &[":sam!sam@crc QUIT :nick collision", ":sam!sam@crc JOIN #lab"]);
    assert!(!net.world.is_closed(winner));
    let lines = net.take(winner);
    assert!(lines.contains(&":frodo!frodo@crc JOIN #lab".to_owned()), "{lines:?}");
    assert!(lines.iter().all(|line| !line.starts_with(":sam!")), "{lines:?}");
    assert_eq!([net.id_of(1, "sam"), net.id_of(2, "sam")], [winner_id; 2]);
    net.check(frodo, "ISON sam", &[":s1 303 frodo :sam"]);
    // The nick is free again once the winner has left.
    net.send(winner, "QUIT");
    net.check(frodo, "NICK sam", &[":frodo!frodo@crc NICK :sam"]);
}

#[test]
fn change_of_a_nick_to_one_that_another_takes_ends_in_the_same_way() {
    let mut net = Net::chain(2);
    let (merry, pippin) = (net.register(1, "merry"), net.register(2, "pippin"));
    for client in [merry, pippin] {
        net.send(client, "JOIN #lab");
    }
    net.take(pippin);
    net.begin_send(merry, "NICK sam");
    let sam = net.begin(2, SAM);
    net.world.run_for(IRC_RENAME_TIMEOUT * 2);
    net.expect_collision(sam);
    assert!(!net.world.is_closed(merry));
    let lines = net.take(pippin);
    let shown = [
        ":sam!sam@crc JOIN #lab",
        ":sam!sam@crc QUIT :nick collision",
        ":merry!merry@crc NICK :sam",
    ];
    assert_eq!(lines, shown);
    // Two users change to one nick during a split.
    net.split();
    net.send(merry, "NICK rosie");
    net.send(pippin, "NICK rosie");
    net.heal();
    net.expect_collision(pippin);
    // Nobody loses a nick to its own earlier registration.
    net.send(merry, "NICK ROSIE");
    net.world.run_for(IRC_RENAME_TIMEOUT * 2);
    assert!(!net.world.is_closed(merry));
    net.check(merry, "ISON ROSIE rosy", &[":s1 303 ROSIE :ROSIE"]);
}

#[test]
fn nobody_is_closed_because_of_users_of_other_wires() {
    let mut net = Net::chain(2);
    let pippin = net.register(2, "pippin");
    let sam = net.begin(2, SAM);
    let other = net.begin_crc_user(1, (102, "sam", "a hobbit"));
    let third = net.begin_crc_user(2, (103, "sam", "an irc user"));
    net.world.run_for(SECOND);
    for client in [sam, other, third] {
        assert!(!net.world.is_closed(client));
    }
    net.check(pippin, "ISON sam sam|102 sam|103", &[":s2 303 pippin :sam sam|102 sam|103"]);
}

/// Two users at servers without IRC clients keep one nick: the servers have no table of nicks.
#[test]
fn loser_is_shown_under_an_alias_until_the_winner_leaves() {
    let mut net = Net::chain(3);
    let merry = net.register(1, "merry");
    net.send(merry, "JOIN #lab\nMONITOR + sam");
    net.split();
    let winner = net.crc_user_with_info(3, (103, "sam", "irc sam Sam"));
    net.world.send(winner, &chat(103, 3, "/join #lab"));
    net.crc_user(2, 104, "rosie");
    let loser = net.crc_user_with_info(2, (102, "sam", "irc sam Sam"));
    net.chat(loser, 102, 2, "/join #lab");
    let lines = net.take(merry);
    assert!(lines.contains(&":sam!sam@crc JOIN #lab".to_owned()), "{lines:?}");
    net.heal();
    net.expect_events(
        merry,
        &[":sam!sam@crc NICK :sam|102", ":sam!sam@crc JOIN #lab"],
        &[":s1 730 merry :sam!sam@crc"],
    );
    let ison = "ISON sam sam|102 sam|103";
    net.check(merry, ison, &[":s1 303 merry :sam sam|102"]);
    // A client that comes later is shown the same.
    net.send(merry, "QUIT");
    let merry = net.register(1, "merry");
    net.check(merry, ison, &[":s1 303 merry :sam sam|102"]);
    net.send(merry, "JOIN #lab\nMONITOR + sam");
    net.take(merry);
    net.world.send(winner, &quit(103, "bye"));
    net.world.run_for(SECOND);
    net.expect_events(
        merry,
        &[":sam!sam@crc QUIT :bye", ":sam|102!sam@crc NICK :sam"],
        &[":s1 731 merry :sam", ":s1 730 merry :sam!sam@crc"],
    );
    net.check(merry, ison, &[":s1 303 merry :sam"]);
    assert!(!net.world.is_closed(loser));
}
