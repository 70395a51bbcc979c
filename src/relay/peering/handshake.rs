//! The handshake between two servers: plain CRC, or the extension if both ends speak it.
//!
//! The server that dials sends its registration and HELLO in one write. A neighbour that speaks
//! plain CRC ignores HELLO or sends it back. One that speaks the extension answers with its own
//! registration and OFFER, which the dialling server accepts with COMMIT or refuses with REFUSE.
//!
//! A registration alone does not show which of the two the neighbour is. The decision is made by
//! the frame that follows, or when the input at hand ends.

use super::Peering;
use super::hello::own_hello;
use super::join::refuse_offer;
use crate::id::HostId;
use crate::limits::{HELLO_TIMEOUT, OFFER_TIMEOUT};
use crate::link::{CloseReason, LinkId, Time};
use crate::printable::Excerpt;
use crate::relay::cx::RelayCx;
use crate::relay::extension::{Epoch, Frame, Hello, RefuseReason};
use crate::relay::message::{HostKind, Message, Registration};
use crate::relay::outbox::Outbox;
use crate::relay::routes::Fact;
use crate::relay::send;
use crate::relay::timers::{Timer, Timers};
use crate::relay::topology::{Role, Topology};

/// The registration of a server whose link has not taken a role yet.
#[derive(Clone, Debug)]
pub(super) struct Introduction {
    pub(super) id: HostId,
    last_hop: HostId,
    name: Box<[u8]>,
    info: Box<[u8]>,
}

/// The state of a link to a server between its registration and its role.
#[derive(Clone, Debug)]
pub(super) enum Handshake {
    /// The next frame decides which protocol the neighbour speaks. With `until`, the neighbour is
    /// expected to speak the extension, and is plain if it has sent no frame by then.
    Introduced { introduction: Introduction, until: Option<Time> },
    /// CHALLENGE has been sent, with this number. PROOF follows.
    Challenged { candidate: Candidate, nonce: [u8; 32] },
    /// This server asks the network whether another server with the id of the neighbour is alive.
    Probing { introduction: Introduction, hello: Hello, probe: Probe, until: Time },
    /// Hosts that were lost behind a plain server with the id of the neighbour still leave.
    Waiting { introduction: Introduction, hello: Hello },
    /// OFFER has been sent, with this epoch. COMMIT or REFUSE follows.
    Offered { introduction: Introduction, hello: Hello, epoch: Epoch },
}

/// A server that has sent HELLO over an accepted link.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) id: HostId,
    /// Its registration; `None` if it asks whether it could move here.
    pub(super) introduction: Option<Introduction>,
    pub(super) hello: Hello,
}

/// How this server finds out whether another one lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// A TRACE with this token has been sent to a server of the extension.
    Trace(u64),
    /// A chat to id 0 has been sent over the link to a plain neighbour, at this time.
    Chat { link: LinkId, sent_at: Time },
}

/// A parent that has sent OFFER.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    introduction: Introduction,
    pub(super) hello: Hello,
}

impl Offer {
    pub(super) fn new(introduction: Introduction, hello: Hello) -> Self {
        Self { introduction, hello }
    }

    /// Returns the id of the parent.
    pub(super) fn id(&self) -> HostId {
        self.introduction.id
    }
}

impl Introduction {
    fn new(registration: &Registration<'_>) -> Self {
        let Registration { source: id, last_hop, name, info, .. } = *registration;
        Self { id, last_hop, name: name.into(), info: info.into() }
    }

    /// Returns the registration.
    pub(super) fn registration(&self) -> Registration<'_> {
        let Self { id: source, last_hop, ref name, ref info } = *self;
        Registration { kind: HostKind::Server, source, last_hop, name, info }
    }
}

impl Peering {
    /// Returns whether a link waits for the next frame to decide which protocol it speaks.
    pub(in crate::relay) fn is_undecided(&self, link: LinkId) -> bool {
        matches!(self.handshakes.get(&link), Some(Handshake::Introduced { .. }))
    }

    /// Handles the registration of a server over a link without a role.
    pub(super) fn introduce<O: Outbox>(
        &mut self,
        link: LinkId,
        registration: &Registration<'_>,
        cx: &mut RelayCx<'_, O>,
    ) {
        if let Some(
            Handshake::Offered { .. }
            | Handshake::Probing { .. }
            | Handshake::Waiting { .. }
            | Handshake::Challenged { .. },
        ) = self.handshakes.get(&link)
        {
            return cx.drop_false_source(link, registration.source);
        }
        self.end_handshake(link, cx);
        let introduction = Introduction::new(registration);
        // A server that has spoken the extension before will do so again.
        let is_extended = cx.topology.server_key(registration.source).is_some();
        let timeout = match is_extended {
            true => Some(HELLO_TIMEOUT),
            false => self.is_uplink(link).then_some(OFFER_TIMEOUT),
        };
        let until = timeout.map(|timeout| cx.now + timeout);
        if let Some(until) = until {
            cx.timers.insert(until, Timer::Offer(link));
        }
        self.handshakes.insert(link, Handshake::Introduced { introduction, until });
    }

