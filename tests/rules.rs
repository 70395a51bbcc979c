//! The rules of the protocol one by one, to the byte, against real nodes in memory.
//!
//! Bare connections play users and neighbouring servers.

use std::time::Duration;

use crc::limits::{
    CLIENT_QUEUE_BYTES_MAX, FALSE_SOURCES_MAX, FRAME_BYTES_MAX, REFUSED_PAUSE, REGISTER_DEADLINE,
    SPLIT_GRACE, SPLIT_WAITING_BYTES_MAX,
};
use crc::node::Node;
use crc::relay::message::{HostId, Kind};
use crc_tests::frames::{chat, frames, quit, registration, server, server_quit, status, user};
use crc_tests::sim::{ClientId, ServerSpec, Weather, World};

const SECOND: Duration = Duration::from_secs(1);

fn world() -> World {
    World::new(1, Weather::default())
}

/// A connection that has said something, and has been answered.
fn says(world: &mut World, server: usize, bytes: &[u8]) -> ClientId {
    let client = world.connect(server);
    world.send(client, bytes);
    world.settle();
    client
}

fn heard(world: &mut World, client: ClientId) -> Vec<Vec<u8>> {
    frames(&world.take_received(client))
}

#[track_caller]
fn assert_heard(world: &mut World, client: ClientId, expected: &[Vec<u8>]) {
    let heard = heard(world, client);
    let shown = |frames: &[Vec<u8>]| -> String {
        frames.iter().map(|f| format!("  {}\n", crc_tests::sim::describe(f))).collect()
    };
    assert!(heard == expected, "heard:\n{}expected:\n{}", shown(&heard), shown(expected));
}

fn welcome(server: u32, name: &str) -> Vec<u8> {
    status(server, 0, 0, &format!("Welcome to the Clemson Relay Chat network {name}"))
}

fn host_ids(node: &Node) -> Vec<u32> {
    let mut ids: Vec<u32> = node.relay().hosts().iter().map(|host| host.id.0).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn a_new_user_is_welcomed_told_of_the_others_and_they_of_it() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let two = world.start(ServerSpec::new(2, Some(1)));
    world.settle();
    let frodo = says(&mut world, one, &user(101, "frodo", "\"Test info\""));
    let sam = says(&mut world, two, &user(102, "sam", ""));
    assert_heard(
        &mut world,
        frodo,
        &[welcome(1, "frodo"), registration(Kind::User, 102, 1, "sam", "")],
    );
    assert_heard(
        &mut world,
        sam,
        &[welcome(2, "sam"), registration(Kind::User, 101, 2, "frodo", "\"Test info\"")],
    );
}

#[test]
fn a_new_server_is_answered_with_everyone_and_passed_on() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let near = says(&mut world, one, &server(2, "two", "near"));
    assert_heard(&mut world, near, &[registration(Kind::Server, 1, 1, "s1", "simulated")]);
    let frodo = says(&mut world, one, &user(101, "frodo", ""));
    assert_heard(&mut world, near, &[registration(Kind::User, 101, 1, "frodo", "")]);
    let far = says(&mut world, one, &server(3, "three", ""));
    assert_heard(
        &mut world,
        far,
        &[
            registration(Kind::Server, 1, 1, "s1", "simulated"),
            registration(Kind::Server, 2, 1, "two", "near"),
            registration(Kind::User, 101, 1, "frodo", ""),
        ],
    );
    assert_heard(&mut world, near, &[registration(Kind::Server, 3, 1, "three", "")]);
    // A host that the neighbour passes on is not answered, and goes on to the others.
    world.send(far, &registration(Kind::Server, 4, 3, "four", ""));
    world.settle();
    assert_heard(&mut world, far, &[]);
    assert_heard(&mut world, near, &[registration(Kind::Server, 4, 1, "four", "")]);
    assert_heard(&mut world, frodo, &[welcome(1, "frodo")]);
    let node = world.node(one).expect("alive");
    let four = node.relay().hosts().get(HostId(4)).expect("known");
    assert_eq!(node.relay().first_link_host(four), HostId(3));
}

