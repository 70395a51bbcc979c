//! [`Splits`]: the messages that wait for lost hosts, and the progress of splits that end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use foldhash::fast::RandomState;

use crate::id::HostId;
use crate::limits::{
    GONE_SERVERS_MAX, Limits, SPLIT_DEFERRED_BYTES_MAX, SPLIT_DEFERRED_OVERHEAD_BYTES,
    SPLIT_STALL_TIMEOUT, SPLITS_DEFERRED_BYTES_MAX,
};
use crate::link::{LinkId, Time};
use crate::relay::message::StatusCode;
use crate::relay::topology::SplitId;

/// The splits whose grace runs or that are ending.
#[derive(Clone, Debug, Default)]
pub(in crate::relay) struct Splits {
    by_id: BTreeMap<SplitId, Split>,
    /// Size of the messages that wait in all splits.
    deferred_bytes: usize,
    /// Links whose input is held back, because a message did not fit.
    held_links: Vec<LinkId>,
    /// Number of messages that were dropped without an answer.
    dropped: u64,
    /// Servers that were not back within the grace, each with what was lost with it.
    gone: BTreeMap<HostId, Loss>,
}

/// What was lost with a server, for the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    pub(super) lost_at: Time,
    /// The hosts of other homes are known to be so many servers and users; of the hosts behind a
    /// plain neighbour only their number is known.
    pub(super) servers: Option<usize>,
    pub(super) hosts: usize,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count| if count == 1 { "" } else { "s" };
        let Self { servers, hosts, .. } = *self;
        let Some(servers) = servers else {
            return write!(f, "{hosts} host{}", plural(hosts));
        };
        let users = hosts - servers;
        write!(f, "{servers} server{} and {users} user{}", plural(servers), plural(users))
    }
}

#[derive(Clone, Debug, Default)]
struct Split {
    /// When the hosts begin to leave.
    until: Time,
    /// What was lost, until the log has told how the split ended.
    loss: Option<Loss>,
    /// By the lost host that is waited for, in the order of arrival: the destination, or the sender
    /// or its home if the next server does not know the sender.
    deferred: HashMap<HostId, Vec<DeferredMessage>, RandomState>,
    deferred_bytes: usize,
    /// Set once the grace is over.
    ending: Option<Ending>,
}

/// The state of a split after its grace, while its hosts leave in batches.
#[derive(Clone, Debug, Default)]
struct Ending {
    /// Time since which a link has had no room for the quits.
    stalled_since: Option<Time>,
    /// Links without room that are not waited for any more.
    ignored_links: Vec<LinkId>,
}

/// Where a deferred message was before it was deferred: in the send queue of a link that was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LostPosition {
    /// The token of the link.
    pub(super) token: u64,
    /// Position in the stream of the link at which the frame ends.
    pub(super) end: u64,
    /// The kernel had taken at least a part of the frame.
    pub(super) was_sent: bool,
}

/// A message for a lost host.
#[derive(Clone, Debug)]
pub(in crate::relay) struct DeferredMessage {
    pub(super) source: HostId,
    /// Which host the source of a chat was, since another one may take its id.
    pub(super) source_join_seq: Option<u64>,
    pub(super) destination: HostId,
    pub(super) text: Box<[u8]>,
    /// The code, if the message is a status of a server rather than a chat.
    pub(super) status: Option<StatusCode>,
    /// Where it was, if the other end of a lost link has not acknowledged it.
    pub(super) lost: Option<LostPosition>,
}

impl DeferredMessage {
    pub(super) fn size_bytes(&self) -> usize {
        self.text.len() + SPLIT_DEFERRED_OVERHEAD_BYTES
    }
}

impl Splits {
    /// Starts the grace of a split. `loss` is what the log tells about it.
    pub(super) fn insert(&mut self, split: SplitId, until: Time, loss: Option<Loss>) {
        self.by_id.insert(split, Split { until, loss, ..Split::default() });
    }

    /// Removes and returns what was lost.
    pub(super) fn take_loss(&mut self, split: SplitId) -> Option<Loss> {
        self.by_id.get_mut(&split)?.loss.take()
    }

