//! Chats between users who find each other in a crc network.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::*;

fn start_chat(name: &str, server: &CrcServer, options: &[&str]) -> Program {
    let program =
        Program::start(&[&["chat", name, "--network", &server.address][..], options].concat());
    program.expect_line(WAITING_LINE);
    program
}

#[track_caller]
fn expect_welcome(program: &Program, own: &str, peer: &str) {
    program.expect_line(&format!("Welcome, {own}. You are chatting with {peer}."));
}

/// Checks the note with the partner's address, and returns its port.
#[track_caller]
fn expect_found_port(program: &Program, peer: &str) -> String {
    let note = program.next_note();
    let address = note.strip_prefix(&format!("crc-grpc: {peer} is in the network, at 127.0.0.1:"));
    address.unwrap_or_else(|| panic!("{note}")).to_owned()
}

fn start_pair(one: &CrcServer, two: &CrcServer) -> (Program, Program) {
    let alice = start_chat("Alice", one, &["--with", "Bob"]);
    let bob = start_chat("Bob", two, &["--with", "Alice"]);
    expect_welcome(&alice, "Alice", "Bob");
    expect_welcome(&bob, "Bob", "Alice");
    (alice, bob)
}

#[track_caller]
fn exchange_messages(alice: &mut Program, bob: &mut Program) {
    alice.type_line("Hello, Bob!");
    bob.expect_message("Alice> Hello, Bob!");
    bob.type_line("Hello, Alice!");
    alice.expect_message("Bob> Hello, Alice!");
}

#[test]
fn peers_find_each_other_across_servers() {
    let one = CrcServer::start(&[]);
    let two = CrcServer::start(&["--parent", &one.address]);
    let mut alice = start_chat("Alice", &one, &[]);
    let mut bob = start_chat("Bob", &two, &[]);
    assert_ne!(expect_found_port(&alice, "Bob"), expect_found_port(&bob, "Alice"));
    expect_welcome(&alice, "Alice", "Bob");
    expect_welcome(&bob, "Bob", "Alice");
    exchange_messages(&mut alice, &mut bob);
    bob.exit_at_end_of_input();
    alice.expect_note("Bob is away");
    alice.expect_line(WAITING_LINE);
    alice.expect_note("Bob has left the network");
    alice.type_line("Bob?");
    alice.expect_note("not delivered, Bob is away: Bob?");
    let mut bob = start_chat("Bob", &one, &[]);
    expect_found_port(&bob, "Alice");
    expect_welcome(&alice, "Alice", "Bob");
    expect_welcome(&bob, "Bob", "Alice");
    exchange_messages(&mut alice, &mut bob);
    alice.send_signal(Signal::INT);
    assert_eq!(alice.wait_for_exit_code(), Some(0));
}

#[test]
fn named_partner_is_found_among_other_users() {
    let one = CrcServer::start(&[]);
    let two = CrcServer::start(&["--parent", &one.address]);
    let eve = start_chat("Eve", &one, &["--with", "Mallory"]);
    let (mut alice, mut bob) = start_pair(&one, &two);
    exchange_messages(&mut alice, &mut bob);
    let users = one.ctl(&["users"]);
    assert!(users.contains("grpc://127.0.0.1:"), "{users}");
    eve.send_signal(Signal::TERM);
    let mut eve = eve;
    assert_eq!(eve.wait_for_exit_code(), Some(0));
}

#[test]
fn killed_peer_is_found_again_on_another_server() {
    let one = CrcServer::start(&[]);
    let two = CrcServer::start(&["--parent", &one.address]);
    let (mut alice, bob) = start_pair(&one, &two);
    bob.send_signal(Signal::KILL);
    alice.expect_note("Bob is away");
    alice.expect_line(WAITING_LINE);
    alice.expect_note("Bob has left the network");
    let mut bob = start_chat("Bob", &one, &["--with", "Alice"]);
    expect_welcome(&alice, "Alice", "Bob");
    expect_welcome(&bob, "Bob", "Alice");
    exchange_messages(&mut alice, &mut bob);
}

