//! What this server says of itself when a link to a server begins.

use crate::id::HostId;
use crate::link::LinkId;
use crate::relay::extension::codec::VERSION;
use crate::relay::extension::{Epoch, Frame, Hello, Nonce};
use crate::relay::message::Message;
use crate::relay::outbox::Outbox;
use crate::relay::send;
use crate::relay::topology::Topology;

/// What this server says of itself and of a new link in HELLO and OFFER.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    /// Port on which this server accepts servers; 0 if there is none.
    pub(super) listen_port: u16,
    /// Names the link.
    pub(super) token: u64,
    /// This server leaves another parent for the link.
    pub(super) is_moving: bool,
    /// See [`Hello::capabilities`].
    pub(super) capabilities: u32,
}

/// Sends this server's registration to a parent that has been dialled, and HELLO with it.
pub(super) fn register_with_parent<O: Outbox>(
    topology: &Topology,
    link: LinkId,
    own: Own,
    (replay_token, handled_bytes): (u64, u64),
    out: &mut O,
) {
    out.deliver(link, &Message::Registration(topology.own_registration(HostId::NONE)));
    let hello = own_hello(topology, own);
    let hello = Hello { replay_token, handled_bytes, ..hello };
    send::send_extension(topology, link, &Frame::Hello(hello), out);
}

/// Returns HELLO or OFFER of this server, without what it knows of the neighbour.
pub(super) fn own_hello(topology: &Topology, own_link: Own) -> Hello {
    let Own { listen_port, token, is_moving, capabilities } = own_link;
    let own = topology.routes().own();
    Hello {
        version: VERSION,
        is_moving,
        capabilities,
        epoch: own.epoch,
        nonce: Nonce(own.nonce),
        port: listen_port,
        token,
        replay_token: 0,
        handled_bytes: 0,
        known: Epoch::default(),
    }
}
