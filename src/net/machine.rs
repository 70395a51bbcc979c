//! What the loop needs to know of the programs that it serves: a pure [`Machine`], and a [`Services`]
//! of sockets, terminals and threads that only that program has.
//!
//! Both are type parameters of the loop: each program has a loop of its own, compiled for it.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use mio::{Registry, Token};

use crate::limits::READ_BYTES_PER_TURN;
use crate::link::{CloseReason, LinkId, Time};
use crate::mail::StoreRequest;
use crate::node::{self, DirectWrite, Node};
use crate::peer::{self, Peer};
use crate::wires::Wire;

/// What a machine asks of the outside.
pub(super) enum Action<R> {
    /// Connect to one of the neighbours named.
    Dial { target: usize, link: LinkId },
    /// Send what there is at once, and close.
    Close { link: LinkId, reason: CloseReason },
    /// Read from a link again.
    Resume { link: LinkId },
    /// Something that only this program has.
    Store(R),
    /// End.
    Shutdown,
}

/// A state machine with links: [`Node`] or [`Peer`], whose functions these are.
pub(super) trait Machine {
    /// What its listeners are for.
    type Wire: Copy + Display;
    /// See [`Action::Own`].
    type StoreRequest;

    /// What those that it dials are to it.
    const TARGET_KIND: &str;
    /// Whether it wants to know what the wall clock shows.
    const USES_WALL_CLOCK: bool;

    fn set_wall_clock(&mut self, _: Time, _: Duration) {}
    fn accepted(&mut self, now: Time, wire: Self::Wire, peer_addr: Option<SocketAddr>) -> LinkId;
    fn dialled(&mut self, now: Time, link: LinkId, peer_addr: Option<SocketAddr>);
    fn is_open(&self, link: LinkId) -> bool;
    fn read_budget(&self, link: LinkId) -> usize;
    /// Bytes came over a link. Some may be offered to other sockets at once.
    fn receive(&mut self, now: Time, link: LinkId, bytes: &[u8], direct_write: DirectWrite<'_>);
    fn closed(&mut self, now: Time, link: LinkId, reason: &CloseReason);
    fn advance(&mut self, now: Time);
    fn next_deadline(&self) -> Option<Time>;
    fn poll_action(&mut self) -> Option<Action<Self::StoreRequest>>;
    fn poll_unsent(&mut self) -> Option<LinkId>;
    fn poll_above_high_water(&mut self) -> Option<LinkId>;
    fn unsent(&self, link: LinkId) -> &[u8];
    fn sent(&mut self, link: LinkId, count: usize);
    fn stop(&mut self, now: Time);
    fn is_stopping(&self) -> bool;
}

/// What a program has beside its links. Its tokens are those that the loop leaves to it.
pub(super) trait Services<M: Machine> {
    /// Whether it has something to do at once.
    fn has_work(&self, machine: &M, now: Time) -> bool;
    /// When it has something to do if nothing happens.
    fn next_deadline(&self) -> Option<Time>;
    /// The system has news for one of its tokens.
    fn on_event(&mut self, token: Token);
    /// Another thread has woken the loop.
    fn on_wake(&mut self, machine: &mut M, now: Time);
    /// Its part of a turn, after the links were read.
    fn run_pending(&mut self, machine: &mut M, now: Time, registry: &Registry);
    /// Does what the machine wants.
    fn handle_store_request(&mut self, machine: &mut M, now: Time, request: M::StoreRequest);
    /// Shows what there is to show. Answers whether that has given the machine more to do.
    fn drain_events(&mut self, machine: &mut M, now: Time) -> bool;
    /// The program ends at once, whatever is not finished.
    fn abort(&mut self);
}

/// The functions that a machine has under the same name.
macro_rules! delegate_to_inherent {
    ($machine:ident) => {
        fn dialled(&mut self, now: Time, link: LinkId, peer: Option<SocketAddr>) {
            $machine::dialled(self, now, link, peer);
        }
        fn is_open(&self, link: LinkId) -> bool {
            $machine::is_open(self, link)
        }
        fn closed(&mut self, now: Time, link: LinkId, reason: &CloseReason) {
            $machine::closed(self, now, link, reason);
        }
        fn advance(&mut self, now: Time) {
            $machine::advance(self, now);
        }
        fn next_deadline(&self) -> Option<Time> {
            $machine::next_deadline(self)
        }
        fn poll_unsent(&mut self) -> Option<LinkId> {
            $machine::poll_unsent(self)
        }
        fn poll_above_high_water(&mut self) -> Option<LinkId> {
            $machine::poll_above_high_water(self)
        }
        fn unsent(&self, link: LinkId) -> &[u8] {
            $machine::unsent(self, link)
        }
        fn sent(&mut self, link: LinkId, count: usize) {
            $machine::sent(self, link, count);
        }
        fn stop(&mut self, now: Time) {
            $machine::stop(self, now);
        }
        fn is_stopping(&self) -> bool {
            $machine::is_stopping(self)
        }
    };
}

impl Machine for Node {
    type Wire = Wire;
    type StoreRequest = StoreRequest;

    const TARGET_KIND: &str = "parent";
    const USES_WALL_CLOCK: bool = false;

    delegate_to_inherent!(Node);

    fn accepted(&mut self, now: Time, wire: Wire, peer_addr: Option<SocketAddr>) -> LinkId {
        Node::accepted(self, now, wire, peer_addr)
    }

    fn read_budget(&self, link: LinkId) -> usize {
        Node::read_budget(self, link)
    }

    fn receive(&mut self, now: Time, link: LinkId, bytes: &[u8], direct_write: DirectWrite<'_>) {
        self.receive_with_direct_write(now, link, bytes, direct_write);
    }

    fn poll_action(&mut self) -> Option<Action<StoreRequest>> {
        Some(match self.poll_action()? {
            node::Action::Dial { parent, link } => Action::Dial { target: parent, link },
            node::Action::Close { link, reason } => Action::Close { link, reason },
            node::Action::Resume { link } => Action::Resume { link },
            node::Action::Store(request) => Action::Store(request),
            node::Action::Shutdown => Action::Shutdown,
        })
    }
}

/// The one door of a peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeerWire;

impl Display for PeerWire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("peer")
    }
}

impl Machine for Peer {
    type Wire = PeerWire;
    type StoreRequest = std::convert::Infallible;

    const TARGET_KIND: &str = "peer";
    const USES_WALL_CLOCK: bool = true;

    delegate_to_inherent!(Peer);

    fn set_wall_clock(&mut self, now: Time, wall_clock: Duration) {
        Peer::set_wall_clock(self, now, wall_clock);
    }

    fn accepted(&mut self, now: Time, _: PeerWire, peer_addr: Option<SocketAddr>) -> LinkId {
        Peer::accepted(self, now, peer_addr)
    }

    fn read_budget(&self, _: LinkId) -> usize {
        READ_BYTES_PER_TURN
    }

    fn receive(&mut self, now: Time, link: LinkId, bytes: &[u8], _: DirectWrite<'_>) {
        Peer::receive(self, now, link, bytes);
    }

    fn poll_action(&mut self) -> Option<Action<Self::StoreRequest>> {
        Some(match self.poll_action()? {
            peer::Action::Dial { target, link } => Action::Dial { target, link },
            peer::Action::Close { link, reason } => Action::Close { link, reason },
            peer::Action::Shutdown => Action::Shutdown,
        })
    }
}
