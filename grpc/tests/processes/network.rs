//! Chats whose ends find each other in a crc network.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::*;

fn start(name: &str, relay: &Relay, more: &[&str]) -> Program {
    let program =
        Program::start(&[&["chat", name, "--network", &relay.address][..], more].concat());
    program.shows(WAITING);
    program
}

#[track_caller]
fn welcome(program: &Program, own: &str, peer: &str) {
    program.shows(&format!("Welcome, {own}. You are chatting with {peer}."));
}

/// Looks at the line that says where the other is, and answers with where.
#[track_caller]
fn found(program: &Program, peer: &str) -> String {
    let note = program.note();
    let address = note.strip_prefix(&format!("crc-grpc: {peer} is in the network, at 127.0.0.1:"));
    address.unwrap_or_else(|| panic!("{note}")).to_owned()
}

fn pair(one: &Relay, two: &Relay) -> (Program, Program) {
    let alice = start("Alice", one, &["--with", "Bob"]);
    let bob = start("Bob", two, &["--with", "Alice"]);
    welcome(&alice, "Alice", "Bob");
    welcome(&bob, "Bob", "Alice");
    (alice, bob)
}

#[track_caller]
fn talk(alice: &mut Program, bob: &mut Program) {
    alice.types("Hello, Bob!");
    bob.hears("Alice> Hello, Bob!");
    bob.types("Hello, Alice!");
    alice.hears("Bob> Hello, Alice!");
}

#[test]
fn two_find_each_other_across_servers_whoever_is_first() {
    let one = Relay::start(&[]);
    let two = Relay::start(&["--parent", &one.address]);
    let mut alice = start("Alice", &one, &[]);
    let mut bob = start("Bob", &two, &[]);
    assert_ne!(found(&alice, "Bob"), found(&bob, "Alice"));
    welcome(&alice, "Alice", "Bob");
    welcome(&bob, "Bob", "Alice");
    talk(&mut alice, &mut bob);
    bob.leaves();
    alice.notes("Bob is away");
    alice.shows(WAITING);
    alice.notes("Bob has left the network");
    alice.types("Bob?");
    alice.notes("not delivered, Bob is away: Bob?");
    let mut bob = start("Bob", &one, &[]);
    found(&bob, "Alice");
    welcome(&alice, "Alice", "Bob");
    welcome(&bob, "Bob", "Alice");
    talk(&mut alice, &mut bob);
    alice.signal(Signal::INT);
    assert_eq!(alice.ends(), Some(0));
}

#[test]
fn the_one_who_is_meant_is_found_among_others() {
    let one = Relay::start(&[]);
    let two = Relay::start(&["--parent", &one.address]);
    let eve = start("Eve", &one, &["--with", "Mallory"]);
    let (mut alice, mut bob) = pair(&one, &two);
    talk(&mut alice, &mut bob);
    let users = one.ctl(&["users"]);
    assert!(users.contains("grpc://127.0.0.1:"), "{users}");
    eve.signal(Signal::TERM);
    let mut eve = eve;
    assert_eq!(eve.ends(), Some(0));
}

#[test]
fn who_dies_is_followed_to_where_they_return() {
    let one = Relay::start(&[]);
    let two = Relay::start(&["--parent", &one.address]);
    let (mut alice, bob) = pair(&one, &two);
    bob.signal(Signal::KILL);
    alice.notes("Bob is away");
    alice.shows(WAITING);
    alice.notes("Bob has left the network");
    let mut bob = start("Bob", &one, &["--with", "Alice"]);
    welcome(&alice, "Alice", "Bob");
    welcome(&bob, "Bob", "Alice");
    talk(&mut alice, &mut bob);
}

const LOST: &str = "the network is lost, the chat goes on directly, and joined again when it is there: \
                    it closed the connection";

#[test]
fn the_chat_goes_on_without_the_network() {
    let one = Relay::start(&[]);
    let two = Relay::start(&["--parent", &one.address, "--split-grace", "0"]);
    let (mut alice, mut bob) = pair(&one, &two);
    one.signal(Signal::KILL);
    alice.notes(LOST);
    bob.notes("Alice has left the network, the chat goes on directly");
    talk(&mut alice, &mut bob);
    two.signal(Signal::TERM);
    bob.notes(LOST);
    talk(&mut alice, &mut bob);
    alice.leaves();
    bob.notes("Alice is away");
    bob.shows(WAITING);
    bob.leaves();
}

