//! Splits, and servers that come back.

use super::*;

/// Returns the lines of the batches of a client, whose references are replaced by `*`: the lines
/// in a batch are behind its type and servers, and sorted.
fn batches(lines: &[String]) -> Vec<(String, Vec<String>)> {
    let mut batches: Vec<(String, Vec<String>)> = Vec::new();
    let mut open: Option<String> = None;
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        match (words[1], open.as_deref()) {
            ("BATCH", None) => {
                let reference = words[2].strip_prefix('+').expect("the beginning of a batch");
                batches.push((words[3..].join(" "), Vec::new()));
                open = Some(reference.to_owned());
            }
            ("BATCH", Some(reference)) => {
                assert_eq!(words[2], format!("-{reference}"), "{lines:?}");
                open = None;
            }
            (_, Some(reference)) => {
                let inner = line.strip_prefix(&format!("@batch={reference} "));
                let inner = inner.expect("a line of the batch").to_owned();
                batches.last_mut().expect("an open batch").1.push(inner);
            }
            (_, None) => batches.push((String::new(), vec![line.clone()])),
        }
    }
    assert_eq!(open, None, "{lines:?}");
    batches.iter_mut().for_each(|(_, lines)| lines.sort_unstable());
    batches
}

impl Net {
    /// Checks that a client was sent one batch with these lines, in any order.
    #[track_caller]
    fn expect_batch(&mut self, client: ClientId, head: &str, expected: &[&str]) {
        let lines = self.take(client);
        let expected = expected.iter().map(|&line| line.to_owned()).collect();
        assert_eq!(batches(&lines), [(head.to_owned(), expected)], "{lines:#?}");
    }

    /// Checks what a client was sent, in any order.
    #[track_caller]
    fn expect_sorted(&mut self, client: ClientId, expected: &[&str]) {
        let mut lines = self.take(client);
        lines.sort_unstable();
        assert_eq!(lines, expected);
    }

    /// Kills a server and starts it again.
    fn restart(&mut self, server: usize) {
        self.world.kill(self.servers[server - 1]);
        let id = u32::try_from(server).expect("a small number");
        self.servers[server - 1] = self.world.start(ServerSpec::new(id, Some(id - 1)));
        let is_joined = |net: &Self| {
            let node = net.world.node(net.servers[server - 1]);
            node.expect("alive").relay().adjacent_server_count() > 0
        };
        while !is_joined(self) {
            self.world.run_for(SECOND / 10);
        }
    }
}

#[test]
fn users_behind_a_lost_link_leave_and_come_back_in_batches() {
    let mut net = Net::chain(4);
    let frodo = net.register_with(1, "frodo", "batch");
    let (pippin, merry) = (net.register(1, "pippin"), net.register_with(2, "merry", "batch"));
    let (sam, rosie) = (net.register_with(3, "sam", "batch"), net.register(4, "rosie"));
    let gandalf = net.crc_user(1, 101, "gandalf");
    net.crc_user(4, 104, "gimli");
    for client in [frodo, pippin, merry, sam, rosie] {
        net.send(client, "JOIN #lab,#dev");
    }
    for client in [frodo, pippin, merry, sam, gandalf] {
        net.world.take_received(client);
    }
    net.world.set_isolated(net.servers[2], true);
    net.world.cut_uplink(net.servers[2]);
    net.world.run_for(SPLIT_GRACE * 2);
    let quits = [":rosie!rosie@crc QUIT :s2 s3", ":sam!sam@crc QUIT :s2 s3"];
    for client in [frodo, merry] {
        net.expect_batch(client, "netsplit s2 s3", &quits);
    }
    net.expect_sorted(pippin, &quits);
    let quits = [
        ":frodo!frodo@crc QUIT :s3 s2",
        ":merry!merry@crc QUIT :s3 s2",
        ":pippin!pippin@crc QUIT :s3 s2",
    ];
    net.expect_batch(sam, "netsplit s3 s2", &quits);
    assert!(
        split_frames(&net.world.take_received(gandalf)).contains(&quit(104, "split")),
        "users of other wires are shown the text that all servers send"
    );
    net.world.set_isolated(net.servers[2], false);
    net.world.run_for(SECOND * 20);
    let joins = [
        ":rosie!rosie@crc JOIN #dev",
        ":rosie!rosie@crc JOIN #lab",
        ":sam!sam@crc JOIN #dev",
        ":sam!sam@crc JOIN #lab",
    ];
    for client in [frodo, merry] {
        net.expect_batch(client, "netjoin s2 s3", &joins);
    }
    net.expect_sorted(pippin, &joins);
    // From now on, they join one by one.
    net.send(rosie, "JOIN #pub");
    net.send(frodo, "JOIN #pub");
    net.take(frodo);
    net.send(sam, "JOIN #pub");
    net.expect(frodo, &[":sam!sam@crc JOIN #pub"]);
}

