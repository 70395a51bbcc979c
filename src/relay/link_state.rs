//! Links: live connections to adjacent hosts, and what this server knows of each.
//!
//! Owns the names of links, the roles that a link can have and the reasons for which one ends.
//! A role is taken once and never changes: that is half of the rule of true sources.

use std::collections::HashSet;

use foldhash::fast::RandomState;

use super::announcements::Cursor;
use super::table::List;
use crate::id::HostId;
use crate::link::{LinkId, Time};

/// Ids, never iterated in an order that anything outside could see.
pub(super) type IdSet = HashSet<HostId, RandomState>;

/// What a link is.
#[derive(Debug)]
pub(super) enum Role {
    /// Nothing has been accepted from it yet.
    Unregistered {
        /// This server dialled it as a parent.
        is_uplink: bool,
        /// When it must have registered.
        deadline: Time,
    },
    /// An adjacent user.
    User { host: HostId },
    /// An adjacent server.
    Server {
        host: HostId,
        /// Whom it leads to. Boxed: there are few servers, and each user's link has a role too.
        subtree: Box<Subtree>,
    },
}

/// What is behind a server's link.
#[derive(Debug, Default)]
pub(super) struct Subtree {
    /// When the server joined, in the relay's count of joins and splits.
    pub(super) joined_event: u64,
    /// The hosts whose first link it is.
    pub(super) hosts: List,
    /// Ids that were registered over it and have not left over it, but are somebody else's.
    pub(super) claimed_ids: IdSet,
}

/// A link as the relay knows it.
#[derive(Debug)]
pub(super) struct LinkState {
    pub(super) id: LinkId,
    pub(super) role: Role,
    /// What it has been told of the hosts that exist.
    pub(super) cursor: Cursor,
    /// Frames dropped because their source is not behind this link.
    pub(super) false_sources: u32,
}

impl LinkState {
    /// The adjacent host, once it is registered.
    pub(super) fn host_id(&self) -> Option<HostId> {
        match self.role {
            Role::Unregistered { .. } => None,
            Role::User { host } | Role::Server { host, .. } => Some(host),
        }
    }
}
