//! Rooms as channels.

use super::*;

#[test]
fn clients_join_speak_and_leave() {
    let mut net = Net::chain(3);
    let (frodo, sam, merry) =
        (net.register(1, "frodo"), net.register(1, "sam"), net.register(3, "merry"));
    net.check(
        frodo,
        "JOIN #Lab",
        &[
            ":frodo!frodo@crc JOIN #Lab",
            ":s1 353 frodo = #Lab :frodo",
            ":s1 366 frodo #Lab :End of NAMES list",
        ],
    );
    net.send(sam, "JOIN #lab\nPING 1");
    net.expect(
        sam,
        &[
            ":sam!sam@crc JOIN #Lab",
            ":s1 353 sam = #Lab :frodo sam",
            ":s1 366 sam #Lab :End of NAMES list",
            ":s1 PONG s1 :1",
        ],
    );
    net.expect(frodo, &[":sam!sam@crc JOIN #Lab"]);
    net.send(merry, "JOIN #lab");
    net.take(merry);
    net.take(frodo);
    net.take(sam);
    net.send(merry, "PRIVMSG #lab :Hi all\nNOTICE #lab :psst");
    for client in [frodo, sam] {
        net.expect(
            client,
            &[":merry!merry@crc PRIVMSG #Lab :Hi all", ":merry!merry@crc NOTICE #Lab :psst"],
        );
    }
    net.expect(merry, &[]);
    net.check(sam, "PART #lab :see you", &[":sam!sam@crc PART #Lab :see you"]);
    net.expect(frodo, &[":sam!sam@crc PART #Lab :see you"]);
    net.send(merry, "QUIT :good night");
    net.expect(frodo, &[":merry!merry@crc QUIT :good night"]);
    net.check(frodo, "JOIN 0", &[":frodo!frodo@crc PART #Lab"]);
    net.check(frodo, "PART #lab", &[":s1 403 frodo #lab :No such channel"]);
}

#[test]
fn quit_is_shown_once_for_all_rooms() {
    let mut net = Net::chain(2);
    let (frodo, sam) = (net.register(1, "frodo"), net.register(2, "sam"));
    for client in [frodo, sam] {
        net.send(client, "JOIN #a,#b,#c");
    }
    net.take(frodo);
    net.send(sam, "QUIT :bye");
    net.expect(frodo, &[":sam!sam@crc QUIT :bye"]);
    // Another user of that name, and another quit.
    let sam = net.register(2, "sam");
    net.send(sam, "JOIN #b");
    net.world.disconnect(sam);
    net.world.run_for(SECOND);
    net.expect(frodo, &[":sam!sam@crc JOIN #b", ":sam!sam@crc QUIT :connection closed"]);
}

#[test]
fn room_is_the_same_on_every_wire() {
    let mut net = Net::chain(2);
    let frodo = net.register(1, "frodo");
    let sam = net.crc_user(2, 102, "sam");
    net.send(frodo, "JOIN #lab");
    net.chat(sam, 102, 2, "/join #lab");
    net.take_chats(sam);
    net.take(frodo);
    net.send(
        frodo,
        "PRIVMSG #lab :Hi\nNOTICE #lab :a notice\nPRIVMSG #lab :\u{1}ACTION waves\u{1}",
    );
    let texts = ["<frodo> Hi", "<frodo> a notice", "<frodo> \u{1}ACTION waves\u{1}"];
    assert_eq!(net.take_chats(sam), texts);
    net.chat(sam, 102, 0xe64b_7641, "\u{6}Ho");
    net.expect(frodo, &[":sam!102@crc PRIVMSG #lab :\u{6}Ho"]);
    net.chat(sam, 102, 0xe64b_7641, "Ho\nho");
    net.expect(frodo, &[":sam!102@crc PRIVMSG #lab :Ho", ":sam!102@crc PRIVMSG #lab :ho"]);
    net.chat(sam, 102, 2, "/part #lab bye");
    net.expect(frodo, &[":sam!102@crc PART #lab :bye"]);
}

