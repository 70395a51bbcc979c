//! What the loop needs to know of the programs that it serves: a pure [`Machine`], and a [`House`]
//! of sockets, terminals and threads that only that program has.
//!
//! Both are type parameters of the loop: each program has a loop of its own, compiled for it.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use mio::{Registry, Token};

use crate::doors::Door;
use crate::limits::READ_BYTES_PER_TURN;
use crate::mail::Request;
use crate::node::{self, AtOnce, Node};
use crate::peer::{self, Peer};
use crate::relay::{CloseReason, LinkId, Time};

/// What a machine asks of the outside.
pub(super) enum Wanted<Own> {
    /// Connect to one of the neighbours named.
    Dial { target: usize, link: LinkId },
    /// Send what there is at once, and close.
    Close { link: LinkId, reason: CloseReason },
    /// Read from a link again.
    Resume { link: LinkId },
    /// Something that only this program has.
    Own(Own),
    /// End.
    Shutdown,
}

/// A state machine with links: [`Node`] or [`Peer`], whose functions these are.
pub(super) trait Machine {
    /// What its listeners are for.
    type Door: Copy + Display;
    /// See [`Wanted::Own`].
    type Own;

    /// What those that it dials are to it.
    const NEIGHBOUR: &str;
    /// Whether it wants to know what the wall clock shows.
    const HAS_WALL: bool;

    fn set_wall(&mut self, _: Time, _: Duration) {}
    fn accepted(&mut self, now: Time, door: Self::Door, peer: Option<SocketAddr>) -> LinkId;
    fn dialled(&mut self, now: Time, link: LinkId, peer: Option<SocketAddr>);
    fn is_open(&self, link: LinkId) -> bool;
    fn appetite(&self, link: LinkId) -> usize;
    /// Bytes came over a link. Some may be offered to other sockets at once.
    fn receive(&mut self, now: Time, link: LinkId, bytes: &[u8], socket: AtOnce<'_>);
    fn closed(&mut self, now: Time, link: LinkId, reason: &CloseReason);
    fn advance(&mut self, now: Time);
    fn next_deadline(&self) -> Option<Time>;
    fn poll_wanted(&mut self) -> Option<Wanted<Self::Own>>;
    fn poll_unsent(&mut self) -> Option<LinkId>;
    fn poll_pressed(&mut self) -> Option<LinkId>;
    fn unsent(&self, link: LinkId) -> &[u8];
    fn sent(&mut self, link: LinkId, count: usize);
    fn stop(&mut self, now: Time);
    fn is_stopping(&self) -> bool;
}

/// What a program has beside its links. Its tokens are those that the loop leaves to it.
pub(super) trait House<M: Machine> {
    /// Whether it has something to do at once.
    fn is_busy(&self, machine: &M, now: Time) -> bool;
    /// When it has something to do if nothing happens.
    fn retry_at(&self) -> Option<Time>;
    /// The system has news for one of its tokens.
    fn note(&mut self, token: Token);
    /// Another thread has woken the loop.
    fn woken(&mut self, machine: &mut M, now: Time);
    /// Its part of a turn, after the links were read.
    fn serve(&mut self, machine: &mut M, now: Time, registry: &Registry);
    /// Does what the machine wants.
    fn carry_out(&mut self, machine: &mut M, now: Time, own: M::Own);
    /// Shows what there is to show. Answers whether that has given the machine more to do.
    fn show(&mut self, machine: &mut M, now: Time) -> bool;
    /// The program ends at once, whatever is not finished.
    fn give_up(&mut self);
}

/// The functions that a machine has under the same name.
macro_rules! as_they_are {
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
        fn poll_pressed(&mut self) -> Option<LinkId> {
            $machine::poll_pressed(self)
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
    type Door = Door;
    type Own = Request;

    const NEIGHBOUR: &str = "parent";
    const HAS_WALL: bool = false;

    as_they_are!(Node);

    fn accepted(&mut self, now: Time, door: Door, peer: Option<SocketAddr>) -> LinkId {
        Node::accepted(self, now, door, peer)
    }

    fn appetite(&self, link: LinkId) -> usize {
        Node::appetite(self, link)
    }

    fn receive(&mut self, now: Time, link: LinkId, bytes: &[u8], socket: AtOnce<'_>) {
        self.receive_and_pass(now, link, bytes, socket);
    }

    fn poll_wanted(&mut self) -> Option<Wanted<Request>> {
        Some(match self.poll_action()? {
            node::Action::Dial { parent, link } => Wanted::Dial { target: parent, link },
            node::Action::Close { link, reason } => Wanted::Close { link, reason },
            node::Action::Resume { link } => Wanted::Resume { link },
            node::Action::Mail(request) => Wanted::Own(request),
            node::Action::Shutdown => Wanted::Shutdown,
        })
    }
}

/// The one door of a peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeerDoor;

impl Display for PeerDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("peer")
    }
}

impl Machine for Peer {
    type Door = PeerDoor;
    type Own = std::convert::Infallible;

    const NEIGHBOUR: &str = "peer";
    const HAS_WALL: bool = true;

    as_they_are!(Peer);

    fn set_wall(&mut self, now: Time, wall: Duration) {
        Peer::set_wall(self, now, wall);
    }

    fn accepted(&mut self, now: Time, _: PeerDoor, peer: Option<SocketAddr>) -> LinkId {
        Peer::accepted(self, now, peer)
    }

    fn appetite(&self, _: LinkId) -> usize {
        READ_BYTES_PER_TURN
    }

    fn receive(&mut self, now: Time, link: LinkId, bytes: &[u8], _: AtOnce<'_>) {
        Peer::receive(self, now, link, bytes);
    }

    fn poll_wanted(&mut self) -> Option<Wanted<Self::Own>> {
        Some(match self.poll_action()? {
            peer::Action::Dial { target, link } => Wanted::Dial { target, link },
            peer::Action::Close { link, reason } => Wanted::Close { link, reason },
            peer::Action::Shutdown => Wanted::Shutdown,
        })
    }
}
