//! [`Splits`]: the messages that wait for lost hosts, and the progress of splits that end.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use foldhash::fast::RandomState;

use crate::id::HostId;
use crate::limits::{
    GONE_SERVERS_MAX, SPLIT_DEFERRED_BYTES_MAX, SPLIT_DEFERRED_OVERHEAD_BYTES, SPLIT_STALL_TIMEOUT,
};
use crate::link::{LinkId, Time};
use crate::relay::cx::RelayCx;
use crate::relay::message::StatusCode;
use crate::relay::outbox::Outbox;
use crate::relay::topology::SplitId;

/// The splits whose grace runs or that are ending.
#[derive(Debug, Default)]
pub(in crate::relay) struct Splits {
    by_id: BTreeMap<SplitId, Split>,
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

#[derive(Debug, Default)]
struct Split {
    /// When the hosts begin to leave.
    until: Time,
    /// What was lost, until the log has told how the split ended.
    loss: Option<Loss>,
    /// By destination, in the order of arrival.
    deferred: HashMap<HostId, Vec<DeferredMessage>, RandomState>,
    deferred_bytes: usize,
    /// Set once the grace is over.
    ending: Option<Ending>,
}

/// The state of a split after its grace, while its hosts leave in batches.
#[derive(Debug, Default)]
struct Ending {
    /// Time since which a link has had no room for the quits.
    stalled_since: Option<Time>,
    /// Links without room that are not waited for any more.
    ignored_links: Vec<LinkId>,
}

/// A message for a lost host.
#[derive(Debug)]
pub(in crate::relay) struct DeferredMessage {
    pub(in crate::relay) source: HostId,
    pub(in crate::relay) destination: HostId,
    pub(in crate::relay) text: Box<[u8]>,
    /// The message is a mail status of a server, rather than a chat.
    pub(in crate::relay) is_mail: bool,
}

impl DeferredMessage {
    fn size_bytes(&self) -> usize {
        self.text.len() + SPLIT_DEFERRED_OVERHEAD_BYTES
    }
}

impl DeferredMessage {
    /// Sends the message over a link, after the registration of its sender.
    pub(super) fn send<O: Outbox>(&self, link: LinkId, cx: &mut RelayCx<'_, O>) {
        let Self { source, destination, ref text, is_mail } = *self;
        cx.introduce(source, link);
        if is_mail {
            cx.send_status(link, (source, destination), StatusCode::MAIL, text);
        } else {
            cx.send_chat(link, source, destination, text);
        }
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
        self.by_id.values().any(|split| split.deferred_bytes > 0)
    }

    /// Returns the destinations of the messages that wait in a split, by id.
    pub(super) fn deferred_ids(&self, split: SplitId) -> Vec<HostId> {
        let split = self.by_id.get(&split);
        let mut ids: Vec<_> =
            split.iter().flat_map(|split| split.deferred.keys().copied()).collect();
        ids.sort_unstable();
        ids
    }

    /// Forgets a split whose hosts have all left or rejoined.
    pub(super) fn remove(&mut self, split: SplitId) {
        self.by_id.remove(&split);
    }

    fn get_mut(&mut self, split: SplitId) -> &mut Split {
        self.by_id.get_mut(&split).expect("a split that has not ended")
    }

    /// Keeps a message until its destination rejoins or leaves. Returns false if the message does
    /// not fit into [`SPLIT_DEFERRED_BYTES_MAX`].
    pub(in crate::relay) fn defer(&mut self, split: SplitId, message: DeferredMessage) -> bool {
        let split = self.get_mut(split);
        if split.deferred_bytes + message.size_bytes() > SPLIT_DEFERRED_BYTES_MAX {
            return false;
        }
        split.deferred_bytes += message.size_bytes();
        split.deferred.entry(message.destination).or_default().push(message);
        true
    }

    /// Removes and returns the messages for a host.
    pub(super) fn take_deferred(&mut self, split: SplitId, id: HostId) -> Vec<DeferredMessage> {
        let split = self.get_mut(split);
        let deferred = split.deferred.remove(&id).unwrap_or_default();
        split.deferred_bytes -= deferred.iter().map(DeferredMessage::size_bytes).sum::<usize>();
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
