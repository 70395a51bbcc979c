//! Links that resume: what the other end of a lost link had not handled is sent again.
//!
//! Each end keeps what it sends over an extended link until the other end acknowledges it, and
//! remembers for the grace how many bytes it had handled of a link that was lost. When the link
//! ends, the kept chats and statuses become deferred messages of the split. HELLO and OFFER of the
//! next link between the same two instances carry the counts: what was handled is dropped, and the
//! rest is sent when its destination can be reached. Without a count, over another way or to
//! another instance, a message that the kernel had taken is dropped, because it may have arrived.
//! See "Replay" in `docs/PROTOCOL.md`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::departures::{Departures, Withdrawals};
use super::splits::LostPosition;
use super::{DeferredMessage, Peering};
use crate::id::HostId;
use crate::limits::{LOST_LINKS_MAX, Limits};
use crate::link::{CloseReason, LinkId, Time};
use crate::relay::cx::RelayCx;
use crate::relay::extension::{Frame, Hello};
use crate::relay::outbox::{Outbox, Unacknowledged};
use crate::relay::send;
use crate::relay::topology::{FirstLink, SplitId, Topology};

/// What both ends know an extended link by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LinkKey {
    token: u64,
    /// The nonce of the other end.
    nonce: u64,
    /// The token that the dialling end named in HELLO, if that is the other end. It may not have
    /// handled anything on the link, and then names the same one again.
    base: u64,
    /// This server dialled the link.
    is_uplink: bool,
}

impl LinkKey {
    /// Returns whether HELLO means this link: it names the link, or the one that was named before
    /// it.
    fn is_meant_by(&self, hello: &Hello) -> bool {
        let is_named = self.base == hello.replay_token || self.token == hello.replay_token;
        is_named && hello.replay_token != 0
    }
}

/// A link that was lost.
#[derive(Clone, Copy, Debug)]
struct LostLink {
    key: LinkKey,
    /// This server handled a frame that the other end sent after the handshake.
    is_confirmed: bool,
    /// Number of bytes of whole frames that this server had handled.
    handled_bytes: u64,
    /// When it is forgotten.
    until: Time,
}

/// The extended links, and those that were lost within the grace.
#[derive(Clone, Debug, Default)]
pub(super) struct Replay {
    attached: BTreeMap<LinkId, LinkKey>,
    /// Attached links on which a frame was handled after the handshake.
    confirmed: BTreeSet<LinkId>,
    /// The latest loss is the last.
    lost: VecDeque<LostLink>,
    withdrawals: Withdrawals,
}

/// Returns the bytes of messages of a lost link that are sent again. The next link gets them at
/// once: if they filled its queue, it would be closed like the one before, again and again.
fn unacknowledged_bytes_max(limits: &Limits) -> usize {
    limits.server_queue_bytes_max / 4 * 3
}

impl Replay {
    /// Returns the token of the uplink that was lost last, and how many bytes were handled on it;
    /// zeros if there is none. An uplink on which nothing came after the handshake does not count:
    /// the other end may not know of it.
    pub(super) fn last_uplink(&self) -> (u64, u64) {
        let last = self.lost.iter().rev().find(|lost| lost.key.is_uplink && lost.is_confirmed);
        last.map_or((0, 0), |lost| (lost.key.token, lost.handled_bytes))
    }

    /// Returns whether this server has dialled an extended link.
    pub(super) fn has_dialled(&self, link: LinkId) -> bool {
        self.attached.get(&link).is_some_and(|key| key.is_uplink)
    }

    /// Records that a server is withdrawn after its grace, before its hosts leave.
    pub(super) fn on_withdrawn(&mut self, id: HostId, topology: &Topology) {
        self.withdrawals.record(id, topology.hosts().next_join_seq());
    }

    /// Records that a frame was handled on an extended link.
    pub(super) fn confirm(&mut self, link: LinkId) {
        self.confirmed.insert(link);
    }

    /// Remembers a link that was lost.
    fn add_lost(&mut self, lost: LostLink, now: Time) {
        self.lost.retain(|lost| lost.until > now);
        for earlier in self.lost.iter_mut().filter(|it| it.key.nonce == lost.key.nonce) {
            earlier.until = lost.until;
        }
        if self.lost.len() == LOST_LINKS_MAX {
            self.lost.pop_front();
        }
        self.lost.push_back(lost);
    }

