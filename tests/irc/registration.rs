//! Registration, capabilities, nicks, liveness, lines.

use super::*;

#[test]
fn client_registers_with_nick_and_user() {
    let mut net = Net::chain(1);
    let frodo = net.connect(1, "PASS secret\nNICK frodo\nUSER fb 0 * :Frodo Baggins");
    let version = concat!("crc-", env!("CARGO_PKG_VERSION"));
    let expected = [
        ":s1 001 frodo :Welcome to the Clemson Relay Chat network frodo, frodo!fb@crc".to_owned(),
        format!(":s1 002 frodo :Your host is s1, running version {version}"),
        ":s1 003 frodo :This server was started at 1970-01-01T00:00:00.000Z".to_owned(),
        format!(":s1 004 frodo s1 {version} Biswx b"),
        ":s1 005 frodo AWAYLEN=200 BOT=B CASEMAPPING=ascii CHANLIMIT=#:50 CHANMODES=b,,, CHANNELLEN=64 \
         CHANTYPES=# ELIST=MNU HOSTLEN=3 LINELEN=512 MAXTARGETS=4 MODES=1 :are supported by \
         this server"
            .to_owned(),
        ":s1 005 frodo MONITOR=100 NAMELEN=128 NETWORK=CRC NICKLEN=30 PREFIX= \
         SAFELIST TARGMAX=JOIN:,NAMES:4,NOTICE:4,PART:,PRIVMSG:4,WHOIS:1 TOPICLEN=390 USERLEN=16 \
         UTF8ONLY WHOX :are supported by this server"
            .to_owned(),
        ":s1 251 frodo :There are 1 users and 0 invisible on 1 servers".to_owned(),
        ":s1 252 frodo 0 :operator(s) online".to_owned(),
        ":s1 254 frodo 0 :channels formed".to_owned(),
        ":s1 255 frodo :I have 1 clients and 0 servers".to_owned(),
        ":s1 265 frodo 1 1 :Current local users 1, max 1".to_owned(),
        ":s1 266 frodo 1 1 :Current global users 1, max 1".to_owned(),
        ":s1 422 frodo :There is no message of the day".to_owned(),
    ];
    assert_eq!(net.take(frodo), expected);
    let sam = net.connect(1, "NICK sam\nUSER sam 0 * :\nUSER : 0 * :Sam");
    net.expect(sam, &[":s1 461 * USER :Not enough parameters"; 2]);
    let text = "You may not reregister";
    net.check(frodo, "USER a b c d", &[&format!(":s1 462 frodo :{text}")]);
    net.check(frodo, "PASS x", &[&format!(":s1 462 frodo :{text}")]);
}

#[test]
fn user_is_one_of_the_network() {
    let mut net = Net::chain(2);
    let sam = net.crc_user(2, 102, "sam");
    let frodo = net.register(1, "frodo");
    let frames = split_frames(&net.world.take_received(sam));
    let registration = frames.iter().find(|frame| frame[0] == 0x80).expect("a registration");
    let text = String::from_utf8_lossy(registration);
    assert!(text.ends_with("frodoirc frodo frodo B"), "{text}");
    net.send(frodo, "QUIT :good bye");
    assert_eq!(net.take(frodo), ["ERROR :Closing link: quit"]);
    assert!(net.world.is_closed(frodo));
    let frames = split_frames(&net.world.take_received(sam));
    assert!(frames.iter().any(|frame| frame[0] == 0x82 && frame.ends_with(b"good bye")));
}

#[test]
fn capabilities_are_negotiated_before_the_registration_ends() {
    let mut net = Net::chain(1);
    let frodo = net.connect(1, "CAP LS 302\nNICK frodo\nUSER a 0 * :b");
    let all = "away-notify batch cap-notify echo-message labeled-response message-tags \
               multi-prefix server-time setname userhost-in-names";
    net.expect(frodo, &[&format!(":s1 CAP * LS :{all}")]);
    net.check(frodo, "CAP REQ :sasl batch", &[":s1 CAP * NAK :sasl batch"]);
    net.check(frodo, "CAP REQ :batch server-time", &[":s1 CAP * ACK :batch server-time"]);
    net.check(frodo, "CAP LIST", &[":s1 CAP * LIST :batch cap-notify server-time"]);
    net.check(frodo, "CAP X", &[":s1 410 * X :Invalid CAP command"]);
    net.check(frodo, "JOIN #lab", &[":s1 451 * :You have not registered"]);
    assert!(net.ask(frodo, "CAP END")[0].starts_with(":s1 001 frodo "));
    net.check(frodo, "CAP REQ -batch", &[":s1 CAP frodo ACK :-batch"]);
}

