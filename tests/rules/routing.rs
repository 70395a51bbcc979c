//! Chats and statuses: to whom they go.

use super::*;

#[test]
fn chats_go_on_as_they_came_and_unknown_ids_are_answered() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = says(&mut world, one, &user(101, "frodo", ""));
    let neighbour = says(&mut world, one, &server(2, "two", ""));
    world.send(neighbour, &registration(Kind::User, 102, 2, "sam", ""));
    world.settle();
    heard(&mut world, frodo);
    heard(&mut world, neighbour);
    world.send(frodo, &[chat(101, 102, "\"Hello Sam\""), chat(101, 7, "?")].concat());
    world.send(frodo, &[chat(101, 0, ""), chat(101, 1, "you?"), chat(101, 101, "me")].concat());
    world.send(neighbour, &[chat(102, 101, "\u{fc}"), chat(102, 8, "?"), chat(2, 0, "")].concat());
    world.settle();
    let mut heard_by_frodo = heard(&mut world, frodo);
    let mut expected = [
        status(1, 0, 1, "Unknown ID 7"),
        status(1, 0, 1, "Unknown ID 0"),
        status(1, 0, 1, "Unknown ID 1"),
        chat(101, 101, "me"),
        chat(102, 101, "\u{fc}"),
    ];
    heard_by_frodo.sort();
    expected.sort();
    assert_eq!(heard_by_frodo, expected);
    let mut heard_by_neighbour = heard(&mut world, neighbour);
    let mut expected = [
        chat(101, 102, "\"Hello Sam\""),
        status(1, 102, 1, "Unknown ID 8"),
        status(1, 2, 1, "Unknown ID 0"),
    ];
    heard_by_neighbour.sort();
    expected.sort();
    assert_eq!(heard_by_neighbour, expected);
}

#[test]
fn text_that_is_not_utf8_passes_as_it_is() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = says(&mut world, one, &user(101, "frodo", ""));
    let sam = says(&mut world, one, &user(102, "sam", ""));
    heard(&mut world, sam);
    let mut bytes = chat(101, 102, "....");
    bytes.splice(13.., [0xff, 0xfe, 0x00, 0x80]);
    world.send(frodo, &bytes);
    world.settle();
    assert_heard(&mut world, sam, &[bytes]);
}

#[test]
fn a_chat_whose_way_leads_back_is_answered_not_returned() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let neighbour = says(&mut world, one, &server(2, "two", ""));
    let mut told = registration(Kind::User, 102, 2, "sam", "");
    told.extend(registration(Kind::User, 103, 2, "pippin", ""));
    world.send(neighbour, &told);
    world.settle();
    heard(&mut world, neighbour);
    world.send(neighbour, &chat(102, 103, "lost?"));
    world.settle();
    assert_heard(&mut world, neighbour, &[status(1, 102, 1, "Unknown ID 103")]);
}

#[test]
fn a_status_goes_to_whom_it_is_for() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let near = says(&mut world, one, &server(2, "two", ""));
    let other = says(&mut world, one, &server(3, "three", ""));
    let frodo = says(&mut world, one, &user(101, "frodo", ""));
    for client in [near, other, frodo] {
        heard(&mut world, client);
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
    world.send(near, &statuses.concat());
    world.settle();
    assert_heard(&mut world, near, &[]);
    assert_heard(&mut world, other, &[status(2, 3, 1, "for three")]);
    assert_heard(&mut world, frodo, &[status(2, 0, 1, "Unknown ID 9")]);
    let relay = world.node(one).expect("alive").relay();
    assert_eq!(relay.status_updates().collect::<Vec<_>>(), ["for you", "for you too"]);
}