    /// Records that a server was not back within the grace.
    pub(super) fn set_gone(&mut self, neighbour: HostId, loss: Loss) {
        if self.gone.len() < GONE_SERVERS_MAX {
            self.gone.insert(neighbour, loss);
        }
    }

    /// Removes and returns what was lost with a server that was not back within the grace.
    pub(super) fn take_gone(&mut self, neighbour: HostId) -> Option<Loss> {
        self.gone.remove(&neighbour)
    }

    /// Returns the end of the grace of a split, unless it is ending.
    pub(super) fn grace_until(&self, split: SplitId) -> Option<Time> {
        let split = self.by_id.get(&split).filter(|split| split.ending.is_none())?;
        Some(split.until)
    }

    /// Returns whether messages wait in any split.
    pub(super) fn has_deferred(&self) -> bool {
        self.deferred_bytes > 0
    }

    /// Returns the hosts for which messages wait in a split, by id.
    pub(super) fn deferred_ids(&self, split: SplitId) -> Vec<HostId> {
        let split = self.by_id.get(&split);
        let mut ids: Vec<_> =
            split.iter().flat_map(|split| split.deferred.keys().copied()).collect();
        ids.sort_unstable();
        ids
    }

    /// Forgets a split whose hosts have all left or rejoined.
    pub(super) fn remove(&mut self, split: SplitId) {
        if let Some(split) = self.by_id.remove(&split) {
            self.deferred_bytes -= split.deferred_bytes;
        }
    }

    fn get_mut(&mut self, split: SplitId) -> &mut Split {
        self.by_id.get_mut(&split).expect("a split that has not ended")
    }

    /// Keeps a message until its destination rejoins or leaves. Returns false if the message does
    /// not fit: into [`SPLIT_DEFERRED_BYTES_MAX`], into [`SPLITS_DEFERRED_BYTES_MAX`], or into the
    /// same parts of a smaller queue of a link to a server.
    pub(in crate::relay) fn defer(
        &mut self,
        split: SplitId,
        message: DeferredMessage,
        limits: &Limits,
    ) -> bool {
        let queue_bytes_max = limits.server_queue_bytes_max;
        let split_bytes_max = SPLIT_DEFERRED_BYTES_MAX.min(queue_bytes_max / 4);
        let bytes_max = SPLITS_DEFERRED_BYTES_MAX.min(queue_bytes_max / 2);
        let bytes = message.size_bytes();
        let fits = self.get_mut(split).deferred_bytes + bytes <= split_bytes_max
            && self.deferred_bytes + bytes <= bytes_max;
        if fits {
            self.defer_accepted(split, message.destination, message);
        }
        fits
    }

    /// Keeps a message that had been accepted before its destination or its sender was lost, until
    /// that host rejoins or leaves.
    pub(super) fn defer_accepted(
        &mut self,
        split: SplitId,
        awaited: HostId,
        message: DeferredMessage,
    ) {
        self.deferred_bytes += message.size_bytes();
        let split = self.get_mut(split);
        split.deferred_bytes += message.size_bytes();
        split.deferred.entry(awaited).or_default().push(message);
    }

    /// Moves the messages that wait for some hosts to another split.
    pub(super) fn move_deferred(
        &mut self,
        from: SplitId,
        to: SplitId,
        hosts: impl Iterator<Item = HostId>,
    ) {
        if self.by_id.get(&from).is_none_or(|split| split.deferred.is_empty()) {
            return;
        }
        for host in hosts {
            for message in self.take_deferred(from, host) {
                self.defer_accepted(to, host, message);
            }
        }
    }

    /// Removes the messages of a lost link that end within the first `handled_bytes` of its stream.
    /// The others are to be sent.
    pub(super) fn resolve(&mut self, token: u64, handled_bytes: u64) {
        for split in self.by_id.values_mut() {
            let mut removed_bytes = 0;
            for messages in split.deferred.values_mut() {
                messages.retain_mut(|message| {
                    let Some(lost) = message.lost.take_if(|lost| lost.token == token) else {
                        return true;
                    };
                    let was_handled = lost.end <= handled_bytes;
                    removed_bytes += if was_handled { message.size_bytes() } else { 0 };
                    !was_handled
                });
            }
            split.deferred_bytes -= removed_bytes;
            self.deferred_bytes -= removed_bytes;
        }
    }

