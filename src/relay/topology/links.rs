//! The live links: their roles, and which sources may send over them.

use super::link_state::{LinkState, Refusal, Role, Subtree};
use super::{FirstLink, Host, List, Topology};
use crate::id::HostId;
use crate::limits::FALSE_SOURCES_MAX;
use crate::link::{LinkId, Time};

/// What a frame with a false source leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) struct FalseSource {
    /// No frame of this link had a false source before.
    pub(in crate::relay) is_first: bool,
    /// The link leads to a client that has sent too many of them.
    pub(in crate::relay) must_close: bool,
}

impl Topology {
    /// Adds a link that has just been opened.
    pub(in crate::relay) fn add_link(&mut self, link: LinkId, is_uplink: bool, deadline: Time) {
        self.links.set(link.index as usize, LinkState::new(link, is_uplink, deadline));
    }

    /// Returns the state of a live link.
    #[inline]
    pub(in crate::relay) fn link(&self, link: LinkId) -> &LinkState {
        self.links[link.index as usize].as_ref().expect("a live link")
    }

    pub(super) fn link_mut(&mut self, link: LinkId) -> &mut LinkState {
        self.links[link.index as usize].as_mut().expect("a live link")
    }

    /// Returns the state of a link, if it is live.
    pub(in crate::relay) fn find_link(&self, link: LinkId) -> Option<&LinkState> {
        self.links.occupied(link.index as usize).filter(|state| state.id() == link)
    }

    /// Iterates over the live links, by index.
    pub(in crate::relay) fn links(&self) -> impl Iterator<Item = &LinkState> {
        self.links.iter().flatten()
    }

    /// Gives a link the role of a user and returns its registration deadline, if it had one.
    pub(in crate::relay) fn register_user(&mut self, link: LinkId, host: HostId) -> Option<Time> {
        self.set_role(link, Role::User { host })
    }

    /// Gives a link the role of a server and returns its registration deadline, if it had one.
    pub(in crate::relay) fn register_server(
        &mut self,
        link: LinkId,
        host: HostId,
        is_extended: bool,
    ) -> Option<Time> {
        let joined_event = self.next_event();
        let subtree = Box::new(Subtree { joined_event, hosts: List::default(), is_extended });
        self.set_role(link, Role::Server { host, subtree })
    }

    /// Gives a link that has not registered another deadline. Returns the earlier one.
    pub(in crate::relay) fn set_deadline(&mut self, link: LinkId, at: Time) -> Option<Time> {
        self.find_link(link)?;
        match &mut self.link_mut(link).role {
            Role::Unregistered { deadline, .. } => Some(std::mem::replace(deadline, at)),
            Role::User { .. } | Role::Server { .. } => None,
        }
    }

    fn set_role(&mut self, link: LinkId, role: Role) -> Option<Time> {
        match std::mem::replace(&mut self.link_mut(link).role, role) {
            Role::Unregistered { deadline, .. } => Some(deadline),
            Role::User { .. } | Role::Server { .. } => None,
        }
    }

    /// Removes a link that has ended. The hosts behind a server must go into a split next, see
    /// [`Topology::begin_split`].
    pub(in crate::relay) fn remove_link(&mut self, link: LinkId) -> Option<LinkState> {
        self.links.get_mut(link.index as usize).and_then(Option::take)
    }

    /// Returns the live link at an index.
    pub(super) fn live_at(&self, index: u32) -> &LinkState {
        self.links[index as usize].as_ref().expect("the link of a host is live")
    }

    /// Returns whether frames of `source` may arrive over `link`: the rule of true sources.
    #[inline]
    pub(in crate::relay) fn is_valid_source(&self, source: HostId, link: LinkId) -> bool {
        match self.link(link).role {
            Role::Unregistered { .. } => false,
            Role::User { host } => host == source,
            Role::Server { .. } => {
                self.is_home_over(source, link) || self.waits_behind(source, link)
            }
        }
    }

    /// Returns whether `link` leads to the home of a host, which has come back and has not
    /// registered the host yet.
    #[cold]
    fn waits_behind(&self, source: HostId, link: LinkId) -> bool {
        let host = self.hosts.get(source).filter(|host| self.waits_for_home(host));
        let home = host.and_then(|host| self.server_key(self.home_id(host)));
        home.is_some_and(|home| self.servers.route(home) == FirstLink::Link(link))
    }

    /// Returns whether the home of a host is reached over `link`, or sends over it for the last
    /// time.
    #[inline]
    pub(in crate::relay) fn is_home_over(&self, source: HostId, link: LinkId) -> bool {
        self.is_first_link(source, link) || self.is_behind_ended(source, link)
    }

    /// Returns whether a host is of a home that was announced on a link which this server has ended
    /// and on which the other end still sends.
    #[cold]
    fn is_behind_ended(&self, source: HostId, link: LinkId) -> bool {
        let host = self.hosts.get(source);
        host.is_some_and(|host| self.routes.is_behind_ended(link, self.home_id(host)))
    }

    /// Counts a frame that arrived over `link` from a source that is not behind it.
    pub(in crate::relay) fn count_false_source(&mut self, link: LinkId) -> FalseSource {
        self.false_sources += 1;
        let state = self.link_mut(link);
        let refusals = state.refusals_mut();
        refusals.false_sources = refusals.false_sources.saturating_add(1);
        let false_sources = refusals.false_sources;
        FalseSource {
            is_first: false_sources == 1,
            must_close: !state.is_server() && false_sources >= FALSE_SOURCES_MAX,
        }
    }

    /// Counts a frame that arrived over `link` and is refused. Returns how many were, for the same
    /// reason.
    pub(in crate::relay) fn count_refusal(&mut self, link: LinkId, refusal: Refusal) -> u32 {
        self.unknown_ids += u64::from(refusal == Refusal::UnknownId);
        let refusals = self.link_mut(link).refusals_mut();
        let count = match refusal {
            Refusal::TakenId => &mut refusals.taken_ids,
            Refusal::UnknownId => &mut refusals.unknown_ids,
            Refusal::Unreadable => &mut refusals.unreadable,
            Refusal::NotAdmitted => &mut refusals.not_admitted,
            Refusal::Unexpected => &mut refusals.unexpected,
        };
        *count = count.saturating_add(1);
        *count
    }

    /// Returns the registered host at the other end of a link.
    pub(in crate::relay) fn adjacent_host(&self, link: LinkId) -> Option<&Host> {
        let state = self.links.occupied(link.index as usize)?;
        self.hosts.get(state.host_id()?)
    }

    /// Returns whether a host is at the other end of its first link, rather than behind a server
    /// there or lost.
    pub(in crate::relay) fn is_adjacent(&self, host: &Host) -> bool {
        let link = self.next_hop(host);
        link.is_some_and(|link| self.link(link).host_id() == Some(host.id))
    }

    /// Returns the id of the adjacent host that leads to `host`; during a split, that of the lost
    /// server.
    pub(in crate::relay) fn first_link_host(&self, host: &Host) -> HostId {
        match self.first_link(host) {
            FirstLink::Link(link) => self.link(link).host_id().unwrap_or(host.id),
            FirstLink::Split(split) => self.lost(split).neighbour,
        }
    }
}