#[test]
fn a_parent_that_answers_is_told_what_is_on_this_side_and_no_more() {
    let mut world = world();
    let two = world.start(ServerSpec::new(2, Some(1)));
    world.settle();
    says(&mut world, two, &user(102, "sam", ""));
    let one = world.start(ServerSpec::new(1, None));
    says(&mut world, one, &user(101, "frodo", ""));
    let beside = says(&mut world, one, &server(9, "nine", ""));
    heard(&mut world, beside);
    world.pass(5 * SECOND); // the child dials again
    assert_heard(
        &mut world,
        beside,
        &[
            registration(Kind::Server, 2, 1, "s2", "simulated"),
            registration(Kind::User, 102, 1, "sam", ""),
        ],
    );
    assert_eq!(host_ids(world.node(one).expect("alive")), [2, 9, 101, 102]);
    assert_eq!(host_ids(world.node(two).expect("alive")), [1, 9, 101, 102]);
    assert_eq!(world.node(one).expect("alive").relay().status_updates().count(), 0);
}

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

#[test]
fn a_taken_id_is_refused_over_the_same_connection_which_stays_open() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = says(&mut world, one, &user(101, "frodo", ""));
    heard(&mut world, frodo);
    let late = says(&mut world, one, &user(101, "gollum", ""));
    assert_heard(
        &mut world,
        late,
        &[status(1, 0, 2, "Someone has already registered with ID 101")],
    );
    world.send(late, &user(1, "gollum", ""));
    world.settle();
    assert_heard(&mut world, late, &[status(1, 0, 2, "Someone has already registered with ID 1")]);
    let neighbour = says(&mut world, one, &server(101, "two", ""));
    let refusal = status(1, 0, 2, "A machine has already registered with ID 101");
    assert_heard(&mut world, neighbour, &[refusal]);
    assert_heard(&mut world, frodo, &[]);
    // Both may try another id where they are.
    world.send(neighbour, &server(2, "two", ""));
    world.send(late, &user(102, "gollum", ""));
    world.settle();
    assert_eq!(host_ids(world.node(one).expect("alive")), [2, 101, 102]);
    // Who is registered and says so again hears that it is.
    heard(&mut world, frodo);
    world.send(frodo, &user(101, "frodo", ""));
    world.settle();
    assert_heard(
        &mut world,
        frodo,
        &[status(1, 0, 2, "Someone has already registered with ID 101")],
    );
}

#[test]
fn an_id_taken_at_two_ends_goes_to_the_first_and_then_to_the_other() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = says(&mut world, one, &user(101, "frodo", ""));
    let sam = says(&mut world, one, &user(102, "sam", ""));
    let near = says(&mut world, one, &server(2, "two", ""));
    let far = says(&mut world, one, &server(3, "three", ""));
    for client in [frodo, sam, near, far] {
        heard(&mut world, client);
    }
    world.send(near, &registration(Kind::User, 101, 2, "another", ""));
    world.settle();
    assert_heard(
        &mut world,
        near,
        &[status(1, 2, 2, "Someone has already registered with ID 101")],
    );
    assert_heard(&mut world, sam, &[]);
    // The second one's frames do not count while the first is there.
    world.send(near, &chat(101, 102, "I am frodo"));
    world.settle();
    assert_heard(&mut world, sam, &[]);
    world.send(frodo, &quit(101, "bye"));
    world.settle();
    let taken_over = registration(Kind::User, 101, 1, "another", "");
    assert_heard(&mut world, sam, &[quit(101, "bye"), taken_over.clone()]);
    assert_heard(&mut world, far, &[quit(101, "bye"), taken_over]);
    assert_heard(&mut world, near, &[quit(101, "bye")]);
    world.send(near, &chat(101, 102, "now I am"));
    world.settle();
    assert_heard(&mut world, sam, &[chat(101, 102, "now I am")]);
}