    /// Checks that these are the extended links.
    ///
    /// # Panics
    /// If they are not.
    pub(super) fn check(&self, extended: impl Iterator<Item = LinkId>) {
        assert!(self.attached.keys().copied().eq(extended), "extended links resume");
        let is_attached = |link| self.attached.contains_key(link);
        assert!(self.confirmed.iter().all(is_attached), "a confirmed link is attached");
        assert!(self.lost.len() <= LOST_LINKS_MAX, "lost links");
    }
}

impl Peering {
    /// Returns the token of the lost link that HELLO means and the number of bytes handled on it,
    /// for the OFFER that answers; zeros if there is none.
    ///
    /// A link that the other end has lost and this one has not is closed: what is still unread on
    /// it counts as not handled.
    pub(super) fn replay_offer<O: Outbox>(
        &self,
        hello: &Hello,
        cx: &mut RelayCx<'_, O>,
    ) -> (u64, u64) {
        let mut attached = self.replay.attached.iter();
        if let Some((&link, key)) = attached.find(|(_, key)| key.is_meant_by(hello)) {
            cx.out.close(link, CloseReason::PeerClosed);
            return (key.token, cx.out.handled_bytes(link));
        }
        let lost = self.replay.lost.iter().rev().find(|lost| lost.key.is_meant_by(hello));
        lost.map_or((0, 0), |lost| (lost.key.token, lost.handled_bytes))
    }

    /// Prepares a link for which both ends have committed: what the other end has handled of the
    /// lost link before it is not sent again, and what is sent from now on is kept. `hello` is the
    /// HELLO or OFFER of the other end.
    pub(super) fn resume<O: Outbox>(
        &mut self,
        link: LinkId,
        hello: &Hello,
        cx: &mut RelayCx<'_, O>,
    ) {
        let is_uplink = self.is_uplink(link);
        let mut lost: Vec<u64> = Vec::new();
        if is_uplink {
            // Of the links that this server dialled, the other end has not used any later one than
            // that in OFFER. Of those that the other end dialled, neither has the number.
            let is_meant = |key: &LinkKey| key.is_uplink && key.nonce == hello.nonce.0;
            let meant = self.replay.lost.iter().filter(|lost| is_meant(&lost.key));
            lost.extend(meant.map(|lost| lost.key.token));
            if !lost.contains(&hello.replay_token) {
                lost.clear();
            }
        } else {
            let meant = self.replay.lost.iter().filter(|lost| lost.key.is_meant_by(hello));
            lost.extend(meant.map(|lost| lost.key.token));
        }
        for &token in &lost {
            let is_named = token == hello.replay_token;
            self.splits.resolve(token, if is_named { hello.handled_bytes } else { 0 });
        }
        self.release_held(cx);
        let base = if is_uplink { 0 } else { hello.replay_token };
        let key = LinkKey { token: hello.token, nonce: hello.nonce.0, base, is_uplink };
        self.replay.attached.insert(link, key);
        cx.out.keep_unacknowledged(link);
    }

    /// Remembers how much was handled on an extended link that has ended, and defers what the other
    /// end has not acknowledged, up to [`unacknowledged_bytes_max`]; the senders of the rest are
    /// informed. Its servers must be in `split`, if there are any.
    pub(super) fn defer_unacknowledged<O: Outbox>(
        &mut self,
        link: LinkId,
        split: Option<SplitId>,
        cx: &mut RelayCx<'_, O>,
    ) {
        let Some(key) = self.replay.attached.remove(&link) else { return };
        let lost = LostLink {
            key,
            is_confirmed: self.replay.confirmed.remove(&link),
            handled_bytes: cx.out.handled_bytes(link),
            until: cx.now + cx.limits.split_grace,
        };
        self.replay.add_lost(lost, cx.now);
        let (mut messages, mut departures) = (Vec::new(), Departures::default());
        let (topology, withdrawals) = (&*cx.topology, &self.replay.withdrawals);
        cx.out.take_unacknowledged(link, &mut |unacknowledged| {
            let Unacknowledged { message, end_position: end, was_sent } = unacknowledged;
            departures.note(&message, messages.len(), withdrawals, topology);
            let position = LostPosition { token: key.token, end, was_sent };
            messages.extend(DeferredMessage::from_lost(&message, position, split, topology));
        });
        for (at, message) in messages.iter_mut().enumerate() {
            if departures.include_sender_of(message, at) {
                message.source_join_seq = None;
            }
        }
        if !messages.is_empty() {
            log::info!("link {link}: {} messages were not acknowledged", messages.len());
        }
        let (mut bytes, bytes_max) = (0, unacknowledged_bytes_max(cx.limits));
        for message in messages {
            bytes += message.size_bytes();
            match bytes <= bytes_max {
                true => self.forward_deferred(message, cx),
                false => self.reject(&message, cx),
            }
        }
    }