#[test]
fn requests_about_rooms_are_refused_with_the_reason() {
    let mut net = Net::chain(1);
    let (frodo, sam) = (net.register(1, "frodo"), net.register(1, "sam"));
    net.send(sam, "JOIN #lab");
    net.check(frodo, "JOIN\nJOIN :", &[":s1 461 frodo JOIN :Not enough parameters"; 2]);
    net.check(
        frodo,
        "JOIN lab,#",
        &[":s1 403 frodo lab :No such channel", ":s1 476 frodo # :Bad channel name"],
    );
    net.check(frodo, "PART #lab", &[":s1 442 frodo #lab :You're not on that channel"]);
    net.check(frodo, "TOPIC #lab", &[":s1 331 frodo #lab :No topic is set"]);
    net.check(frodo, "TOPIC #lab :x", &[":s1 442 frodo #lab :You're not on that channel"]);
    net.check(sam, "KICK #lab frodo", &[":s1 482 sam #lab :Nobody owns this channel"]);
    net.check(sam, "MODE #lab", &[":s1 324 sam #lab +"]);
    net.check(sam, "MODE #lab b", &[":s1 368 sam #lab :End of channel ban list"]);
    net.check(sam, "MODE #lab +o frodo", &[":s1 482 sam #lab :Nobody owns this channel"]);
    net.check(sam, "MODE #dev", &[":s1 403 sam #dev :No such channel"]);
    net.check(sam, "MODE sam +i\nMODE SAM", &[":s1 221 sam +"; 2]);
    net.check(sam, "MODE sam +o", &[":s1 501 sam :Unknown MODE flag"]);
    net.check(sam, "MODE frodo +i", &[":s1 502 sam :Can't change mode for other users"]);
    let rooms: Vec<String> = (0..51).map(|i| format!("#r{i}")).collect();
    let lines = net.ask(frodo, &format!("JOIN {}", rooms.join(",")));
    assert_eq!(lines.iter().filter(|line| line.contains(" JOIN #r")).count(), 50);
    let refusal = ":s1 405 frodo #r50 :You have joined too many channels";
    assert!(lines.iter().any(|line| line == refusal), "{lines:?}");
}

#[test]
fn rooms_and_members_are_listed() {
    let mut net = Net::chain(2);
    let (frodo, sam) = (net.register(1, "frodo"), net.register(2, "sam"));
    net.send(frodo, "JOIN #dev,#lab");
    net.send(sam, "JOIN #lab");
    net.check(
        frodo,
        "LIST",
        &[
            ":s1 321 frodo Channel :Users  Name",
            ":s1 322 frodo #dev 1 :",
            ":s1 322 frodo #lab 2 :",
            ":s1 323 frodo :End of LIST",
        ],
    );
    net.check(
        frodo,
        "LIST #lab,#none",
        &[
            ":s1 321 frodo Channel :Users  Name",
            ":s1 322 frodo #lab 2 :",
            ":s1 323 frodo :End of LIST",
        ],
    );
    net.check(
        frodo,
        "NAMES #dev,#none",
        &[
            ":s1 353 frodo = #dev :frodo",
            ":s1 366 frodo #dev :End of NAMES list",
            ":s1 366 frodo #none :End of NAMES list",
        ],
    );
    let masks = net.register_with(1, "pippin", "userhost-in-names");
    net.check(
        masks,
        "NAMES #dev",
        &[":s1 353 pippin = #dev :frodo!frodo@crc", ":s1 366 pippin #dev :End of NAMES list"],
    );
    net.check(
        frodo,
        "WHO #lab",
        &[
            ":s1 352 frodo #lab frodo crc s1 frodo H :0 frodo B",
            ":s1 352 frodo #lab sam crc s2 sam H :1 sam B",
            ":s1 315 frodo #lab :End of WHO list",
        ],
    );
    net.check(
        frodo,
        "WHO #lab %tcuhsnfdar,42",
        &[
            ":s1 354 frodo 42 #lab frodo crc s1 frodo H 0 0 :frodo B",
            ":s1 354 frodo 42 #lab sam crc s2 sam H 1 0 :sam B",
            ":s1 315 frodo #lab :End of WHO list",
        ],
    );
    net.check(
        frodo,
        "NAMES #DEV\nWHO #DEV",
        &[
            ":s1 353 frodo = #dev :frodo",
            ":s1 366 frodo #DEV :End of NAMES list",
            ":s1 352 frodo #dev frodo crc s1 frodo H :0 frodo B",
            ":s1 315 frodo #DEV :End of WHO list",
        ],
    );
    net.check(
        frodo,
        "LIST >1\nLIST #d*,!#lab\nLIST <1",
        &[
            ":s1 321 frodo Channel :Users  Name",
            ":s1 322 frodo #lab 2 :",
            ":s1 323 frodo :End of LIST",
            ":s1 321 frodo Channel :Users  Name",
            ":s1 322 frodo #dev 1 :",
            ":s1 323 frodo :End of LIST",
            ":s1 321 frodo Channel :Users  Name",
            ":s1 323 frodo :End of LIST",
        ],
    );
    net.check(
        frodo,
        "WHO S?M\nWHO *x*\nWHO pip* %n",
        &[
            ":s1 352 frodo * sam crc s2 sam H :1 sam B",
            ":s1 315 frodo S?M :End of WHO list",
            ":s1 315 frodo *x* :End of WHO list",
            ":s1 354 frodo pippin",
            ":s1 315 frodo pip* :End of WHO list",
        ],
    );
    net.check(frodo, "WHO sam %n", &[":s1 354 frodo sam", ":s1 315 frodo sam :End of WHO list"]);
}