#[test]
fn a_claim_on_a_taken_id_that_is_withdrawn_is_forgotten() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = says(&mut world, one, &user(101, "frodo", ""));
    let near = says(&mut world, one, &server(2, "two", ""));
    world.send(near, &registration(Kind::User, 101, 2, "another", ""));
    world.send(near, &quit(101, "never mind"));
    world.settle();
    assert_eq!(host_ids(world.node(one).expect("alive")), [2, 101]);
    world.send(frodo, &quit(101, "bye"));
    world.settle();
    assert_eq!(host_ids(world.node(one).expect("alive")), [2]);
}

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
        server_quit(1, 0, "I am the server"),
        user(104, "another", ""),
        server(7, "a server now", ""),
        registration(Kind::User, 105, 103, "behind me", ""),
    ];
    assert!(forged.len() < FALSE_SOURCES_MAX as usize);
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
    world.send(gollum, &chat(102, 101, "again"));
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

#[test]
fn bad_bytes_close_their_own_connection_only() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = says(&mut world, one, &user(101, "frodo", ""));
    let sam = says(&mut world, one, &user(102, "sam", ""));
    for client in [frodo, sam] {
        heard(&mut world, client);
    }
    let mut absurd = chat(101, 102, "");
    absurd.splice(9.., [0xff; 4]);
    for noise in [&[0x55][..], &[0x03, 0, 0], &absurd, b"GET / HTTP/1.1\r\n\r\n"] {
        let client = says(&mut world, one, noise);
        assert!(world.is_closed(client), "{noise:02x?}");
    }
    assert_heard(&mut world, frodo, &[]);
    // What came before in the same bytes counts; what comes after does not.
    world.send(frodo, &[chat(101, 102, "last"), absurd, chat(101, 102, "never")].concat());
    world.settle();
    assert!(world.is_closed(frodo));
    let heard = heard(&mut world, sam);
    assert_eq!(heard[0], chat(101, 102, "last"));
    assert_eq!((heard.len(), heard[1][0]), (2, 0x82));
}

#[test]
fn a_connection_has_ten_seconds_to_register() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let mute = world.connect(one);
    let slow = world.connect(one);
    let registered = says(&mut world, one, &user(101, "frodo", ""));
    let refused = says(&mut world, one, &user(101, "another", ""));
    for byte in user(102, "sam", "") {
        world.pass(REGISTER_DEADLINE / 100);
        world.send(slow, &[byte]);
    }
    world.pass(SECOND);
    for client in [mute, slow, registered, refused] {
        assert!(!world.is_closed(client));
    }
    world.pass(REGISTER_DEADLINE);
    assert!(world.is_closed(mute) && world.is_closed(refused));
    assert!(!world.is_closed(slow) && !world.is_closed(registered));
    assert_eq!(host_ids(world.node(one).expect("alive")), [101, 102]);
}

#[test]
fn a_client_that_does_not_read_is_closed_and_nobody_waits() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let deaf = says(&mut world, one, &user(101, "deaf", ""));
    let sam = says(&mut world, one, &user(102, "sam", ""));
    world.deafen(deaf);
    heard(&mut world, sam);
    let text = "x".repeat(10_000);
    let mut sent = 0;
    while !world.is_closed(deaf) {
        world.send(sam, &chat(102, 101, &text));
        world.send(sam, &chat(102, 102, "still here"));
        world.settle();
        sent += text.len();
        assert!(sent < 2 * CLIENT_QUEUE_BYTES_MAX, "it should be closed by now");
        let heard = heard(&mut world, sam);
        assert!(heard.contains(&chat(102, 102, "still here")));
        assert_eq!(heard.iter().any(|frame| frame[0] == 0x82), world.is_closed(deaf));
    }
    assert!(sent > CLIENT_QUEUE_BYTES_MAX, "what may wait does wait");
}

#[test]
fn one_frame_of_any_allowed_size_reaches_who_reads() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = says(&mut world, one, &user(101, "frodo", ""));
    let sam = says(&mut world, one, &user(102, "sam", ""));
    heard(&mut world, sam);
    let largest = chat(101, 102, &"x".repeat(FRAME_BYTES_MAX - 13));
    world.send(frodo, &[largest.clone(), largest.clone()].concat());
    world.settle();
    assert_heard(&mut world, sam, &[largest.clone(), largest]);
}