const NETWORK_LOST: &str = "lost the connection to the network, rejoining, the chat continues directly: \
                            the server closed the connection";

#[test]
fn chat_continues_after_both_servers_are_lost() {
    let one = CrcServer::start(&[]);
    let two = CrcServer::start(&["--parent", &one.address, "--split-grace", "0"]);
    let (mut alice, mut bob) = start_pair(&one, &two);
    one.send_signal(Signal::KILL);
    alice.expect_note(NETWORK_LOST);
    bob.expect_note("Alice has left the network, the chat continues directly");
    exchange_messages(&mut alice, &mut bob);
    two.send_signal(Signal::TERM);
    bob.expect_note(NETWORK_LOST);
    exchange_messages(&mut alice, &mut bob);
    alice.exit_at_end_of_input();
    bob.expect_note("Alice is away");
    bob.expect_line(WAITING_LINE);
    bob.exit_at_end_of_input();
}

#[test]
fn lost_network_is_rejoined_without_interrupting_the_chat() {
    let port = ReservedPort::new();
    let server = CrcServer::start_on_port(&port.port, &[]);
    let (mut alice, mut bob) = start_pair(&server, &server);
    drop(server);
    alice.expect_note(NETWORK_LOST);
    bob.expect_note(NETWORK_LOST);
    exchange_messages(&mut alice, &mut bob);
    let server = CrcServer::start_on_port(&port.port, &[]);
    alice.expect_note("rejoined the network");
    bob.expect_note("rejoined the network");
    alice.expect_note("Bob is in the network again");
    bob.expect_note("Alice is in the network again");
    exchange_messages(&mut alice, &mut bob);
    // A kicked user rejoins, too.
    let users = server.ctl(&["users"]);
    let row = users.lines().find(|row| row.contains(" Alice ")).expect("Alice is there");
    server.ctl(&["kick", row.split_whitespace().next().expect("an id")]);
    assert!(alice.next_note().starts_with(
        "crc-grpc: lost the connection to the network, rejoining, the chat continues directly"
    ));
    bob.expect_note("Alice has left the network, the chat continues directly");
    alice.expect_note("rejoined the network");
    bob.expect_note("Alice is in the network again");
    exchange_messages(&mut alice, &mut bob);
    bob.send_signal(Signal::KILL);
    alice.expect_note("Bob is away");
    alice.expect_line(WAITING_LINE);
    alice.expect_note("Bob has left the network");
    let mut bob = start_chat("Bob", &server, &["--with", "Alice"]);
    expect_welcome(&alice, "Alice", "Bob");
    expect_welcome(&bob, "Bob", "Alice");
    exchange_messages(&mut alice, &mut bob);
}

#[test]
fn network_lost_before_pairing_is_rejoined() {
    let port = ReservedPort::new();
    let server = CrcServer::start_on_port(&port.port, &[]);
    let mut alice = start_chat("Alice", &server, &[]);
    drop(server);
    let note = alice.next_note();
    let lost = "crc-grpc: lost the connection to the network, rejoining: ";
    assert!(note.starts_with(lost), "{note}");
    let server = CrcServer::start_on_port(&port.port, &[]);
    alice.expect_note("rejoined the network");
    let mut bob = start_chat("Bob", &server, &["--with", "Alice"]);
    expect_found_port(&alice, "Bob");
    expect_welcome(&alice, "Alice", "Bob");
    expect_welcome(&bob, "Bob", "Alice");
    exchange_messages(&mut alice, &mut bob);
}

