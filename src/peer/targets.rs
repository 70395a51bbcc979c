//! The targets: the peers named on the command line. Each is dialled until it is linked, and again
//! when its link closes, with the delays of [`Redial`].

use rand::rngs::StdRng;

use crate::link::{LinkId, Redial, Time};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The next attempt is due when the redial policy allows it.
    Waiting,
    Dialling {
        link: LinkId,
    },
    Linked {
        link: LinkId,
    },
    /// Another link leads to the same peer.
    LinkedElsewhere {
        incarnation: u64,
    },
    /// The target is this peer itself, or this peer is stopping: never dialled again.
    Disabled,
}

#[derive(Debug)]
struct Target {
    state: State,
    redial: Redial,
}

/// All targets, by their index on the command line.
#[derive(Debug)]
pub(super) struct Targets(Vec<Target>);

impl Target {
    fn disable(&mut self) {
        self.state = State::Disabled;
        self.redial.stop();
    }
}

impl Targets {
    /// Returns targets that are all due at time zero.
    pub(super) fn new(count: usize) -> Self {
        let new_target = |_| Target { state: State::Waiting, redial: Redial::new(1) };
        Self((0..count).map(new_target).collect())
    }

    /// Returns the next target that is due.
    pub(super) fn next_due(&self, now: Time) -> Option<usize> {
        self.0.iter().position(|target| target.redial.is_due(now))
    }

    /// Returns when the next target is due.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.0.iter().filter_map(|target| target.redial.deadline()).min()
    }

    /// Records that a target is being dialled as `link`.
    pub(super) fn mark_dialling(&mut self, target: usize, link: LinkId) {
        let target = &mut self.0[target];
        target.state = State::Dialling { link };
        target.redial.started();
    }

    /// Records that the handshake with a target is complete.
    pub(super) fn mark_linked(&mut self, now: Time, target: usize, link: LinkId) {
        let target = &mut self.0[target];
        target.state = State::Linked { link };
        target.redial.succeeded(now);
    }

    /// Records that another link leads to the incarnation that a target resolved to.
    pub(super) fn mark_linked_elsewhere(&mut self, target: usize, incarnation: u64) {
        let target = &mut self.0[target];
        target.state = State::LinkedElsewhere { incarnation };
        target.redial.stop();
    }

    /// Stops dialling a target.
    pub(super) fn disable(&mut self, target: usize) {
        self.0[target].disable();
    }

    /// Stops dialling all targets.
    pub(super) fn disable_all(&mut self) {
        self.0.iter_mut().for_each(Target::disable);
    }

    /// Returns whether every target is disabled or failed at its last attempt and none is being
    /// dialled.
    pub(super) fn have_all_failed(&self) -> bool {
        self.0.iter().all(|target| {
            target.state == State::Disabled || target.redial.is_waiting_after_failure()
        })
    }

    /// Schedules the redial of a target whose link closed.
    pub(super) fn on_link_closed(
        &mut self,
        now: Time,
        target: usize,
        link: LinkId,
        rng: &mut StdRng,
    ) {
        let Target { state, redial } = &mut self.0[target];
        match *state {
            State::Linked { link: l } | State::Dialling { link: l } if l == link => {
                *state = State::Waiting;
                redial.failed(now, rng);
            }
            _ => {}
        }
    }

    /// Schedules the redial of targets that resolved to a peer whose last link closed.
    pub(super) fn on_peer_unlinked(&mut self, now: Time, incarnation: u64, rng: &mut StdRng) {
        for Target { state, redial } in &mut self.0 {
            if *state == (State::LinkedElsewhere { incarnation }) {
                *state = State::Waiting;
                redial.retry_soon(now, rng);
            }
        }
    }
}