#[test]
fn a_burst_larger_than_the_queue_reaches_a_newcomer_whole() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let neighbour = says(&mut world, one, &server(2, "two", ""));
    let info = "i".repeat(200);
    let told: Vec<Vec<u8>> =
        (1000..6000).map(|id| registration(Kind::User, id, 2, "user", &info)).collect();
    assert!(told.concat().len() > 3 * CLIENT_QUEUE_BYTES_MAX);
    for portion in told.chunks(100) {
        world.send(neighbour, &portion.concat());
    }
    world.settle();
    let frodo = says(&mut world, one, &user(101, "frodo", ""));
    let heard = heard(&mut world, frodo);
    assert_eq!(heard.len(), 5001);
    let expected = (1000..6000).map(|id| registration(Kind::User, id, 1, "user", &info));
    assert!(heard[1..].iter().cloned().eq(expected));
}

#[test]
fn what_changes_during_a_burst_is_told_once_and_in_order() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let neighbour = says(&mut world, one, &server(2, "two", ""));
    let info = "i".repeat(500);
    let told: Vec<u8> =
        (1000..1400).flat_map(|id| registration(Kind::User, id, 2, "user", &info)).collect();
    world.send(neighbour, &told);
    world.settle();
    let frodo = world.connect(one);
    world.deafen(frodo); // the burst stops where the pipe is full
    world.send(frodo, &user(101, "frodo", ""));
    world.settle();
    world.send(neighbour, &chat(1399, 101, "before my turn"));
    world.send(neighbour, &[quit(1398, "unseen"), quit(1000, "seen")].concat());
    world.send(neighbour, &registration(Kind::User, 1500, 2, "late", ""));
    world.settle();
    world.undeafen(frodo);
    world.settle();
    let heard = heard(&mut world, frodo);
    let at = |frame: Vec<u8>| heard.iter().filter(|&heard| *heard == frame).count();
    assert_eq!(at(registration(Kind::User, 1399, 1, "user", &info)), 1);
    assert_eq!(at(registration(Kind::User, 1500, 1, "late", "")), 1);
    assert_eq!(at(chat(1399, 101, "before my turn")), 1);
    assert_eq!((at(quit(1398, "unseen")), at(quit(1000, "seen"))), (0, 1));
    assert_eq!(at(registration(Kind::User, 1398, 1, "user", &info)), 0);
    assert_eq!(heard.len(), 1 + 399 + 3, "welcome, users, a late one, a chat, a quit");
    let place = |frame: Vec<u8>| heard.iter().position(|heard| *heard == frame);
    assert!(
        place(registration(Kind::User, 1399, 1, "user", &info))
            < place(chat(1399, 101, "before my turn"))
    );
}

/// 1 – 2 – 3 with a user at each: 101, 102, 103. The middle is a real server; the ends as given.
struct Chain {
    world: World,
    middle: usize,
    left: ClientId,
    right: ClientId,
    sam: ClientId,
}

fn chain() -> Chain {
    let mut world = world();
    let middle = world.start(ServerSpec::new(2, None));
    let left = says(&mut world, middle, &server(1, "one", ""));
    let right = says(&mut world, middle, &server(3, "three", ""));
    world.send(left, &registration(Kind::User, 101, 1, "frodo", ""));
    world.send(right, &registration(Kind::User, 103, 3, "merry", ""));
    let sam = says(&mut world, middle, &user(102, "sam", ""));
    for client in [left, right, sam] {
        heard(&mut world, client);
    }
    Chain { world, middle, left, right, sam }
}

