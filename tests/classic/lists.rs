//! The lists: asked for, pushed, paced, streamed.

use super::*;

#[track_caller]
fn assert_whole(lists: &[String], count: usize) -> usize {
    let mut users = 0;
    for (i, line) in lists.iter().enumerate() {
        let begin = format!("-SERVER-: List {}/{count} ", i % count + 1);
        users += line.strip_prefix(&begin).expect(&begin).split(' ').count();
    }
    users
}

/// Registrations of users behind server 2.
fn crowd(ids: std::ops::Range<u32>) -> Vec<u8> {
    ids.flat_map(|id| registration(Kind::User, id, 2, &format!("u{id:07}"), "")).collect()
}

#[test]
fn a_list_is_sent_to_who_asks_and_to_everyone_when_it_changes() {
    for form in FORMS {
        let mut rig = rig();
        let (sam, bob) = (rig.client(form, "sam"), rig.client(form, "bob"));
        rig.pass(SECOND);
        assert_eq!(rig.heard(sam), ["-SERVER-: List 1/1 bob sam"]);
        rig.says(sam, "-SERVER-", "List");
        assert_eq!(rig.heard(sam), ["-SERVER-: List 1/1 bob sam"]);
        assert_eq!(rig.heard(bob), [""; 0]);
        rig.pass(SECOND); // a list that was asked for keeps back the next push like any other
        let frodo = rig.user(101, "frodo");
        for client in [sam, bob] {
            assert_eq!(rig.heard(client), ["-SERVER-: List 1/1 bob frodo sam"]);
        }
        rig.pass(SECOND);
        rig.send(frodo, &quit(101, ""));
        for client in [sam, bob] {
            assert_eq!(rig.heard(client), ["-SERVER-: List 1/1 bob sam"]);
        }
        let link = rig.connect(Door::Crc);
        rig.send(link, &server(2, "bree", ""));
        rig.pass(SECOND);
        assert_eq!(rig.heard(sam), [""; 0], "servers are not in the list");
        rig.hang_up(bob.link);
        assert_eq!(rig.heard(sam), ["-SERVER-: List 1/1 sam"]);
    }
}

/// Turns, a millisecond apart, until a client hears something.
fn turns_until_heard(rig: &mut Rig, client: Client) -> usize {
    for turns in 0..10_000 {
        if rig.received.contains_key(&client.link) {
            return turns;
        }
        let due = rig.node.next_deadline().expect("it is thought of");
        assert!(due > rig.now, "not in the same turn");
        rig.now = due;
        rig.node.advance(rig.now);
        rig.end_turn();
    }
    panic!("never heard");
}

#[test]
fn no_turn_is_long_because_a_client_enters_or_asks_where_many_are() {
    const USERS: usize = 20_000;
    for form in FORMS {
        let mut rig = rig();
        let bree = rig.neighbour(2, 99, "merry");
        rig.send(bree, &crowd(1_000..1_000 + USERS as u32));
        let bob = rig.stranger(form, "bob");
        rig.says(bob, "-SERVER-", "Connect bob");
        let turns = turns_until_heard(&mut rig, bob);
        assert!(turns >= USERS * CLASSIC_HOST_WORK / CLASSIC_TURN_WORK, "{turns} turns");
        rig.pass(SECOND);
        let heard = rig.heard(bob);
        assert_eq!(heard[0], "-SERVER-: Interval 10");
        assert_eq!(assert_whole(&heard[1..], heard.len() - 1), USERS + 2);
        // Who comes or goes while a list is being made is in it or is not, and the others are.
        rig.send(bree, &registration(Kind::User, 500, 2, "a", ""));
        rig.says(bob, "-SERVER-", "List");
        rig.send(bree, &[quit(1_000, ""), quit(1_001, "")].concat());
        rig.send(bree, &registration(Kind::User, 501, 2, "z", ""));
        let turns = turns_until_heard(&mut rig, bob);
        assert!(turns >= USERS / CLASSIC_TURN_WORK, "{turns} turns");
        rig.pass(SECOND);
        let heard = rig.heard(bob);
        let users = assert_whole(&heard, heard.len());
        assert!((USERS + 1..=USERS + 4).contains(&users), "{users}");
        rig.pass(CLASSIC_PAGE_PACE * heard.len() as u32);
        let heard = rig.heard(bob);
        assert_eq!(assert_whole(&heard, heard.len()), USERS + 2, "what it has become");
    }
}