#[test]
fn a_lost_network_is_joined_again_and_the_chat_does_not_notice() {
    let port = Reserved::new();
    let relay = Relay::start_at(&port.port, &[]);
    let (mut alice, mut bob) = pair(&relay, &relay);
    drop(relay);
    alice.notes(LOST);
    bob.notes(LOST);
    talk(&mut alice, &mut bob);
    let relay = Relay::start_at(&port.port, &[]);
    alice.notes("the network is there again");
    bob.notes("the network is there again");
    alice.notes("Bob is in the network again");
    bob.notes("Alice is in the network again");
    talk(&mut alice, &mut bob);
    // One who was thrown out comes back, too.
    let users = relay.ctl(&["users"]);
    let row = users.lines().find(|row| row.contains(" Alice ")).expect("Alice is there");
    relay.ctl(&["kick", row.split_whitespace().next().expect("an id")]);
    assert!(alice.note().starts_with("crc-grpc: the network is lost, the chat goes on directly"));
    bob.notes("Alice has left the network, the chat goes on directly");
    alice.notes("the network is there again");
    bob.notes("Alice is in the network again");
    talk(&mut alice, &mut bob);
    bob.signal(Signal::KILL);
    alice.notes("Bob is away");
    alice.shows(WAITING);
    alice.notes("Bob has left the network");
    let mut bob = start("Bob", &relay, &["--with", "Alice"]);
    welcome(&alice, "Alice", "Bob");
    welcome(&bob, "Bob", "Alice");
    talk(&mut alice, &mut bob);
}

#[test]
fn a_network_that_is_lost_before_anybody_is_found_is_joined_again() {
    let port = Reserved::new();
    let relay = Relay::start_at(&port.port, &[]);
    let mut alice = start("Alice", &relay, &[]);
    drop(relay);
    let note = alice.note();
    let lost = "crc-grpc: the network is lost, and joined again when it is there: ";
    assert!(note.starts_with(lost), "{note}");
    let relay = Relay::start_at(&port.port, &[]);
    alice.notes("the network is there again");
    let mut bob = start("Bob", &relay, &["--with", "Alice"]);
    found(&alice, "Bob");
    welcome(&alice, "Alice", "Bob");
    welcome(&bob, "Bob", "Alice");
    talk(&mut alice, &mut bob);
}

#[test]
fn another_address_is_told_where_one_is_named() {
    let relay = Relay::start(&[]);
    let _alice = start("Alice", &relay, &["--address", "127.0.0.2"]);
    let bob = start("Bob", &relay, &[]);
    let note = bob.note();
    assert!(note.starts_with("crc-grpc: Alice is in the network, at 127.0.0.2:"), "{note}");
    welcome(&bob, "Bob", "Alice");

    let words = ["chat", "Eve", "--network", &relay.address, "--address", "192.0.2.7"];
    let why = Program::start(&words).fails();
    assert_eq!(why, "cannot listen on 192.0.2.7:0: Cannot assign requested address");
}

/// The other of each who was welcomed, once there are as many.
fn partners(programs: &[Program], names: &[&str], count: usize) -> Vec<Option<usize>> {
    let mut partners = vec![None; names.len()];
    let deadline = Instant::now() + PATIENCE;
    while partners.iter().flatten().count() < count {
        assert!(Instant::now() < deadline, "only {partners:?}");
        for (at, program) in programs.iter().enumerate() {
            let Some(line) = program.line_by_now() else { continue };
            let begin = format!("Welcome, {}. You are chatting with ", names[at]);
            let partner = line.strip_prefix(&begin).and_then(|rest| rest.strip_suffix('.'));
            let partner = partner.unwrap_or_else(|| panic!("{line}"));
            let other = names.iter().position(|name| *name == partner);
            assert_eq!(partners[at].replace(other.expect("a name")), None, "twice: {line}");
        }
        std::thread::park_timeout(Duration::from_millis(10)); // between two looks
    }
    partners
}

#[test]
fn any_number_who_look_for_anybody_become_pairs() {
    let one = Relay::start(&[]);
    let two = Relay::start(&["--parent", &one.address]);
    let names = ["Alice", "Bob", "Carol", "Dan", "Eve"];
    for count in [3, 5] {
        let names = &names[..count];
        let mut programs: Vec<Program> = names
            .iter()
            .zip([&one, &two].into_iter().cycle())
            .map(|(name, relay)| Program::start(&["chat", name, "--network", &relay.address]))
            .collect();
        programs.iter().for_each(|program| program.shows(WAITING));
        let partners = partners(&programs, names, count - 1);
        for (at, other) in partners.iter().enumerate() {
            let Some(other) = *other else { continue };
            assert_eq!(partners[other], Some(at), "{partners:?}");
            programs[at].types("Only you");
            programs[other].hears(&format!("{}> Only you", names[at]));
        }
        for program in &programs {
            program.signal(Signal::TERM);
        }
        for program in &mut programs {
            // Who ends later sees the other leave.
            assert_eq!(program.ends_after_anything(), Some(0));
        }
    }
}

