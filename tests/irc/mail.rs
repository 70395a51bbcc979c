//! Messages to users who are away, and the ids of nicks.

use super::*;
use crc::relay::message::HostKind;
use crc::wires::direct::codec::{Control, Message, encode};
use crc_tests::frames::registration;

const KEPT: &str = "Not online; the message is kept until this user is back";

/// The `@time` of a line, and the rest of it.
#[track_caller]
fn split_time(line: &str) -> (&str, &str) {
    line.strip_prefix("@time=").and_then(|line| line.split_once(' ')).expect("a time")
}

/// Takes the id of a user, as a server knows it.
fn id_of(net: &Net, server: usize, name: &str) -> u32 {
    let hosts = net.world.node(net.servers[server - 1]).expect("alive").relay().hosts();
    hosts.iter().find(|host| host.name() == name.as_bytes()).expect("a user").id.0
}

/// Registers an IRC client, and returns what follows its welcome.
#[track_caller]
fn come_back(net: &mut Net, server: usize, nick: &str, caps: &str) -> (ClientId, Vec<String>) {
    let lines = format!("CAP REQ :{caps}\nNICK {nick}\nUSER {nick} 0 * :{nick} B\nCAP END");
    let client = net.connect(server, &lines);
    net.world.run_for(SECOND);
    let lines = net.take(client);
    let end = lines.iter().position(|line| line.contains(" 422 ")).expect("the welcome");
    (client, lines[end + 1..].to_vec())
}

#[test]
fn message_to_a_nick_that_is_away_is_kept_and_delivered_with_its_time() {
    for back_at in [1, 2, 3] {
        let mut net = Net::chain(3);
        let (frodo, sam) = (net.register(1, "frodo"), net.register(2, "Sam"));
        net.send(sam, "QUIT :later");
        net.world.run_for(SECOND * 9);
        let kept = format!(":s1 301 frodo sAM :{KEPT}");
        net.check(frodo, "PRIVMSG sAM :one\nPRIVMSG sAM :two", &[&kept, &kept]);
        net.world.run_for(SECOND * 50);
        let (sam, lines) = come_back(&mut net, back_at, "sam", "server-time");
        let texts: Vec<_> = lines.iter().map(|line| split_time(line)).collect();
        let source = ":frodo!frodo@crc PRIVMSG sam";
        assert_eq!(texts[0].1, format!("{source} :one"), "{lines:?}");
        assert_eq!(texts[1].1, format!("{source} :two"), "{lines:?}");
        assert_eq!(texts.len(), 2);
        // Sent in the eleventh second, and delivered a minute later.
        assert!(texts.iter().all(|text| text.0.starts_with("1970-01-01T00:00:10.")), "{lines:?}");
        // Once, and what follows comes at once.
        net.send(frodo, "PRIVMSG sam :three");
        let lines = net.take(sam);
        assert!(lines.len() == 1 && split_time(&lines[0]).1.ends_with("sam :three"), "{lines:?}");
        net.send(sam, "QUIT");
        let (_, lines) = come_back(&mut net, back_at, "sam", "server-time");
        assert_eq!(lines, [""; 0], "delivered once");
    }
}

#[test]
fn mail_of_a_sender_who_has_left_names_it_and_can_be_answered() {
    for back_at in [1, 2] {
        let mut net = Net::chain(2);
        let (frodo, sam) = (net.register(1, "frodo"), net.register(1, "sam"));
        let merry = net.register(2, "merry");
        let id = id_of(&net, 1, "frodo");
        net.send(sam, "QUIT");
        net.send(frodo, "PRIVMSG sam :Hi\nQUIT");
        let (sam, lines) = come_back(&mut net, back_at, "sam", "batch");
        assert_eq!(lines, [format!(":frodo!{id}@crc PRIVMSG sam :Hi")]);
        let kept = format!(":s{back_at} 301 sam frodo :{KEPT}");
        net.check(sam, "PRIVMSG frodo :Ho", &[&kept]);
        let (_, lines) = come_back(&mut net, 2, "frodo", "batch");
        assert_eq!(lines, [":sam!sam@crc PRIVMSG frodo :Ho"]);
        net.expect(merry, &[]);
    }
}

