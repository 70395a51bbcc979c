//! Nicks that users of the IRC wire have taken at two servers at once.
//!
//! The user with the better claim keeps the nick, as with ids. The home of the other one closes its
//! link; until then, and on other servers, it is shown under its alias. Users of other wires have
//! their names, and aliases, as before. See "Users and homes" in `docs/PROTOCOL.md`.

use super::Peering;
use crate::id::HostId;
use crate::limits::SPLIT_QUIT_TEXT;
use crate::link::CloseReason;
use crate::relay::cx::RelayCx;
use crate::relay::message::{HostKind, Registration};
use crate::relay::notice::{Notice, is_irc_info};
use crate::relay::outbox::Outbox;
use crate::relay::topology::{Host, Topology};

/// A claim on a nick. The smallest is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NickClaim {
    /// The home has been started again and has not registered the user since.
    is_unconfirmed: bool,
    stamp: u64,
    home: HostId,
}

impl NickClaim {
    /// Returns the claim of a host on its name, if it is a user of the IRC wire.
    pub(in crate::relay) fn of(host: &Host, topology: &Topology) -> Option<Self> {
        let is_irc = host.kind == HostKind::User && is_irc_info(host.info());
        is_irc.then(|| Self {
            is_unconfirmed: topology.waits_for_home(host),
            stamp: host.stamp(),
            home: topology.home_id(host),
        })
    }
}

impl Peering {
    /// Decides who has the nick of a user that has got a claim on it.
    pub(super) fn settle_nick<O: Outbox>(&mut self, id: HostId, cx: &mut RelayCx<'_, O>) {
        let Some(host) = cx.topology.hosts().get(id) else { return };
        if is_irc_info(host.info()) && cx.out.namesakes(host.name()).len() > 1 {
            let name = host.name().to_vec();
            self.settle_claims(&name, cx);
        }
    }

    /// Decides who has the nick of a user that has left.
    pub(super) fn settle_nick_of_past<O: Outbox>(&mut self, host: &Host, cx: &mut RelayCx<'_, O>) {
        if is_irc_info(host.info()) && !cx.out.namesakes(host.name()).is_empty() {
            self.settle_claims(host.name(), cx);
        }
    }

    fn settle_claims<O: Outbox>(&mut self, nick: &[u8], cx: &mut RelayCx<'_, O>) {
        let claim_of = |&id: &HostId| {
            let host = cx.topology.hosts().get(id)?;
            let has_nick = host.name().eq_ignore_ascii_case(nick);
            Some((NickClaim::of(host, cx.topology).filter(|_| has_nick)?, id))
        };
        let mut claims: Vec<_> = cx.out.namesakes(nick).iter().filter_map(claim_of).collect();
        claims.sort_unstable();
        let mut claims = claims.into_iter().map(|(_, id)| id);
        let Some(winner) = claims.next() else { return };
        for loser in claims {
            self.close_for_nick(loser, cx);
        }
        give_nick(nick, winner, cx);
    }

    /// Removes a user who has lost its nick and its id to another user of the IRC wire. If it is a
    /// user of this server, its link closes: it takes no other id, since the nick is taken.
    pub(super) fn evict_namesake<O: Outbox>(&mut self, id: HostId, cx: &mut RelayCx<'_, O>) {
        let Some(host) = cx.topology.hosts().get(id) else { return };
        if let Some(link) = cx.topology.user_link(host.home()) {
            cx.out.close(link, CloseReason::NickCollision);
        }
        self.remove_host(id, &CloseReason::NickCollision.quit_text(), cx);
    }

    /// Closes the link of a user of this server who has lost its nick. A user whose home has been
    /// started again has left: it does not come back under its id.
    fn close_for_nick<O: Outbox>(&mut self, id: HostId, cx: &mut RelayCx<'_, O>) {
        let Some(host) = cx.topology.hosts().get(id) else { return };
        if cx.topology.waits_for_home(host) {
            return self.remove_host(id, SPLIT_QUIT_TEXT, cx);
        }
        if cx.topology.user_link(host.home()).is_some() {
            self.evict_namesake(id, cx);
        }
    }
}

/// Returns whether a host and another one with its id are users of the IRC wire with one nick.
pub(super) fn is_one_nick(host: &Host, other: &Registration<'_>) -> bool {
    let are_irc = is_irc_info(host.info()) && is_irc_info(other.info);
    are_irc && host.name().eq_ignore_ascii_case(other.name)
}

/// Shows the winner under the nick, unless a user of another wire is.
fn give_nick<O: Outbox>(nick: &[u8], winner: HostId, cx: &mut RelayCx<'_, O>) {
    let Some(&shown) = cx.out.namesakes(nick).first() else { return };
    let shown_host = cx.topology.hosts().get(shown);
    if shown == winner || shown_host.is_some_and(|host| !is_irc_info(host.info())) {
        return;
    }
    cx.out.give_nick(cx.topology.hosts().get(winner).expect("a host with a claim"));
    for user in [shown, winner] {
        let listeners = cx.topology.listeners_beside(user);
        cx.notify_users(listeners, &Notice::NickChanged(user));
    }
}
