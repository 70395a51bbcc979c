//! [`Routes`]: facts about the servers of the network, and the choice of a route to each.
//!
//! Two neighbours that both speak the extension send each other a [`Fact`] about each server that
//! they reach over another link. A fact has the server's epoch, which only that server raises, and
//! its `via`: the adjacent server on the path from there. Each link has a table of the facts
//! received on it. The `via`s of a table lead from a server to the neighbour; this is the *chain*
//! of the server on that link. A route is the link of one of the tables.
//!
//! Every method that handles an event returns [`Change`]s. [`Routes::update`] turns each change
//! into what has to be sent on each other link, so that every link has been sent the facts of
//! [`Routes::announced_on`].
//!
//! # Rules
//!
//! In a tree, not announcing a server back gives right routes once all frames have arrived: with
//! any one other rule for the choice suspended, 6,000 runs of the model in which cycles are cut end
//! well. The rules for the choice are needed while links form a cycle. The model has a seed for
//! each rule that fails without it; the numbers are events of the shortest run found.
//!
//! - *A chain must end at the neighbour.* Without: a server that is gone keeps a route in a cycle
//!   (52 events).
//! - *A chain must not pass this server.* Without: a server that is gone keeps a route (52 events).
//!   For example, in the cycle 1–3–4, server 1 loses its neighbour 2 and takes its own
//!   announcement, `2 via 1`, which has gone round the cycle.
//! - *The highest epoch wins.* Without: outdated facts in a cycle keep each other alive (959
//!   events).
//! - *With equal epochs, a route stays.* Without: the two ways round a cycle replace each other,
//!   and frames circulate for ever.
//! - *With equal epochs, a route moves to the link of the route of its `via`.* Without: frames go
//!   another way than the chain says (173 events).
//! - *A chain through a server that is known in a later version is no alternative. The current
//!   route may stay on one, so that a subtree that moves is not lost until its facts arrive.*
//!   Without: outdated facts replace withdrawn ones, and frames circulate in a cycle for ever.
//! - *With equal epochs, a route moves from such a chain to another one that is not outdated.*
//!   Without: servers on both sides of a link that was cut keep routes over it, and its ends dial
//!   each other again and again (1,191 events).
//! - *A server is not announced on the link of its route.* Without: neighbours keep a server alive
//!   that is gone (114 events).
//! - *When a route moves, the server is withdrawn on its new link and announced on the old one.*
//!   Without: the two ends of a link differ for good (50 events).
//! - *A server raises its epoch when it loses a link, too, so that an epoch stands for one set of
//!   neighbours.* Without: an outdated chain looks like a new one, and frames circulate in a cycle
//!   for ever.
//! - *The raised epoch is sent after the withdrawals.* Without: it makes facts look new that are
//!   about to be withdrawn (859 events).
//! - *Of two links to one neighbour, the one that the smaller id committed last stays. Both ends
//!   know the order of its commits.* Without: both ends dial at once, and both links stay (48
//!   events).
//! - *A cycle is cut where the two ways to its largest member meet. The two ends of exactly one
//!   link reach that member over two links with the same version.* Without: servers that dial one
//!   another in a circle stay in it (62 events).
//!
//! Two rules make no difference to where the model ends:
//! - *A lost server comes back only with the same nonce and no lower epoch, or with a higher boot
//!   count.* Until it is forgotten, an outdated fact does not revive it, and another instance with
//!   its id does not take over its users.
//! - *A neighbour with a higher epoch on another link has left: its link is a ghost.* Routes have
//!   moved to the other link already; the link would be closed when its pings are not answered. In
//!   a cycle the news may have come the longer way, so a live link is closed; this cuts the cycle.
//!   If the cycle rule cuts another of its links at that time, the two parts have to join again.

mod announce;
mod check;
mod choose;
mod end;
mod pass;
mod table;

use std::collections::BTreeMap;

use self::pass::Pass;
use self::table::{LinkTable, Server, Use};
use crate::id::HostId;
use crate::link::LinkId;
use crate::relay::extension::Epoch;

/// A fact about a server, as received on a link or sent on one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) struct Fact {
    /// The server.
    pub(in crate::relay) id: HostId,
    /// Epoch of the server.
    pub(in crate::relay) epoch: Epoch,
    /// Random number that the server chose when it started.
    pub(in crate::relay) nonce: u64,
    /// The adjacent server on the path from `id` to the receiver of the fact; [`HostId::NONE`] in
    /// a fact of the sender about itself.
    pub(in crate::relay) via: HostId,
}

/// The instance and the state of a server to which a fact refers. A fact replaces those of smaller
/// versions: the epoch decides, and between two instances in the same epoch the nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    epoch: Epoch,
    nonce: u64,
}

impl Fact {
    fn version(&self) -> Version {
        Version { epoch: self.epoch, nonce: self.nonce }
    }
}

