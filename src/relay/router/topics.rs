//! The topics of rooms. See "Rooms" in `docs/PROTOCOL.md`.

use super::refusal::RoomRefusal;
use super::room_chats::count_message;
use crate::id::HostId;
use crate::limits::{
    TOPIC_BYTES_MAX, TOPIC_SWEEP_INTERVAL, TOPIC_SWEEP_PORTION_INTERVAL, TOPIC_SWEEP_WORK_PER_TURN,
};
use crate::link::LinkId;
use crate::printable::Excerpt;
use crate::relay::cx::RelayCx;
use crate::relay::extension::RoomTopic;
use crate::relay::outbox::Outbox;
use crate::relay::timers::{Timer, Timers};
use crate::relay::topology::Topology;
use crate::room::RoomName;

/// Sets the topic of a room for a user of this server, who is a member. It ends before the first
/// line break.
///
/// # Errors
/// Why the user may not.
pub(in crate::relay) fn set_topic<O: Outbox>(
    user: HostId,
    name: &[u8],
    text: &[u8],
    cx: &mut RelayCx<'_, O>,
) -> Result<(), RoomRefusal> {
    let room = RoomName::parse(name)?;
    let text = text.split(|byte| matches!(byte, b'\r' | b'\n' | 0)).next().unwrap_or_default();
    if text.len() > TOPIC_BYTES_MAX {
        return Err(RoomRefusal::TooLong { text_bytes_max: TOPIC_BYTES_MAX });
    }
    count_message(user, room, cx)?;
    let rooms = cx.topology.rooms();
    if !rooms.topics().has_room_for(room) {
        return Err(RoomRefusal::NetworkFull);
    }
    log::debug!("user {user} sets the topic of room {room}: {}", Excerpt(text));
    let earlier_stamp = rooms.topics().get(room).map_or(0, |topic| topic.with_room(room).stamp);
    let now = u64::try_from(cx.out.unix_time().as_millis()).unwrap_or(u64::MAX);
    let stamp = now.max(earlier_stamp.saturating_add(1));
    let name = cx.topology.hosts().get(user).map_or_else(Vec::new, |host| host.name().to_vec());
    record(&RoomTopic { stamp, user, room, name: &name, text }, None, cx);
    Ok(())
}

/// Handles the topic of a room that arrived over an extended link, and sends it on if it is new.
pub(super) fn learn_topic<O: Outbox>(link: LinkId, topic: &RoomTopic<'_>, cx: &mut RelayCx<'_, O>) {
    if topic.text.len() <= TOPIC_BYTES_MAX {
        record(topic, Some(link), cx);
    }
}

fn record<O: Outbox>(topic: &RoomTopic<'_>, from: Option<LinkId>, cx: &mut RelayCx<'_, O>) {
    let is_first = cx.topology.rooms().topics().is_empty();
    if !cx.topology.set_topic(topic) {
        return;
    }
    if is_first {
        cx.timers.insert(cx.now + TOPIC_SWEEP_INTERVAL, Timer::Topics);
    }
    cx.announce_topic(topic.room, from);
    cx.announce_room_changes();
}

/// Looks for topics whose rooms have ended long ago.
pub(in crate::relay) fn on_topics_due<O: Outbox>(cx: &mut RelayCx<'_, O>) {
    let interval = match cx.topology.sweep_topics(TOPIC_SWEEP_WORK_PER_TURN) {
        true => TOPIC_SWEEP_PORTION_INTERVAL,
        false => TOPIC_SWEEP_INTERVAL,
    };
    if !cx.topology.rooms().topics().is_empty() {
        cx.timers.insert(cx.now + interval, Timer::Topics);
    }
}

/// Checks that topics whose rooms may have ended are looked for. Returns the number of timers.
///
/// # Panics
/// If they are not.
pub(in crate::relay) fn check_topics(topology: &Topology, timers: &Timers) -> usize {
    let timer_count = timers.times_of(Timer::Topics).len();
    assert_eq!(timer_count == 1, !topology.rooms().topics().is_empty(), "the timer of topics");
    timer_count
}

#[cfg(test)]
mod tests {
    use crate::id::HostId;
    use crate::limits::{TOPIC_BYTES_MAX, TOPIC_SWEEP_INTERVAL};
    use crate::relay::extension::{Frame, RoomTopic};
    use crate::relay::message::HostKind::User;
    use crate::relay::recorder::{Bench, link_id};
    use crate::room::RoomName;

    const LAB: &[u8] = b"#lab";

