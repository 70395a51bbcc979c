//! [`ExtendedLink`]: what peering knows of a link between two servers that speak the extension.

use std::collections::VecDeque;

use crate::id::HostId;
use crate::link::Time;
use crate::relay::extension::ServerFact;
use crate::relay::profile::ProfileBuf;

/// The state of an extended link.
#[derive(Clone, Debug)]
pub(super) struct ExtendedLink {
    /// The fact whose registration follows.
    pub(super) expected_server: Option<ServerFact>,
    /// The home and the stamps of the registrations that follow.
    pub(super) expected_hosts: (HostId, VecDeque<u64>),
    /// The user whose registration follows, and what it says of itself.
    pub(super) expected_profile: Option<(HostId, ProfileBuf)>,
    /// Number of digests in a row that differ from those of this server.
    pub(super) mismatches: u32,
    /// When the link was attached.
    pub(super) since: Time,
    /// Port on which the neighbour accepts servers; 0 if there is none.
    pub(super) listen_port: u16,
}

impl ExtendedLink {
    /// Creates the state of a link that is attached now.
    pub(super) fn new(now: Time) -> Self {
        let expected_hosts = (HostId::NONE, VecDeque::new());
        Self {
            expected_server: None,
            expected_hosts,
            expected_profile: None,
            mismatches: 0,
            since: now,
            listen_port: 0,
        }
    }
}
