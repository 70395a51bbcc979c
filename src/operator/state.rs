//! What the operator sees of a server as a whole, as values that serialize to the JSON of
//! `docs/PROTOCOL.md`, "The control socket".

use serde::Serialize;

use super::bounds::Bounds;
use super::rooms::RoomEntry;
use super::snapshot::{HostEntry, LinkEntry, ServerEntry, adjacent_hosts, kind_name, lossy};
use crate::id::HostId;
use crate::link::Time;
use crate::node::Node;
use crate::relay::message::HostKind;

/// A server and all that it knows.
#[derive(Serialize)]
pub(super) struct StateSnapshot {
    #[serde(flatten)]
    pub(super) head: StateHead,
    pub(super) hosts: Vec<HostEntry>,
    links: Vec<LinkEntry>,
    servers: Vec<ServerEntry>,
    pub(super) rooms: Vec<RoomEntry>,
    #[serde(flatten)]
    pub(super) tail: StateTail,
}

/// The part of the state before its lists.
#[derive(Serialize)]
pub(super) struct StateHead {
    pub(super) id: HostId,
    pub(super) name: String,
    pub(super) info: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parent_id: Option<HostId>,
    pub(super) adjacent_server_ids: Vec<HostId>,
    pub(super) adjacent_user_ids: Vec<HostId>,
}

/// The part of the state behind its lists.
#[derive(Serialize)]
pub(super) struct StateTail {
    pub(super) status_updates: Vec<String>,
    pub(super) dropped: Dropped,
    pub(super) bounds: Bounds,
}

/// This server, as a part of the tree.
#[derive(Serialize)]
pub(super) struct OwnServerEntry {
    id: HostId,
    kind: &'static str,
    name: String,
    info: String,
    #[serde(rename = "extended")]
    is_extended: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<HostId>,
    hops: usize,
    users: u32,
    lost: bool,
    #[serde(rename = "self")]
    is_self: bool,
}

/// Counts of what was dropped, by reason.
#[derive(Serialize)]
pub(super) struct Dropped {
    pub(super) false_sources: u64,
    pub(super) unroutable: u64,
    pub(super) lost: u64,
    pub(super) undelivered: u64,
}

/// Returns the id of this server's parent, if it has one.
fn parent_id(node: &Node) -> Option<HostId> {
    let relay = node.relay();
    let uplink = node.links().find(|link| relay.is_uplink(link.id()))?;
    Some(relay.adjacent_host(uplink.id())?.id)
}

impl Dropped {
    pub(super) fn new(node: &Node) -> Self {
        let counters = node.relay().counters();
        Self {
            false_sources: counters.false_sources,
            unroutable: counters.unroutable,
            lost: counters.lost,
            undelivered: node.undelivered(),
        }
    }
}

impl StateHead {
    pub(super) fn new(node: &Node) -> Self {
        let identity = node.relay().identity();
        let adjacent_ids = |kind| {
            let mut ids: Vec<HostId> = adjacent_hosts(node, kind).map(|host| host.id).collect();
            ids.sort_unstable();
            ids
        };
        Self {
            id: identity.id,
            name: lossy(&identity.name),
            info: lossy(&identity.info),
            parent_id: parent_id(node),
            adjacent_server_ids: adjacent_ids(HostKind::Server),
            adjacent_user_ids: adjacent_ids(HostKind::User),
        }
    }
}

impl StateTail {
    pub(super) fn new(node: &Node) -> Self {
        Self {
            status_updates: node.relay().status_updates().map(str::to_owned).collect(),
            dropped: Dropped::new(node),
            bounds: Bounds::new(node),
        }
    }
}

impl OwnServerEntry {
    pub(super) fn new(node: &Node) -> Self {
        let identity = node.relay().identity();
        Self {
            id: identity.id,
            kind: kind_name(HostKind::Server),
            name: lossy(&identity.name),
            info: lossy(&identity.info),
            is_extended: true,
            parent_id: parent_id(node),
            hops: 0,
            users: node.relay().own_host_count(),
            lost: false,
            is_self: true,
        }
    }
}

impl StateSnapshot {
    pub(super) fn new(node: &Node, now: Time) -> Self {
        Self {
            head: StateHead::new(node),
            hosts: HostEntry::all(node, |_| true),
            links: LinkEntry::all(node, now),
            servers: ServerEntry::all(node),
            rooms: RoomEntry::all(node),
            tail: StateTail::new(node),
        }
    }
}