#[test]
fn large_room_is_listed_as_its_reader_reads() {
    let mut net = Net::chain(1);
    let frodo = net.register(1, "frodo");
    net.send(frodo, "JOIN #lab");
    let count = 2500;
    for id in 0..count {
        let name = format!("a-user-with-a-long-name-{id}");
        let user = net.crc_user(1, 1000 + id, &name);
        net.world.send(user, &chat(1000 + id, 1, "/join #lab"));
    }
    net.world.run_for(SECOND * 5);
    net.take(frodo);
    net.world.pause_reading(frodo);
    net.send(frodo, "NAMES #lab\nPING 1");
    net.world.resume_reading(frodo);
    net.world.run_for(SECOND);
    let lines = net.take(frodo);
    let nicks = lines.iter().filter(|line| line.contains(" 353 ")).flat_map(|line| {
        assert!(line.len() <= 510);
        line.rsplit_once(" :").expect("names").1.split(' ').collect::<Vec<_>>()
    });
    assert_eq!(nicks.count(), count as usize + 1);
    let ends = [":s1 366 frodo #lab :End of NAMES list", ":s1 PONG s1 :1"];
    assert_eq!(lines[lines.len() - 2..], ends);
    assert!(!net.world.is_closed(frodo));
    // Users are looked for in portions, also if none is found, and the next line waits.
    let pippin = net.register_with(1, "pippin", "batch labeled-response");
    net.check(
        pippin,
        "WHO *-1234\n@label=a WHO nobody*\nPING 1",
        &[
            ":s1 352 pippin * 2234 crc s1 a-user-with-a-long-name-1234 H :0 a hobbit",
            ":s1 315 pippin *-1234 :End of WHO list",
            "@label=a :s1 315 pippin nobody* :End of WHO list",
            ":s1 PONG s1 :1",
        ],
    );
    // A labelled response is one batch, however many turns it takes.
    let merry = net.register_with(1, "merry", "batch labeled-response");
    net.world.pause_reading(merry);
    net.send(merry, "@label=a NAMES #lab\nPING 1");
    net.world.resume_reading(merry);
    net.world.run_for(SECOND);
    let lines = net.take(merry);
    let [first, names @ .., last, pong] = lines.as_slice() else { panic!("{lines:#?}") };
    assert_eq!(first, "@label=a :s1 BATCH +1 labeled-response");
    assert!(names.len() > 200 && names.iter().all(|line| line.starts_with("@batch=1 :s1 3")));
    assert_eq!([last, pong], [":s1 BATCH -1", ":s1 PONG s1 :1"]);
}