#[test]
fn many_changes_in_one_turn_are_one_push() {
    let mut rig = rig();
    let bob = rig.client(Form::Full, "bob");
    rig.pass(SECOND);
    for id in 101..121 {
        let link = rig.connect(Door::Crc);
        rig.receive(link, &user(id, &format!("u{id}"), ""));
    }
    let others: Vec<LinkId> = (0..20).map(|_| rig.connect(Door::Classic)).collect();
    for (i, &link) in others.iter().enumerate() {
        let name = format!("c{i}");
        rig.receive(link, &message(Form::Full, "-SERVER-", &name, &format!("Connect {name}")));
    }
    rig.end_turn();
    let heard = rig.heard(bob);
    assert_eq!(assert_whole(&heard, 1), 41);
    assert_eq!(heard.len(), 1);
    for link in others {
        assert_eq!(rig.received[&link].len(), 2 * 256, "the interval and one list of one page");
    }
    rig.pass(SECOND);
    assert_eq!(rig.heard(bob), [""; 0]);
}

#[test]
fn pushes_are_paced_whatever_the_number_of_comers_and_goers() {
    let mut rig = rig();
    let bree = rig.neighbour(2, 99, "merry");
    rig.send(bree, &crowd(1_000..2_000));
    let bob = rig.client(Form::Full, "bob");
    let asking = rig.client(Form::Full, "asking");
    rig.pass(10 * SECOND);
    for client in [bob, asking] {
        rig.heard(client);
    }
    let millisecond = Duration::from_millis(1);
    let begin = rig.now;
    let mut bytes = 0;
    for id in 2_000..7_000 {
        let come = registration(Kind::User, id, 2, "another", "");
        rig.send(bree, &[come, quit(id - 1_000, "")].concat());
        rig.pass(millisecond);
        if id % 1_000 == 0 {
            rig.says(bob, "-SERVER-", "Alive bob");
            rig.says(asking, "-SERVER-", "Alive asking");
        }
        bytes = rig.received[&bob.link].len();
    }
    let seconds = rig.now.since(begin).as_secs_f64();
    assert_eq!(seconds, 5.0);
    let pages = 1_003_usize.div_ceil(25);
    // What is allowed, and the one list that need not wait for the one before it.
    let allowed = seconds / CLASSIC_PAGE_PACE.as_secs_f64() + pages as f64;
    assert!(bytes / 256 <= allowed as usize, "{bytes} bytes");
    assert!(bytes / 256 >= 4 * pages, "{bytes} bytes");
    // When it is over, everyone knows the end of it.
    rig.pass(2 * SECOND);
    let last = rig.heard(bob).split_off(bytes / 256);
    rig.says(asking, "-SERVER-", "List");
    let heard = rig.heard(asking);
    let now = &heard[heard.len() - last.len()..];
    assert_eq!(last[..], *now);
    assert_eq!(assert_whole(&last, last.len()), 1_003);
    rig.pass(2 * SECOND);
    assert_eq!(rig.heard(bob), [""; 0]);
}

#[test]
fn a_push_waits_for_the_pages_before_it_and_then_comes() {
    let mut rig = rig();
    let bob = rig.client(Form::Full, "bob");
    rig.pass(SECOND);
    rig.user(101, "u101");
    assert_eq!(rig.heard(bob), ["-SERVER-: List 1/1 bob u101"]);
    rig.user(102, "u102");
    assert_eq!(rig.heard(bob), [""; 0]);
    rig.says(bob, "-SERVER-", "List");
    assert_eq!(rig.heard(bob), ["-SERVER-: List 1/1 bob u101 u102"], "an answer does not wait");
    rig.user(103, "u103");
    rig.pass(CLASSIC_PAGE_PACE - Duration::from_nanos(1));
    assert_eq!(rig.heard(bob), [""; 0]);
    rig.pass(CLASSIC_PAGE_PACE);
    assert_eq!(rig.heard(bob), ["-SERVER-: List 1/1 bob u101 u102 u103"]);
    rig.pass(SECOND);
    assert_eq!(rig.heard(bob), [""; 0]);
}

