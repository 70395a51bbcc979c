use super::*;
use crate::relay::message::HostKind::{Server, User};
use crate::relay::recorder::{Bench, link_id, registration};

#[test]
fn link_with_a_long_queue_catches_up_without_hosts_that_have_left() {
    let mut bench = Bench::new();
    bench.join(1, User, 101);
    bench.show_reads_cut_frames(1, 101);
    bench.out.unsent.insert(link_id(1), QUEUE_LOW_WATER_BYTES);
    (2..=4).for_each(|link| bench.join(link, User, 100 + link));
    bench.close(3);
    assert!(bench.relay.is_behind(link_id(1)));
    bench.out.take();
    bench.out.unsent.clear();
    bench.relay.has_room(bench.now, link_id(1), &mut bench.out);
    assert_eq!(bench.out.take(), ["1: +102", "1: +104"]);
    assert!(!bench.relay.is_behind(link_id(1)));
}

#[test]
fn pending_sender_is_announced_before_its_chat_and_once() {
    let mut bench = Bench::new();
    bench.join(1, User, 101);
    bench.show_reads_cut_frames(1, 101);
    bench.out.unsent.insert(link_id(1), QUEUE_LOW_WATER_BYTES);
    bench.join(2, User, 102);
    bench.join(3, User, 103);
    bench.out.take();
    bench.chat(3, 103, 101);
    assert_eq!(bench.out.take(), ["1: +103", "1: <103> hi"]);
    bench.out.unsent.clear();
    bench.relay.has_room(bench.now, link_id(1), &mut bench.out);
    assert_eq!(bench.out.take(), ["1: +102"]);
}

#[test]
fn many_users_get_announcements_in_batches() {
    let limits = Limits { announce_batch_users_min: 2, ..Limits::default() };
    let mut bench = Bench::with(0, limits);
    bench.join(1, User, 101);
    bench.join(2, User, 102);
    bench.out.take();
    bench.join(3, User, 103);
    bench.join(4, User, 104);
    let is_announcement = |line: &String| line.contains('+');
    assert!(!bench.out.take().iter().any(is_announcement));
    bench.wait(ANNOUNCE_BATCH_DELAY_MAX);
    let mut lines = bench.out.take();
    lines.retain(is_announcement);
    lines.sort_unstable();
    let expected = [
        ["1: +102", "1: +103", "1: +104"].as_slice(),
        &["2: +103", "2: +104"],
        &["3: +101", "3: +102", "3: +104"],
        &["4: +101", "4: +102", "4: +103"],
    ];
    assert_eq!(lines, expected.concat());
}

#[test]
fn servers_are_announced_to_servers_only() {
    let mut bench = Bench::new();
    bench.join(1, User, 101);
    bench.join(2, Server, 2);
    bench.out.take();
    bench.join(3, Server, 3);
    bench.receive(3, &registration(User, 103, 3));
    let lines = bench.out.take();
    assert!(lines.contains(&"2: registration of server 3  by 1".to_owned()), "{lines:?}");
    let to_user: Vec<_> = lines.iter().filter(|line| line.starts_with("1:")).collect();
    assert_eq!(to_user, ["1: +103"]);
}

#[test]
#[should_panic(expected = "points to a host")]
fn check_fails_for_a_cursor_that_points_to_an_empty_slot() {
    let mut bench = Bench::new();
    bench.join(1, User, 101);
    bench.join(2, User, 102);
    let (slot, _) = bench.relay.hosts().find(HostId(102)).expect("the host");
    bench.close(2);
    bench.relay.announcements.cursor_mut(link_id(1)).next = Some(slot);
    bench.relay.check();
}