#[test]
fn each_lost_link_has_a_batch() {
    let mut world = World::new(1, NetConditions::default());
    let spec = |id: u32| ServerSpec::new(id, (id > 1).then_some(1));
    let servers = (1..=3).map(|id| world.start(spec(id))).collect();
    world.run_for(SECOND);
    let mut net = Net { world, servers };
    let frodo = net.register_with(1, "frodo", "batch server-time");
    let (sam, rosie) = (net.register(2, "sam"), net.register(3, "rosie"));
    for client in [frodo, sam, rosie] {
        net.send(client, "JOIN #lab");
    }
    net.take(frodo);
    net.world.kill(net.servers[1]);
    net.world.kill(net.servers[2]);
    net.world.run_for(SPLIT_GRACE * 2);
    let lines = net.take(frodo);
    let heads = lines.iter().filter_map(|line| line.split_once(" netsplit "));
    let mut heads: Vec<&str> = heads.map(|(_, servers)| servers).collect();
    heads.sort_unstable();
    assert_eq!(heads, ["s1 s2", "s1 s3"], "{lines:?}");
    for quit in [":sam!sam@crc QUIT :s1 s2", ":rosie!rosie@crc QUIT :s1 s3"] {
        let line = lines.iter().find(|line| line.ends_with(quit)).expect("a quit");
        assert!(line.starts_with("@batch=") && line.contains(";time="), "{line}");
    }
}

#[test]
fn user_whose_server_is_back_within_the_grace_is_not_shown() {
    let mut net = Net::chain(2);
    let (frodo, sam) = (net.register_with(1, "frodo", "batch"), net.register(2, "sam"));
    let rosie = net.register(2, "rosie");
    for client in [frodo, sam, rosie] {
        net.send(client, "JOIN #lab");
    }
    net.take(frodo);
    net.world.set_isolated(net.servers[1], true);
    net.world.cut_uplink(net.servers[1]);
    net.world.run_for(SPLIT_GRACE / 10);
    // One user leaves meanwhile: no quit of it comes, and it leaves at the end of the grace.
    net.send(rosie, "QUIT :bye");
    net.world.set_isolated(net.servers[1], false);
    net.world.run_for(SPLIT_GRACE / 2);
    net.expect(frodo, &[]);
    net.send(sam, "PRIVMSG #lab :Hi");
    net.expect(frodo, &[":sam!sam@crc PRIVMSG #lab :Hi"]);
    net.world.run_for(SPLIT_GRACE * 2);
    net.expect_batch(frodo, "netsplit s1 s2", &[":rosie!rosie@crc QUIT :s1 s2"]);
}

#[test]
fn users_of_a_restarted_server_quit_when_they_are_not_back() {
    let mut net = Net::chain(2);
    let (frodo, sam) = (net.register(1, "frodo"), net.register(2, "sam"));
    let (gimli, bilbo) = (net.crc_user(2, 102, "gimli"), net.crc_user(2, 103, "bilbo"));
    net.send(frodo, "JOIN #lab,#dev");
    net.send(sam, "JOIN #lab,#dev");
    for (client, id) in [(gimli, 102), (bilbo, 103)] {
        net.chat(client, id, 2, "/join #lab");
        net.chat(client, id, 2, "/join #dev");
    }
    net.take(frodo);
    net.restart(2);
    net.expect(frodo, &[]);
    let lines = net.ask(frodo, "NAMES #lab");
    assert_eq!(lines[0].split(' ').count(), 9, "all are members still: {lines:?}");
    // One is back with its id, and has to join its rooms again.
    let gimli = net.crc_user(2, 102, "gimli");
    net.expect_sorted(frodo, &[":gimli!102@crc PART #dev", ":gimli!102@crc PART #lab"]);
    net.chat(gimli, 102, 2, "/join #lab");
    net.expect(frodo, &[":gimli!102@crc JOIN #lab"]);
    net.world.run_for(SPLIT_GRACE * 2);
    net.expect_sorted(frodo, &[":bilbo!103@crc QUIT :s1 s2", ":sam!sam@crc QUIT :s1 s2"]);
    let lines = net.ask(frodo, "NAMES #lab");
    assert!(
        lines[0].ends_with(" :frodo gimli") || lines[0].ends_with(" :gimli frodo"),
        "{lines:?}"
    );
}

#[test]
fn irc_user_who_is_back_at_a_restarted_server_takes_the_place_of_the_earlier_one() {
    let mut net = Net::chain(2);
    let (frodo, sam) = (net.register(1, "frodo"), net.register(2, "sam"));
    for client in [frodo, sam] {
        net.send(client, "JOIN #lab");
    }
    net.take(frodo);
    net.restart(2);
    let sam = net.register(2, "sam");
    net.send(sam, "JOIN #lab");
    net.expect(frodo, &[":sam!sam@crc QUIT :s1 s2", ":sam!sam@crc JOIN #lab"]);
    net.world.run_for(SPLIT_GRACE * 2);
    net.expect(frodo, &[]);
    net.check(frodo, "ISON sam", &[":s1 303 frodo :sam"]);
}