#[test]
fn mail_survives_its_server() {
    let mut net = Net::chain(2);
    let (frodo, sam) = (net.register(1, "frodo"), net.register(1, "sam"));
    let id = id_of(&net, 1, "frodo");
    net.send(sam, "QUIT");
    net.check(frodo, "PRIVMSG sam :Hi", &[&format!(":s1 301 frodo sam :{KEPT}")]);
    net.world.kill(net.servers[0]);
    net.world.run_for(SPLIT_GRACE * 2);
    net.servers[0] = net.world.start(ServerSpec::new(1, None));
    net.world.run_for(SECOND * 20);
    // Nobody remembers frodo, and the mail for sam shows that it is away.
    let merry = net.register(1, "merry");
    net.check(merry, "PRIVMSG sam :Ho", &[&format!(":s1 301 merry sam :{KEPT}")]);
    net.check(merry, "PRIVMSG rosie :Ho", &[":s1 401 merry rosie :No such nick/channel"]);
    let (sam, lines) = come_back(&mut net, 1, "sam", "batch");
    let alias = format!("frodo|{id}");
    let expected =
        [format!(":{alias}!{id}@crc PRIVMSG sam :Hi"), ":merry!merry@crc PRIVMSG sam :Ho".into()];
    assert_eq!(lines, expected);
    // The alias reaches frodo.
    net.check(sam, &format!("PRIVMSG {alias} :Ho"), &[&format!(":s1 301 sam {alias} :{KEPT}")]);
    let (_, lines) = come_back(&mut net, 1, "frodo", "batch");
    assert_eq!(lines, [":sam!sam@crc PRIVMSG frodo :Ho"]);
}

#[test]
fn message_beyond_the_bound_or_that_cannot_be_stored_is_refused() {
    let mut net = Net::chain(1);
    net.world.kill(net.servers[0]);
    let mut spec = ServerSpec::new(1, None);
    spec.limits.mail_messages_max = 2;
    net.servers[0] = net.world.start(spec);
    let frodo = net.register_with(1, "frodo", "echo-message");
    let sam = net.register(1, "sam");
    net.send(sam, "QUIT");
    let kept = format!(":s1 301 frodo sam :{KEPT}");
    let refused =
        |reason| format!(":s1 531 frodo sam :Not online, and the message is not kept: {reason}");
    net.check(
        frodo,
        "PRIVMSG sam :one\nPRIVMSG sam :two\nPRIVMSG sam :three\nPING x",
        &[
            ":frodo!frodo@crc PRIVMSG sam :one",
            &kept,
            ":frodo!frodo@crc PRIVMSG sam :two",
            &kept,
            &refused("2 messages wait for that id already"),
            ":s1 PONG s1 :x",
        ],
    );
    net.world.fail_next_store_request(net.servers[0]);
    let merry = net.register(1, "merry");
    net.send(merry, "QUIT");
    let lines = net.ask(frodo, "PRIVMSG merry :one\nPING x");
    let refused =
        ":s1 531 frodo merry :Not online, and the message is not kept: the mailbox has failed";
    assert!(lines[0].starts_with(refused), "{lines:?}");
    assert_eq!(lines[1..], [":s1 PONG s1 :x"]);
}

#[test]
fn what_follows_a_message_waits_until_it_is_stored() {
    let mut net = Net::chain(1);
    let (frodo, merry) = (net.register(1, "frodo"), net.register(1, "merry"));
    let sam = net.register(1, "sam");
    net.send(frodo, "JOIN #lab");
    net.send(merry, "JOIN #lab");
    net.send(sam, "QUIT");
    net.take(frodo);
    net.take(merry);
    let lines =
        ["PRIVMSG sam,merry :1", "PRIVMSG merry :2", "PRIVMSG sam,#lab :3", "PRIVMSG #lab :4"];
    let kept = format!(":s1 301 frodo sam :{KEPT}");
    net.check(frodo, &lines.join("\n"), &[&kept, &kept]);
    let source = ":frodo!frodo@crc PRIVMSG";
    let texts = [("merry", 1), ("merry", 2), ("#lab", 3), ("#lab", 4)];
    let texts = texts.map(|(target, text)| format!("{source} {target} :{text}"));
    assert_eq!(net.take(merry), texts);
    // Nothing behind a message that is to be kept is handled before it is stored.
    net.world.fail_next_store_request(net.servers[0]);
    net.send(frodo, &lines.join("\n"));
    let replies = net.take(frodo);
    assert!(replies.len() == 2 && replies.iter().all(|line| line.contains(" 531 ")), "{replies:?}");
    assert_eq!(net.take(merry), texts);
}

