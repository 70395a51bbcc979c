//! True sources: frames that are dropped for their source.

use super::*;

#[test]
fn forged_frames_on_a_user_link_are_dropped_and_close_it() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = connect_and_send(&mut world, one, &user(101, "frodo", ""));
    let sam = connect_and_send(&mut world, one, &user(102, "sam", ""));
    let gollum = connect_and_send(&mut world, one, &user(103, "gollum", ""));
    for client in [frodo, sam, gollum] {
        take_frames(&mut world, client);
    }
    let forged = [
        chat(102, 101, "I am sam"),
        quit(102, "I am sam"),
        status(1, 101, 1, "I am the server"),
        status(103, 101, 2, "only servers send these"),
        server_quit(1, 0, "I am the server"),
        user(104, "another", ""),
        server(7, "a server now", ""),
    ];
    assert_eq!(forged.len(), FALSE_SOURCES_MAX as usize - 1);
    for frame in &forged {
        world.send(gollum, frame);
        world.run_until_quiescent();
        assert_received(&mut world, frodo, &[]);
        assert_received(&mut world, sam, &[]);
        assert_received(&mut world, gollum, &[]);
    }
    let relay = world.node(one).expect("alive").relay();
    assert_eq!(relay.counters().false_sources, forged.len() as u64);
    assert!(!world.is_closed(gollum));
    world.send(gollum, &registration(HostKind::User, 105, 103, "behind me", ""));
    world.run_until_quiescent();
    assert!(world.is_closed(gollum), "who repeats it is closed");
    assert_eq!(take_frames(&mut world, sam).len(), 1, "and quits");
    assert_eq!(host_ids(world.node(one).expect("alive")), [101, 102]);
}

#[test]
fn forged_frames_on_a_server_link_are_dropped() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = connect_and_send(&mut world, one, &user(101, "frodo", ""));
    let (neighbour, other_neighbour) = (
        connect_and_send(&mut world, one, &server(2, "two", "")),
        connect_and_send(&mut world, one, &server(3, "three", "")),
    );
    world.send(neighbour, &registration(HostKind::User, 102, 2, "sam", ""));
    world.run_until_quiescent();
    for client in [frodo, neighbour, other_neighbour] {
        take_frames(&mut world, client);
    }
    let forged = [
        chat(102, 101, "I am sam"),
        chat(999, 101, "I am nobody"),
        quit(102, "sam leaves"),
        quit(101, "frodo leaves"),
        quit(2, "a server is no user"),
        quit(3, "nor am I"),
        server_quit(2, 0, "two leaves"),
        server_quit(102, 0, "sam is no server"),
        status(2, 101, 1, "two says"),
        registration(HostKind::User, 104, 2, "behind two", ""),
        registration(HostKind::User, 105, 0, "adjacent", ""),
        registration(HostKind::User, 0, 3, "nobody", ""),
        registration(HostKind::User, 0xffff_ffff, 3, "everybody", ""),
    ];
    for frame in &forged {
        world.send(other_neighbour, frame);
        world.run_until_quiescent();
        for client in [frodo, neighbour, other_neighbour] {
            assert_received(&mut world, client, &[]);
        }
    }
    let node = world.node(one).expect("alive");
    assert_eq!(node.relay().counters().false_sources, forged.len() as u64);
    assert_eq!(host_ids(node), [2, 3, 101, 102]);
    assert!(!world.is_closed(other_neighbour), "a server has many behind it: it stays");
}

#[test]
fn frames_before_registration_are_dropped() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = connect_and_send(&mut world, one, &user(101, "frodo", ""));
    take_frames(&mut world, frodo);
    let frames_sent = [
        chat(101, 101, "x"),
        quit(101, ""),
        status(101, 0, 2, "kept?"),
        status(9, 0xffff_ffff, 0xc700, "an extension"),
        registration(HostKind::Server, 5, 9, "passed on by nobody", ""),
    ];
    let stranger = connect_and_send(&mut world, one, &frames_sent.concat());
    assert_received(&mut world, stranger, &[]);
    assert_received(&mut world, frodo, &[]);
    let relay = world.node(one).expect("alive").relay();
    assert_eq!(relay.counters().false_sources, 4, "the extension is ignored, not counted");
    assert_eq!(relay.status_updates().count(), 0);
    for id in [0, 0xffff_ffff] {
        let client = connect_and_send(&mut world, one, &user(id, "nobody", ""));
        assert!(world.is_closed(client), "id {id}");
        let client = connect_and_send(&mut world, one, &server(id, "nobody", ""));
        assert!(world.is_closed(client), "id {id}");
    }
}