#[test]
fn a_list_larger_than_the_queue_streams_as_the_client_reads() {
    for form in FORMS {
        let mut rig = rig();
        let bree = rig.neighbour(2, 99, "merry");
        rig.send(bree, &crowd(100_000..140_000));
        let bob = rig.stranger(form, "bob");
        rig.deaf.insert(bob.link);
        rig.says(bob, "-SERVER-", "Connect bob");
        rig.pass(SECOND);
        // While the list is on its way somebody comes, and the client asks again and again.
        rig.send(bree, &crowd(140_000..140_001));
        for _ in 0..10 {
            rig.says(bob, "-SERVER-", "List");
            rig.pass(SECOND);
        }
        while rig.read(bob.link, 1_000) {
            rig.pass(CLASSIC_TURN_PAUSE); // the next list is made meanwhile
            let queued = rig.node.unsent(bob.link).len();
            assert!(queued < BURST_PORTION_BYTES + 256, "{queued} bytes");
        }
        let heard = rig.heard(bob);
        assert_eq!(heard[0], "-SERVER-: Interval 10");
        let (first, second) = heard[1..].split_at((heard.len() - 1) / 2);
        assert_eq!(first.len(), second.len());
        assert_eq!(assert_whole(first, first.len()), 40_002);
        assert_eq!(assert_whole(second, second.len()), 40_003);
        assert!(first.len() * 256 > CLIENT_QUEUE_BYTES_MAX);
        rig.deaf.clear();
        rig.says(bob, "bob", "still here");
        assert_eq!(rig.heard(bob), ["bob: still here"]);
        rig.says(bob, "-SERVER-", "List");
        assert_eq!(assert_whole(&rig.heard(bob), first.len()), 40_003, "all at once if it can");
    }
}

#[test]
fn a_client_that_does_not_read_its_answers_is_closed_by_its_queue() {
    let mut rig = rig();
    let bob = rig.client(Form::Full, "bob");
    let sam = rig.client(Form::Full, "sam");
    rig.deaf.insert(bob.link);
    for _ in 0..2 * CLIENT_QUEUE_BYTES_MAX / 256 {
        rig.says(bob, "nobody", "Hi");
    }
    assert!(rig.end_of(bob).is_some_and(|why| why.starts_with("does not read")));
    assert!(rig.end_of(sam).is_none());
}

#[test]
fn a_name_belongs_to_who_came_first_and_names_are_given_anew_when_nobody_needs_them() {
    let mut rig = rig();
    let early = rig.user(101, "early");
    let second = rig.user(102, "sam");
    rig.send(early, &quit(101, ""));
    rig.user(103, "sam"); // later, though in the place of the one who left
    let bob = rig.client(Form::Full, "bob");
    rig.pass(SECOND);
    rig.heard(bob);
    rig.says(bob, "-SERVER-", "List");
    assert_eq!(rig.heard(bob), ["-SERVER-: List 1/1 bob sam sam~2v"]);
    rig.send(second, &quit(102, ""));
    rig.pass(SECOND);
    assert_eq!(rig.heard(bob), ["-SERVER-: List 1/1 bob sam~2v"]);
    let refused = rig.stranger(Form::Full, "sam~2v");
    rig.says(refused, "-SERVER-", "Connect bob");
    let eve = rig.client(Form::Full, "eve");
    rig.hang_up(bob.link);
    rig.pass(SECOND);
    assert_eq!(rig.heard(eve), ["-SERVER-: List 1/1 eve sam~2v"]);
    rig.hang_up(eve.link);
    let bob = rig.stranger(Form::Full, "bob");
    rig.says(bob, "-SERVER-", "Connect bob");
    assert_eq!(rig.heard(bob), ["-SERVER-: Interval 10", "-SERVER-: List 1/1 bob sam"]);
}

#[test]
fn when_the_server_stops_nobody_is_sent_lists_of_those_who_leave() {
    let mut rig = rig();
    let clients = ["bob", "sam", "eve"].map(|name| rig.client(Form::Full, name));
    rig.pass(SECOND);
    for client in clients {
        rig.heard(client);
    }
    rig.node.stop(rig.now);
    rig.end_turn();
    for client in clients {
        assert_eq!(rig.heard(client), [""; 0]);
    }
}
