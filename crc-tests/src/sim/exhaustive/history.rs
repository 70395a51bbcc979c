//! Histories as text.

use super::explorer::{Broken, Explorer};
use super::network::{Network, UserStep};
use super::state::{Dial, Fault, State, Step};
use crate::frames::split_frames;
use crate::sim::describe_frame;

impl Explorer {
    /// Returns the lines of a history that breaks a predicate.
    pub(super) fn describe(
        &mut self,
        (steps, healing, broken): &(Vec<Step>, Vec<Step>, Broken),
    ) -> Vec<String> {
        let mut lines = Vec::new();
        let Ok(mut state) = self.start() else { return vec![broken.clone()] };
        for (at, &step) in steps.iter().chain(healing).enumerate() {
            if at == steps.len() {
                lines.push("nothing fails from here on, and no user does anything".to_owned());
            }
            lines.push(self.describe_step(&state, step));
            let next = super::search::apply(self, &state, step);
            let Ok(next) = next else { break };
            state = next;
        }
        lines.push(broken.clone());
        lines
    }

    fn describe_step(&self, state: &State, step: Step) -> String {
        let label = |server: u8| Network::label(server.into());
        let pipe_text = |pipe: u16| {
            let [one, two] = state.pipes[usize::from(pipe)].ends;
            format!("{}–{}", Network::label(one.server), Network::label(two.server))
        };
        match step {
            Step::Deliver { pipe, end } => self.describe_delivery(state, pipe.into(), end.into()),
            Step::Dial { dial } => {
                let Dial { server, target, .. } = state.dials[usize::from(dial)];
                format!("{} connects to {}", Network::label(server), Network::label(target))
            }
            Step::Timers { server } => format!("{}: timers", label(server)),
            Step::Notice { pipe } => format!("the silence of {} is noticed", pipe_text(pipe)),
            Step::Wait => {
                let span = self.next_wait(state).unwrap_or_default();
                format!("{:.3} s pass", span.as_secs_f64())
            }
            Step::User { user } => {
                let spec = &self.network.users[usize::from(user)];
                let home = Network::label(spec.home);
                let next_step = state.users[usize::from(user)].next_step;
                match spec.script[next_step] {
                    UserStep::Join => format!("user#{user} registers {} at {home}", spec.id),
                    UserStep::Chat { to } => format!("user#{user} at {home} sends a chat to {to}"),
                    UserStep::Quit => format!("user#{user} at {home} quits"),
                }
            }
            Step::Restart { server } => format!("{} starts again", label(server)),
            Step::Fault(Fault::Reset { pipe }) => format!("FAULT: {} is reset", pipe_text(pipe)),
            Step::Fault(Fault::Silence { pipe }) => format!("FAULT: {} is silent", pipe_text(pipe)),
            Step::Fault(Fault::Kill { server }) => format!("FAULT: {} is killed", label(server)),
        }
    }

    fn describe_delivery(&self, state: &State, pipe: usize, end: usize) -> String {
        let pipe = &state.pipes[pipe];
        let [from, to] = [1 - end, end].map(|end| Network::label(pipe.ends[end].server));
        let in_flight = &pipe.in_flight[end];
        let what = match (in_flight.writes.front(), in_flight.ending) {
            (Some(&bytes), _) => {
                let frames = split_frames(&self.processes.bytes(bytes));
                let frames: Vec<String> =
                    frames.iter().map(|it| shortened(&describe_frame(it))).collect();
                frames.join(" | ")
            }
            (None, ending) => format!("{ending:?}"),
        };
        format!("{from} → {to}: {what}")
    }
}

/// Returns the beginning of a description.
fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 150;
    match text.char_indices().nth(CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