#[test]
fn labels_are_on_what_becomes_of_a_message() {
    let mut net = Net::chain(1);
    let frodo = net.register_with(1, "frodo", "labeled-response batch echo-message");
    for nick in ["sam", "merry"] {
        let client = net.register(1, nick);
        net.send(client, "QUIT");
    }
    let pippin = net.register(1, "pippin");
    let echo = |nick| format!(":frodo!frodo@crc PRIVMSG {nick} :Hi");
    let kept = |nick| format!(":s1 301 frodo {nick} :{KEPT}");
    net.check(
        frodo,
        "@label=7 PRIVMSG sam :Hi\n@label=8 PING x",
        &[
            "@label=7 :s1 BATCH +1 labeled-response",
            &format!("@batch=1 {}", echo("sam")),
            &format!("@batch=1 {}", kept("sam")),
            ":s1 BATCH -1",
            "@label=8 :s1 PONG s1 :x",
        ],
    );
    net.check(
        frodo,
        "@label=9 PRIVMSG pippin,sam,merry :Hi",
        &[
            "@label=9 :s1 BATCH +1 labeled-response",
            &format!("@batch=1 {}", echo("pippin")),
            &format!("@batch=1 {}", echo("sam")),
            &format!("@batch=1 {}", kept("sam")),
            &format!("@batch=1 {}", echo("merry")),
            &format!("@batch=1 {}", kept("merry")),
            ":s1 BATCH -1",
        ],
    );
    net.expect(pippin, &[&echo("pippin")]);
}

#[test]
fn notices_and_requests_of_programs_are_not_kept() {
    let mut net = Net::chain(1);
    let (frodo, sam) = (net.register(1, "frodo"), net.register(1, "sam"));
    net.send(sam, "QUIT");
    net.check(frodo, "NOTICE sam :Hi", &[]);
    let unknown = ":s1 401 frodo sam :No such nick/channel";
    net.check(frodo, "PRIVMSG sam :\u{1}VERSION\u{1}", &[unknown]);
    let kept = format!(":s1 301 frodo sam :{KEPT}");
    net.check(frodo, "PRIVMSG sam :\u{1}ACTION waves\u{1}", &[&kept]);
    let (_, lines) = come_back(&mut net, 1, "sam", "batch");
    assert_eq!(lines, [":frodo!frodo@crc PRIVMSG sam :\u{1}ACTION waves\u{1}"]);
}

#[test]
fn aliases_of_users_who_are_away_have_their_ids() {
    for id in [3000, 77_252_666_718_255_105_i64] {
        let mut net = Net::chain(2);
        let frodo = net.register(1, "frodo");
        let alias = format!("|{id}");
        net.check(
            frodo,
            &format!("PRIVMSG {alias} :Hi"),
            &[&format!(":s1 301 frodo {alias} :{KEPT}")],
        );
        let direct = |net: &mut Net, server: usize| {
            let client = net.world.connect_on(net.servers[server - 1], Wire::DIRECT);
            let (mut frame, control) = (Vec::new(), Some(Control::DesiredId(id)));
            encode(&Message { control, ..Message::default() }, &mut frame);
            net.world.send(client, &frame);
            net.world.run_until_quiescent();
            client
        };
        let client = direct(&mut net, 2);
        let received = net.world.take_received(client);
        assert!(received.ends_with(b"\x1a\x02Hi"), "{received:?}");
        // It is away again, and its alias is the one that it had, or has its id.
        net.world.disconnect(client);
        net.world.run_until_quiescent();
        net.check(
            frodo,
            &format!("PRIVMSG {alias} :Ho"),
            &[&format!(":s1 301 frodo {alias} :{KEPT}")],
        );
        let client = direct(&mut net, 1);
        let received = net.world.take_received(client);
        assert!(received.ends_with(b"\x1a\x02Ho"), "{received:?}");
        if id > i64::from(u32::MAX) {
            net.check(frodo, &format!("PRIVMSG {alias} :there"), &[]);
            let received = net.world.take_received(client);
            assert!(received.ends_with(b"\x1a\x05there"), "{received:?}");
        }
    }
    let mut net = Net::chain(1);
    let frodo = net.register(1, "frodo");
    for alias in ["|0", "|4294967295", "|1", "x|9223372036854775808"] {
        let unknown = format!(":s1 401 frodo {alias} :No such nick/channel");
        net.check(frodo, &format!("PRIVMSG {alias} :Hi"), &[&unknown]);
    }
}

#[test]
fn mail_for_a_nick_is_delivered_to_who_has_it_on_any_wire() {
    let mut net = Net::chain(2);
    let frodo = net.register(1, "frodo");
    let sam = net.crc_user(1, 102, "sam");
    net.world.send(sam, &quit(102, ""));
    net.world.run_until_quiescent();
    let kept = format!(":s1 301 frodo sam :{KEPT}");
    net.check(frodo, "PRIVMSG sam :Hi", &[&kept]);
    let sam = net.world.connect(net.servers[1]);
    net.world.send(sam, &user_that_reads_cut_frames(103, "Sam", "a hobbit"));
    net.world.run_until_quiescent();
    assert_eq!(net.take_chats(sam), ["Hi"]);
}

