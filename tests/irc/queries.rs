//! Questions about users and the server.

use super::*;

#[test]
fn whois_describes_users_of_every_wire() {
    let mut net = Net::chain(2);
    let frodo = net.register(1, "frodo");
    let sam = net.crc_user(2, 102, "sam");
    net.send(frodo, "JOIN #lab,#dev");
    net.chat(sam, 102, 2, "/join #lab");
    net.check(
        frodo,
        "WHOIS sam",
        &[
            ":s1 311 frodo sam 102 crc * :a hobbit",
            ":s1 319 frodo sam :#lab",
            ":s1 312 frodo sam s2 :id 102 in the network",
            ":s1 318 frodo sam :End of WHOIS list",
        ],
    );
    net.send(frodo, "AWAY :lunch");
    let lines = net.ask(frodo, "WHOIS s1 FRODO");
    assert_eq!(lines[0], ":s1 311 frodo frodo frodo crc * :frodo B");
    assert_eq!(lines[1], ":s1 319 frodo frodo :#lab #dev");
    assert!(lines[2].starts_with(":s1 312 frodo frodo s1 :id "));
    assert_eq!(lines[3], ":s1 301 frodo frodo :lunch");
    assert_eq!(lines[4..], [":s1 318 frodo frodo :End of WHOIS list"]);
    net.check(
        frodo,
        "WHOIS nobody",
        &[":s1 401 frodo nobody :No such nick/channel", ":s1 318 frodo nobody :End of WHOIS list"],
    );
    net.check(frodo, "WHOIS", &[":s1 431 frodo :No nickname given"]);
}

#[test]
fn whowas_describes_users_who_have_left() {
    let mut net = Net::chain(2);
    let frodo = net.register(1, "frodo");
    net.check(
        frodo,
        "WHOWAS sam",
        &[":s1 406 frodo sam :There was no such nickname", ":s1 369 frodo sam :End of WHOWAS"],
    );
    for _ in 0..2 {
        let sam = net.register(2, "sam");
        net.send(sam, "QUIT");
    }
    let lines = net.ask(frodo, "WHOWAS Sam");
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert_eq!(lines[0], ":s1 314 frodo sam sam crc * :sam B");
    assert!(lines[1].starts_with(":s1 312 frodo sam s1 :1970-01-01T00:00:0"), "{lines:?}");
    assert_eq!(net.ask(frodo, "WHOWAS sam 1").len(), 3);
}

#[test]
fn absence_is_shown_to_those_who_write() {
    let mut net = Net::chain(1);
    let (frodo, sam) = (net.register(1, "frodo"), net.register(1, "sam"));
    net.check(sam, "AWAY :gone fishing", &[":s1 306 sam :You have been marked as being away"]);
    net.check(frodo, "PRIVMSG sam :Hi", &[":s1 301 frodo sam :gone fishing"]);
    net.check(frodo, "NOTICE sam :Hi", &[]);
    net.check(
        frodo,
        "USERHOST sam frodo nobody",
        &[":s1 302 frodo :sam=-sam@crc frodo=+frodo@crc"],
    );
    net.check(
        frodo,
        "WHO sam",
        &[":s1 352 frodo * sam crc s1 sam G :0 sam B", ":s1 315 frodo sam :End of WHO list"],
    );
    net.world.run_for(IRC_CHANGE_INTERVAL);
    net.check(sam, "AWAY", &[":s1 305 sam :You are no longer marked as being away"]);
    net.check(frodo, "PRIVMSG sam :Hi", &[]);
}

#[test]
fn server_describes_itself_and_the_network() {
    let mut net = Net::chain(3);
    let frodo = net.register(2, "frodo");
    net.crc_user(3, 102, "sam");
    net.check(
        frodo,
        "LUSERS",
        &[
            ":s2 251 frodo :There are 2 users and 0 invisible on 3 servers",
            ":s2 252 frodo 0 :operator(s) online",
            ":s2 254 frodo 0 :channels formed",
            ":s2 255 frodo :I have 1 clients and 2 servers",
            ":s2 265 frodo 1 1 :Current local users 1, max 1",
            ":s2 266 frodo 2 2 :Current global users 2, max 2",
        ],
    );
    // The highest numbers count those who came and left since, on any server and any wire.
    let users = [net.crc_user(2, 103, "rosie"), net.crc_user(1, 104, "merry")];
    for (user, id) in users.into_iter().zip([103, 104]) {
        net.world.send(user, &quit(id, ""));
        net.world.run_until_quiescent();
    }
    let lines = net.ask(frodo, "LUSERS");
    assert_eq!(lines[4], ":s2 265 frodo 1 2 :Current local users 1, max 2");
    assert_eq!(lines[5], ":s2 266 frodo 2 4 :Current global users 2, max 4");
    net.check(
        frodo,
        "LINKS",
        &[
            ":s2 364 frodo s2 s2 :0 simulated",
            ":s2 364 frodo s1 s2 :1 simulated",
            ":s2 364 frodo s3 s2 :1 simulated",
            ":s2 365 frodo * :End of LINKS list",
        ],
    );
    net.check(
        frodo,
        "MAP",
        &[
            ":s2 015 frodo :s2",
            ":s2 015 frodo :  s1",
            ":s2 015 frodo :  s3",
            ":s2 017 frodo :End of MAP",
        ],
    );
    net.check(frodo, "MOTD", &[":s2 422 frodo :There is no message of the day"]);
    assert!(net.ask(frodo, "TIME")[0].starts_with(":s2 391 frodo s2 :1970-01-01T00:00:0"));
    assert!(net.ask(frodo, "VERSION")[0].starts_with(":s2 351 frodo crc-"));
    let info = net.ask(frodo, "INFO");
    assert!(info[0].starts_with(":s2 371 frodo :crc-"));
    assert_eq!(info.last().map(String::as_str), Some(":s2 374 frodo :End of INFO list"));
    net.check(
        frodo,
        "HELP join",
        &[
            ":s2 704 frodo JOIN :JOIN #room[,#room...]",
            ":s2 705 frodo JOIN :Joins rooms. JOIN 0 leaves all.",
            ":s2 706 frodo JOIN :End of HELP",
        ],
    );
    net.check(frodo, "HELP dance", &[":s2 524 frodo DANCE :There is no help on this"]);
    let index = net.ask(frodo, "HELP");
    assert_eq!(index.iter().filter(|line| line.contains(" 705 ")).count(), index.len() - 2);
}
