//! What holds once probes have been sent between all users of a network that has healed.

use std::collections::BTreeMap;

use super::end::Graph;
use super::player::Player;
use super::{Predicate, Violation};

impl Player<'_> {
    /// Checks that nothing was sent between servers but what keeps links alive.
    pub(super) fn check_quiet(&mut self) -> Result<(), Violation> {
        let Some(frame) = self.unquiet.take() else { return Ok(()) };
        let has_plain_parents = self.has_plain_servers() && self.scenario.has_faults();
        if has_plain_parents || self.scenario.has_twins() {
            return Ok(()); // a parent may refuse a child again and again
        }
        Err(self.violation(Predicate::Quiet, frame))
    }

    /// Returns how often each user has been answered that an id is unknown.
    pub(super) fn unknown_counts(&self) -> BTreeMap<u32, BTreeMap<u32, u32>> {
        self.users.iter().map(|(&number, user)| (number, user.unknown_ids.clone())).collect()
    }

    /// Checks that every probe from number `first` on has arrived if both users were connected when
    /// the probes were sent, and that the sender has been informed otherwise.
    pub(super) fn check_probes(
        &self,
        graph: &Graph,
        first: usize,
        before: &BTreeMap<u32, BTreeMap<u32, u32>>,
    ) -> Result<(), Violation> {
        let mut unknown = before.clone();
        for chat in &self.chats[first..] {
            let home = self.users[&chat.user].home;
            if graph.is_best_effort(home) {
                continue;
            }
            if self.users_in_part(graph, home).any(|(id, _)| id == chat.to) {
                if !chat.is_delivered {
                    let text = format!("no probe of user#{} reaches {}", chat.user, chat.to);
                    return Err(self.violation(Predicate::EveryPair, text));
                }
            } else if !self.users[&chat.user].is_direct {
                *unknown.entry(chat.user).or_default().entry(chat.to).or_default() += 1;
            }
        }
        // A plain server may answer with a status of its own, or not at all.
        if unknown != self.unknown_counts() && !self.has_plain_servers() {
            let text = format!("expected {unknown:?}, answered {:?}", self.unknown_counts());
            return Err(self.violation(Predicate::Accounting, text));
        }
        Ok(())
    }
}