#[test]
fn mail_for_a_nick_is_delivered_after_changes_of_nicks() {
    let mut net = Net::chain(2);
    let (frodo, sam) = (net.register(1, "frodo"), net.register(2, "sam"));
    net.send(frodo, "NICK underhill");
    let kept = format!(":s2 301 sam frodo :{KEPT}");
    net.check(sam, "PRIVMSG frodo :one\nPRIVMSG underhill :two", &[&kept]);
    net.expect(frodo, &[":frodo!frodo@crc NICK :underhill", ":sam!sam@crc PRIVMSG underhill :two"]);
    net.world.run_for(SECOND);
    net.send(frodo, "NICK frodo");
    net.world.run_for(SECOND);
    net.expect(frodo, &[":underhill!frodo@crc NICK :frodo", ":sam!sam@crc PRIVMSG frodo :one"]);
    // Another one who has the nick gets what is sent to it from then on.
    net.send(frodo, "NICK underhill");
    let other = net.register(1, "frodo");
    net.send(other, "QUIT");
    net.check(sam, "PRIVMSG frodo :three", &[&kept]);
    let (_, lines) = come_back(&mut net, 2, "frodo", "batch");
    assert_eq!(lines, [":sam!sam@crc PRIVMSG frodo :three"]);
}

#[test]
fn nick_has_the_same_id_while_that_is_free() {
    let mut net = Net::chain(2);
    let frodo = net.register(1, "frodo");
    let first = id_of(&net, 1, "frodo");
    net.send(frodo, "QUIT");
    net.register(2, "Frodo");
    assert_eq!(id_of(&net, 1, "Frodo"), first);
    // The next one, if somebody else has it.
    let mut net = Net::chain(2);
    net.crc_user(1, first, "sam");
    net.register(2, "frodo");
    assert_ne!(id_of(&net, 1, "frodo"), first);
}

#[test]
fn client_that_loses_its_id_takes_the_next_one() {
    let mut net = Net::chain(1);
    net.register(1, "frodo");
    let id = id_of(&net, 1, "frodo");
    let mut net = Net::chain(2);
    net.world.set_isolated(net.servers[1], true);
    net.world.cut_uplink(net.servers[1]);
    net.world.run_for(SPLIT_GRACE * 2);
    let (merry, sam) = (net.register(1, "merry"), net.crc_user(1, id, "sam"));
    for nick in ["a", "b", "c"] {
        net.register(2, nick); // the user at the other server registers earlier
    }
    let frodo = net.register(2, "frodo");
    net.send(frodo, "AWAY :lunch");
    assert_eq!(id_of(&net, 2, "frodo"), id);
    for client in [merry, frodo] {
        net.send(client, "JOIN #lab,#den");
    }
    net.world.set_isolated(net.servers[1], false);
    net.world.run_for(SECOND * 20);
    assert!(!net.world.is_closed(sam) && !net.world.is_closed(frodo));
    assert_eq!([1, 2].map(|server| id_of(&net, server, "sam")), [id; 2]);
    let ids = [1, 2].map(|server| id_of(&net, server, "frodo"));
    assert!(ids[0] == ids[1] && ids[0] != id, "{ids:?}");
    // It is in its rooms, and is away.
    net.take(frodo);
    net.check(merry, "PRIVMSG frodo :Hi", &[":s1 301 merry frodo :lunch"]);
    net.expect(frodo, &[":merry!merry@crc PRIVMSG frodo :Hi"]);
    net.send(frodo, "PRIVMSG #lab :Hi\nPRIVMSG #den :Ho");
    let texts = [":frodo!frodo@crc PRIVMSG #lab :Hi", ":frodo!frodo@crc PRIVMSG #den :Ho"];
    net.expect(merry, &texts);
    net.send(merry, "PRIVMSG #den :Ho");
    net.expect(frodo, &[":merry!merry@crc PRIVMSG #den :Ho"]);
}

#[test]
fn message_between_the_quit_and_the_join_of_a_change_of_nick_arrives() {
    let mut net = Net::chain(1);
    let (frodo, sam) = (net.register(1, "frodo"), net.register(1, "sam"));
    let id = id_of(&net, 1, "frodo");
    net.send(frodo, "QUIT");
    // The user of another server, whose quit and registration come one after the other.
    let server = net.world.connect(net.servers[0]);
    net.world.send(server, &crc_tests::frames::server(9, "nine", ""));
    net.world.send(server, &registration(HostKind::User, id, 9, "frodo", ""));
    net.world.run_until_quiescent();
    net.check(sam, "PRIVMSG frodo :one", &[]);
    net.world.send(server, &quit(id, "is known as underhill from now on"));
    net.world.run_until_quiescent();
    net.check(sam, "PRIVMSG frodo :two", &[&format!(":s1 301 sam frodo :{KEPT}")]);
    net.world.send(server, &registration(HostKind::User, id, 9, "underhill", ""));
    net.world.run_until_quiescent();
    net.check(sam, "PRIVMSG underhill :three", &[]);
    assert_eq!(net.take_chats(server), ["one", "two", "three"]);
}
