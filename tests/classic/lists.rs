//! The lists: requested, pushed, paced and sent page by page.

use super::*;
use crc::link::Machine as _;

#[track_caller]
fn assert_complete_pages(lists: &[String], count: usize) -> usize {
    let mut users = 0;
    for (i, line) in lists.iter().enumerate() {
        let prefix = format!("-SERVER-: List {}/{count} ", i % count + 1);
        users += line.strip_prefix(&prefix).expect(&prefix).split(' ').count();
    }
    users
}

/// Registrations of users behind server 2.
fn user_registrations(ids: std::ops::Range<u32>) -> Vec<u8> {
    ids.flat_map(|id| registration(HostKind::User, id, 2, &format!("u{id:07}"), "")).collect()
}

#[test]
fn list_is_sent_on_request_and_pushed_to_everyone_on_change() {
    for form in FORMS {
        let mut rig = rig();
        let (sam, bob) = (rig.connected_client(form, "sam"), rig.connected_client(form, "bob"));
        rig.run_for(SECOND);
        assert_eq!(rig.take_messages(sam), ["-SERVER-: List 1/1 bob sam"]);
        rig.send_message(sam, "-SERVER-", "List");
        assert_eq!(rig.take_messages(sam), ["-SERVER-: List 1/1 bob sam"]);
        assert_eq!(rig.take_messages(bob), [""; 0]);
        rig.run_for(SECOND); // a requested list delays the next push, too
        let frodo = rig.crc_user(101, "frodo");
        for client in [sam, bob] {
            assert_eq!(rig.take_messages(client), ["-SERVER-: List 1/1 bob frodo sam"]);
        }
        rig.run_for(SECOND);
        rig.send(frodo, &quit(101, ""));
        for client in [sam, bob] {
            assert_eq!(rig.take_messages(client), ["-SERVER-: List 1/1 bob sam"]);
        }
        let link = rig.connect(Wire::CRC);
        rig.send(link, &server(2, "bree", ""));
        rig.run_for(SECOND);
        assert_eq!(rig.take_messages(sam), [""; 0], "servers are not in the list");
        rig.disconnect(bob.link);
        assert_eq!(rig.take_messages(sam), ["-SERVER-: List 1/1 sam"]);
    }
}

/// Runs turns of 1 ms until a client receives something.
fn turns_until_received(rig: &mut Rig, client: Client) -> usize {
    for turns in 0..10_000 {
        if rig.received.contains_key(&client.link) {
            return turns;
        }
        let due = rig.node.next_deadline().expect("a deadline");
        assert!(due > rig.now, "not in the same turn");
        rig.now = due;
        rig.node.advance(rig.now);
        rig.end_turn();
    }
    panic!("nothing was received");
}

#[test]
fn list_of_many_users_is_built_over_many_turns() {
    const USERS: usize = 20_000;
    for form in FORMS {
        let mut rig = rig();
        let bree = rig.neighbour_server(2, 99, "merry");
        rig.send(bree, &user_registrations(1_000..1_000 + USERS as u32));
        let bob = rig.unregistered_client(form, "bob");
        rig.send_message(bob, "-SERVER-", "Connect bob");
        let turns = turns_until_received(&mut rig, bob);
        assert!(turns >= USERS * CLASSIC_WORK_PER_HOST / CLASSIC_WORK_PER_TURN, "{turns} turns");
        rig.run_for(SECOND);
        let received = rig.take_messages(bob);
        assert_eq!(received[0], "-SERVER-: Interval 10");
        assert_eq!(assert_complete_pages(&received[1..], received.len() - 1), USERS + 2);
        // A user that joins or leaves during construction may be listed; all others are.
        rig.send(bree, &registration(HostKind::User, 500, 2, "a", ""));
        rig.send_message(bob, "-SERVER-", "List");
        rig.send(bree, &[quit(1_000, ""), quit(1_001, "")].concat());
        rig.send(bree, &registration(HostKind::User, 501, 2, "z", ""));
        let turns = turns_until_received(&mut rig, bob);
        assert!(turns >= USERS / CLASSIC_WORK_PER_TURN, "{turns} turns");
        rig.run_for(SECOND);
        let received = rig.take_messages(bob);
        let users = assert_complete_pages(&received, received.len());
        assert!((USERS + 1..=USERS + 4).contains(&users), "{users}");
        rig.run_for(CLASSIC_PAGE_INTERVAL * received.len() as u32);
        let received = rig.take_messages(bob);
        assert_eq!(
            assert_complete_pages(&received, received.len()),
            USERS + 2,
            "what it has become"
        );
    }
}