#[test]
fn after_the_grace_of_a_split_the_users_behind_it_leave() {
    let Chain { mut world, middle, left, right, sam } = chain();
    world.hang_up(right);
    world.pass(SPLIT_GRACE - SECOND);
    world.send(left, &chat(101, 103, "are you there?"));
    world.settle();
    assert_heard(&mut world, left, &[]);
    assert_heard(&mut world, sam, &[]);
    assert_eq!(host_ids(world.node(middle).expect("alive")), [1, 3, 101, 102, 103]);
    world.pass(2 * SECOND);
    assert_heard(&mut world, sam, &[quit(103, "split")]);
    assert_heard(&mut world, left, &[quit(103, "split"), status(2, 101, 1, "Unknown ID 103")]);
    assert_eq!(host_ids(world.node(middle).expect("alive")), [1, 101, 102]);
}

#[test]
fn who_rejoins_within_the_grace_was_never_away() {
    let Chain { mut world, middle, left, right, sam } = chain();
    world.hang_up(right);
    world.settle();
    world.send(left, &chat(101, 103, "wait for it"));
    world.settle();
    let again = says(&mut world, middle, &server(3, "three", ""));
    let own = registration(Kind::Server, 2, 2, "s2", "simulated");
    let seeds = [
        registration(Kind::Server, 1, 2, "one", ""),
        registration(Kind::User, 101, 2, "frodo", ""),
        registration(Kind::User, 102, 2, "sam", ""),
    ];
    let answer: Vec<Vec<u8>> = std::iter::once(own).chain(seeds).collect();
    assert_heard(&mut world, again, &answer); // and not of merry, who may be behind it
    world.send(again, &registration(Kind::User, 103, 3, "merry", ""));
    world.settle();
    assert_heard(&mut world, again, &[chat(101, 103, "wait for it")]);
    world.pass(2 * SPLIT_GRACE);
    assert_heard(&mut world, left, &[]);
    assert_heard(&mut world, sam, &[]);
    assert_eq!(host_ids(world.node(middle).expect("alive")), [1, 3, 101, 102, 103]);
}

#[test]
fn another_user_under_a_lost_id_is_another_user() {
    let Chain { mut world, middle, right, sam, .. } = chain();
    world.hang_up(right);
    world.settle();
    let again = says(&mut world, middle, &server(3, "three", ""));
    world.send(again, &registration(Kind::User, 103, 3, "pippin", ""));
    world.settle();
    assert_heard(
        &mut world,
        sam,
        &[quit(103, "split"), registration(Kind::User, 103, 2, "pippin", "")],
    );
    // Nobody else takes a lost id at this server while it may come back.
    world.hang_up(again);
    world.settle();
    let thief = says(&mut world, middle, &user(103, "gollum", ""));
    assert_heard(
        &mut world,
        thief,
        &[status(2, 0, 2, "Someone has already registered with ID 103")],
    );
}

#[test]
fn a_server_that_joined_during_a_split_hears_of_who_comes_back_and_of_nobody_else() {
    let Chain { mut world, middle, right, .. } = chain();
    world.send(right, &registration(Kind::User, 104, 3, "pippin", ""));
    world.settle();
    world.hang_up(right);
    world.settle();
    let newcomer = says(&mut world, middle, &server(4, "four", ""));
    let heard_first = heard(&mut world, newcomer);
    assert_eq!(heard_first.len(), 4, "the server, one, frodo and sam");
    let again = says(&mut world, middle, &server(5, "three by another id", ""));
    world.send(again, &registration(Kind::User, 103, 5, "merry", ""));
    world.settle();
    assert_heard(
        &mut world,
        newcomer,
        &[
            registration(Kind::Server, 5, 2, "three by another id", ""),
            registration(Kind::User, 103, 2, "merry", ""),
        ],
    );
    world.pass(2 * SPLIT_GRACE);
    assert_heard(&mut world, newcomer, &[]); // pippin, of whom it never heard, leaves in silence
    assert_eq!(host_ids(world.node(middle).expect("alive")), [1, 4, 5, 101, 102, 103]);
}

#[test]
fn what_waits_for_the_lost_is_bounded() {
    let Chain { mut world, right, left, .. } = chain();
    world.hang_up(right);
    world.settle();
    let text = "x".repeat(SPLIT_WAITING_BYTES_MAX / 2);
    for _ in 0..3 {
        world.send(left, &chat(101, 103, &text));
    }
    world.settle();
    assert_heard(&mut world, left, &[status(2, 101, 1, "Unknown ID 103")]);
}