    /// Counts a message that is dropped without an answer.
    pub(super) fn count_dropped(&mut self) {
        self.dropped += 1;
    }

    /// Returns the number of messages that were dropped without an answer.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Records that the input of a link is held back.
    pub(super) fn add_held(&mut self, link: LinkId) {
        self.held_links.push(link);
    }

    /// Removes and returns the links whose input is held back.
    pub(super) fn take_held(&mut self) -> Vec<LinkId> {
        std::mem::take(&mut self.held_links)
    }

    /// Removes and returns the messages that wait for a host.
    pub(super) fn take_deferred(&mut self, split: SplitId, id: HostId) -> Vec<DeferredMessage> {
        let split = self.get_mut(split);
        let deferred = split.deferred.remove(&id).unwrap_or_default();
        let bytes = deferred.iter().map(DeferredMessage::size_bytes).sum::<usize>();
        split.deferred_bytes -= bytes;
        self.deferred_bytes -= bytes;
        deferred
    }

    /// Records that the grace of a split is over. Returns whether it was not recorded before.
    pub(super) fn begin_ending(&mut self, split: SplitId) -> bool {
        let ending = &mut self.get_mut(split).ending;
        let is_first = ending.is_none();
        ending.get_or_insert_default();
        is_first
    }

    /// Returns whether the next hosts of an ending split stay, because one of `full_links` has no
    /// room for their quits. A link without room for [`SPLIT_STALL_TIMEOUT`] is ignored from then
    /// on.
    pub(super) fn must_wait(
        &mut self,
        split: SplitId,
        full_links: impl Iterator<Item = LinkId>,
        now: Time,
    ) -> bool {
        let ending = self.get_mut(split).ending.get_or_insert_default();
        let mut full_links =
            full_links.filter(|link| !ending.ignored_links.contains(link)).peekable();
        if full_links.peek().is_none() {
            ending.stalled_since = None;
            return false;
        }
        let stalled_since = *ending.stalled_since.get_or_insert(now);
        let keeps_waiting = now.since(stalled_since) < SPLIT_STALL_TIMEOUT;
        if !keeps_waiting {
            let full_links: Vec<_> = full_links.collect();
            ending.ignored_links.extend(full_links);
            ending.stalled_since = None;
        }
        keeps_waiting
    }

    /// Checks that these are the splits of the topology and that their sizes are right.
    ///
    /// # Panics
    /// If they are not.
    pub(super) fn check(&self, splits: impl Iterator<Item = SplitId>) {
        assert_eq!(self.by_id.keys().copied().collect::<Vec<_>>(), splits.collect::<Vec<_>>());
        for (id, split) in &self.by_id {
            let messages = split.deferred.values().flatten();
            let bytes: usize = messages.map(DeferredMessage::size_bytes).sum();
            assert_eq!(split.deferred_bytes, bytes, "bytes deferred in split {id:?}");
        }
        let bytes = self.by_id.values().map(|split| split.deferred_bytes).sum::<usize>();
        assert_eq!(self.deferred_bytes, bytes, "bytes deferred in all splits");
        assert!(self.gone.len() <= GONE_SERVERS_MAX, "servers that are gone");
        let held: BTreeSet<LinkId> = self.held_links.iter().copied().collect();
        assert_eq!(held.len(), self.held_links.len(), "a link is held back once");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_described_by_its_numbers() {
        let check = |servers, hosts, expected: &str| {
            let loss = Loss { lost_at: Time::default(), servers, hosts };
            assert_eq!(loss.to_string(), expected);
        };
        check(Some(1), 1, "1 server and 0 users");
        check(Some(2), 3, "2 servers and 1 user");
        check(None, 1, "1 host");
        check(None, 5, "5 hosts");
    }
}
