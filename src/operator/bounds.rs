//! The bounds for connections, and what was closed for them.

use serde::Serialize;

use crate::node::Node;

/// How much of the bounds for connections is in use, and what was closed for them.
#[derive(Serialize)]
pub(super) struct Bounds {
    pub(super) unregistered: usize,
    unregistered_max: usize,
    pub(super) buffer_bytes: usize,
    pub(super) buffer_bytes_max: usize,
    pub(super) closed: Closed,
}

/// Counts of connections that were closed for a bound.
#[derive(Serialize)]
pub(super) struct Closed {
    pub(super) crowded: u64,
    pub(super) address: u64,
    pub(super) buffers: u64,
}

impl Bounds {
    pub(super) fn new(node: &Node) -> Self {
        let (limits, closed) = (&node.limits().connections, node.closed_for_bound());
        Self {
            unregistered: node.unregistered(),
            unregistered_max: limits.unregistered_max,
            buffer_bytes: node.buffer_bytes(),
            buffer_bytes_max: limits.buffer_bytes_max,
            closed: Closed {
                crowded: closed.crowded,
                address: closed.address,
                buffers: closed.buffers,
            },
        }
    }
}