    /// Handles that all input of a link has been handled: a server that has sent nothing behind its
    /// registration speaks plain CRC, unless it is expected to speak the extension.
    pub(in crate::relay) fn on_input_end<O: Outbox>(
        &mut self,
        link: LinkId,
        cx: &mut RelayCx<'_, O>,
    ) {
        if let Some(Handshake::Introduced { until: None, .. }) = self.handshakes.get(&link) {
            self.settle_as_plain(link, cx);
        }
    }

    /// Treats the neighbour on a link as one that speaks plain CRC, if that is undecided.
    pub(in crate::relay) fn settle_as_plain<O: Outbox>(
        &mut self,
        link: LinkId,
        cx: &mut RelayCx<'_, O>,
    ) {
        if !self.is_undecided(link) {
            return;
        }
        if let Some(Handshake::Introduced { introduction, .. }) = self.take_handshake(link, cx) {
            self.join_plain(link, &introduction.registration(), cx);
        }
    }

    /// Handles a frame of the extension on a link without a role.
    pub(super) fn handle_handshake<O: Outbox>(
        &mut self,
        link: LinkId,
        source: HostId,
        frame: &Frame<'_>,
        cx: &mut RelayCx<'_, O>,
    ) {
        let is_uplink = self.is_uplink(link);
        match (self.take_handshake(link, cx), frame) {
            (Some(Handshake::Introduced { introduction, .. }), Frame::Hello(hello))
                if !is_uplink && introduction.id == source =>
            {
                let introduction = Some(introduction);
                let candidate = Candidate { id: source, introduction, hello: *hello };
                self.admit_candidate(link, candidate, cx);
            }
            (Some(Handshake::Challenged { candidate, nonce }), Frame::Proof(proof))
                if candidate.id == source =>
            {
                self.on_proof(link, candidate, nonce, proof, cx);
            }
            (Some(Handshake::Introduced { introduction, .. }), Frame::Offer(hello))
                if is_uplink && introduction.id == source =>
            {
                self.accept_offer(link, introduction, *hello, cx);
            }
            (
                Some(Handshake::Offered { introduction, hello, epoch: offered }),
                Frame::Commit { epoch, known },
            ) if source == introduction.id => {
                self.exceed(*known, cx);
                let neighbour = neighbour_fact(&introduction, &hello, *epoch);
                // The neighbour knows the epoch in OFFER: both ends choose alike between two links.
                let committed = offered;
                self.resume(link, &hello, cx);
                self.attach(link, &introduction.registration(), committed, neighbour, cx);
                self.set_neighbour(link, &hello);
            }
            (Some(Handshake::Offered { introduction, .. }), Frame::Refuse { text, .. }) => {
                log::info!(
                    "link {link}: server {} does not join: {}",
                    introduction.id,
                    Excerpt(text)
                );
                cx.out.close(link, CloseReason::PeerClosed);
            }
            (Some(Handshake::Introduced { introduction, .. }), _) => {
                self.join_plain(link, &introduction.registration(), cx);
                if !matches!(cx.topology.link(link).role(), Role::Unregistered { .. }) {
                    self.handle_extension(link, source, frame, cx);
                }
            }
            (Some(handshake), _) => {
                if let Handshake::Probing { until, .. } = handshake {
                    cx.timers.insert(until, Timer::Probe(link));
                }
                self.handshakes.insert(link, handshake);
            }
            (None, frame) => self.handle_question(link, source, frame, cx),
        }
    }

    /// Decides whether the server that said HELLO may join over a link.
    pub(super) fn consider<O: Outbox>(
        &mut self,
        link: LinkId,
        introduction: Introduction,
        hello: Hello,
        cx: &mut RelayCx<'_, O>,
    ) {
        let id = introduction.id;
        if hello.is_moving && !self.stop_asking(cx) {
            let (reason, text) = (RefuseReason::MOVING, &b"moving to another parent"[..]);
            send::send_extension(cx.topology, link, &Frame::Refuse { reason, text }, cx.out);
            return cx.out.close(link, CloseReason::Moving);
        }
        let routes = cx.topology.routes();
        let is_same_instance = routes.fact(id).is_some_and(|fact| fact.nonce == hello.nonce.0);
        if is_same_instance || !cx.topology.is_reachable(id) {
            return self.offer(link, introduction, hello, cx);
        }
        self.probe_holder(link, introduction, hello, cx);
    }

    pub(super) fn offer<O: Outbox>(
        &mut self,
        link: LinkId,
        introduction: Introduction,
        hello: Hello,
        cx: &mut RelayCx<'_, O>,
    ) {
        if self.end_plain_splits(introduction.id, cx) {
            self.handshakes.insert(link, Handshake::Waiting { introduction, hello });
            return;
        }
        let own = cx.topology.own_registration(cx.topology.own_id());
        cx.out.deliver(link, &Message::Registration(own));
        let known = cx.topology.routes().other_instance(introduction.id, hello.nonce.0);
        let (replay_token, handled_bytes) = self.replay_offer(&hello, cx);
        let own = self.own_link(hello.token);
        let own = own_hello(cx.topology, own);
        let offer = Hello { known, replay_token, handled_bytes, ..own };
        send::send_extension(cx.topology, link, &Frame::Offer(offer), cx.out);
        self.handshakes
            .insert(link, Handshake::Offered { introduction, hello, epoch: offer.epoch });
    }

