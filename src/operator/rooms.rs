//! What the operator sees of rooms.

use serde::Serialize;

use crate::id::HostId;
use crate::node::Node;
use crate::relay::RoomReport;

/// A room of the network.
#[derive(Serialize)]
pub(super) struct RoomEntry {
    pub(super) name: String,
    pub(super) members_here: usize,
    pub(super) members_elsewhere: usize,
    /// The id under which CRC clients and plain neighbours know the room.
    #[serde(rename = "id", skip_serializing_if = "Option::is_none")]
    pub(super) shown_as: Option<HostId>,
}

impl RoomEntry {
    pub(super) fn new(room: RoomReport<'_>) -> Self {
        Self {
            name: String::from_utf8_lossy(room.name.as_bytes()).into_owned(),
            members_here: room.members_here,
            members_elsewhere: room.members_elsewhere,
            shown_as: room.shown_as,
        }
    }

    /// Returns every room, by name.
    pub(super) fn all(node: &Node) -> Vec<Self> {
        node.relay().rooms().map(Self::new).collect()
    }
}
