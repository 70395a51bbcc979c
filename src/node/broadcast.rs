//! What is said to everyone: a chat to each user of the network, as the links have room.
//!
//! Many of those who are to hear it may be behind one link to a server, so it waits while the queue of
//! such a link is long, and its sender is read no further meanwhile. A link that takes nothing for
//! [`BROADCAST_PATIENCE`] is given up on: who is behind it does not hear it, everyone else does.

use super::Node;
use crate::limits::{BROADCAST_PATIENCE, BROADCAST_QUEUE_BYTES};
use crate::relay::message::{HostId, Kind, Message};
use crate::relay::{FirstLink, Host, LinkId, Outbox as _, Time};

/// Something that is said to everyone, while not all have been reached.
#[derive(Debug)]
pub(super) struct Broadcast {
    link: LinkId,
    from: HostId,
    text: Box<[u8]>,
    /// Slots of the host table before this one have been looked at.
    next_slot: usize,
    /// Who came after it was said is not to hear it.
    until_order: u64,
    /// The link that has no room, and when it is given up on.
    waits_for: Option<(LinkId, Time)>,
    given_up: Vec<LinkId>,
    unreached: u64,
}

/// What is to happen with one user.
enum Next {
    Say,
    /// The link towards it is lost: the chat waits as others do.
    SayQuietly,
    Skip,
    GiveUp,
    Wait,
}

impl Broadcast {
    /// When it does not wait any longer.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.waits_for.map(|(_, at)| at)
    }
}

impl Node {
    /// Begins to say something to every user but its sender.
    pub(super) fn begin_broadcast(&mut self, link: LinkId, from: HostId, text: &[u8]) {
        if let Some(sender) = self.links.get_mut(link) {
            sender.is_broadcasting = true;
        }
        self.broadcasts.push(Broadcast {
            link,
            from,
            text: text.into(),
            next_slot: 0,
            until_order: self.relay.hosts().next_order(),
            waits_for: None,
            given_up: Vec::new(),
            unreached: 0,
        });
    }

    /// Goes on with all that is said to everyone. Answers whose links need wait no more.
    pub(super) fn broadcast(&mut self) -> Vec<LinkId> {
        let mut done = Vec::new();
        for mut broadcast in std::mem::take(&mut self.broadcasts) {
            if self.say_to_all(&mut broadcast) {
                if broadcast.unreached > 0 {
                    log::warn!(
                        "what {} said to all did not reach {} users, behind links that take nothing",
                        broadcast.from,
                        broadcast.unreached
                    );
                }
                if let Some(sender) = self.links.get_mut(broadcast.link) {
                    sender.is_broadcasting = false;
                    done.push(broadcast.link);
                }
            } else {
                self.broadcasts.push(broadcast);
            }
        }
        done
    }

    /// Goes on as far as there is room. Answers whether everyone has been dealt with.
    fn say_to_all(&mut self, broadcast: &mut Broadcast) -> bool {
        let now = self.links.now;
        while self.relay.adjacent(broadcast.link).is_some_and(|host| host.id == broadcast.from) {
            if broadcast.next_slot >= self.relay.hosts().slots_end() {
                return true;
            }
            let host = self.relay.hosts().at_slot(broadcast.next_slot);
            let next = host.map_or(Next::Skip, |host| self.next_for(host, broadcast));
            let destination = host.map_or(HostId::NONE, |host| host.id);
            match next {
                Next::Wait => return false,
                Next::Skip => {}
                Next::GiveUp => broadcast.unreached += 1,
                Next::Say | Next::SayQuietly => {
                    // That somebody who is lost was not found is no news to who speaks to all.
                    let is_quiet = matches!(next, Next::SayQuietly);
                    self.links.hushed = is_quiet.then_some(broadcast.link);
                    let (source, text) = (broadcast.from, &broadcast.text);
                    let chat = Message::Chat { source, destination, text };
                    self.relay.receive(now, broadcast.link, &chat, &mut self.links);
                    self.links.hushed = None;
                }
            }
            broadcast.next_slot += 1;
        }
        true // the sender has left
    }

    fn next_for(&self, host: &Host, broadcast: &mut Broadcast) -> Next {
        let is_for = host.kind == Kind::User && host.id != broadcast.from;
        if !is_for || host.order() >= broadcast.until_order {
            return Next::Skip;
        }
        let FirstLink::Link(first) = host.first_link else {
            return Next::SayQuietly;
        };
        // Half of what a link may hold at most, so that something else can be put into its queue.
        let long = BROADCAST_QUEUE_BYTES.min(self.links.limits.server_queue_bytes_max / 2);
        let is_server = self.relay.adjacent(first).is_some_and(|host| host.kind == Kind::Server);
        if !is_server || self.links.unsent_bytes(first) < long {
            broadcast.waits_for = None;
            return Next::Say;
        }
        let now = self.links.now;
        match broadcast.waits_for {
            _ if broadcast.given_up.contains(&first) => Next::GiveUp,
            Some((link, at)) if link == first && at <= now => {
                broadcast.waits_for = None;
                broadcast.given_up.push(first);
                Next::GiveUp
            }
            Some((link, _)) if link == first => Next::Wait,
            _ => {
                broadcast.waits_for = Some((first, now + BROADCAST_PATIENCE));
                Next::Wait
            }
        }
    }
}