#[test]
fn many_changes_in_one_turn_are_one_push() {
    let mut rig = rig();
    let bob = rig.connected_client(Form::Full, "bob");
    rig.run_for(SECOND);
    for id in 101..121 {
        let link = rig.connect(Wire::CRC);
        rig.receive(link, &user(id, &format!("u{id}"), ""));
    }
    let others: Vec<LinkId> = (0..20).map(|_| rig.connect(Wire::CLASSIC)).collect();
    for (i, &link) in others.iter().enumerate() {
        let name = format!("c{i}");
        rig.receive(
            link,
            &encode_message(Form::Full, "-SERVER-", &name, &format!("Connect {name}")),
        );
    }
    rig.end_turn();
    let received = rig.take_messages(bob);
    assert_eq!(assert_complete_pages(&received, 1), 41);
    assert_eq!(received.len(), 1);
    for link in others {
        assert_eq!(rig.received[&link].len(), 2 * 256, "the interval and one list of one page");
    }
    rig.run_for(SECOND);
    assert_eq!(rig.take_messages(bob), [""; 0]);
}

#[test]
fn list_pushes_are_paced_under_constant_joins_and_quits() {
    let mut rig = rig();
    let bree = rig.neighbour_server(2, 99, "merry");
    rig.send(bree, &user_registrations(1_000..2_000));
    let bob = rig.connected_client(Form::Full, "bob");
    let requester = rig.connected_client(Form::Full, "asking");
    rig.run_for(10 * SECOND);
    for client in [bob, requester] {
        rig.take_messages(client);
    }
    let millisecond = Duration::from_millis(1);
    let started_at = rig.now;
    let mut bytes = 0;
    for id in 2_000..7_000 {
        let join = registration(HostKind::User, id, 2, "another", "");
        rig.send(bree, &[join, quit(id - 1_000, "")].concat());
        rig.run_for(millisecond);
        if id % 1_000 == 0 {
            rig.send_message(bob, "-SERVER-", "Alive bob");
            rig.send_message(requester, "-SERVER-", "Alive asking");
        }
        bytes = rig.received[&bob.link].len();
    }
    let seconds = rig.now.since(started_at).as_secs_f64();
    assert_eq!(seconds, 5.0);
    let pages = 1_003_usize.div_ceil(25);
    // The allowed number, and the first list, which is not delayed.
    let allowed = seconds / CLASSIC_PAGE_INTERVAL.as_secs_f64() + pages as f64;
    assert!(bytes / 256 <= allowed as usize, "{bytes} bytes");
    assert!(bytes / 256 >= 4 * pages, "{bytes} bytes");
    // In the end everyone has the last list.
    rig.run_for(2 * SECOND);
    let pushed_list = rig.take_messages(bob).split_off(bytes / 256);
    rig.send_message(requester, "-SERVER-", "List");
    let received = rig.take_messages(requester);
    let requested_list = &received[received.len() - pushed_list.len()..];
    assert_eq!(pushed_list[..], *requested_list);
    assert_eq!(assert_complete_pages(&pushed_list, pushed_list.len()), 1_003);
    rig.run_for(2 * SECOND);
    assert_eq!(rig.take_messages(bob), [""; 0]);
}

#[test]
fn list_push_is_delayed_by_the_pages_sent_before_it() {
    let mut rig = rig();
    let bob = rig.connected_client(Form::Full, "bob");
    rig.run_for(SECOND);
    rig.crc_user(101, "u101");
    assert_eq!(rig.take_messages(bob), ["-SERVER-: List 1/1 bob u101"]);
    rig.crc_user(102, "u102");
    assert_eq!(rig.take_messages(bob), [""; 0]);
    rig.send_message(bob, "-SERVER-", "List");
    assert_eq!(
        rig.take_messages(bob),
        ["-SERVER-: List 1/1 bob u101 u102"],
        "an answer does not wait"
    );
    rig.crc_user(103, "u103");
    rig.run_for(CLASSIC_PAGE_INTERVAL - Duration::from_nanos(1));
    assert_eq!(rig.take_messages(bob), [""; 0]);
    rig.run_for(CLASSIC_PAGE_INTERVAL);
    assert_eq!(rig.take_messages(bob), ["-SERVER-: List 1/1 bob u101 u102 u103"]);
    rig.run_for(SECOND);
    assert_eq!(rig.take_messages(bob), [""; 0]);
}