#[test]
fn address_option_sets_the_advertised_address() {
    let server = CrcServer::start(&[]);
    let _alice = start_chat("Alice", &server, &["--address", "127.0.0.2"]);
    let bob = start_chat("Bob", &server, &[]);
    let note = bob.next_note();
    assert!(note.starts_with("crc-grpc: Alice is in the network, at 127.0.0.2:"), "{note}");
    expect_welcome(&bob, "Bob", "Alice");

    let arguments = ["chat", "Eve", "--network", &server.address, "--address", "192.0.2.7"];
    let why = Program::start(&arguments).expect_failure();
    assert_eq!(why, "cannot listen on 192.0.2.7:0: Cannot assign requested address");
}

/// Waits until `count` programs are connected. Returns the partner of each.
fn wait_for_partners(programs: &[Program], names: &[&str], count: usize) -> Vec<Option<usize>> {
    let mut partners = vec![None; names.len()];
    let deadline = Instant::now() + TIMEOUT;
    while partners.iter().flatten().count() < count {
        assert!(Instant::now() < deadline, "only {partners:?}");
        for (at, program) in programs.iter().enumerate() {
            let Some(line) = program.try_next_line() else { continue };
            let prefix = format!("Welcome, {}. You are chatting with ", names[at]);
            let partner = line.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix('.'));
            let partner = partner.unwrap_or_else(|| panic!("{line}"));
            let other = names.iter().position(|name| *name == partner);
            assert_eq!(partners[at].replace(other.expect("a name")), None, "twice: {line}");
        }
        std::thread::park_timeout(Duration::from_millis(10)); // poll interval
    }
    partners
}

#[test]
fn peers_without_a_named_partner_are_paired() {
    let one = CrcServer::start(&[]);
    let two = CrcServer::start(&["--parent", &one.address]);
    let names = ["Alice", "Bob", "Carol", "Dan", "Eve"];
    for count in [3, 5] {
        let names = &names[..count];
        let mut programs: Vec<Program> = names
            .iter()
            .zip([&one, &two].into_iter().cycle())
            .map(|(name, server)| Program::start(&["chat", name, "--network", &server.address]))
            .collect();
        programs.iter().for_each(|program| program.expect_line(WAITING_LINE));
        let partners = wait_for_partners(&programs, names, count - 1);
        for (at, other) in partners.iter().enumerate() {
            let Some(other) = *other else { continue };
            assert_eq!(partners[other], Some(at), "{partners:?}");
            programs[at].type_line("Only you");
            programs[other].expect_message(&format!("{}> Only you", names[at]));
        }
        for program in &programs {
            program.send_signal(Signal::TERM);
        }
        for program in &mut programs {
            // The partner of an earlier one has printed that it is away.
            assert_eq!(program.drain_and_wait_for_exit_code(), Some(0));
        }
    }
}

#[test]
fn unreachable_and_non_chat_users_do_not_block_pairing() {
    let server = CrcServer::start(&[]);
    let nowhere = ReservedPort::new();
    let _bob = server.start_client("Bob", &format!("grpc://127.0.0.1:{}", nowhere.port));
    let greeter = Program::start(&["greet-server", "0"]);
    let line = greeter.next_line();
    let port = line.strip_prefix("Server started, listening on ").expect("a port");
    let _greeter = server.start_client("Greta", &format!("grpc://127.0.0.1:{port}"));
    let mut alice = start_chat("Alice", &server, &[]);
    let mut notes = [alice.next_note(), alice.next_note()];
    notes.sort();
    let refused = "crc-grpc: not connected, retrying: no server at 127.0.0.1:";
    assert!(notes[0].starts_with(refused), "{notes:?}");
    assert!(notes[1].starts_with("crc-grpc: the server at 127.0.0.1:"), "{notes:?}");
    let carol = start_chat("Carol", &server, &["--with", "Alice"]);
    expect_welcome(&alice, "Alice", "Carol");
    expect_welcome(&carol, "Carol", "Alice");
    alice.type_line("Hello, Carol!");
    carol.expect_message("Alice> Hello, Carol!");
}

