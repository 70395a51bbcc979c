//! What users may not notice while nothing else fails: that servers stop and move, and that links
//! are reset, which are back within the grace.

use std::time::Duration;

use crc::limits::{LINK_STABLE_AFTER, REDIAL_BACKOFF_MAX, REDIAL_HASTE, SHUTDOWN_DRAIN_TIMEOUT};
use crc::link::{Machine as _, Time};

use super::chats::SentChat;
use super::end::Graph;
use super::event::label;
use super::player::Player;
use super::users::User;
use super::{HEAL_TIME_MAX, Predicate, Violation};

/// Time after which servers have moved, once one has stopped or started.
pub(super) const MOVE_TIME: Duration = Duration::from_secs(25);

/// Time in which a chat arrives, also over a link that is reset, and in which a user is known
/// everywhere.
pub(super) const ARRIVAL_TIME: Duration = Duration::from_secs(6);

/// Maximum delay of links on which the answers that a move waits for are in time.
pub(super) const MOVE_DELAY_MAX: Duration = Duration::from_millis(20);

/// Time that a server may take to end beyond that for which it waits.
const STOP_SLACK: Duration = Duration::from_secs(1);

impl Player<'_> {
    /// Stops a server as its operator would.
    pub(super) fn stop(&mut self, server: usize) {
        let Some(index) = self.servers[server].filter(|_| !self.is_plain(server)) else { return };
        if self.world.faults.is_paused(index) {
            return;
        }
        let now = self.world.now();
        // A server whose link to its parent is not back yet has no other to name to its children.
        let is_moving = self.moves_began_at.is_some_and(|at| now < at + MOVE_TIME);
        let is_reset = self.resets.last().is_some_and(|&at| now < at + ARRIVAL_TIME);
        // The children of one that is stopped may have joined this one, and know no other.
        let is_second = self.servers.iter().any(Option::is_none);
        if !self.is_calm_at(now) || is_moving || is_reset || is_second {
            self.on_fault();
        }
        self.moves_began_at = Some(now);
        self.world.with_node(index, |node, now| node.stop(now));
        for user in self.users.values_mut().filter(|user| user.home == server) {
            user.is_dismissed = true;
        }
        self.forget(server);
        self.stopping.insert(server, (index, now));
    }

    /// Resets the link of a server to its parent, which may notice only after a time.
    pub(super) fn reset(&mut self, server: usize, noticed_after: Option<Duration>) {
        let Some(index) = self.servers[server] else { return };
        let now = self.world.now();
        // A server with another parent joins that one instead, over which nothing is sent again.
        let mut servers = self.scenario.servers.iter();
        let has_moved = self.moves_began_at.is_some() || servers.any(|it| it.parents.len() > 1);
        if has_moved || self.is_dialled_slowly(server) || !self.is_calm_at(now) {
            self.on_fault();
        }
        self.resets.push(now);
        match noticed_after {
            None => self.world.reset_uplink(index),
            Some(span) => self.world.reset_uplink_half_open(index, span),
        }
    }

    /// Records that the link of a server to its parent is reset. Returns whether that is dialled
    /// with delays which grow, since the link has not been stable for long: two of them may be
    /// longer than the grace.
    fn is_dialled_slowly(&mut self, server: usize) -> bool {
        let now = self.world.now();
        let (first, last) = self.reset_runs.entry(server).or_insert((now, now));
        if now >= *last + (LINK_STABLE_AFTER + REDIAL_BACKOFF_MAX) {
            *first = now;
        }
        *last = now;
        now > *first + REDIAL_HASTE
    }

    /// Waits until a server that was stopped has ended. Returns whether it was stopped, rather
    /// than killed.
    pub(super) fn wait_until_stopped(&mut self, server: usize) -> Result<bool, Violation> {
        let Some((index, _)) = self.stopping.get(&server).copied() else { return Ok(false) };
        while self.world.node(index).is_some() {
            self.run_for(Duration::from_millis(100))?;
        }
        self.stopping.remove(&server);
        Ok(true)
    }

    /// Handles that a server that was stopped has started again.
    pub(super) fn on_started_again(&mut self, server: usize) {
        let now = self.world.now();
        if !self.is_calm_at(now) {
            self.on_fault();
        }
        self.moves_began_at = Some(now);
        self.started_again_at.insert(server, now);
    }

    /// Checks that servers which were stopped end in time.
    pub(super) fn check_stopping(&self) -> Result<(), Violation> {
        let time_max = SHUTDOWN_DRAIN_TIMEOUT + STOP_SLACK;
        let is_late = |at: Time| self.world.now().since(at) > time_max;
        let mut stopping = self.stopping.iter();
        match stopping.find(|&(_, &(index, at))| is_late(at) && self.world.node(index).is_some()) {
            None => Ok(()),
            Some((&server, _)) => {
                let text = format!("{} has been stopped, and does not end", label(server));
                Err(self.violation(Predicate::Deadlines, text))
            }
        }
    }

    /// Returns whether the network has had time to heal at a time: nothing but servers that stop
    /// has happened to it.
    fn is_calm_at(&self, time: Time) -> bool {
        let net = self.scenario.conditions;
        let faults = self.faults.iter().filter(|&&fault| fault <= time);
        !self.has_plain_servers()
            && !self.scenario.has_twins()
            && !net.splits_writes
            && net.delay_max <= MOVE_DELAY_MAX
            && self.liars.is_empty()
            && faults.max().is_none_or(|&fault| fault + HEAL_TIME_MAX < time)
    }

    /// Checks that nobody has been shown as quit who has not left, unless a link may have been
    /// lost.
    pub(super) fn check_shown_quits(&mut self) -> Result<(), Violation> {
        let mut shown = Vec::new();
        for (&number, user) in &mut self.users {
            shown.extend(std::mem::take(&mut user.shown_quits).into_iter().map(|id| (number, id)));
        }
        // They have been shown at any time since the last check.
        let now = self.world.now();
        let checked_at = std::mem::replace(&mut self.quits_checked_at, now);
        if !self.is_calm_at(checked_at) || !self.is_calm_at(now) {
            return Ok(());
        }
        for (number, id) in shown {
            let is_here =
                |user: &User| user.is_online() && user.is_reading && !self.may_lose_nick(user);
            if self.only_user_with(id).is_some_and(is_here) {
                let text = format!("user#{number} was shown the quit of {id}, who has not left");
                return Err(self.violation(Predicate::Unnoticed, text));
            }
        }
        Ok(())
    }

    /// Checks that each chat has arrived that was sent while nothing failed.
    pub(super) fn check_arrivals(&self, graph: &Graph) -> Result<(), Violation> {
        let must_arrive = |chat: &SentChat| !chat.is_delivered && self.has_to_arrive(chat, graph);
        match self.chats.iter().position(must_arrive) {
            None => Ok(()),
            Some(at) => {
                let SentChat { user, to, .. } = self.chats[at];
                let text = format!("chat {at} of user#{user} to {to} has not arrived");
                Err(self.violation(Predicate::Unnoticed, text))
            }
        }
    }

    fn has_to_arrive(&self, chat: &SentChat, graph: &Graph) -> bool {
        let sender = &self.users[&chat.user];
        // A message to somebody who is lost is kept, unless that fails.
        let is_refused = sender.is_direct && self.failed_stores.contains(&label(sender.home));
        let is_connected = |user: &User| graph.is_connected(sender.home, user.home);
        let until = chat.sent_at + ARRIVAL_TIME;
        let stays = |user: &User| user.left_at.is_none_or(|at| at >= until);
        let is_known = |user: &User| user.joined_at + ARRIVAL_TIME <= chat.sent_at;
        chat.mail.is_none()
            && chat.was_reachable
            && !is_refused
            && !self.scenario.may_be_closed(chat.to)
            && !self.scenario.may_be_closed(sender.id) // it may be closed, since it does not read
            && self.is_calm_from((sender.home, chat.sent_at), until)
            && stays(sender)
            && self
                .only_user_with(chat.to)
                .is_some_and(|user| stays(user) && is_known(user) && is_connected(user))
    }

    /// Returns whether nothing fails from a time to another one, nor has failed shortly before, and
    /// a server has not just started again, which knows nobody until its neighbours have dialled it
    /// again.
    pub(super) fn is_calm_from(&self, (server, from): (usize, Time), until: Time) -> bool {
        let started_at = self.started_again_at.get(&server);
        let is_new = started_at.is_some_and(|&at| from < at + ARRIVAL_TIME);
        let is_meanwhile = |&fault: &Time| fault >= from && fault <= until;
        !is_new && self.is_calm_at(from) && !self.faults.iter().any(is_meanwhile)
    }

    /// Returns whether no other user has ever registered the id of a user.
    pub(super) fn is_only_user(&self, user: &User) -> bool {
        self.only_user_with(user.id).is_some()
    }

    /// Returns whether a chat of a user can reach the user with an id. Servers that are parents of
    /// each other may be a part of the network for themselves until one of them ends; so may the
    /// children of a server that is down, and a server that has started again before its parent.
    pub(super) fn may_reach(&self, user: &User, id: u32) -> bool {
        // Nobody notices that the children of a server which has stopped move.
        let now = self.world.now();
        let is_moving = self.moves_began_at.is_some_and(|at| now < at + MOVE_TIME);
        let is_one_down = self.servers.iter().any(Option::is_none) && !is_moving;
        if !self.scenario.has_rings() && !self.may_be_apart && !is_one_down {
            return true;
        }
        let Ok(graph) = self.graph() else { return false };
        self.only_user_with(id).is_some_and(|other| graph.is_connected(user.home, other.home))
    }

    /// Returns the user with an id, if no other has ever registered it.
    fn only_user_with(&self, id: u32) -> Option<&User> {
        let mut users = self.users.values().filter(|user| user.id == id);
        users.next().filter(|_| users.next().is_none())
    }
}
