//! Looks at a small network, and what they say of it.

use crc::wires::Wire;

use super::*;

fn link(peer: LinkPeer, frames: (u64, u64), bytes: (u64, u64)) -> LinkView {
    LinkView {
        peer,
        frames_in: frames.0,
        frames_out: frames.1,
        bytes_in: bytes.0,
        bytes_out: bytes.1,
        queue_bytes: 0,
    }
}

fn frodo() -> LinkPeer {
    LinkPeer::User(User::new(Wire::CRC, "101".to_owned()))
}

fn pip() -> User {
    User::new(Wire::CLASSIC, "pip".to_owned())
}

/// theshire(1) with frodo(101) and, by the classic wire, pip(7); bree(2) behind it.
fn network() -> Snapshot {
    let user = |id, name: &str| KnownUser { id, name: name.to_owned(), is_reachable: true };
    let server = |name: &str, id, live_parent, links| ServerView {
        name: name.to_owned(),
        id,
        live_parent,
        is_refused: false,
        links,
        users: vec![user(101, "frodo"), user(7, "pip")],
        mail_recipients: vec![],
    };
    let client = |name: &str, user, traffic, listed: &[&str]| ClientView {
        name: name.to_owned(),
        user,
        server: Some(0),
        status: ClientStatus::Connected,
        traffic,
        listed_names: listed.iter().map(|&name| name.to_owned()).collect(),
    };
    Snapshot {
        servers: vec![
            server(
                "theshire",
                1,
                None,
                vec![
                    link(LinkPeer::Server(2), (1, 2), (30, 60)),
                    link(frodo(), (3, 4), (90, 80)),
                    link(LinkPeer::User(pip()), (9, 9), (90, 80)),
                ],
            ),
            server("bree", 2, Some(1), vec![link(LinkPeer::Server(1), (2, 1), (60, 30))]),
        ],
        clients: vec![
            client(
                "frodo",
                User::new(Wire::CRC, "101".to_owned()),
                Traffic::Counted { frames_in: 4, frames_out: 3 },
                &["pip"],
            ),
            client("pip", pip(), Traffic::Fenced { fence_count: 5 }, &["frodo"]),
        ],
    }
}

fn check(edit: impl FnOnce(&mut Snapshot), expected: &str) {
    let mut snapshot = network();
    edit(&mut snapshot);
    let actual =
        snapshot.check_quiescent().map_or_else(|unrest| unrest.to_string(), |()| String::new());
    assert_eq!(actual, expected);
}

#[test]
fn quiescent_network_passes_the_check() {
    check(|_| {}, "");
    let without_links = |s: &Snapshot| ServerView { links: vec![], ..s.servers[0].clone() };
    check(|s| s.servers.push(without_links(s)), "");
    check(
        |s| {
            s.clients[0].status = ClientStatus::Ended;
            s.servers[0].links.remove(1);
        },
        "",
    );
    check(
        |s| {
            s.clients[1].status = ClientStatus::Frozen;
            s.clients[1].listed_names.clear();
        },
        "",
    );
    check(
        |s| {
            s.clients[1].status = ClientStatus::Frozen;
            s.servers[0].links.truncate(2);
        },
        "",
    );
}

#[test]
fn undelivered_bytes_frames_lists_and_mail_fail_the_check() {
    check(|s| s.servers[1].links[0].queue_bytes = 5, "bree: 5 bytes wait for server 1");
    check(|s| s.servers[1].links[0].bytes_in = 59, "theshire: of 60 bytes 2 has read 59");
    check(|s| s.servers[1].links[0].bytes_out = 31, "bree: of 31 bytes 1 has read 30");
    let counted = |frames_in, frames_out| Traffic::Counted { frames_in, frames_out };
    check(|s| s.clients[0].traffic = counted(3, 3), "frodo: told of 3 frames of 4");
    check(|s| s.clients[0].traffic = counted(4, 4), "frodo: 3 frames of 4 were read");
    check(
        |s| s.clients[1].listed_names.clear(),
        "pip: an old list: 0 others, and its server knows 1",
    );
    check(|s| s.servers[1].mail_recipients = vec![8, 101], "bree: mail for 101, who is there");
    check(
        |s| {
            s.servers[1].mail_recipients = vec![101];
            s.servers[1].users[0].is_reachable = false;
        },
        "",
    );
    check(|s| s.servers[1].mail_recipients = vec![7], "");
}

#[test]
fn fence_traffic_is_excluded_from_snapshots() {
    let snapshot_with = |fences: u64, frames_in, frames_out| {
        let mut snapshot = network();
        snapshot.clients[1].traffic = Traffic::Fenced { fence_count: fences };
        let link = &mut snapshot.servers[0].links[2];
        (link.frames_in, link.frames_out) = (frames_in, frames_out);
        (link.bytes_in, link.bytes_out) = (256 * frames_in, 256 * frames_out);
        snapshot.without_fences()
    };
    assert_eq!(snapshot_with(5, 9, 9), snapshot_with(6, 12, 10));
    assert_ne!(snapshot_with(5, 9, 9), snapshot_with(6, 12, 11), "something else was said to it");
    let mut changed = network();
    changed.servers[0].links[1].frames_in += 1;
    assert_ne!(network().without_fences(), changed.without_fences());
}

#[test]
fn unfinished_joins_and_departures_fail_the_check() {
    check(|s| s.servers[1].links.clear(), "theshire: a link to 2 that has none back");
    check(
        |s| {
            s.servers[1].links.clear();
            s.servers[0].links.remove(0);
        },
        "bree: not attached to its parent 1",
    );
    check(|s| s.servers.truncate(1), "theshire: a link to 2 that has none back");
    check(|s| s.clients[0].status = ClientStatus::Leaving, "theshire: a link to 101, who has left");
    check(
        |s| {
            s.clients[0].status = ClientStatus::Leaving;
            s.servers[0].links.remove(1);
        },
        "frodo: has not ended",
    );
    let other = || User::new(Wire::CRC, "102".to_owned());
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
    let unregistered_link = || link(LinkPeer::Unregistered, (0, 0), (0, 0));
    check(
        |s| s.servers[0].links.push(unregistered_link()),
        "theshire: a connection that has not registered",
    );
}

#[test]
fn a_refused_server_may_stay_connected_and_unattached() {
    check(
        |s| {
            s.servers[1].is_refused = true;
            s.servers[1].links[0].peer = LinkPeer::Unregistered;
            s.servers[0].links[0].peer = LinkPeer::Unregistered;
        },
        "",
    );
}
