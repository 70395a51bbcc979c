//! Who of the senders of messages on a lost link has left since, though another host may have the
//! id now. See "Replay" in `docs/PROTOCOL.md`.
//!
//! What was sent on the link says so: a message is followed by the quit of its sender, or by the
//! withdrawal of the server at which its sender was.

use std::collections::{BTreeMap, VecDeque};

use super::DeferredMessage;
use crate::id::HostId;
use crate::limits::WITHDRAWALS_KEPT_MAX;
use crate::relay::extension::Frame;
use crate::relay::message::Message;
use crate::relay::topology::Topology;

/// The latest servers whose users have left with them, and the `join_seq` of the next host at that
/// time.
#[derive(Clone, Debug, Default)]
pub(super) struct Withdrawals(VecDeque<(HostId, u64)>);

impl Withdrawals {
    /// Records that a server is withdrawn after its grace.
    pub(super) fn record(&mut self, id: HostId, next_join_seq: u64) {
        self.0.retain(|&(earlier, _)| earlier != id);
        if self.0.len() == WITHDRAWALS_KEPT_MAX {
            self.0.pop_front();
        }
        self.0.push_back((id, next_join_seq));
    }

    fn next_join_seq(&self, id: HostId) -> Option<u64> {
        self.0.iter().find(|(withdrawn, _)| *withdrawn == id).map(|&(_, seq)| seq)
    }
}

/// The departures that were sent on a link, each with the number of messages before it.
#[derive(Default)]
pub(super) struct Departures {
    /// By the user who has quit.
    quits: BTreeMap<HostId, usize>,
    /// With the `join_seq` of the host that joined next.
    withdrawals: Vec<(usize, u64)>,
}

impl Departures {
    /// Notes what a frame says that was sent behind `message_count` messages.
    pub(super) fn note(
        &mut self,
        message: &Message<'_>,
        message_count: usize,
        withdrawals: &Withdrawals,
        topology: &Topology,
    ) {
        match *message {
            Message::ClientQuit { source, .. } => {
                self.quits.insert(source, message_count);
            }
            Message::Status { code, text, .. } => {
                let Some(Ok(Frame::Withdraw(ids))) = Frame::parse(code, text) else { return };
                // A server that is lost with the link was withdrawn there because its route moved.
                let is_lost =
                    |id: &HostId| topology.server_key(*id).is_some() && !topology.is_reachable(*id);
                let left = ids.iter().filter(|id| !is_lost(id));
                let seqs = left.filter_map(|id| withdrawals.next_join_seq(id));
                self.withdrawals.extend(seqs.map(|seq| (message_count, seq)));
            }
            _ => {}
        }
    }

    /// Returns whether the sender of the message with this index has left, whoever has its id now.
    pub(super) fn include_sender_of(&self, message: &DeferredMessage, index: usize) -> bool {
        self.quits.get(&message.source).is_some_and(|&count| index < count)
            || self.withdrawals.iter().any(|&(count, next_join_seq)| {
                index < count && message.source_join_seq.is_some_and(|seq| seq >= next_join_seq)
            })
    }
}
