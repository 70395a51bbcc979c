//! Plain neighbours: what they are sent, and what they may not survive.

use super::*;
use crc::limits::{PACED_PORTION_INTERVAL, PING_INTERVAL, PING_TIMEOUT, READ_PROOF_TIMEOUT};
use crc::link::Machine as _;
use crc_tests::plain::{ExtensionStatus, Habits};
use crc_tests::sim::PlainSpec;

/// Returns the status with which a chat to a user is refused.
fn not_delivered(server: u32, id: u32, what: &str) -> Vec<u8> {
    status(server, 0, 5, &format!("Not delivered to ID {id}: its server does not read {what}"))
}

#[test]
fn chats_that_a_plain_server_may_not_survive_are_refused_until_it_reads_cut_frames() {
    let Chain { mut world, right, sam, .. } = chain();
    let (long, longest) = ("x".repeat(1011), "x".repeat(1010));
    let mut invalid = chat(102, 103, "?");
    *invalid.last_mut().expect("a text") = 0xFF;
    let chats = [chat(102, 103, &long), invalid.clone(), chat(102, 103, &longest)];
    world.send(sam, &chats.concat());
    world.run_until_quiescent();
    assert_received(&mut world, right, &[chat(102, 103, &longest)]);
    let refusals = ["a text of more than 1010 bytes", "text that is not UTF-8"];
    assert_received(&mut world, sam, &refusals.map(|what| not_delivered(2, 103, what)));
    world.send(right, &reads_cut_frames(3));
    world.run_until_quiescent();
    take_frames(&mut world, right);
    world.send(sam, &[chat(102, 103, &long), invalid.clone()].concat());
    world.run_until_quiescent();
    assert_received(&mut world, right, &[chat(102, 103, &long), invalid]);
    assert_received(&mut world, sam, &[]);
}

#[test]
fn names_infos_and_quits_are_readable_for_a_plain_server() {
    let Chain { mut world, middle, left, .. } = chain();
    let mut rosie = user(104, "rosie!", &"i".repeat(2000));
    rosie[17] = 0xFF;
    world.run_for(SECOND);
    take_frames(&mut world, left);
    let rosie = connect_and_send(&mut world, middle, &rosie);
    world.run_for(SECOND);
    let mut farewell = quit(104, "bye!");
    *farewell.last_mut().expect("a text") = 0xFF;
    world.send(rosie, &farewell);
    world.run_until_quiescent();
    let info = "i".repeat(1023 - 12 - 8);
    let joined = registration(HostKind::User, 104, 2, "rosie\u{FFFD}", &info);
    world.run_for(SECOND);
    assert_received(&mut world, left, &[joined, quit(104, "bye\u{FFFD}")]);
}

#[test]
fn silent_plain_neighbour_is_asked_and_closed_only_if_it_used_to_answer() {
    for answers in [false, true] {
        let Chain { mut world, left, right, .. } = chain();
        world.run_for(PING_INTERVAL + SECOND);
        let probes = split_frames(&world.take_received(left));
        assert_eq!(probes, [chat(2, 0, "ping")]);
        if answers {
            world.send(left, &status(1, 2, 1, "Unknown ID 0"));
        }
        world.run_for(PING_TIMEOUT - SECOND);
        assert!(!world.is_closed(left));
        world.run_for(PING_INTERVAL);
        assert_eq!(world.is_closed(left), answers);
        assert!(!world.is_closed(right), "it has never answered");
        let frames = split_frames(&world.take_received(right));
        assert_eq!(frames.iter().filter(|frame| is_probe(frame)).count(), 1);
    }
}