#[test]
fn a_server_that_says_it_leaves_is_forgotten_at_once_its_users_after_the_grace() {
    let Chain { mut world, middle, left, right, sam } = chain();
    world.send(right, &registration(Kind::Server, 4, 3, "four", ""));
    world.send(right, &server_quit(4, 3, "four first"));
    world.settle();
    assert_eq!(host_ids(world.node(middle).expect("alive")), [1, 3, 101, 102, 103]);
    world.send(right, &server_quit(3, 1, "bye"));
    world.settle();
    assert!(world.is_closed(right));
    assert_eq!(host_ids(world.node(middle).expect("alive")), [1, 101, 102, 103]);
    heard(&mut world, left);
    world.pass(SPLIT_GRACE + SECOND);
    assert_heard(&mut world, left, &[quit(103, "split")]);
    assert_heard(&mut world, sam, &[quit(103, "split")]);
}

#[test]
fn quits_go_everywhere_but_back() {
    let Chain { mut world, middle, left, right, sam } = chain();
    let rosie = says(&mut world, middle, &user(104, "rosie", ""));
    for client in [left, right, sam, rosie] {
        heard(&mut world, client);
    }
    world.send(sam, &quit(102, ""));
    world.settle();
    world.send(right, &quit(103, "bye \u{fc}"));
    world.settle();
    assert!(world.is_closed(sam));
    for client in [left, rosie] {
        let mut heard = heard(&mut world, client);
        heard.sort();
        assert_eq!(heard, [quit(102, ""), quit(103, "bye \u{fc}")]);
    }
    assert_heard(&mut world, right, &[quit(102, "")]);
    assert_heard(&mut world, sam, &[]);
    // A connection that ends without a word is a quit too.
    world.hang_up(rosie);
    world.settle();
    assert_heard(&mut world, left, &[quit(104, "connection closed")]);
    assert_eq!(host_ids(world.node(middle).expect("alive")), [1, 3, 101]);
}

#[test]
fn a_server_with_a_chosen_id_that_is_taken_stays_up_and_asks_again_after_a_minute() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let taken = says(&mut world, one, &server(2, "two", ""));
    let spec = ServerSpec { label: "late".to_owned(), ..ServerSpec::new(2, Some(1)) };
    let late = world.start(spec);
    world.pass(SECOND);
    let frodo = says(&mut world, late, &user(101, "frodo", ""));
    assert_heard(&mut world, frodo, &[welcome(2, "frodo")]);
    let node = world.node(late).expect("alive");
    let refusal = "A machine has already registered with ID 2";
    assert_eq!(node.relay().status_updates().collect::<Vec<_>>(), [refusal]);
    assert_eq!(host_ids(node), [101]);
    world.hang_up(taken);
    world.pass(REFUSED_PAUSE - 3 * SECOND);
    assert_eq!(host_ids(world.node(one).expect("alive")), [0_u32; 0], "not before a minute");
    world.pass(5 * SECOND);
    assert_eq!(host_ids(world.node(one).expect("alive")), [2, 101]);
}

#[test]
fn a_server_whose_id_nobody_chose_takes_another_and_joins_at_once() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    says(&mut world, one, &server(2, "two", ""));
    let spec =
        ServerSpec { label: "late".to_owned(), id_is_chosen: false, ..ServerSpec::new(2, Some(1)) };
    let late = world.start(spec);
    let child =
        world.start(ServerSpec { parents: vec!["late".to_owned()], ..ServerSpec::new(3, None) });
    world.settle();
    let id = world.node(late).expect("alive").relay().own().id.0;
    assert_ne!(id, 2);
    let mut expected = vec![2, id];
    expected.sort_unstable();
    world.pass(SECOND);
    expected.push(3);
    expected.sort_unstable();
    assert_eq!(host_ids(world.node(one).expect("alive")), expected);
    world.pass(2 * SPLIT_GRACE);
    let known = host_ids(world.node(child).expect("alive"));
    assert!(known.contains(&id) && known.contains(&1), "the child has followed: {known:?}");
}