#[test]
fn nicks_are_refused_with_the_reason() {
    let mut net = Net::chain(2);
    let frodo = net.register(2, "frodo");
    net.crc_user(2, 102, "Sam");
    let client = net.connect(1, "NICK");
    net.expect(client, &[":s1 431 * :No nickname given"]);
    net.check(client, "NICK 1frodo", &[":s1 432 * 1frodo :Erroneous nickname"]);
    net.check(client, "NICK bob|7", &[":s1 432 * bob|7 :Erroneous nickname"]);
    for nick in ["FRODO", "sam", "s1", "s2"] {
        let expected = format!(":s1 433 * {nick} :Nickname is already in use");
        net.check(client, &format!("NICK {nick}"), &[&expected]);
    }
    net.check(client, "USER x", &[":s1 461 * USER :Not enough parameters"]);
    assert!(net.ask(client, "NICK merry\nUSER m 0 * :m")[0].contains(" 001 merry "));
    net.check(frodo, "NICK Merry", &[":s2 433 frodo Merry :Nickname is already in use"]);
    // The nick is free once its user has left.
    net.send(client, "QUIT");
    net.check(frodo, "NICK Merry", &[":frodo!frodo@crc NICK :Merry"]);
}

#[test]
fn nick_that_was_taken_while_capabilities_were_negotiated_is_refused() {
    let mut net = Net::chain(1);
    let slow = net.connect(1, "CAP LS\nNICK frodo\nUSER a 0 * :b");
    let frodo = net.register(1, "frodo");
    net.check(slow, "CAP END", &[":s1 433 * frodo :Nickname is already in use"]);
    assert!(net.ask(slow, "NICK sam")[0].contains(" 001 sam "));
    assert!(!net.world.is_closed(frodo));
}