/// What an event changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::relay) enum Change {
    /// The epoch of this server was raised.
    Own,
    /// A server that had no route has one.
    Up { id: HostId, link: LinkId },
    /// The route of a server has changed. `is_updated`: its epoch or its `via` as well.
    Moved { id: HostId, from: LinkId, to: LinkId, is_updated: bool },
    /// The epoch or the `via` of a server has changed, its route has not.
    Updated { id: HostId },
    /// A server has lost its route. It is lost until [`Routes::forget`].
    Down { id: HostId },
    /// A link must be closed.
    Close { link: LinkId, conflict: Conflict },
    /// A fact about this server's id that this server has not sent.
    OwnIdElsewhere { epoch: Epoch },
}

impl Change {
    /// Returns the server other than this one that the change may announce.
    pub(in crate::relay) fn announced_id(&self) -> Option<HostId> {
        match *self {
            Self::Up { id, .. } | Self::Moved { id, .. } | Self::Updated { id } => Some(id),
            _ => None,
        }
    }

    /// Returns the server that has lost its route.
    pub(in crate::relay) fn lost_id(&self) -> Option<HostId> {
        match *self {
            Self::Down { id } => Some(id),
            _ => None,
        }
    }
}

/// The reason for which a link must be closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::relay) enum Conflict {
    /// The neighbour has attached elsewhere since it last sent a fact on this link.
    Ghost,
    /// Another link leads to the same neighbour.
    SecondLink,
    /// The link is part of a cycle. The members are in order, this server first.
    Cycle { members: Vec<HostId> },
}

/// A fact to send on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) enum Update {
    Announce(Fact),
    Withdraw(HostId),
}

/// A rule that a test can suspend to show that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) enum Rule {
    ChainEnds,
    LeavesThisServerOut,
    HigherEpochWins,
    Sticky,
    FollowsParent,
    NoStaleCandidate,
    FreshChainWins,
    EpochFloor,
    NotAnnouncedBack,
    WithdrawnOnMove,
    RaisedOnDetach,
    RaisedLast,
    Ghost,
    SecondLink,
    Cycle,
}

/// The facts of each link, and the route to each server.
#[derive(Clone, Debug)]
pub(in crate::relay) struct Routes {
    own: Fact,
    links: BTreeMap<LinkId, LinkTable>,
    servers: BTreeMap<HostId, Server>,
    #[cfg(test)]
    suspended: Option<Rule>,
}

impl Routes {
    /// Creates the table of a server without links.
    pub(in crate::relay) fn new(id: HostId, epoch: Epoch, nonce: u64) -> Self {
        Self {
            own: Fact { id, epoch, nonce, via: HostId::NONE },
            links: BTreeMap::new(),
            servers: BTreeMap::new(),
            #[cfg(test)]
            suspended: None,
        }
    }