#[test]
fn invitations_reach_users_of_every_wire() {
    let mut net = Net::chain(2);
    let (frodo, merry) = (net.register(1, "frodo"), net.register(2, "merry"));
    let sam = net.crc_user(2, 102, "sam");
    net.check(frodo, "INVITE merry #lab", &[":s1 403 frodo #lab :No such channel"]);
    net.send(frodo, "JOIN #lab");
    net.check(frodo, "INVITE merry #lab", &[":s1 341 frodo merry #lab"]);
    net.expect(merry, &[":frodo!frodo@crc INVITE merry #lab"]);
    net.check(frodo, "INVITE sam #lab", &[":s1 341 frodo sam #lab"]);
    assert_eq!(net.take_chats(sam), ["You are invited to #lab"]);
    net.check(frodo, "INVITE frodo #lab", &[":s1 443 frodo frodo #lab :is already on channel"]);
    net.check(merry, "INVITE sam #lab", &[":s2 442 merry #lab :You're not on that channel"]);
}

#[test]
fn members_behind_a_split_leave_after_the_grace_and_come_back() {
    let mut net = Net::chain(2);
    let (frodo, sam) = (net.register(1, "frodo"), net.register(2, "sam"));
    net.send(frodo, "JOIN #lab");
    net.send(sam, "JOIN #lab");
    net.take(frodo);
    net.world.set_isolated(net.servers[1], true);
    net.world.cut_uplink(net.servers[1]);
    net.world.run_for(SPLIT_GRACE * 2);
    net.expect(frodo, &[":sam!sam@crc QUIT :s1 s2"]);
    net.world.set_isolated(net.servers[1], false);
    net.world.run_for(SECOND * 20);
    net.expect(frodo, &[":sam!sam@crc JOIN #lab"]);
}

#[test]
fn topics_are_shown_to_members_and_newcomers_on_all_servers() {
    let mut net = Net::chain(3);
    let (frodo, merry) = (net.register(1, "frodo"), net.register(3, "merry"));
    let sam = net.crc_user(2, 102, "sam");
    for client in [frodo, merry] {
        net.send(client, "JOIN #lab");
    }
    net.chat(sam, 102, 2, "/join #lab");
    net.take(merry);
    net.check(frodo, "TOPIC #lab :Elevenses", &[":frodo!frodo@crc TOPIC #lab :Elevenses"]);
    net.expect(merry, &[":frodo!frodo@crc TOPIC #lab :Elevenses"]);
    net.take_chats(sam);
    net.chat(sam, 102, 2, "/topic #lab");
    assert_eq!(net.take_chats(sam), ["topic #lab\nElevenses"]);
    net.chat(sam, 102, 2, "/topic #lab Second breakfast");
    for client in [frodo, merry] {
        net.expect(client, &[":sam!102@crc TOPIC #lab :Second breakfast"]);
    }
    let pippin = net.register(2, "pippin");
    net.send(pippin, "JOIN #lab");
    let lines = net.take(pippin);
    assert_eq!(lines[0], ":pippin!pippin@crc JOIN #lab");
    assert_eq!(lines[1], ":s2 332 pippin #lab :Second breakfast");
    assert!(lines[2].starts_with(":s2 333 pippin #lab sam "), "{lines:?}");
    assert!(lines[3].starts_with(":s2 353 "), "{lines:?}");
    assert_eq!(net.ask(pippin, "TOPIC #lab"), lines[1..3]);
    net.check(
        pippin,
        "LIST",
        &[
            ":s2 321 pippin Channel :Users  Name",
            ":s2 322 pippin #lab 4 :Second breakfast",
            ":s2 323 pippin :End of LIST",
        ],
    );
    net.take(frodo);
    net.check(pippin, "TOPIC #lab :", &[":pippin!pippin@crc TOPIC #lab :"]);
    net.expect(frodo, &[":pippin!pippin@crc TOPIC #lab :"]);
    net.check(frodo, "TOPIC #lab", &[":s1 331 frodo #lab :No topic is set"]);
    let long = "ö".repeat(300);
    let lines = net.ask(frodo, &format!("TOPIC #lab :{}", &long[..400]));
    assert_eq!(lines, [format!(":frodo!frodo@crc TOPIC #lab :{}", "ö".repeat(195))]);
}
