//! [`Totals`]: the numbers of a server, for the operator's page and for Prometheus.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::node::{Node, WireTotals};
use crate::operator::bounds::Bounds;
use crate::operator::state::Dropped;

/// The numbers of a server.
#[derive(Serialize)]
pub(super) struct Totals {
    /// Users connected to this server.
    pub(super) users_here: usize,
    /// Users of the network.
    pub(super) users: usize,
    /// Servers of the network, this one too.
    pub(super) servers: usize,
    pub(super) rooms: usize,
    /// Servers that are connected to this one.
    pub(super) links: usize,
    /// Lost links whose users may come back.
    pub(super) splits: usize,
    /// Number of connections of each wire.
    pub(super) connections: BTreeMap<&'static str, usize>,
    /// Number of frames that have arrived on each wire.
    pub(super) messages: BTreeMap<&'static str, u64>,
    pub(super) mail: Mail,
    pub(super) dropped: Dropped,
    #[serde(flatten)]
    pub(super) bounds: Bounds,
    #[serde(skip)]
    pub(super) wires: Vec<WireTotals>,
}

/// The messages kept for absent users.
#[derive(Serialize)]
pub(super) struct Mail {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) refused: u64,
}

impl Totals {
    pub(super) fn new(node: &Node) -> Self {
        let (wires, relay) = (node.wire_totals(), node.relay());
        let servers = relay.hosts().server_count();
        let backlogs = node.spool().backlogs();
        Self {
            users_here: wires.iter().map(|wire| wire.users).sum(),
            users: relay.hosts().len() - servers,
            servers: servers + 1,
            rooms: relay.room_count(),
            links: wires.iter().map(|wire| wire.servers).sum(),
            splits: relay.split_count(),
            connections: wires.iter().map(|wire| (wire.wire.name(), wire.connections)).collect(),
            messages: wires.iter().map(|it| (it.wire.name(), it.traffic.frames_in)).collect(),
            mail: Mail {
                messages: backlogs.iter().map(|(_, backlog)| backlog.messages).sum(),
                bytes: backlogs.iter().map(|(_, backlog)| backlog.bytes).sum(),
                refused: node.spool().refused(),
            },
            dropped: Dropped::new(node),
            bounds: Bounds::new(node),
            wires,
        }
    }
}
