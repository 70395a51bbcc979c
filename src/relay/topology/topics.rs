//! [`Topics`]: the topics of rooms.
//!
//! A topic belongs to its room: any member sets it, and of several the one with the highest stamp
//! holds on all servers. Topics are kept for a while after their rooms have ended, because servers
//! do not agree on when a room ends: for one, the last member leaves before the next one joins, and
//! for another, behind them. A room that begins while its topic is kept has it, and its topic is
//! announced again, since other servers may have removed it. See "Rooms" in `docs/PROTOCOL.md`.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use super::Topology;
use crate::id::HostId;
use crate::limits::TOPICS_MAX;
use crate::relay::TopicReport;
use crate::relay::extension::RoomTopic;
use crate::room::RoomName;

/// The topic of a room. An empty text is none, and wins over earlier ones like any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::relay) struct Topic {
    /// When it was set, in milliseconds since the Unix epoch, or just above the stamp of the topic
    /// before, whichever is later.
    stamp: u64,
    user: HostId,
    name: Box<[u8]>,
    text: Box<[u8]>,
    /// The last search found no room with the name, and none has begun since.
    is_unused: bool,
}

impl Topic {
    /// Returns the topic of a room as it is announced.
    pub(in crate::relay) fn with_room<'a>(&'a self, room: RoomName<'a>) -> RoomTopic<'a> {
        let Self { stamp, user, ref name, ref text, .. } = *self;
        RoomTopic { stamp, user, room, name, text }
    }

    /// Returns the topic as others see it, unless it is none.
    pub(in crate::relay) fn report(&self) -> Option<TopicReport<'_>> {
        let Self { stamp, user, ref name, ref text, .. } = *self;
        let set_at = Duration::from_millis(stamp);
        (!text.is_empty()).then_some(TopicReport { text, user, name, set_at })
    }
}

/// The topics of all rooms.
#[derive(Clone, Debug, Default)]
pub(in crate::relay) struct Topics {
    by_key: BTreeMap<Box<[u8]>, Topic>,
    /// Rooms that have begun and have a topic already, until that is announced.
    revived: Vec<Box<[u8]>>,
    /// Key of the last topic that a search in progress has looked at; empty between two searches.
    swept: Box<[u8]>,
}

impl Topics {
    /// Records that a room has begun.
    pub(super) fn on_room_begins(&mut self, key: &[u8]) {
        if let Some(topic) = self.by_key.get_mut(key) {
            topic.is_unused = false;
            self.revived.push(key.into());
        }
    }

    /// Returns the topic of a room, which may have ended.
    pub(in crate::relay) fn get(&self, room: RoomName<'_>) -> Option<&Topic> {
        self.by_key.get(&*room.key())
    }

    /// Iterates over the topics behind the one with the key `after`, in the order of the keys.
    pub(in crate::relay) fn after<'s>(
        &'s self,
        after: &[u8],
    ) -> impl Iterator<Item = RoomTopic<'s>> + use<'s> {
        let topics = self.by_key.range::<[u8], _>((Bound::Excluded(after), Bound::Unbounded));
        topics.filter_map(|(key, topic)| Some(topic.with_room(RoomName::parse(key).ok()?)))
    }

    /// Returns whether there is none.
    pub(in crate::relay) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Returns whether there is room for the topic of a room.
    pub(in crate::relay) fn has_room_for(&self, room: RoomName<'_>) -> bool {
        self.by_key.len() < TOPICS_MAX || self.get(room).is_some()
    }

    /// Checks that rooms with topics are announced in the event in which they begin.
    ///
    /// # Panics
    /// If one is not.
    pub(super) fn check(&self) {
        assert!(self.revived.is_empty(), "the topic of a room that begins is announced at once");
        assert!(self.by_key.len() <= TOPICS_MAX, "topics are bounded");
    }
}

impl Topology {
    /// Sets the topic of a room, if it is later than the one that the room has. Of two with one
    /// stamp, that of the higher user and text is later. Returns whether it is.
    pub(in crate::relay) fn set_topic(&mut self, topic: &RoomTopic<'_>) -> bool {
        let RoomTopic { stamp, user, room, name, text } = *topic;
        if !self.rooms.topics.has_room_for(room) {
            return false;
        }
        let earlier =
            self.rooms.topics.get(room).map(|it| (it.stamp, it.user, &*it.name, &*it.text));
        if earlier >= Some((stamp, user, name, text)) {
            return false;
        }
        let is_unused = false;
        let new = Topic { stamp, user, name: name.into(), text: text.into(), is_unused };
        self.rooms.topics.by_key.insert(room.key().into(), new);
        self.record_topic_event(topic);
        true
    }

    /// Removes and returns the topics of rooms that have begun.
    pub(in crate::relay) fn take_revived_topics(&mut self) -> Vec<Box<[u8]>> {
        std::mem::take(&mut self.rooms.topics.revived)
    }

    /// Looks at up to `work` further topics, and removes those that the last search found without a
    /// room, too. Returns whether the search goes on.
    pub(in crate::relay) fn sweep_topics(&mut self, work: usize) -> bool {
        let (topics, rooms) = (&mut self.rooms.topics, &self.rooms.by_key);
        let range = (Bound::Excluded(&*topics.swept), Bound::Unbounded);
        let mut unused = Vec::new();
        let mut last = None;
        for (key, topic) in topics.by_key.range_mut::<[u8], _>(range).take(work) {
            last = Some(key.clone());
            let is_unused = !rooms.contains_key(key);
            if std::mem::replace(&mut topic.is_unused, is_unused) && is_unused {
                unused.push(key.clone());
            }
        }
        for key in unused {
            topics.by_key.remove(&key);
        }
        topics.swept = last.unwrap_or_default();
        !topics.swept.is_empty()
    }
}
