//! Which steps a network can take.

use std::time::Duration;

use super::explorer::Explorer;
use super::process::Program;
use super::state::{Dial, End, Fault, Pipe, Standing, State, Step};

impl Explorer {
    /// Returns the steps that a network takes by itself: deliveries, timers, time.
    pub(super) fn own_steps(&self, state: &State) -> Vec<Step> {
        let mut steps = Vec::new();
        for (pipe, it) in state.pipes.iter().enumerate() {
            let ends = (0..2).filter(|&end| it.is_arriving(end));
            steps.extend(ends.map(|end| Step::Deliver { pipe: pipe as u16, end: end as u8 }));
        }
        let dials = state.dials.iter().enumerate();
        let dials = dials.filter(|(_, dial)| self.is_accepting(state, dial));
        steps.extend(dials.map(|(dial, _)| Step::Dial { dial: dial as u16 }));
        let due_in = |process| self.processes.get(process).due_in;
        let mut is_due = false;
        for (server, it) in state.servers.iter().enumerate() {
            if it.process.and_then(due_in).is_some_and(|span| span.is_zero()) {
                steps.push(Step::Timers { server: server as u8 });
                is_due = true;
            }
        }
        let is_in_flight = self.is_in_flight(state);
        if !is_due && !is_in_flight {
            let silent = (0..state.pipes.len()).filter(|&pipe| self.is_noticed(&state.pipes[pipe]));
            steps.extend(silent.map(|pipe| Step::Notice { pipe: pipe as u16 }));
        }
        let span = self.next_wait(state).filter(|_| !is_due);
        let is_in_time = |span: Duration| !is_in_flight || state.lag + span <= self.delay_max;
        if span.is_some_and(is_in_time) {
            steps.push(Step::Wait);
        }
        steps
    }

    /// Returns whether a plain server has a parent that has not introduced itself yet. Such a
    /// server never announces to the parent what it learns meanwhile, so it accepts nobody in the
    /// model.
    fn is_joining(&self, state: &State, server: usize) -> bool {
        let Some(process) = state.servers[server].process else { return false };
        let Program::Plain(plain) = &*self.processes.program(process) else { return false };
        plain.is_joining() || state.dials.iter().any(|dial| dial.server == server)
    }

    fn is_accepting(&self, state: &State, dial: &Dial) -> bool {
        !self.is_joining(state, dial.target)
    }

    /// Returns whether something is in flight. A dial that a server does not accept yet waits with
    /// the server.
    pub(super) fn is_in_flight(&self, state: &State) -> bool {
        let is_arriving = |pipe: &Pipe| (0..2).any(|end| pipe.is_arriving(end));
        state.pipes.iter().any(is_arriving)
            || state.dials.iter().any(|dial| self.is_accepting(state, dial))
    }

    /// Returns whether a link is silent and leads to a plain server. The silence may be noticed by
    /// the systems of its ends, and by a plain server in no other way.
    fn is_noticed(&self, pipe: &Pipe) -> bool {
        let is_plain = |end: &End| self.network.servers[end.server].habits.is_some();
        pipe.is_silent && pipe.ends.iter().any(is_plain)
    }

    /// Returns all steps that a network can take.
    pub(super) fn steps(&self, state: &State) -> Vec<Step> {
        let mut steps = self.own_steps(state);
        let is_busy = self.delay_max.is_zero() && self.is_busy(state);
        for (user, it) in state.users.iter().enumerate() {
            let spec = &self.network.users[user];
            let is_able = match it.standing {
                Standing::Absent => {
                    state.servers[spec.home].process.is_some() && !self.is_joining(state, spec.home)
                }
                Standing::Online(_) => it.next_step < spec.script.len(),
                Standing::Registering(_) | Standing::Left => false,
            };
            if is_able && !(self.faults > 1 && state.has_faulted) {
                steps.push(Step::User { user: user as u8 });
            }
        }
        let may_fail = state.faults_left > 0
            && (!self.is_busy(state) || state.faults_left <= self.faults_in_flight);
        for (server, it) in state.servers.iter().enumerate() {
            if it.process.is_none() {
                if !is_busy {
                    steps.push(Step::Restart { server: server as u8 });
                }
            } else if may_fail {
                steps.push(Step::Fault(Fault::Kill { server: server as u8 }));
            }
        }
        if may_fail {
            let pipes = state.pipes.iter().enumerate();
            for (pipe, _) in
                pipes.filter(|(_, it)| !it.is_silent && it.ends.iter().all(|e| e.is_open))
            {
                let pipe = pipe as u16;
                steps.push(Step::Fault(Fault::Reset { pipe }));
                steps.push(Step::Fault(Fault::Silence { pipe }));
            }
        }
        steps
    }

    /// Returns whether something is in flight or a timer is due.
    pub(super) fn is_busy(&self, state: &State) -> bool {
        self.is_in_flight(state) || self.next_wait(state).is_some_and(|span| span.is_zero())
    }

    /// Returns the time until the next timer of any server.
    pub(super) fn next_wait(&self, state: &State) -> Option<Duration> {
        let running = state.servers.iter().filter_map(|server| server.process);
        running.filter_map(|process| self.processes.get(process).due_in).min()
    }
}
