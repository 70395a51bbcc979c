//! Chats whose ends find each other in a crc network.

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

#[test]
fn the_chat_goes_on_without_the_network() {
    let one = Relay::start(&[]);
    let two = Relay::start(&["--parent", &one.address, "--split-grace", "0"]);
    let (mut alice, mut bob) = pair(&one, &two);
    one.signal(Signal::KILL);
    let lost = "the network is lost, the chat goes on directly: it closed the connection";
    alice.notes(lost);
    bob.notes("Alice has left the network, the chat goes on directly");
    talk(&mut alice, &mut bob);
    two.signal(Signal::TERM);
    bob.notes(lost);
    talk(&mut alice, &mut bob);
    alice.leaves();
    bob.notes("Alice is away");
    bob.shows(WAITING);
    bob.leaves();
}

#[test]
fn the_network_is_lost_before_anybody_is_found() {
    let relay = Relay::start(&[]);
    let mut alice = start("Alice", &relay, &["--with", "Bob"]);
    relay.signal(Signal::KILL);
    let why = alice.fails();
    assert!(why.starts_with("the network is lost before anybody was found: "), "{why}");
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
    let found = [carol.note(), carol.note(), carol.note(), carol.note()]
        .map(|note| note.split_once(", at").map_or(note.clone(), |(begin, _)| begin.to_owned()));
    let mut rounds = [
        ["crc-grpc: Alice is in the network", "crc-grpc: Alice chats with Bob"],
        ["crc-grpc: Bob is in the network", "crc-grpc: Bob chats with Alice"],
    ];
    if found[0] != rounds[0][0] {
        rounds.reverse();
    }
    assert_eq!(found, rounds.concat()[..]);
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
    found(&bob, "Alice");
    welcome(&alice, "Alice", "Bob");
    welcome(&bob, "Bob", "Alice");
    talk(&mut alice, &mut bob);
}

#[test]
fn nobody_is_said_to_go_on_who_does_not_answer() {
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