#[test]
fn user_is_notified_that_its_partner_chats_with_another() {
    let server = CrcServer::start(&[]);
    let (mut alice, mut bob) = start_pair(&server, &server);
    let carol = start_chat("Carol", &server, &["--with", "Alice"]);
    expect_welcome(&carol, "Carol", "Alice");
    carol.expect_note("Alice chats with Bob");
    exchange_messages(&mut alice, &mut bob);
}

#[test]
fn second_user_with_a_taken_name_is_refused() {
    let one = CrcServer::start(&[]);
    let two = CrcServer::start(&["--parent", &one.address]);
    let (mut alice, mut bob) = start_pair(&one, &two);
    let mut duplicate = start_chat("Alice", &one, &[]);
    let why = duplicate.expect_failure();
    assert!(why.starts_with("the name Alice is taken in the network, at 127.0.0.1:"), "{why}");
    alice.expect_note("another user named Alice has joined the network");
    exchange_messages(&mut alice, &mut bob);
}

#[test]
fn missing_or_wrong_server_is_reported_in_one_line() {
    let nowhere = ReservedPort::new();
    let address = format!("127.0.0.1:{}", nowhere.port);
    let mut alice = Program::start(&["chat", "Alice", "--network", &address]);
    assert_eq!(alice.expect_failure(), format!("no crc server at {address}: Connection refused"));

    let server = Program::start(&["greet-server", "0"]);
    let line = server.next_line();
    let address = format!("127.0.0.1:{}", line.rsplit(' ').next().expect("a port"));
    let mut alice = Program::start(&["chat", "Alice", "--network", &address]);
    let why = alice.expect_failure();
    assert!(why.starts_with(&format!("the crc server at {address}: ")), "{why}");
}

#[test]
fn latecomer_does_not_disturb_a_pair() {
    let one = CrcServer::start(&[]);
    let two = CrcServer::start(&["--parent", &one.address]);
    let (mut alice, mut bob) = start_pair(&one, &two);
    let mut carol = start_chat("Carol", &one, &[]);
    let mut notes = [carol.next_note(), carol.next_note()];
    notes.sort();
    assert_eq!(notes, ["crc-grpc: Alice chats with Bob", "crc-grpc: Bob chats with Alice"]);
    let mut dan = start_chat("Dan", &two, &["--with", "Carol"]);
    assert!(carol.next_note().starts_with("crc-grpc: Dan is in the network, at "));
    expect_welcome(&carol, "Carol", "Dan");
    expect_welcome(&dan, "Dan", "Carol");
    carol.type_line("Hello, Dan!");
    dan.expect_message("Carol> Hello, Dan!");
    dan.type_line("Hello, Carol!");
    carol.expect_message("Dan> Hello, Carol!");
    exchange_messages(&mut alice, &mut bob);
}

#[test]
fn name_of_an_unreachable_holder_can_be_reused() {
    let server = CrcServer::start(&[]);
    // A client has the name, and its address has no listener.
    let nowhere = ReservedPort::new();
    let info = format!("grpc://127.0.0.1:{}", nowhere.port);
    let _holder = server.start_client("Alice", &info);
    let mut alice = start_chat("Alice", &server, &["--with", "Bob"]);
    let mut bob = start_chat("Bob", &server, &[]);
    expect_welcome(&alice, "Alice", "Bob");
    expect_welcome(&bob, "Bob", "Alice");
    exchange_messages(&mut alice, &mut bob);
}

/// Run by `deadlines`.
pub(crate) fn chat_with_an_unresponsive_peer_is_not_reported_to_continue() {
    let server = CrcServer::start(&[]);
    let (alice, bob) = start_pair(&server, &server);
    bob.send_signal(Signal::STOP);
    let users = server.ctl(&["users"]);
    let row = users.lines().find(|row| row.contains(" Bob ")).expect("Bob is there");
    server.ctl(&["kick", row.split_whitespace().next().expect("an id")]);
    alice.expect_note("Bob is away");
    alice.expect_line(WAITING_LINE);
    alice.expect_note("Bob has left the network");
}
