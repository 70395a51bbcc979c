//! Which messages have to arrive, and where they may go.

use crc::link::Time;

use super::super::end::Graph;
use super::super::event::label;
use super::super::player::{PROBE_TIME, Player};
use super::super::unnoticed::ARRIVAL_TIME;
use super::super::users::User;
use super::super::{HEAL_TIME_MAX, Predicate, Violation};
use super::{RoomLabel, RoomMessage};

impl Player<'_> {
    /// Returns whether the tree has not changed since a time, nor shortly before.
    pub(super) fn is_settled_since(&self, time: Time) -> bool {
        let mut changes = self.faults.iter().chain(&self.resets);
        !self.scenario.may_send_move()
            && !self.has_plain_servers()
            && changes.all(|&change| change + HEAL_TIME_MAX < time)
    }

    /// Checks that each message has reached each member that was one throughout, and went towards
    /// members only, if it was sent while nothing failed.
    pub(in crate::sim::scenario) fn check_room_arrivals(
        &self,
        graph: &Graph,
    ) -> Result<(), Violation> {
        for (at, message) in self.rooms.messages.iter().enumerate() {
            let missing = message.expected.difference(&message.received);
            let mut missing = missing.filter(|&&user| self.has_to_hear(message, user, graph));
            if let Some(user) = missing.next() {
                let (speaker, room) = (message.user, message.room);
                let text = format!(
                    "room message {at} of user#{speaker} to {room} has not reached user#{user}"
                );
                return Err(self.violation(Predicate::Unnoticed, text));
            }
            if self.is_settled_since(message.sent_at) {
                self.check_ends(at, message)?;
            }
        }
        Ok(())
    }

    fn has_to_hear(&self, message: &RoomMessage, number: u32, graph: &Graph) -> bool {
        let (sender, member) = (&self.users[&message.user], &self.users[&number]);
        let until = message.sent_at + ARRIVAL_TIME;
        let stays = |user: &User| user.left_at.is_none_or(|at| at >= until);
        let requests = &self.rooms.requests[&(number, message.room)];
        let leaves =
            requests.iter().any(|it| !it.is_join && it.at >= message.sent_at && it.at <= until);
        self.is_calm_from((sender.home, message.sent_at), until)
            && graph.is_connected(sender.home, member.home)
            && self.is_only_user(member)
            && self.is_only_user(sender)
            && !self.scenario.may_be_closed(member.id)
            && !self.scenario.may_be_closed(sender.id)
            && stays(sender)
            && stays(member)
            && !leaves
    }

    /// Checks that each server to which a message went has members, or has sent it on.
    fn check_ends(&self, at: usize, message: &RoomMessage) -> Result<(), Violation> {
        for &(_, server) in &message.hops {
            let is_sent_on = message.hops.iter().any(|&(from, _)| from == server);
            let is_member = |number, home| {
                self.servers[home] == Some(server)
                    && self.may_be_member(number, message.room, message.sent_at)
            };
            let has_members = self.users.iter().any(|(&number, user)| is_member(number, user.home));
            let Some(place) = self.servers.iter().position(|&it| it == Some(server)) else {
                continue;
            };
            if !is_sent_on && !has_members {
                let (label, room) = (label(place), message.room);
                let text = format!("room message {at} went to {label}, where nobody is in {room}");
                return Err(self.violation(Predicate::NoMisdelivery, text));
            }
        }
        Ok(())
    }

    /// Lets each member of each room speak in it, and checks that the others receive it.
    pub(in crate::sim::scenario) fn probe_rooms(&mut self, graph: &Graph) -> Result<(), Violation> {
        if !self.scenario.has_rooms() {
            return Ok(());
        }
        let users = self.online().map(|(&number, user)| (number, user.id, user.home));
        let users: Vec<(u32, u32, usize)> = users.collect();
        let mut probes = Vec::new();
        for (number, id, home) in users {
            let Some(table) = self.table_for(home, graph) else { continue };
            for (room, members) in table.into_iter().filter(|(_, ids)| ids.contains(&id)) {
                let others = members.iter().filter(|&&other| other != id);
                let others = others.filter_map(|&other| self.member_with(other, home, graph));
                let others: Vec<u32> = others.collect();
                probes.push((self.rooms.messages.len(), others));
                self.say(number, RoomLabel(room.0))?;
            }
        }
        self.run_for(PROBE_TIME)?;
        for (at, expected) in probes {
            let received = &self.rooms.messages[at].received;
            if let Some(user) = expected.iter().find(|&user| !received.contains(user)) {
                let RoomMessage { user: speaker, room, .. } = self.rooms.messages[at];
                let text = format!("no probe of user#{speaker} in {room} reaches user#{user}");
                return Err(self.violation(Predicate::EveryPair, text));
            }
        }
        Ok(())
    }
}