    /// Sends a message that was deferred, or was in the send queue of a lost link, unless its
    /// destination is lost. If the next server does not know the sender, because that is lost, the
    /// message waits for the sender. The message is dropped if it may have arrived, or if its
    /// sender has left.
    pub(super) fn forward_deferred<O: Outbox>(
        &mut self,
        message: DeferredMessage,
        cx: &mut RelayCx<'_, O>,
    ) {
        let DeferredMessage { source, destination, .. } = message;
        let host = cx.topology.hosts().get(destination);
        match host.map(|host| cx.topology.first_link(host)) {
            Some(FirstLink::Split(split)) => {
                self.splits.defer_accepted(split, destination, message);
            }
            _ if message.may_have_arrived() => {
                self.splits.count_dropped();
                log::debug!("a message from {source} to {destination} may have arrived");
            }
            Some(FirstLink::Link(link)) if message.introduce_sender(link, cx) => {
                message.send(link, cx);
            }
            Some(FirstLink::Link(_)) => match message.lost_sender(cx.topology) {
                Some((split, awaited)) => self.splits.defer_accepted(split, awaited, message),
                None => {
                    self.splits.count_dropped();
                    log::debug!("the sender {source} of a chat to {destination} has left");
                }
            },
            None => self.reject(&message, cx),
        }
    }

    /// Informs the sender of a chat that its destination has left.
    pub(super) fn reject<O: Outbox>(&mut self, message: &DeferredMessage, cx: &mut RelayCx<'_, O>) {
        let DeferredMessage { source, destination, .. } = *message;
        let host = cx.topology.hosts().get(source).filter(|_| message.status.is_none());
        match host.and_then(|host| cx.topology.next_hop(host)) {
            Some(link) => cx.send_unknown_id(link, source, destination),
            None => self.splits.count_dropped(),
        }
    }

    /// Returns the number of messages that were dropped without an answer.
    pub(in crate::relay) fn dropped_messages(&self) -> u64 {
        self.splits.dropped()
    }

    /// Holds the input of `link` back until a split has room or its grace is over. Returns false if
    /// the message has to be refused.
    pub(in crate::relay) fn hold_back<O: Outbox>(
        &mut self,
        destination: HostId,
        link: LinkId,
        cx: &mut RelayCx<'_, O>,
    ) -> bool {
        let host = cx.topology.hosts().get(destination);
        let Some(FirstLink::Split(split)) = host.map(|host| cx.topology.first_link(host)) else {
            return false;
        };
        let holds = self.splits.grace_until(split).is_some() && cx.out.hold_back(link);
        if holds {
            self.splits.add_held(link);
        }
        holds
    }

    /// Continues with the input that is held back. What still does not fit is held back again.
    pub(super) fn release_held<O: Outbox>(&mut self, cx: &mut RelayCx<'_, O>) {
        for link in self.splits.take_held() {
            if cx.topology.find_link(link).is_some() {
                cx.out.release(link);
            }
        }
    }

    /// Sends how many bytes have been handled on a link.
    pub(in crate::relay) fn acknowledge<O: Outbox>(&self, link: LinkId, cx: &mut RelayCx<'_, O>) {
        if self.extended.contains_key(&link) {
            let frame = Frame::Ack { handled_bytes: cx.out.handled_bytes(link) };
            send::send_extension(cx.topology, link, &frame, cx.out);
        }
    }
}