#[test]
fn burst_of_400_users_comes_in_portions_that_each_end_with_a_question() {
    let mut world = world();
    let (one, _) = server_with_users(&mut world, "info");
    let plain = connect_and_send(&mut world, one, &server(3, "three", ""));
    let mut received = Vec::new();
    loop {
        let mut frames = split_frames(&world.take_received(plain));
        assert!(frames.iter().map(Vec::len).sum::<usize>() < 1024);
        let is_last = !frames.last().is_some_and(|frame| is_probe(frame));
        if !is_last {
            assert_eq!(frames.pop(), Some(chat(1, 0, "ping")));
        }
        received.extend(frames);
        if is_last {
            break;
        }
        world.run_for(Duration::from_millis(20)); // less than the pause without an answer
        assert_eq!(world.take_received(plain), [0_u8; 0], "nothing before the answer");
        world.send(plain, &status(3, 1, 1, "Unknown ID 0"));
        world.run_for(Duration::from_millis(10));
    }
    let mut expected = vec![
        registration(HostKind::Server, 1, 1, "s1", "simulated"),
        registration(HostKind::Server, 2, 1, "two", ""),
    ];
    expected.extend(REMOTE_USERS.map(|id| registration(HostKind::User, id, 1, "user", "info")));
    assert_eq!(received, expected);
    let node = world.node(one).expect("alive");
    assert_eq!(node.relay().status_updates().count(), 0, "the answers are consumed");
}

#[test]
fn answer_to_a_portion_is_waited_for_up_to_a_second() {
    let mut world = world();
    let (one, _) = server_with_users(&mut world, "info");
    let plain = connect_and_send(&mut world, one, &server(3, "three", ""));
    assert!(is_probe(split_frames(&world.take_received(plain)).last().expect("a portion")));
    world.send(plain, &status(3, 1, 1, "Unknown ID 0"));
    world.run_for(Duration::from_millis(20));
    assert!(!world.take_received(plain).is_empty(), "the next portion follows the answer");
    world.run_for(READ_PROOF_TIMEOUT - Duration::from_millis(50));
    assert_eq!(world.take_received(plain), [0_u8; 0], "the second answer is waited for");
    world.run_for(Duration::from_millis(50));
    assert!(!world.take_received(plain).is_empty(), "but not for ever");
}

#[test]
fn program_that_does_not_answer_is_waited_for_once() {
    let mut world = world();
    let (one, _) = server_with_users(&mut world, "info");
    let plain = connect_and_send(&mut world, one, &server(3, "three", ""));
    assert!(is_probe(split_frames(&world.take_received(plain)).last().expect("a portion")));
    world.run_for(READ_PROOF_TIMEOUT - Duration::from_millis(50));
    assert_eq!(world.take_received(plain), [0_u8; 0], "the first answer is waited for");
    for _ in 0..2 {
        world.run_for(2 * PACED_PORTION_INTERVAL);
        let frames = split_frames(&world.take_received(plain));
        assert!(!frames.is_empty() && !frames.iter().any(|frame| is_probe(frame)));
    }
}

#[test]
fn refusals_to_a_plain_server_come_in_portions() {
    let mut world = world();
    let (one, _) = server_with_users(&mut world, "info");
    let plain = connect_and_send(&mut world, one, &server(3, "three", ""));
    let taken = REMOTE_USERS.map(|id| registration(HostKind::User, id, 3, "another", ""));
    world.send(plain, &taken.collect::<Vec<_>>().concat());
    let mut frames = reading_once::read_for_two_seconds(&mut world, plain);
    frames.extend(reading_once::read_for_two_seconds(&mut world, plain));
    let is_refusal = |frame: &&Vec<u8>| frame[0] == 1;
    assert_eq!(frames.iter().filter(is_refusal).count(), REMOTE_USERS.count());
}