#[test]
fn a_list_larger_than_the_queue_streams_as_the_client_reads() {
    for form in FORMS {
        let mut rig = rig();
        let bree = rig.neighbour_server(2, 99, "merry");
        rig.send(bree, &user_registrations(100_000..140_000));
        let bob = rig.unregistered_client(form, "bob");
        rig.not_reading.insert(bob.link);
        rig.send_message(bob, "-SERVER-", "Connect bob");
        rig.run_for(SECOND);
        // While the list is being sent, a user joins and the client requests the list repeatedly.
        rig.send(bree, &user_registrations(140_000..140_001));
        for _ in 0..10 {
            rig.send_message(bob, "-SERVER-", "List");
            rig.run_for(SECOND);
        }
        while rig.read(bob.link, 1_000) {
            rig.run_for(CLASSIC_WORK_INTERVAL); // the next list is built meanwhile
            let queued = rig.node.unsent(bob.link).len();
            assert!(queued < QUEUE_LOW_WATER_BYTES + 256, "{queued} bytes");
        }
        let received = rig.take_messages(bob);
        assert_eq!(received[0], "-SERVER-: Interval 10");
        let (first, second) = received[1..].split_at((received.len() - 1) / 2);
        assert_eq!(first.len(), second.len());
        assert_eq!(assert_complete_pages(first, first.len()), 40_002);
        assert_eq!(assert_complete_pages(second, second.len()), 40_003);
        assert!(first.len() * 256 > CLIENT_QUEUE_BYTES_MAX);
        rig.not_reading.clear();
        rig.send_message(bob, "bob", "still here");
        assert_eq!(rig.take_messages(bob), ["bob: still here"]);
        rig.send_message(bob, "-SERVER-", "List");
        assert_eq!(
            assert_complete_pages(&rig.take_messages(bob), first.len()),
            40_003,
            "all at once if it can"
        );
    }
}

#[test]
fn client_that_does_not_read_is_closed_at_its_queue_limit() {
    let mut rig = rig();
    let bob = rig.connected_client(Form::Full, "bob");
    let sam = rig.connected_client(Form::Full, "sam");
    rig.not_reading.insert(bob.link);
    for _ in 0..2 * CLIENT_QUEUE_BYTES_MAX / 256 {
        rig.send_message(bob, "nobody", "Hi");
    }
    assert!(rig.close_reason(bob).is_some_and(|why| why.starts_with("does not read")));
    assert!(rig.close_reason(sam).is_none());
}

#[test]
fn name_belongs_to_the_first_user_and_is_reassigned_when_free() {
    let mut rig = rig();
    let early = rig.crc_user(101, "early");
    let second = rig.crc_user(102, "sam");
    rig.send(early, &quit(101, ""));
    rig.crc_user(103, "sam"); // later, but in a reused slot
    let bob = rig.connected_client(Form::Full, "bob");
    rig.run_for(SECOND);
    rig.take_messages(bob);
    rig.send_message(bob, "-SERVER-", "List");
    assert_eq!(rig.take_messages(bob), ["-SERVER-: List 1/1 bob sam sam~2v"]);
    rig.send(second, &quit(102, ""));
    rig.run_for(SECOND);
    assert_eq!(rig.take_messages(bob), ["-SERVER-: List 1/1 bob sam~2v"]);
    let refused = rig.unregistered_client(Form::Full, "sam~2v");
    rig.send_message(refused, "-SERVER-", "Connect bob");
    let eve = rig.connected_client(Form::Full, "eve");
    rig.disconnect(bob.link);
    rig.run_for(SECOND);
    assert_eq!(rig.take_messages(eve), ["-SERVER-: List 1/1 eve sam~2v"]);
    rig.disconnect(eve.link);
    let bob = rig.unregistered_client(Form::Full, "bob");
    rig.send_message(bob, "-SERVER-", "Connect bob");
    assert_eq!(rig.take_messages(bob), ["-SERVER-: Interval 10", "-SERVER-: List 1/1 bob sam"]);
}

#[test]
fn no_lists_are_pushed_during_shutdown() {
    let mut rig = rig();
    let clients = ["bob", "sam", "eve"].map(|name| rig.connected_client(Form::Full, name));
    rig.run_for(SECOND);
    for client in clients {
        rig.take_messages(client);
    }
    rig.node.stop(rig.now);
    rig.end_turn();
    for client in clients {
        assert_eq!(rig.take_messages(client), [""; 0]);
    }
}
