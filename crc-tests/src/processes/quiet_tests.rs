//! Looks at a small network, and what they say of it.

use super::*;

fn link(peer: Peer, frames: (u64, u64), bytes: (u64, u64)) -> LinkView {
    LinkView {
        peer,
        frames_in: frames.0,
        frames_out: frames.1,
        bytes_in: bytes.0,
        bytes_out: bytes.1,
        queue_bytes: 0,
    }
}

fn frodo() -> Peer {
    Peer::User(User::new(Wire::Crc, "101".to_owned()))
}

fn pip() -> User {
    User::new(Wire::Classic, "pip".to_owned())
}

/// theshire(1) with frodo(101) and, by the classic wire, pip(7); bree(2) behind it.
fn network() -> Snapshot {
    let user = |id, name: &str| KnownUser { id, name: name.to_owned(), is_there: true };
    let server = |name: &str, id, live_parent, links| ServerView {
        name: name.to_owned(),
        id,
        live_parent,
        is_refused: false,
        links,
        users: vec![user(101, "frodo"), user(7, "pip")],
        mail: vec![],
    };
    let client = |name: &str, user, traffic, listed: &[&str]| ClientView {
        name: name.to_owned(),
        user,
        server: Some(0),
        life: Life::Connected,
        traffic,
        listed: listed.iter().map(|&name| name.to_owned()).collect(),
    };
    Snapshot {
        servers: vec![
            server(
                "theshire",
                1,
                None,
                vec![
                    link(Peer::Server(2), (1, 2), (30, 60)),
                    link(frodo(), (3, 4), (90, 80)),
                    link(Peer::User(pip()), (9, 9), (90, 80)),
                ],
            ),
            server("bree", 2, Some(1), vec![link(Peer::Server(1), (2, 1), (60, 30))]),
        ],
        clients: vec![
            client(
                "frodo",
                User::new(Wire::Crc, "101".to_owned()),
                Traffic::Counted { frames_in: 4, frames_out: 3 },
                &["pip"],
            ),
            client("pip", pip(), Traffic::Fenced { fences: 5 }, &["frodo"]),
        ],
    }
}

fn check(change: impl FnOnce(&mut Snapshot), expected: &str) {
    let mut snapshot = network();
    change(&mut snapshot);
    let found = snapshot.check().map_or_else(|unrest| unrest.to_string(), |()| String::new());
    assert_eq!(found, expected);
}

#[test]
fn rest_is_seen() {
    check(|_| {}, "");
    let lonely = |s: &Snapshot| ServerView { links: vec![], ..s.servers[0].clone() };
    check(|s| s.servers.push(lonely(s)), "");
    check(
        |s| {
            s.clients[0].life = Life::Ended;
            s.servers[0].links.remove(1);
        },
        "",
    );
    check(
        |s| {
            s.clients[1].life = Life::Frozen;
            s.clients[1].listed.clear();
        },
        "",
    );
    check(
        |s| {
            s.clients[1].life = Life::Frozen;
            s.servers[0].links.truncate(2);
        },
        "",
    );
}

#[test]
fn all_that_is_on_its_way_is_seen() {
    check(|s| s.servers[1].links[0].queue_bytes = 5, "bree: 5 bytes wait for server 1");
    check(|s| s.servers[1].links[0].bytes_in = 59, "theshire: of 60 bytes 2 has read 59");
    check(|s| s.servers[1].links[0].bytes_out = 31, "bree: of 31 bytes 1 has read 30");
    let counted = |frames_in, frames_out| Traffic::Counted { frames_in, frames_out };
    check(|s| s.clients[0].traffic = counted(3, 3), "frodo: told of 3 frames of 4");
    check(|s| s.clients[0].traffic = counted(4, 4), "frodo: 3 frames of 4 were read");
    check(|s| s.clients[1].listed.clear(), "pip: an old list: 0 others, and its server knows 1");
    check(|s| s.servers[1].mail = vec![8, 101], "bree: mail for 101, who is there");
    check(
        |s| {
            s.servers[1].mail = vec![101];
            s.servers[1].users[0].is_there = false;
        },
        "",
    );
    check(|s| s.servers[1].mail = vec![7], "");
}

#[test]
fn fences_are_not_traffic() {
    let look = |fences: u64, frames_in, frames_out| {
        let mut snapshot = network();
        snapshot.clients[1].traffic = Traffic::Fenced { fences };
        let link = &mut snapshot.servers[0].links[2];
        (link.frames_in, link.frames_out) = (frames_in, frames_out);
        (link.bytes_in, link.bytes_out) = (256 * frames_in, 256 * frames_out);
        snapshot.without_fences()
    };
    assert_eq!(look(5, 9, 9), look(6, 12, 10));
    assert_ne!(look(5, 9, 9), look(6, 12, 11), "something else was said to it");
    let mut changed = network();
    changed.servers[0].links[1].frames_in += 1;
    assert_ne!(network().without_fences(), changed.without_fences());
}

#[test]
fn unfinished_comings_and_goings_are_seen() {
    check(|s| s.servers[1].links.clear(), "theshire: a link to 2 that has none back");
    check(
        |s| {
            s.servers[1].links.clear();
            s.servers[0].links.remove(0);
        },
        "bree: not attached to its parent 1",
    );
    check(|s| s.servers.truncate(1), "theshire: a link to 2 that has none back");
    check(|s| s.clients[0].life = Life::Leaving, "theshire: a link to 101, who has left");
    check(
        |s| {
            s.clients[0].life = Life::Leaving;
            s.servers[0].links.remove(1);
        },
        "frodo: has not ended",
    );
    let other = || User::new(Wire::Crc, "102".to_owned());
    check(|s| s.clients[0].user = other(), "theshire: a link to 101, who has left");
    check(|s| s.clients.truncate(1), "theshire: a link to pip, who has left");
    check(|s| drop(s.servers[0].links.remove(1)), "frodo: is not at its server");
    check(|s| s.clients[0].server = None, "theshire: a link to 101, who has left");
    check(
        |s| {
            s.clients[0].server = None;
            s.servers[0].links.remove(1);
        },
        "frodo: has not noticed its server's end",
    );
    let stranger = || link(Peer::Unregistered, (0, 0), (0, 0));
    check(
        |s| s.servers[0].links.push(stranger()),
        "theshire: a connection that has not registered",
    );
}

#[test]
fn a_refused_server_may_stay_connected_and_unattached() {
    check(
        |s| {
            s.servers[1].is_refused = true;
            s.servers[1].links[0].peer = Peer::Unregistered;
            s.servers[0].links[0].peer = Peer::Unregistered;
        },
        "",
    );
}
