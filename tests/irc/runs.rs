//! Texts that arrive in one read and are forwarded together arrive as if each came alone.

use super::*;

/// Lines of `frodo`, with every end that a line may have.
fn lines() -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = [
        &b"PRIVMSG sam :one"[..],
        b"PRIVMSG sam :two\r",
        b"PRIVMSG sam : three  words \r",
        b"PRIVMSG sam :\x01ACTION waves\x01\r",
        b"PRIVMSG sam :\x01ACTION \x01\r",
        b"PRIVMSG sam :\x06a mark\r",
        b"PRIVMSG sam :\x06\x06#lab\r",
        b"PRIVMSG SAM :four\r",
        b"PRIVMSG sam :five\r",
        b"NOTICE sam :six\r",
        b"PRIVMSG sam :seven\r",
        b"privmsg sam :eight\r",
        b"PRIVMSG sam nine\r",
        b"PRIVMSG  sam :ten\r",
        b"PRIVMSG sam :\r",
        b"PRIVMSG sam",
        b"PRIVMSG sam :eleven\r",
        b"PRIVMSG sam :\xff\r",
        b"PRIVMSG sam :not the end \r\r",
        b"PRIVMSG sam :c\rd\0e\r",
        b"@+a=b PRIVMSG sam :twelve\r",
        b":frodo PRIVMSG sam :thirteen\r",
        b"\r",
        b"PRIVMSG sam :fourteen\r",
        b"PRIVMSG sam,merry :both\r",
        b"PRIVMSG merry :m1\r",
        b"PRIVMSG merry :m2\r",
        b"PRIVMSG merry,#lab :m3\r",
        b"PRIVMSG #lab :to all\r",
        b"PRIVMSG #lab,merry :m4\r",
        b"PRIVMSG merry :m5\r",
        b"PRIVMSG merry,nobody :m6\r",
        b"PRIVMSG merry :m7\r",
        b"PRIVMSG merry,frodo :m8\r",
        b"PRIVMSG merry :m9\r",
        b"PRIVMSG frodo :me\r",
        b"PRIVMSG frodo :and me\r",
        b"PRIVMSG gandalf :a1\r",
        b"PRIVMSG gandalf :a2\r",
        b"PRIVMSG nobody :n1\r",
        b"PRIVMSG Bilbo_Baggins|102 :b1\r",
        b"PRIVMSG Bilbo_Baggins|102 :b2\r",
        b"PRIVMSG Bilbo_Baggins|102 :\x06b3\r",
        b"PRIVMSG pippin :p1\r",
        b"PRIVMSG pippin :p2\r",
        b"PRIVMSG sam :before\r",
        b"INVITE merry #lab\r",
        b"PRIVMSG sam :after\r",
        b"INVITE sam #lab\r",
        b"PRIVMSG sam :fifteen\r",
        b"@label=x PRIVMSG sam :sixteen\r",
        b"PRIVMSG sam :seventeen\r",
        b"@label=y;+a=b PRIVMSG sam :eighteen\r",
        b"PRIVMSG sam :nineteen\r",
        b"PING 1\r",
        b"PRIVMSG sam :twenty\r",
    ]
    .map(<[u8]>::to_vec)
    .into();
    // The longest texts of a line, and longer ones, of letters of one byte and of two.
    for count in [470, 497, 498, 499, 600] {
        lines.push([&b"PRIVMSG sam :"[..], &b"x".repeat(count)].concat());
        lines.push(format!("PRIVMSG sam :{}", "ö".repeat(count / 2)).into_bytes());
    }
    lines.iter_mut().for_each(|line| line.push(b'\n'));
    lines
}

/// Returns what everybody receives after `frodo` with some capabilities has sent these writes.
fn received(caps: &str, writes: &[Vec<u8>]) -> Vec<String> {
    let mut net = Net::chain(2);
    let caps_of_all = "batch labeled-response message-tags server-time";
    let frodo = net.register_with(1, "frodo", &format!("{caps_of_all} {caps}"));
    let (sam, merry) = (net.register_with(1, "sam", "server-time"), net.register(2, "merry"));
    let (gandalf, bilbo) = (net.register(1, "gandalf"), net.crc_user(1, 102, "Bilbo Baggins"));
    let pippin = net.world.connect_on(net.servers[0], Wire::CLASSIC);
    net.world.send(pippin, b"-SERVER-pippin  Connect pippin\0");
    net.world.run_for(SECOND);
    net.send(gandalf, "AWAY :fighting");
    net.send(frodo, "JOIN #lab");
    net.send(sam, "JOIN #lab");
    let everybody = [frodo, sam, merry, gandalf, bilbo, pippin];
    for client in everybody {
        net.world.take_received(client);
    }
    for bytes in writes {
        net.world.send(frodo, bytes);
        net.world.run_until_quiescent();
    }
    net.world.run_for(SECOND);
    everybody.map(|client| without_times(&net.world.take_received(client))).into()
}

/// Returns the lines with the times in their tags replaced.
fn without_times(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split("time=1970-01-01T");
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        replaced.push_str("time=…");
        replaced.push_str(part.split_once('Z').expect("a time").1);
    }
    replaced
}

#[test]
fn texts_in_one_read_arrive_as_if_each_came_alone() {
    let lines = lines();
    for caps in ["", "echo-message"] {
        let alone = received(caps, &lines);
        let together = received(caps, &[lines.concat()]);
        for (alone, together) in alone.iter().zip(&together) {
            assert!(!alone.is_empty());
            let lines = alone.lines().zip(together.lines());
            for (alone, together) in lines {
                assert_eq!(together, alone, "with {caps:?}");
            }
            assert_eq!(together.len(), alone.len(), "with {caps:?}");
        }
        // The middle of a line ends one read and begins the next.
        let all = lines.concat();
        let cut = all.len() / 3;
        assert_eq!(received(caps, &[all[..cut].to_vec(), all[cut..].to_vec()]), together);
    }
}
