//! True sources: who may say what over which link.

use super::*;

#[test]
fn a_users_link_speaks_for_that_user_alone() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = says(&mut world, one, &user(101, "frodo", ""));
    let sam = says(&mut world, one, &user(102, "sam", ""));
    let gollum = says(&mut world, one, &user(103, "gollum", ""));
    for client in [frodo, sam, gollum] {
        heard(&mut world, client);
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
        world.settle();
        assert_heard(&mut world, frodo, &[]);
        assert_heard(&mut world, sam, &[]);
        assert_heard(&mut world, gollum, &[]);
    }
    let relay = world.node(one).expect("alive").relay();
    assert_eq!(relay.counters().false_sources, forged.len() as u64);
    assert!(!world.is_closed(gollum));
    world.send(gollum, &registration(Kind::User, 105, 103, "behind me", ""));
    world.settle();
    assert!(world.is_closed(gollum), "who repeats it is closed");
    assert_eq!(heard(&mut world, sam).len(), 1, "and quits");
    assert_eq!(host_ids(world.node(one).expect("alive")), [101, 102]);
}

#[test]
fn a_server_speaks_for_those_behind_it_alone() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = says(&mut world, one, &user(101, "frodo", ""));
    let (near, far) = (
        says(&mut world, one, &server(2, "two", "")),
        says(&mut world, one, &server(3, "three", "")),
    );
    world.send(near, &registration(Kind::User, 102, 2, "sam", ""));
    world.settle();
    for client in [frodo, near, far] {
        heard(&mut world, client);
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
        registration(Kind::User, 104, 2, "behind two", ""),
        registration(Kind::User, 105, 0, "adjacent", ""),
        registration(Kind::User, 0, 3, "nobody", ""),
        registration(Kind::User, 0xffff_ffff, 3, "everybody", ""),
    ];
    for frame in &forged {
        world.send(far, frame);
        world.settle();
        for client in [frodo, near, far] {
            assert_heard(&mut world, client, &[]);
        }
    }
    let node = world.node(one).expect("alive");
    assert_eq!(node.relay().counters().false_sources, forged.len() as u64);
    assert_eq!(host_ids(node), [2, 3, 101, 102]);
    assert!(!world.is_closed(far), "a server has many behind it: it stays");
}

#[test]
fn who_is_not_registered_can_say_nothing() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = says(&mut world, one, &user(101, "frodo", ""));
    heard(&mut world, frodo);
    let said = [
        chat(101, 101, "x"),
        quit(101, ""),
        status(101, 0, 2, "kept?"),
        status(9, 0xffff_ffff, 0xc700, "an extension"),
        registration(Kind::Server, 5, 9, "passed on by nobody", ""),
    ];
    let stranger = says(&mut world, one, &said.concat());
    assert_heard(&mut world, stranger, &[]);
    assert_heard(&mut world, frodo, &[]);
    let relay = world.node(one).expect("alive").relay();
    assert_eq!(relay.counters().false_sources, 4, "the extension is ignored, not counted");
    assert_eq!(relay.status_updates().count(), 0);
    for id in [0, 0xffff_ffff] {
        let client = says(&mut world, one, &user(id, "nobody", ""));
        assert!(world.is_closed(client), "id {id}");
        let client = says(&mut world, one, &server(id, "nobody", ""));
        assert!(world.is_closed(client), "id {id}");
    }
}
