//! Probes: whether a server lives whose id a newcomer has.

use super::Peering;
use super::handshake::{Handshake, Introduction, Probe};
use super::join::refuse_registration;
use super::trace::Purpose;
use crate::link::{CloseReason, LinkId};
use crate::relay::announcements::pacing::Clock;
use crate::relay::cx::RelayCx;
use crate::relay::extension::Hello;
use crate::relay::outbox::Outbox;
use crate::relay::timers::Timer;

impl Peering {
    /// Asks the server that has the id of a newcomer whether it lives, and decides on the newcomer
    /// when the answer has arrived or is late.
    pub(super) fn probe_holder<O: Outbox>(
        &mut self,
        link: LinkId,
        introduction: Introduction,
        hello: Hello,
        cx: &mut RelayCx<'_, O>,
    ) {
        let probe = if cx.topology.server_key(introduction.id).is_some() {
            let Ok(token) = self.start_trace(introduction.id, Purpose::Probe, cx) else {
                return self.offer(link, introduction, hello, cx);
            };
            Probe::Trace(token)
        } else {
            let Some(probe) = probe_neighbour(&introduction, cx) else {
                return refuse_registration(link, &introduction.registration(), cx);
            };
            probe
        };
        let until = cx.now + cx.limits.ping_interval;
        cx.timers.insert(until, Timer::Probe(link));
        self.handshakes.insert(link, Handshake::Probing { introduction, hello, probe, until });
    }

    /// Handles the answer to a probe: the server whose id a neighbour wants is alive.
    pub(super) fn on_probe_answered<O: Outbox>(&mut self, token: u64, cx: &mut RelayCx<'_, O>) {
        let asked = Probe::Trace(token);
        let is_asked = |handshake: &Handshake| match handshake {
            Handshake::Probing { probe, .. } => *probe == asked,
            _ => false,
        };
        let link = self.handshakes.iter().find(|(_, handshake)| is_asked(handshake));
        let Some(link) = link.map(|(&link, _)| link) else { return };
        if let Some(Handshake::Probing { introduction, .. }) = self.take_handshake(link, cx) {
            refuse_registration(link, &introduction.registration(), cx);
        }
    }

    /// Handles that a probe was not answered in time: the server that has the id is gone.
    pub(in crate::relay) fn on_probe_due<O: Outbox>(
        &mut self,
        link: LinkId,
        cx: &mut RelayCx<'_, O>,
    ) {
        let handshake = self.handshakes.remove(&link);
        let Some(Handshake::Probing { introduction, hello, probe, .. }) = handshake else { return };
        if let Probe::Chat { link: neighbour, sent_at } = probe
            && cx.topology.find_link(neighbour).is_some()
        {
            let heard_at = cx.out.received_at(neighbour);
            if heard_at > sent_at {
                return refuse_registration(link, &introduction.registration(), cx);
            }
            cx.out.close(neighbour, CloseReason::Silent { silence: cx.now.since(heard_at) });
        }
        log::warn!(
            "server {} does not answer: another one takes its id and place",
            introduction.id
        );
        self.offer(link, introduction, hello, cx);
    }
}

/// Asks the plain neighbour that has the id, the name and the info of a newcomer whether it lives:
/// it may be the newcomer itself, whose HELLO was cut off on a link that ended without notice.
fn probe_neighbour<O: Outbox>(
    introduction: &Introduction,
    cx: &mut RelayCx<'_, O>,
) -> Option<Probe> {
    let host = cx.topology.hosts().get(introduction.id)?;
    if !host.matches(&introduction.registration()) || !cx.topology.is_adjacent(host) {
        return None;
    }
    let link = cx.topology.next_hop(host)?;
    let clock = Clock { now: cx.now, timers: cx.timers };
    cx.announcements.send_probe(cx.topology, link, &clock, cx.out);
    Some(Probe::Chat { link, sent_at: cx.now })
}