#[test]
fn split_sends_a_plain_neighbour_one_quit_for_each_announced_user_and_nothing_else() {
    let Chain { mut world, middle, left, right, .. } = chain();
    world.send(right, &registration(HostKind::Server, 5, 3, "five", ""));
    world.send(right, &registration(HostKind::User, 105, 3, "pippin", ""));
    world.run_for(SECOND);
    // Lost with the others, and never announced to this one.
    take_frames(&mut world, left);
    world.disconnect(right);
    world.run_for(SECOND);
    let late = connect_and_send(&mut world, middle, &server(7, "seven", ""));
    let known = [
        registration(HostKind::Server, 2, 2, "s2", "simulated"),
        registration(HostKind::Server, 1, 2, "one", ""),
        registration(HostKind::User, 101, 2, "frodo", ""),
        registration(HostKind::User, 102, 2, "sam", ""),
    ];
    world.run_for(2 * SPLIT_GRACE);
    let joined = registration(HostKind::Server, 7, 2, "seven", "");
    assert_received(&mut world, left, &[joined, quit(103, "split"), quit(105, "split")]);
    assert_received(&mut world, late, &known);
}

/// Starts server 2 below plain server 1, above plain server 3, and beside server 5 of ours, which
/// has a plain server 6 with users. All of them change and leave.
#[test]
fn plain_neighbours_are_sent_no_type_and_no_status_beyond_the_table() {
    let mut habits = Habits::ours_plain();
    habits.extension_status = ExtensionStatus::Kept;
    let mut world = world();
    let one = world.start_plain(PlainSpec::new(1, None, habits));
    let two = world.start(ServerSpec::new(2, Some(1)));
    world.run_for(SECOND);
    let three = connect_and_send(&mut world, two, &server(3, "three", ""));
    let five = world.start(ServerSpec::new(5, Some(2)));
    world.run_for(SECOND);
    let six = connect_and_send(&mut world, five, &server(6, "six", ""));
    world.send(six, &registration(HostKind::Server, 7, 6, "seven", ""));
    world.send(six, &registration(HostKind::User, 107, 6, "frodo", ""));
    let sam = connect_and_send(&mut world, two, &user(102, "sam", ""));
    world.send(sam, &chat(102, 999, "nobody"));
    world.run_for(SECOND);
    world.disconnect(six);
    world.run_for(2 * SPLIT_GRACE);
    world.kill(five);
    world.run_for(2 * SPLIT_GRACE);
    world.with_node(two, |node, now| node.stop(now));
    world.run_for(SECOND);
    for frame in split_frames(&world.take_received(three)) {
        assert!(matches!(frame[0], 0x00 | 0x80 | 0x81 | 0x82), "{frame:x?}");
    }
    let plain = world.plain(one).expect("plain");
    assert_eq!(plain.extension_log().len(), 1, "HELLO only: {:?}", plain.extension_log());
    assert_eq!(plain.status_log(), [""; 0]);
    assert_eq!(plain.has_ended(), None);
}

#[test]
fn only_answers_that_the_protocol_asks_for_are_statuses_and_none_has_destination_0() {
    let Chain { mut world, left, right, .. } = chain();
    let unasked = [
        registration(HostKind::User, 102, 1, "sam", ""), // an echo
        registration(HostKind::Server, 2, 1, "s2", ""),  // this server itself
        registration(HostKind::User, 104, 9, "nobody", ""), // with the last hop of another
        chat(103, 101, "of a source behind another link"),
        quit(103, "of a user behind another link"),
        status(1, 2, 1, "Unknown ID 102"),
        status(3, 2, 2, "of a source behind another link"),
        status(1, u32::MAX, 0xC7FF, "of an unknown extension"),
        status(1, 999, 1, "to nobody"),
    ];
    world.send(left, &unasked.concat());
    world.run_for(SECOND);
    assert_received(&mut world, left, &[]);
    assert_received(&mut world, right, &[]);
    let asked = [chat(101, 999, "to nobody"), registration(HostKind::User, 103, 1, "new", "")];
    world.send(left, &asked.concat());
    world.run_for(SECOND);
    let taken = "Someone has already registered with ID 103";
    let expected = [status(2, 101, 1, "Unknown ID 999"), status(2, 1, 2, taken)];
    assert_received(&mut world, left, &expected);
}
