//! [`LinkState`]: what the relay knows of a live connection to an adjacent host.

use super::table::List;
use crate::id::HostId;
use crate::link::{LinkId, Time};

/// The role of a link. Taken once, when a registration is accepted, and never changed.
#[derive(Clone, Debug)]
pub(in crate::relay) enum Role {
    /// No registration has been accepted on it.
    Unregistered {
        /// This server dialled the link to join a parent.
        is_uplink: bool,
        /// Time by which a registration must be accepted.
        deadline: Time,
    },
    /// A link to a user.
    User { host: HostId },
    /// A link to a server.
    Server {
        host: HostId,
        /// Boxed, because there are few servers and every link has a role.
        subtree: Box<Subtree>,
    },
}

/// The hosts behind a link to a server.
#[derive(Clone, Debug, Default)]
pub(in crate::relay) struct Subtree {
    /// Time at which the server joined, in the topology's count of joins and splits.
    pub(super) joined_event: u64,
    /// The hosts behind a plain neighbour; none behind an extended one.
    pub(super) hosts: List,
    /// Both ends speak the extension between crc servers.
    pub(in crate::relay) is_extended: bool,
}

/// A link as the relay knows it.
#[derive(Clone, Debug)]
pub(in crate::relay) struct LinkState {
    id: LinkId,
    pub(super) role: Role,
    /// Boxed, because few links have any.
    refusals: Option<Box<Refusals>>,
}

/// Numbers of frames of a link that were refused, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// The source is not behind the link: dropped.
    pub false_sources: u32,
    /// Registrations with an id that is taken.
    pub taken_ids: u32,
    /// Chats and statuses to an id that nobody has, or that is behind the same link.
    pub unknown_ids: u32,
    /// Chats that the plain neighbour on the path does not read.
    pub unreadable: u32,
    /// Registrations of servers over a connection that may not have any.
    pub not_admitted: u32,
    /// Frames of the extension that are malformed, or have no place on the link.
    pub unexpected: u32,
}

/// The reason for which a frame is refused, apart from its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) enum Refusal {
    TakenId,
    UnknownId,
    Unreadable,
    NotAdmitted,
    Unexpected,
}

impl Subtree {
    /// Returns the hosts behind a link that has ended.
    pub(in crate::relay) fn into_hosts(self) -> List {
        self.hosts
    }
}

impl LinkState {
    /// Creates the state of a link that has just been opened.
    pub(super) fn new(id: LinkId, is_uplink: bool, deadline: Time) -> Self {
        Self { id, role: Role::Unregistered { is_uplink, deadline }, refusals: None }
    }

    /// Returns the id of the link.
    pub(in crate::relay) fn id(&self) -> LinkId {
        self.id
    }

    /// Returns the numbers of frames that were refused.
    pub(in crate::relay) fn refusals(&self) -> Refusals {
        self.refusals.as_deref().copied().unwrap_or_default()
    }

    /// Like [`LinkState::refusals`], to count one.
    pub(super) fn refusals_mut(&mut self) -> &mut Refusals {
        self.refusals.get_or_insert_default()
    }

    /// Returns the role of the link.
    pub(in crate::relay) fn role(&self) -> &Role {
        &self.role
    }

    /// Returns the role of a link that has ended.
    pub(in crate::relay) fn into_role(self) -> Role {
        self.role
    }

    /// Returns whether the link leads to a registered server.
    pub(in crate::relay) fn is_server(&self) -> bool {
        matches!(self.role, Role::Server { .. })
    }

    /// Returns whether the link leads to a registered server and both ends speak the extension.
    pub(in crate::relay) fn is_extended(&self) -> bool {
        matches!(&self.role, Role::Server { subtree, .. } if subtree.is_extended)
    }

    /// Returns whether the link leads to a registered user.
    pub(in crate::relay) fn is_user(&self) -> bool {
        matches!(self.role, Role::User { .. })
    }

    /// Returns the id of the adjacent host, once it is registered.
    pub(in crate::relay) fn host_id(&self) -> Option<HostId> {
        match self.role {
            Role::Unregistered { .. } => None,
            Role::User { host } | Role::Server { host, .. } => Some(host),
        }
    }
}
