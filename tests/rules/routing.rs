//! Routes of chats and statuses.

use super::*;

#[test]
fn chats_are_forwarded_unchanged_and_unknown_ids_answered_with_status_1() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = connect_and_send(&mut world, one, &user(101, "frodo", ""));
    let neighbour = connect_and_send(&mut world, one, &server(2, "two", ""));
    world.send(neighbour, &registration(HostKind::User, 102, 2, "sam", ""));
    world.run_until_quiescent();
    take_frames(&mut world, frodo);
    take_frames(&mut world, neighbour);
    world.send(frodo, &[chat(101, 102, "\"Hello Sam\""), chat(101, 7, "?")].concat());
    world.send(frodo, &[chat(101, 0, ""), chat(101, 1, "you?"), chat(101, 101, "me")].concat());
    world.send(neighbour, &[chat(102, 101, "\u{fc}"), chat(102, 8, "?"), chat(2, 0, "")].concat());
    world.run_until_quiescent();
    let mut received_by_frodo = take_frames(&mut world, frodo);
    let mut expected = [
        status(1, 0, 1, "Unknown ID 7"),
        status(1, 0, 1, "Unknown ID 0"),
        status(1, 0, 1, "Unknown ID 1"),
        chat(101, 101, "me"),
        chat(102, 101, "\u{fc}"),
    ];
    received_by_frodo.sort();
    expected.sort();
    assert_eq!(received_by_frodo, expected);
    let mut received_by_neighbour = take_frames(&mut world, neighbour);
    let mut expected = [
        chat(101, 102, "\"Hello Sam\""),
        status(1, 102, 1, "Unknown ID 8"),
        status(1, 2, 1, "Unknown ID 0"),
    ];
    received_by_neighbour.sort();
    expected.sort();
    assert_eq!(received_by_neighbour, expected);
}

#[test]
fn non_utf8_text_is_forwarded_unchanged() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = connect_and_send(&mut world, one, &user(101, "frodo", ""));
    let sam = connect_and_send(&mut world, one, &user(102, "sam", ""));
    take_frames(&mut world, sam);
    let mut bytes = chat(101, 102, "....");
    bytes.splice(13.., [0xff, 0xfe, 0x00, 0x80]);
    world.send(frodo, &bytes);
    world.run_until_quiescent();
    assert_received(&mut world, sam, &[bytes]);
}

#[test]
fn chat_routed_back_over_its_own_link_is_answered_with_status_1() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let neighbour = connect_and_send(&mut world, one, &server(2, "two", ""));
    let mut registrations = registration(HostKind::User, 102, 2, "sam", "");
    registrations.extend(registration(HostKind::User, 103, 2, "pippin", ""));
    world.send(neighbour, &registrations);
    world.run_until_quiescent();
    take_frames(&mut world, neighbour);
    world.send(neighbour, &chat(102, 103, "lost?"));
    world.run_until_quiescent();
    assert_received(&mut world, neighbour, &[status(1, 102, 1, "Unknown ID 103")]);
}

#[test]
fn status_is_forwarded_only_to_its_destination() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let neighbour = connect_and_send(&mut world, one, &server(2, "two", ""));
    let other_neighbour = connect_and_send(&mut world, one, &server(3, "three", ""));
    let frodo = connect_and_send(&mut world, one, &user(101, "frodo", ""));
    for client in [neighbour, other_neighbour, frodo] {
        take_frames(&mut world, client);
    }
    let statuses = [
        status(2, 1, 2, "for you"),
        status(2, 0, 9, "for you too"),
        status(2, 3, 1, "for three"),
        status(2, 101, 1, "Unknown ID 9"),
        status(2, 2, 1, "never back"),
        status(2, 77, 1, "for nobody"),
        status(2, 0xffff_ffff, 0xc701, "an extension"),
    ];
    world.send(neighbour, &statuses.concat());
    world.run_until_quiescent();
    assert_received(&mut world, neighbour, &[]);
    assert_received(&mut world, other_neighbour, &[status(2, 3, 1, "for three")]);
    assert_received(&mut world, frodo, &[status(2, 0, 1, "Unknown ID 9")]);
    let relay = world.node(one).expect("alive").relay();
    assert_eq!(relay.status_updates().collect::<Vec<_>>(), ["for you", "for you too"]);
}

#[test]
fn frames_are_acknowledged_as_they_are_handled() {
    let mut world = world();
    world.enable_trace();
    let one = world.start(ServerSpec::new(1, None));
    let two = world.start(ServerSpec::new(2, Some(1)));
    world.run_for(SECOND);
    let frodo = connect_and_send(&mut world, one, &fast_user(101, "frodo"));
    connect_and_send(&mut world, two, &fast_user(102, "sam"));
    let text = "x".repeat(1000);
    let chats: Vec<u8> = (0..400).flat_map(|_| chat(101, 102, &text)).collect();
    world.send(frodo, &chats);
    world.run_for(SECOND);
    let is_ack = |line: &String| line.contains("s2 → s1") && line.contains("Ack {");
    let trace = world.trace(|end| world.default_name(end));
    assert!(trace.iter().any(is_ack), "after 256 KiB, and not only when a PING is due");
}