#[test]
fn change_of_the_nick_keeps_id_rooms_and_absence() {
    let mut net = Net::chain(2);
    let frodo = net.register(1, "frodo");
    let (sam, merry) = (net.register(1, "sam"), net.register(2, "merry"));
    for client in [frodo, sam, merry] {
        net.send(client, "JOIN #lab");
    }
    net.send(frodo, "AWAY :at the inn");
    net.world.run_for(IRC_CHANGE_INTERVAL);
    for client in [frodo, sam, merry] {
        net.take(client);
    }
    net.check(frodo, "NICK underhill", &[":frodo!frodo@crc NICK :underhill"]);
    for client in [sam, merry] {
        net.expect(client, &[":frodo!frodo@crc NICK :underhill"]);
    }
    net.send(merry, "PRIVMSG #lab :Who?");
    net.expect(frodo, &[":merry!merry@crc PRIVMSG #lab :Who?"]);
    net.take(sam);
    net.check(sam, "PRIVMSG underhill :Hi", &[":s1 301 sam underhill :at the inn"]);
    // Another change waits.
    net.take(frodo);
    net.send(frodo, "NICK bilbo\nNICK gandalf\nPING 1");
    net.world.run_for(IRC_CHANGE_INTERVAL * 3);
    let lines = net.take(frodo);
    let changes: Vec<&str> = lines.iter().filter_map(|line| line.split(" NICK :").nth(1)).collect();
    assert_eq!(changes, ["bilbo", "gandalf"], "{lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some(":s1 PONG s1 :1"));
}

#[test]
fn silent_client_is_asked_and_then_closed() {
    let mut net = Net::chain(1);
    let frodo = net.register(1, "frodo");
    net.world.run_for(IRC_PING_INTERVAL - SECOND);
    net.expect(frodo, &[]);
    net.world.run_for(SECOND * 2);
    net.expect(frodo, &[":s1 PING :s1"]);
    net.send(frodo, "PONG s1");
    net.world.run_for(IRC_PING_INTERVAL + SECOND);
    net.expect(frodo, &[":s1 PING :s1"]);
    net.world.run_for(IRC_PING_TIMEOUT + SECOND);
    net.expect(frodo, &["ERROR :Closing link: Ping timeout"]);
    assert!(net.world.is_closed(frodo));
}

#[test]
fn lines_that_are_too_long_or_not_utf8_are_refused_and_skipped() {
    let mut net = Net::chain(1);
    let frodo = net.register(1, "frodo");
    let too_long = ":s1 417 frodo :Input line was too long";
    for count in [520, 20_000] {
        net.check(
            frodo,
            &format!("PING {}\nPING 1", "x".repeat(count)),
            &[too_long, ":s1 PONG s1 :1"],
        );
    }
    net.take(frodo);
    net.world.send(frodo, b"PRIVMSG frodo :\xff\r\n\xff\r\n\r\n\nping 2\n");
    net.world.run_until_quiescent();
    net.expect(
        frodo,
        &[
            ":s1 FAIL PRIVMSG INVALID_UTF8 :Message rejected, your client must use UTF-8",
            ":s1 FAIL * INVALID_UTF8 :Message rejected, your client must use UTF-8",
            ":s1 PONG s1 :2",
        ],
    );
    net.check(frodo, "DANCE now", &[":s1 421 frodo DANCE :Unknown command"]);
    net.check(frodo, "PING", &[":s1 461 frodo PING :Not enough parameters"]);
}

#[test]
fn labels_are_on_the_responses() {
    let mut net = Net::chain(1);
    let caps = "labeled-response batch message-tags server-time";
    let frodo = net.register_with(1, "frodo", caps);
    net.check(frodo, "@label=a PING 1", &["@label=a :s1 PONG s1 :1"]);
    net.check(frodo, "@label=b PONG 1", &["@label=b :s1 ACK"]);
    net.check(
        frodo,
        "@label=c JOIN #lab",
        &[
            "@label=c :s1 BATCH +1 labeled-response",
            "@batch=1;time=1970-01-01T00:00:01.006Z :frodo!frodo@crc JOIN #lab",
            "@batch=1 :s1 353 frodo = #lab :frodo",
            "@batch=1 :s1 366 frodo #lab :End of NAMES list",
            ":s1 BATCH -1",
        ],
    );
    net.check(frodo, "@label=d PRIVMSG #lab :Hi", &["@label=d :s1 ACK"]);
    net.check(frodo, "@label=e NICK 1", &["@label=e :s1 432 frodo 1 :Erroneous nickname"]);
    net.check(frodo, "@label=a\0b PING 1", &[":s1 PONG s1 :1"]); // it could not be repeated
    net.check(frodo, "@label=a\rb PING 1", &[":s1 PONG s1 :1"]);
    let sam = net.register(1, "sam");
    net.check(sam, "@label=a PING 1", &[":s1 PONG s1 :1"]);
    net.take(frodo);
    net.world.send(frodo, b"@label=f PRIVMSG sam :\xff\r\n");
    net.world.run_until_quiescent();
    let text = "Message rejected, your client must use UTF-8";
    net.expect(frodo, &[&format!("@label=f :s1 FAIL PRIVMSG INVALID_UTF8 :{text}")]);
}

#[test]
fn label_is_on_the_echo_of_a_text_to_oneself_and_not_on_the_text() {
    let mut net = Net::chain(1);
    let frodo = net.register_with(1, "frodo", "labeled-response batch echo-message");
    let text = ":frodo!frodo@crc PRIVMSG frodo :Hi";
    net.check(frodo, "@label=a PRIVMSG frodo :Hi", &[&format!("@label=a {text}"), text]);
    net.check(frodo, "PRIVMSG frodo :Hi", &[text; 2]);
    let sam = net.register_with(1, "sam", "labeled-response batch");
    let texts = ["@label=a :s1 ACK", ":sam!sam@crc NOTICE sam :Hi"];
    net.check(sam, "@label=a NOTICE sam :Hi", &texts);
}