    #[cfg(test)]
    fn applies(&self, rule: Rule) -> bool {
        self.suspended != Some(rule)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "a test suspends rules of one table")]
    fn applies(&self, _rule: Rule) -> bool {
        true
    }

    /// Returns the fact of this server about itself.
    pub(in crate::relay) fn own(&self) -> Fact {
        self.own
    }

    /// Gives this server another id. Its links are about to be closed, since the neighbours know
    /// the old one.
    pub(in crate::relay) fn set_own_id(&mut self, id: HostId) {
        self.own.id = id;
        self.servers.remove(&id);
    }

    /// Returns the epoch of this server.
    pub(in crate::relay) fn own_epoch(&self) -> Epoch {
        self.own.epoch
    }

    /// Raises the epoch of this server, before it commits a link. The epoch is part of the commit.
    pub(in crate::relay) fn raise_attach(&mut self) -> Change {
        self.own.epoch.attach += 1;
        Change::Own
    }

    /// Raises the epoch of this server above that of another instance with its id, so that this
    /// instance counts as one that started later.
    pub(in crate::relay) fn exceed(&mut self, epoch: Epoch) -> Option<Change> {
        if epoch.boot < self.own.epoch.boot {
            return None;
        }
        self.own.epoch = Epoch { boot: epoch.boot.saturating_add(1), attach: 0 };
        Some(Change::Own)
    }

    /// Adds a link to an extended neighbour. `committed` is the epoch in COMMIT or OFFER that this
    /// server sent on it, `neighbour` has the one that it received.
    pub(in crate::relay) fn attach(
        &mut self,
        link: LinkId,
        committed: Epoch,
        neighbour: Fact,
    ) -> Vec<Change> {
        let fact = Fact { via: HostId::NONE, ..neighbour };
        let commits =
            if self.own.id < fact.id { (committed, fact.epoch) } else { (fact.epoch, committed) };
        let old = self.links.insert(link, LinkTable::new(fact.id, commits));
        assert!(old.is_none(), "a link is attached once");
        let mut pass = Pass::default();
        self.insert_fact(link, fact, &mut pass);
        self.find_second_link(link, &mut pass);
        self.find_ghosts(fact.id, &mut pass);
        self.run(pass)
    }

    /// Handles a fact received on a link.
    pub(in crate::relay) fn learn(&mut self, link: LinkId, fact: Fact) -> Vec<Change> {
        let Some(table) = self.links.get(&link) else { return Vec::new() };
        if fact.id == self.own.id {
            let epoch = fact.epoch;
            let is_own = fact.nonce == self.own.nonce && epoch <= self.own.epoch;
            let change = (!is_own).then_some(Change::OwnIdElsewhere { epoch });
            return change.into_iter().collect();
        }
        if (fact.id == table.neighbour) != (fact.via == HostId::NONE) {
            return Vec::new();
        }
        let mut pass = Pass::default();
        self.insert_fact(link, fact, &mut pass);
        self.find_ghosts(fact.id, &mut pass);
        self.run(pass)
    }

    /// Handles a withdrawal received on a link.
    pub(in crate::relay) fn withdraw(&mut self, link: LinkId, id: HostId) -> Vec<Change> {
        let is_known = self
            .links
            .get(&link)
            .is_some_and(|table| table.neighbour != id && table.facts.contains_key(&id));
        let mut pass = Pass::default();
        if is_known {
            self.remove_fact(link, id, &mut pass);
        }
        self.run(pass)
    }

    /// Removes a link that has ended, and raises the epoch of this server unless it was raised by
    /// [`Routes::end`].
    pub(in crate::relay) fn detach(&mut self, link: LinkId) -> Vec<Change> {
        let Some(table) = self.links.remove(&link) else { return Vec::new() };
        let mut pass = Pass::default();
        for &id in table.facts.keys() {
            self.server_mut(id).links.retain(|&other| other != link);
            pass.touch(id);
        }
        table.facts.keys().for_each(|&id| self.touch_descendants(id, &mut pass));
        let changes = self.run(pass);
        if table.in_use == Use::Ended { changes } else { self.raise_after(changes) }
    }

    /// Raises the epoch of this server after the changes that come with the loss of a link.
    fn raise_after(&mut self, mut changes: Vec<Change>) -> Vec<Change> {
        if self.applies(Rule::RaisedOnDetach) {
            let own = self.raise_attach();
            let index = if self.applies(Rule::RaisedLast) { changes.len() } else { 0 };
            changes.insert(index, own);
        }
        changes
    }

    /// Forgets a lost server. A fact that was too old to bring it back counts from now on.
    pub(in crate::relay) fn forget(&mut self, id: HostId) -> Vec<Change> {
        let mut pass = Pass::default();
        if let Some(server) = self.servers.get_mut(&id).filter(|server| server.is_lost()) {
            server.floor = None;
            pass.touch(id);
            self.touch_descendants(id, &mut pass);
        }
        self.run(pass)
    }

    /// Returns the next hop towards a server.
    pub(in crate::relay) fn route(&self, id: HostId) -> Option<LinkId> {
        self.servers.get(&id)?.route
    }

    /// Returns the fact about a reachable server as it is sent on.
    pub(in crate::relay) fn fact(&self, id: HostId) -> Option<Fact> {
        self.servers.get(&id)?.sent
    }

    /// Returns the nonce and the boot count of the instance of a server to which there is a route,
    /// or to which the last one led.
    pub(in crate::relay) fn instance(&self, id: HostId) -> Option<(u64, u32)> {
        let version = self.servers.get(&id)?.floor?;
        Some((version.nonce, version.epoch.boot))
    }

    /// Returns the highest epoch known of an instance of a server other than the one with `nonce`,
    /// or the default if none is known.
    pub(in crate::relay) fn other_instance(&self, id: HostId, nonce: u64) -> Epoch {
        let Some(server) = self.servers.get(&id) else { return Epoch::default() };
        let sent = server.sent.map(|fact| fact.version());
        let versions = sent.into_iter().chain(server.floor);
        let others = versions.filter(|version| version.nonce != nonce);
        others.map(|version| version.epoch).max().unwrap_or_default()
    }

    /// Returns whether a server that has a route, or is lost, is the instance with this nonce.
    pub(in crate::relay) fn knows_instance(&self, id: HostId, nonce: u64) -> bool {
        let version = self.servers.get(&id).and_then(|server| server.floor);
        version.is_some_and(|version| version.nonce == nonce)
    }

    /// Iterates over the lost servers, by id.
    #[cfg(test)]
    pub(in crate::relay) fn lost_ids(&self) -> impl Iterator<Item = HostId> {
        self.servers.iter().filter(|(_, server)| server.is_lost()).map(|(&id, _)| id)
    }

    /// Returns the servers on the route to `id`: the neighbour first, `id` last. Empty if the
    /// server has no route.
    pub(in crate::relay) fn path(&self, id: HostId) -> Vec<HostId> {
        self.route(id).map_or_else(Vec::new, |link| self.chain(link, id))
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