#[test]
fn who_cannot_be_reached_or_does_not_chat_keeps_nobody_from_others() {
    let relay = Relay::start(&[]);
    let nowhere = Reserved::new();
    let _bob = relay.client("Bob", &format!("grpc://127.0.0.1:{}", nowhere.port));
    let greeter = Program::start(&["greet-server", "0"]);
    let line = greeter.line();
    let port = line.strip_prefix("Server started, listening on ").expect("a port");
    let _greeter = relay.client("Greta", &format!("grpc://127.0.0.1:{port}"));
    let mut alice = start("Alice", &relay, &[]);
    let mut notes = [alice.note(), alice.note()];
    notes.sort();
    let refused = "crc-grpc: not reached, and tried again: no server at 127.0.0.1:";
    assert!(notes[0].starts_with(refused), "{notes:?}");
    assert!(notes[1].starts_with("crc-grpc: somebody in the network does not chat: "), "{notes:?}");
    let carol = start("Carol", &relay, &["--with", "Alice"]);
    welcome(&alice, "Alice", "Carol");
    welcome(&carol, "Carol", "Alice");
    alice.types("Hello, Carol!");
    carol.hears("Alice> Hello, Carol!");
}

#[test]
fn who_wants_somebody_who_has_somebody_else_is_told() {
    let relay = Relay::start(&[]);
    let (mut alice, mut bob) = pair(&relay, &relay);
    let carol = start("Carol", &relay, &["--with", "Alice"]);
    welcome(&carol, "Carol", "Alice");
    carol.notes("Alice chats with Bob");
    talk(&mut alice, &mut bob);
}

#[test]
fn a_name_is_taken_once() {
    let one = Relay::start(&[]);
    let two = Relay::start(&["--parent", &one.address]);
    let (mut alice, mut bob) = pair(&one, &two);
    let mut again = start("Alice", &one, &[]);
    let why = again.fails();
    assert!(why.starts_with("the name Alice is taken in the network, at 127.0.0.1:"), "{why}");
    alice.notes("another Alice has come to the network");
    talk(&mut alice, &mut bob);
}

#[test]
fn no_server_and_no_crc_server_are_one_line() {
    let nowhere = Reserved::new();
    let address = format!("127.0.0.1:{}", nowhere.port);
    let mut alice = Program::start(&["chat", "Alice", "--network", &address]);
    assert_eq!(alice.fails(), format!("no crc server at {address}: Connection refused"));

    let server = Program::start(&["greet-server", "0"]);
    let line = server.line();
    let address = format!("127.0.0.1:{}", line.rsplit(' ').next().expect("a port"));
    let mut alice = Program::start(&["chat", "Alice", "--network", &address]);
    let why = alice.fails();
    assert!(why.starts_with(&format!("the crc server at {address}: ")), "{why}");
}

#[test]
fn who_is_late_leaves_a_pair_alone() {
    let one = Relay::start(&[]);
    let two = Relay::start(&["--parent", &one.address]);
    let (mut alice, mut bob) = pair(&one, &two);
    let mut carol = start("Carol", &one, &[]);
    let mut notes = [carol.note(), carol.note()];
    notes.sort();
    assert_eq!(notes, ["crc-grpc: Alice chats with Bob", "crc-grpc: Bob chats with Alice"]);
    let mut dan = start("Dan", &two, &["--with", "Carol"]);
    assert!(carol.note().starts_with("crc-grpc: Dan is in the network, at "));
    welcome(&carol, "Carol", "Dan");
    welcome(&dan, "Dan", "Carol");
    carol.types("Hello, Dan!");
    dan.hears("Carol> Hello, Dan!");
    dan.types("Hello, Carol!");
    carol.hears("Dan> Hello, Carol!");
    talk(&mut alice, &mut bob);
}

#[test]
fn a_name_whose_holder_answers_no_more_is_free() {
    let relay = Relay::start(&[]);
    // A client that holds the name, with an address where nobody listens.
    let nowhere = Reserved::new();
    let info = format!("grpc://127.0.0.1:{}", nowhere.port);
    let _holder = relay.client("Alice", &info);
    let mut alice = start("Alice", &relay, &["--with", "Bob"]);
    let mut bob = start("Bob", &relay, &[]);
    welcome(&alice, "Alice", "Bob");
    welcome(&bob, "Bob", "Alice");
    talk(&mut alice, &mut bob);
}

/// A part of `deadlines`.
pub(crate) fn nobody_is_said_to_go_on_who_does_not_answer() {
    let relay = Relay::start(&[]);
    let (alice, bob) = pair(&relay, &relay);
    bob.signal(Signal::STOP);
    let users = relay.ctl(&["users"]);
    let row = users.lines().find(|row| row.contains(" Bob ")).expect("Bob is there");
    relay.ctl(&["kick", row.split_whitespace().next().expect("an id")]);
    alice.notes("Bob is away");
    alice.shows(WAITING);
    alice.notes("Bob has left the network");
}