    fn lab() -> RoomName<'static> {
        RoomName::parse(LAB).expect("a name")
    }

    fn topic(stamp: u64, text: &'static str) -> RoomTopic<'static> {
        RoomTopic { stamp, user: HostId(102), room: lab(), name: b"sam", text: text.as_bytes() }
    }

    /// User 101 here, in `#lab`, and servers 2 and 4 on links 2 and 4.
    fn bench() -> Bench {
        let mut bench = Bench::new();
        bench.join(1, User, 101);
        join_room(&mut bench);
        bench.join_extended(2, 2);
        bench.join_extended(4, 4);
        bench.out.take_extension();
        bench
    }

    fn join_room(bench: &mut Bench) {
        let link = link_id(1);
        bench.relay.join_room(bench.now, link, LAB, &mut bench.out).expect("a member");
        bench.relay.check();
    }

    fn set(bench: &mut Bench, text: &str) -> Result<(), String> {
        let of = (LAB, text.as_bytes());
        let result = bench.relay.set_topic(bench.now, link_id(1), of, &mut bench.out);
        bench.relay.check();
        result.map_err(|refusal| refusal.to_string())
    }

    fn topic_of(bench: &Bench) -> Option<String> {
        let topic = bench.relay.topic(lab())?;
        Some(String::from_utf8_lossy(topic.text).into_owned())
    }

    /// Returns the topics that have been sent since the last call, once for each link.
    fn sent(bench: &mut Bench) -> Vec<String> {
        let frames = bench.out.take_extension();
        let topics = frames.iter().filter_map(|(code, text)| match Frame::parse(*code, text)? {
            Ok(Frame::RoomTopic(topic)) => Some(String::from_utf8_lossy(topic.text).into_owned()),
            _ => None,
        });
        topics.collect()
    }

    #[test]
    fn topic_goes_to_all_servers_but_the_one_that_it_is_from() {
        let mut bench = bench();
        set(&mut bench, "one").expect("set");
        assert_eq!(sent(&mut bench), ["one", "one"]);
        bench.receive_extension(2, 2, &Frame::RoomTopic(topic(10, "two")));
        assert_eq!(
            (topic_of(&bench).as_deref(), sent(&mut bench)),
            (Some("two"), vec!["two".into()])
        );
        bench.receive_extension(4, 4, &Frame::RoomTopic(topic(10, "two")));
        assert_eq!(sent(&mut bench), [""; 0], "it is known");
        set(&mut bench, "").expect("removed");
        assert_eq!((topic_of(&bench), sent(&mut bench).len()), (None, 2));
    }

    #[test]
    fn latest_topic_holds_in_whatever_order_they_arrive() {
        let topics = [topic(7, "b"), topic(7, "a"), topic(6, "c"), topic(0, "d")];
        for first in 0..topics.len() {
            let mut bench = bench();
            for at in 0..topics.len() {
                let topic = topics[(first + at) % topics.len()];
                bench.receive_extension(2, 2, &Frame::RoomTopic(topic));
            }
            assert_eq!(topic_of(&bench).as_deref(), Some("b"));
            set(&mut bench, "mine").expect("set");
            assert_eq!(topic_of(&bench).as_deref(), Some("mine"), "later than any that is known");
        }
    }

    #[test]
    fn topic_is_set_by_members_and_has_a_bound_and_no_line_breaks() {
        let mut bench = bench();
        set(&mut bench, "first\r\nsecond").expect("set");
        assert_eq!(topic_of(&bench).as_deref(), Some("first"));
        set(&mut bench, &"x".repeat(TOPIC_BYTES_MAX)).expect("set");
        let refusal = set(&mut bench, &"x".repeat(TOPIC_BYTES_MAX + 1)).expect_err("too long");
        assert!(refusal.contains("390"), "{refusal}");
        let parted = (LAB, &b""[..]);
        bench.relay.part_room(bench.now, link_id(1), parted, &mut bench.out).expect("it was in");
        let refusal = set(&mut bench, "again").expect_err("no member");
        assert!(refusal.contains("not in this room"), "{refusal}");
    }

    #[test]
    fn new_link_is_sent_all_topics_behind_what_else_is_announced() {
        let mut bench = bench();
        set(&mut bench, "one").expect("set");
        sent(&mut bench);
        bench.join_extended(5, 5);
        while bench.relay.announce_next(bench.now, &mut bench.out) {}
        bench.relay.check();
        assert_eq!(sent(&mut bench), ["one"]);
    }

    #[test]
    fn topic_is_kept_for_a_while_after_its_room_and_comes_back_with_it() {
        let mut bench = Bench::new();
        bench.join(1, User, 101);
        join_room(&mut bench);
        set(&mut bench, "one").expect("set");
        let part = |bench: &mut Bench| {
            let parted = (LAB, &b""[..]);
            bench.relay.part_room(bench.now, link_id(1), parted, &mut bench.out).expect("in it");
            bench.relay.check();
        };
        bench.wait(TOPIC_SWEEP_INTERVAL * 3);
        assert_eq!(topic_of(&bench).as_deref(), Some("one"), "its room is used");
        part(&mut bench);
        bench.wait(TOPIC_SWEEP_INTERVAL);
        bench.join_extended(2, 2);
        sent(&mut bench);
        join_room(&mut bench);
        assert_eq!(sent(&mut bench), ["one"], "others may have removed it");
        bench.close(2);
        part(&mut bench);
        bench.wait(TOPIC_SWEEP_INTERVAL);
        assert_eq!(topic_of(&bench).as_deref(), Some("one"));
        bench.wait(TOPIC_SWEEP_INTERVAL);
        assert_eq!(topic_of(&bench), None);
        bench.relay.check();
    }
}