    /// Handles the parent's OFFER: commits, at once or when the link to another parent has ended.
    fn accept_offer<O: Outbox>(
        &mut self,
        link: LinkId,
        introduction: Introduction,
        hello: Hello,
        cx: &mut RelayCx<'_, O>,
    ) {
        if !self.check_parent(link, introduction.id, cx) {
            return;
        }
        if self.is_moving_to(link) {
            self.leave_parent(link, Offer { introduction, hello }, cx);
        } else {
            self.commit(link, &Offer { introduction, hello }, cx);
        }
    }

    /// Commits a link to a parent that has sent OFFER, unless the parent is in this server's own
    /// part of the network.
    pub(super) fn commit<O: Outbox>(
        &mut self,
        link: LinkId,
        Offer { introduction, hello }: &Offer,
        cx: &mut RelayCx<'_, O>,
    ) {
        let id = introduction.id;
        if cx.topology.is_reachable(id) {
            refuse_offer(link, id, cx);
            return self.refuse_loop(link, id, cx);
        }
        if self.end_plain_splits(id, cx) {
            let (introduction, hello) = (introduction.clone(), *hello);
            self.handshakes.insert(link, Handshake::Waiting { introduction, hello });
            return;
        }
        self.exceed(hello.known, cx);
        let change = cx.topology.routes_mut().raise_attach();
        let committed = cx.topology.routes().own().epoch;
        let known = cx.topology.routes().other_instance(id, hello.nonce.0);
        let commit = Frame::Commit { epoch: committed, known };
        send::send_extension(cx.topology, link, &commit, cx.out);
        self.apply_changes(vec![change], None, id, cx);
        let neighbour = neighbour_fact(introduction, hello, hello.epoch);
        self.on_parent_registered(link, id, cx);
        self.resume(link, hello, cx);
        self.attach(link, &introduction.registration(), committed, neighbour, cx);
        self.set_neighbour(link, hello);
    }

    /// Raises the epoch of this server above the one of another instance with its id.
    pub(super) fn exceed<O: Outbox>(&mut self, known: Epoch, cx: &mut RelayCx<'_, O>) {
        if known != Epoch::default()
            && let Some(change) = cx.topology.routes_mut().exceed(known)
        {
            self.apply_changes(vec![change], None, cx.topology.own_id(), cx);
        }
    }

    /// Removes the handshake of a link, with its timer.
    pub(super) fn take_handshake<O: Outbox>(
        &mut self,
        link: LinkId,
        cx: &mut RelayCx<'_, O>,
    ) -> Option<Handshake> {
        let handshake = self.handshakes.remove(&link)?;
        match handshake {
            Handshake::Probing { until, .. } => cx.timers.remove(until, Timer::Probe(link)),
            Handshake::Introduced { until: Some(until), .. } => {
                cx.timers.remove(until, Timer::Offer(link));
            }
            Handshake::Introduced { until: None, .. }
            | Handshake::Waiting { .. }
            | Handshake::Challenged { .. }
            | Handshake::Offered { .. } => {}
        }
        Some(handshake)
    }

    /// Forgets the handshake of a link that has ended.
    pub(super) fn end_handshake<O: Outbox>(&mut self, link: LinkId, cx: &mut RelayCx<'_, O>) {
        self.take_handshake(link, cx);
    }

    /// Checks that handshakes belong to links without a role and have their timers. Returns the
    /// number of timers.
    pub(super) fn check_handshakes(&self, topology: &Topology, timers: &Timers) -> usize {
        let mut timer_count = 0;
        for (&link, handshake) in &self.handshakes {
            let role = topology.find_link(link).map(|state| state.role());
            assert!(matches!(role, Some(Role::Unregistered { .. })), "{link} has no role yet");
            let (timer, until) = match handshake {
                Handshake::Probing { until, .. } => (Timer::Probe(link), *until),
                Handshake::Introduced { until: Some(until), .. } => (Timer::Offer(link), *until),
                Handshake::Introduced { until: None, .. }
                | Handshake::Waiting { .. }
                | Handshake::Challenged { .. }
                | Handshake::Offered { .. } => continue,
            };
            assert_eq!(timers.times_of(timer), [until], "the timer of the handshake on {link}");
            timer_count += 1;
        }
        timer_count
    }
}

fn neighbour_fact(introduction: &Introduction, hello: &Hello, epoch: Epoch) -> Fact {
    Fact { id: introduction.id, epoch, nonce: hello.nonce.0, via: HostId::NONE }
}

#[cfg(test)]
mod tests;
