//! Sends facts about servers to neighbours, and asks neighbours for theirs.

use crate::id::HostId;
use crate::link::LinkId;
use crate::relay::announcements::hosts_of;
use crate::relay::cx::RelayCx;
use crate::relay::extension::{Digest, Frame, Nonce, Ping, ServerFact};
use crate::relay::message::Message;
use crate::relay::outbox::Outbox;
use crate::relay::routes::{Change, Fact, Update};
use crate::relay::send;
use crate::relay::topology::HostSet;

/// Sends what a change of the routes means on each extended link.
pub(super) fn announce_change<O: Outbox>(change: &Change, cx: &mut RelayCx<'_, O>) {
    let links: Vec<LinkId> = cx.announcements.servers().collect();
    for link in links {
        if !cx.topology.link(link).is_extended() {
            continue;
        }
        let routes = cx.topology.routes_mut();
        let is_new = |id| id != routes.own().id && !routes.is_announced(link, id);
        let is_new = change.announced_id().is_some_and(is_new);
        match routes.update(change, link) {
            None => {}
            Some(Update::Announce(fact)) => {
                send_fact(link, &fact, cx);
                if is_new && cx.announcements.on_server_announced(link) {
                    send_ping_behind_facts(link, cx);
                }
            }
            Some(Update::Withdraw(id)) => {
                let ids = [id];
                let ids = ids.as_slice().into();
                send::send_extension(cx.topology, link, &Frame::Withdraw(ids), cx.out);
            }
        }
    }
}

/// Sends a PING behind facts about servers that were not announced on the link before. By its PONG
/// the other end has asked for all of their hosts that it does not know.
pub(super) fn send_ping_behind_facts<O: Outbox>(link: LinkId, cx: &mut RelayCx<'_, O>) {
    cx.announcements.on_ping_sent(link);
    let handled_bytes = cx.out.handled_bytes(link);
    let ping = Ping { token: 0, handled_bytes, digest: None };
    send::send_extension(cx.topology, link, &Frame::Ping(ping), cx.out);
}

/// Announces that a server, whose grace is over, cannot be reached.
pub(super) fn announce_down<O: Outbox>(id: HostId, cx: &mut RelayCx<'_, O>) {
    announce_change(&Change::Down { id }, cx);
}

/// Sends the fact about a server, with its registration.
fn send_fact<O: Outbox>(link: LinkId, fact: &Fact, cx: &mut RelayCx<'_, O>) {
    let Fact { id, epoch, nonce, via } = *fact;
    let Some(HostSet { count: users, digest }) = hosts_of(cx.topology, id) else { return };
    let own_id = cx.topology.own_id();
    let frame = ServerFact { id, epoch, nonce: Nonce(nonce), via, users, digest };
    send::send_extension(cx.topology, link, &Frame::Server(frame), cx.out);
    let registration = if id == own_id {
        cx.topology.own_registration(own_id)
    } else {
        cx.topology.hosts().get(id).expect("a known server").registration(own_id)
    };
    cx.out.deliver(link, &Message::Registration(registration));
}

/// Sends the facts about all servers that are announced on a link.
pub(super) fn send_all_facts<O: Outbox>(link: LinkId, cx: &mut RelayCx<'_, O>) {
    let facts: Vec<Fact> = cx.topology.routes().announced_on(link).collect();
    for fact in &facts {
        send_fact(link, fact, cx);
    }
    let servers = u32::try_from(facts.len()).expect("fewer servers than ids");
    send::send_extension(cx.topology, link, &Frame::FactsEnd { servers }, cx.out);
}

/// Returns the digest of all that is announced on a link.
pub(super) fn digest_announced<O: Outbox>(link: LinkId, cx: &RelayCx<'_, O>) -> Digest {
    digest_of(cx.topology.routes().announced_on(link), cx)
}

/// Returns the digest of all that is reached over a link.
pub(super) fn digest_behind<O: Outbox>(link: LinkId, cx: &RelayCx<'_, O>) -> Digest {
    digest_of(cx.topology.routes().reached_over(link), cx)
}

fn digest_of<O: Outbox>(facts: impl Iterator<Item = Fact>, cx: &RelayCx<'_, O>) -> Digest {
    let mut sum = Digest::default();
    for fact in facts {
        // A server whose registration is not at hand is not announced.
        if let Some(HostSet { digest, .. }) = hosts_of(cx.topology, fact.id) {
            sum += Digest::of_server(fact.id, fact.epoch, digest);
        }
    }
    sum
}

/// Asks the neighbour on an extended link to send all facts again.
pub(super) fn request_facts<O: Outbox>(link: LinkId, cx: &mut RelayCx<'_, O>) {
    request_sync(link, HostId::NONE, cx);
}

/// Asks the neighbour on an extended link to send the hosts of a home.
pub(super) fn request_sync<O: Outbox>(link: LinkId, home: HostId, cx: &mut RelayCx<'_, O>) {
    let homes = [home];
    let homes = homes.as_slice().into();
    send::send_extension(cx.topology, link, &Frame::SyncRequest(homes), cx.out);
}
