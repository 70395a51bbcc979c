//! Which of the steps of a state need not be taken there, because every history in which they come
//! first is equivalent to one in which others do (a partial-order reduction by persistent sets).
//!
//! A step touches the servers whose state it changes or depends on: a delivery the receiver, a dial
//! both ends, a kill or a user's step the server, a reset or a silence both ends of the link. Two
//! steps that touch no common server commute: they lead to the same state in either order, and
//! neither enables or disables the other, since one appends to the queues from which the other
//! takes the front. The number of faults is bounded in both orders alike.
//!
//! A set of servers is *closed* in a state if no step touches servers inside and outside of it, and
//! no sequence of steps outside can add a step inside: whatever comes to the set next is in flight
//! already. If something happens in a closed set, taking only the steps inside suffices. In any
//! history from there, take the first step inside: it is one of them, and commutes with all before
//! it. If there is none, a delivery inside can be appended and commutes with all of them. So while
//! links may still fail, a set is closed only if no link leads out of it.
//!
//! So every history is a part of an explored one up to the order of steps that commute. Each server
//! has the same history of its own in both, and so have its users. Hence nothing is missed that a
//! predicate says about a step, which looks at one server and its users alone. The predicates of a
//! network that heals are checked where nothing is in flight and no timer is due. There, nothing is
//! left out; and each such state is reached, since equivalent histories end in the same state.
//!
//! A test compares the states at rest that are reached with and without the reduction.
//!
//! A cycle of states would allow to leave out a step for ever. It has a step to a state that is
//! reached in no more steps than the one before, and the search takes all steps there.

use super::explorer::Explorer;
use super::network::Network;
use super::process::{Input, Output};
use super::state::{Fault, State, Step};

/// A set of servers, one bit each.
type Servers = u32;

impl Explorer {
    /// Moves the steps that suffice in a state to the front, and returns their number.
    pub(super) fn reduce(&mut self, state: &State, steps: &mut [Step]) -> usize {
        if !self.delay_max.is_zero() || !self.is_busy(state) {
            return steps.len();
        }
        let diallers = self.diallers(state);
        let touched: Vec<Servers> =
            steps.iter().map(|&step| touched(&self.network, state, step)).collect();
        let happens = |set: Servers| {
            let mut both = steps.iter().zip(&touched);
            let is_whole = touched.iter().all(|it| it & set == 0 || it & !set == 0);
            is_whole && both.any(|(&step, touched)| is_own(step) && touched & set != 0)
        };
        let all: Servers = (1 << state.servers.len()) - 1;
        let count = |set: Servers| touched.iter().filter(|&touched| touched & set != 0).count();
        let mut best = (steps.len(), all);
        for set in 1..all {
            if happens(set) && count(set) < best.0 && self.is_closed(state, diallers, &touched, set)
            {
                best = (count(set), set);
            }
        }
        let (number, set) = best;
        steps.sort_by_key(|&step| touched_by(&self.network, state, step, set));
        number
    }

    /// Returns whether no sequence of steps that touch none of these servers can add a step that
    /// touches one of them.
    fn is_closed(
        &self,
        state: &State,
        diallers: Servers,
        touched: &[Servers],
        set: Servers,
    ) -> bool {
        let outside = touched.iter().filter(|&touched| touched & set == 0);
        let active =
            self.reachable(state, set, outside.fold(0, |active, touched| active | touched));
        let may_get = state.pipes.iter().filter(|pipe| !pipe.is_silent).any(|pipe| {
            (0..2).any(|end| {
                let (to, from) = (pipe.ends[end], pipe.ends[1 - end]);
                let is_from_outside = bit(to.server) & set != 0 && bit(from.server) & set == 0;
                let is_empty = !pipe.is_arriving(end) && to.is_open;
                is_from_outside && is_empty && from.is_open && active & bit(from.server) != 0
            })
        });
        let may_be_accepted = state
            .dials
            .iter()
            .any(|dial| bit(dial.server) & set != 0 && bit(dial.target) & active != 0);
        !may_get && !may_be_accepted && !self.may_be_dialled(diallers & active, set)
    }

    /// Returns the servers outside a set that may get active after some of them are.
    fn reachable(&self, state: &State, set: Servers, mut active: Servers) -> Servers {
        loop {
            let before = active;
            for pipe in &state.pipes {
                let ends = bit(pipe.ends[0].server) | bit(pipe.ends[1].server);
                if ends & active != 0 {
                    active |= ends & !set;
                }
            }
            if active == before {
                return active;
            }
        }
    }

    /// Returns the servers that may dial while something is in flight. One with a single parent
    /// does so if it would when its timers run now: it waits after each failure.
    fn diallers(&mut self, state: &State) -> Servers {
        let mut diallers = 0;
        for (server, it) in state.servers.iter().enumerate() {
            let has_parents = self.network.servers[server].parents.len() > 1;
            let process = it.process.filter(|&process| self.processes.get(process).is_overdue);
            let outputs = process.map(|process| self.processes.handle(process, Input::Timers).1);
            let dials = |it: &Output| matches!(it, Output::Dial { .. });
            if has_parents || outputs.is_some_and(|outputs| outputs.iter().any(dials)) {
                diallers |= bit(server);
            }
        }
        diallers
    }

    /// Returns whether one of these servers may dial one in the set.
    fn may_be_dialled(&self, diallers: Servers, set: Servers) -> bool {
        let parents = |server: usize| self.network.servers[server].parents.iter();
        (0..self.network.servers.len())
            .filter(|&server| bit(server) & diallers != 0)
            .any(|server| parents(server).any(|&parent| bit(parent) & set != 0))
    }
}

fn bit(server: usize) -> Servers {
    1 << server
}

/// Returns whether a network takes this step by itself.
fn is_own(step: Step) -> bool {
    matches!(step, Step::Deliver { .. } | Step::Dial { .. } | Step::Timers { .. })
}

/// Returns whether a step touches none of the servers.
fn touched_by(network: &Network, state: &State, step: Step, set: Servers) -> bool {
    touched(network, state, step) & set == 0
}

/// Returns the servers that a step touches.
fn touched(network: &Network, state: &State, step: Step) -> Servers {
    let ends = |pipe: u16| {
        let ends = state.pipes[usize::from(pipe)].ends;
        bit(ends[0].server) | bit(ends[1].server)
    };
    match step {
        Step::Deliver { pipe, end } => {
            bit(state.pipes[usize::from(pipe)].ends[usize::from(end)].server)
        }
        Step::Dial { dial } => {
            let dial = state.dials[usize::from(dial)];
            bit(dial.server) | bit(dial.target)
        }
        Step::Timers { server } | Step::Fault(Fault::Kill { server }) => bit(server.into()),
        Step::User { user } => bit(network.users[usize::from(user)].home),
        Step::Fault(Fault::Reset { pipe } | Fault::Silence { pipe }) => ends(pipe),
        Step::Wait | Step::Notice { .. } | Step::Restart { .. } => Servers::MAX,
    }
}