#[test]
fn fallback_parents_are_tried_in_order_and_a_late_parent_is_waited_for() {
    let mut world = world();
    let spec =
        ServerSpec { parents: vec!["s8".to_owned(), "s9".to_owned()], ..ServerSpec::new(2, None) };
    let two = world.start(spec);
    world.pass(20 * SECOND);
    assert!(host_ids(world.node(two).expect("alive")).is_empty());
    let nine = world.start(ServerSpec::new(9, None));
    world.pass(5 * SECOND);
    assert_eq!(host_ids(world.node(two).expect("alive")), [9]);
    world.start(ServerSpec::new(8, None));
    world.pass(20 * SECOND);
    assert_eq!(host_ids(world.node(two).expect("alive")), [9], "no reason to change");
    world.kill(nine);
    world.pass(20 * SECOND);
    assert_eq!(host_ids(world.node(two).expect("alive")), [8]);
}

#[test]
fn a_server_does_not_join_itself_nor_the_same_network_twice() {
    let mut world = world();
    let narcissus = world.start(ServerSpec { id_is_chosen: false, ..ServerSpec::new(1, Some(1)) });
    world.pass(30 * SECOND);
    let node = world.node(narcissus).expect("alive");
    assert_eq!(node.relay().own().id, HostId(1));
    assert!(host_ids(node).is_empty());
    // Two servers, each the other's parent: one link.
    let seven = world.start(ServerSpec { id_is_chosen: false, ..ServerSpec::new(7, Some(8)) });
    let eight = world.start(ServerSpec { id_is_chosen: false, ..ServerSpec::new(8, Some(7)) });
    world.pass(300 * SECOND);
    for (server, other) in [(seven, 8), (eight, 7)] {
        let node = world.node(server).expect("alive");
        assert_eq!(host_ids(node), [other]);
        assert_eq!(node.links().filter(|l| node.relay().adjacent(l.id()).is_some()).count(), 1);
    }
}

#[test]
fn a_server_that_stops_takes_its_users_leave_and_ends() {
    let Chain { mut world, middle, left, right, .. } = chain();
    world.with_node(middle, Node::stop);
    world.settle();
    let farewell = [quit(102, "server shutdown")];
    assert_heard(&mut world, left, &farewell);
    assert_heard(&mut world, right, &farewell);
    assert!(world.node(middle).is_none() && world.is_closed(left));
}

#[test]
fn a_server_that_stops_waits_for_a_full_pipe_but_not_for_ever() {
    let Chain { mut world, middle, left, right, sam } = chain();
    world.deafen(right);
    world.send(sam, &chat(102, 103, &"x".repeat(200_000)));
    world.settle();
    world.with_node(middle, Node::stop);
    world.pass(4 * SECOND);
    assert!(world.node(middle).is_some() && !world.is_closed(left));
    world.pass(2 * SECOND);
    assert!(world.node(middle).is_none());
}

#[test]
fn who_is_kicked_hears_why_and_the_others_too() {
    let Chain { mut world, middle, left, sam, .. } = chain();
    let kick = |node: &mut Node, now| node.kick(now, HostId(102), b"too loud");
    assert_eq!(world.with_node(middle, kick), Ok(()));
    world.settle();
    assert_heard(&mut world, sam, &[status(2, 0, 3, "kicked: too loud")]);
    assert!(world.is_closed(sam));
    assert_heard(&mut world, left, &[quit(102, "too loud")]);
    for id in [101, 102, 999] {
        let kick = |node: &mut Node, now| node.kick(now, HostId(id), b"");
        assert!(world.with_node(middle, kick).is_err(), "{id} is not here");
    }
    let kick = |node: &mut Node, now| node.kick(now, HostId(1), b"");
    assert_eq!(world.with_node(middle, kick), Ok(()));
    world.settle();
    assert!(world.is_closed(left));
}
