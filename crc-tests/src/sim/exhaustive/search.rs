//! [`Search`]: all states that a network reaches, breadth first.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::canonical::{ByFingerprint, Counts, Fingerprint, fingerprint};
use super::explorer::{Broken, Explorer};
use super::state::{State, Step};
use crate::sim::scenario::panics;

/// Number of steps in which a network without faults reaches the end of [`Network::heal_time`].
///
/// [`Network::heal_time`]: super::network::Network::heal_time
const HEAL_STEPS_MAX: u32 = 5_000;

/// How far a search goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) states_max: usize,
    pub(super) time_max: Duration,
    /// Steps of the longest history.
    pub(super) depth_max: usize,
    /// Whether steps are left out that change nothing, see [`super::reduction`].
    pub(super) is_reduced: bool,
}

/// What a search has found.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) states: usize,
    pub(super) steps: u64,
    /// Length of the longest of the shortest histories of all states.
    pub(super) depth: usize,
    pub(super) healed: usize,
    /// The sum of the fingerprints of the states in which nothing is in flight and no timer is due.
    pub(super) rest_states: Fingerprint,
    /// The longest time in which a network healed.
    pub(super) heal_time: Duration,
    pub(super) is_exhausted: bool,
    /// The shortest history that breaks a predicate: the steps, those that the network takes by
    /// itself until it should have healed, and the predicate.
    pub(super) violation: Option<(Vec<Step>, Vec<Step>, Broken)>,
}

/// How a state was first reached.
struct Reached {
    from: u32,
    step: Step,
}

/// A search in progress.
pub(super) struct Search<'a> {
    explorer: &'a mut Explorer,
    bounds: Bounds,
    /// The numbers of states, in the order in which they were reached.
    visited: HashMap<Fingerprint, u32, ByFingerprint>,
    /// By the number of the state.
    reached: Vec<Reached>,
    frontier: VecDeque<(u32, State)>,
    /// States in which nothing is in flight, and how long the network takes to heal from there.
    healing: HashMap<Fingerprint, Duration, ByFingerprint>,
    found: Found,
}

impl<'a> Search<'a> {
    pub(super) fn new(explorer: &'a mut Explorer, bounds: Bounds) -> Self {
        Self {
            explorer,
            bounds,
            visited: HashMap::default(),
            reached: Vec::new(),
            frontier: VecDeque::new(),
            healing: HashMap::default(),
            found: Found::default(),
        }
    }

    /// Visits every state until a predicate breaks, or the bounds are reached. `on_depth` is called
    /// with the number of states for each depth.
    pub(super) fn run(
        mut self,
        interrupted: &AtomicBool,
        mut on_depth: impl FnMut(usize, usize, usize),
    ) -> Found {
        let started_at = Instant::now();
        let start = match self.explorer.start() {
            Ok(start) => start,
            Err(broken) => {
                self.found.violation = Some((Vec::new(), Vec::new(), broken));
                return self.found;
            }
        };
        self.add(0, Step::Wait, start);
        while !self.frontier.is_empty() && self.found.depth <= self.bounds.depth_max {
            on_depth(self.found.depth, self.visited.len(), self.frontier.len());
            self.explorer.processes.free_unused();
            let layer_end = self.reached.len();
            for _ in 0..self.frontier.len() {
                let (number, state) = self.frontier.pop_front().expect("a state");
                if let Err((steps, broken)) = self.visit(number, &state, layer_end) {
                    let (mut history, rest) = (self.history(number), steps);
                    history.extend(rest.first_step);
                    self.found.violation = Some((history, rest.healing, broken));
                    return self.finish();
                }
                let is_over = self.visited.len() >= self.bounds.states_max
                    || started_at.elapsed() >= self.bounds.time_max
                    || interrupted.load(Ordering::Relaxed);
                if is_over {
                    return self.finish();
                }
            }
            self.found.depth += usize::from(!self.frontier.is_empty());
        }
        self.found.is_exhausted = self.frontier.is_empty();
        self.finish()
    }

    fn finish(mut self) -> Found {
        self.found.states = self.visited.len();
        self.found.healed = self.healing.len();
        self.found
    }

    /// Adds a state that a step leads to, and returns its number.
    fn add(&mut self, from: u32, step: Step, state: State) -> usize {
        let next = u32::try_from(self.reached.len()).expect("fewer states than 2^32");
        let number = *self.visited.entry(fingerprint(&state)).or_insert(next);
        if number == next {
            self.reached.push(Reached { from, step });
            self.frontier.push_back((number, state));
        }
        number as usize
    }

    /// Takes every step from a state, or those that suffice. States with numbers below `layer_end`
    /// are reached in no more steps than this one.
    fn visit(
        &mut self,
        number: u32,
        state: &State,
        layer_end: usize,
    ) -> Result<(), (Failed, Broken)> {
        if !self.explorer.is_busy(state) {
            let key = self.explorer.rest_key(state);
            self.found.rest_states = self.found.rest_states.wrapping_add(key);
            self.check_healing(state)?;
        }
        let mut steps = self.explorer.steps(state);
        let mut count = steps.len();
        if self.bounds.is_reduced {
            count = self.explorer.reduce(state, &mut steps);
        }
        let mut at = 0;
        while at < count {
            let step = steps[at];
            self.found.steps += 1;
            match apply(self.explorer, state, step) {
                Ok(next) => {
                    if self.add(number, step, next) < layer_end {
                        count = steps.len();
                    }
                }
                Err(broken) => {
                    return Err((Failed { first_step: Some(step), healing: Vec::new() }, broken));
                }
            }
            at += 1;
        }
        Ok(())
    }

    /// Checks that a network in which nothing is in flight heals by itself if nothing fails any
    /// more and no user does anything.
    fn check_healing(&mut self, state: &State) -> Result<(), (Failed, Broken)> {
        let mut run = HealingRun::new(state);
        let mut result = self.heal(&mut run);
        let heal_time_max = self.explorer.network.heal_time();
        if result.is_err() || run.healed_at > heal_time_max {
            // The history is to be whole, without what is known of a state on the way.
            self.healing.clear();
            run = HealingRun::new(state);
            result = self.heal(&mut run);
        }
        let heal_time = run.healed_at;
        self.found.heal_time = self.found.heal_time.max(heal_time);
        for (key, at) in run.passed {
            self.healing.entry(key).or_insert(heal_time.saturating_sub(at));
        }
        let result = result.and_then(|()| match heal_time <= heal_time_max {
            true => Ok(()),
            false => Err(format!("healed after {:.3} s only", heal_time.as_secs_f64())),
        });
        result.map_err(|broken| (Failed { first_step: None, healing: run.steps }, broken))
    }

    /// Lets a network alone until it comes back to a state in which it was, or whose rest is known.
    fn heal(&mut self, run: &mut HealingRun) -> Result<(), Broken> {
        for _ in 0..HEAL_STEPS_MAX {
            let step = self.explorer.own_steps(&run.state).first().copied();
            if !self.explorer.is_busy(&run.state) {
                let key = fingerprint(&run.state);
                if let Some(&rest) = self.healing.get(&key) {
                    if !rest.is_zero() {
                        run.healed_at = run.elapsed + rest;
                    }
                    return Ok(());
                }
                let result = self.explorer.check_healed(&run.state);
                if let Some(&known_at) = run.passed.get(&key) {
                    let is_again = result.is_ok() && run.healed_at > known_at;
                    return if is_again { Err("heals again and again".to_owned()) } else { result };
                }
                run.passed.insert(key, run.elapsed);
                let is_late = run.elapsed >= self.explorer.network.heal_time();
                // Where counts of bytes decide something, no state comes back.
                let is_endless = self.explorer.network.counts() == Counts::Relevant;
                if step.is_none() || is_late && (result.is_err() || is_endless) {
                    return result;
                }
                let is_waiting = step == Some(Step::Wait);
                let span = self.explorer.next_wait(&run.state).filter(|_| is_waiting);
                let span = span.unwrap_or_default();
                run.elapsed += span;
                if result.is_err() {
                    run.healed_at = run.elapsed;
                }
            }
            let step = step.ok_or("nothing happens")?;
            run.steps.push(step);
            run.state = apply(self.explorer, &run.state, step)?;
        }
        Err("quiet: no end within the steps of a healing network".to_owned())
    }

    /// Returns the steps to a state.
    fn history(&self, mut number: u32) -> Vec<Step> {
        let mut steps = Vec::new();
        while number != 0 {
            let Reached { from, step } = self.reached[number as usize];
            steps.push(step);
            number = from;
        }
        steps.reverse();
        steps
    }
}

/// A network that is let alone.
struct HealingRun {
    state: State,
    steps: Vec<Step>,
    elapsed: Duration,
    /// Time after which the predicates of a healed network hold.
    healed_at: Duration,
    /// States in which nothing was in flight, and when.
    passed: HashMap<Fingerprint, Duration, ByFingerprint>,
}

impl HealingRun {
    fn new(state: &State) -> Self {
        Self {
            state: State { faults_left: 0, ..state.clone() },
            steps: Vec::new(),
            elapsed: Duration::ZERO,
            healed_at: Duration::ZERO,
            passed: HashMap::default(),
        }
    }
}

/// The steps after a state with which a predicate breaks.
struct Failed {
    first_step: Option<Step>,
    healing: Vec<Step>,
}

/// Takes a step. A panic of a server is a broken predicate.
pub(super) fn apply(explorer: &mut Explorer, state: &State, step: Step) -> Result<State, Broken> {
    let result = panics::catch(|| explorer.apply(state, step));
    result.unwrap_or_else(|panic| Err(format!("no panic: {panic}")))
}

#[cfg(test)]
mod tests {
    use super::super::network::Network;
    use super::*;

    fn explore(name: &str, faults: u8, is_reduced: bool) -> Found {
        let network = Network::find(name).expect("a network");
        let mut explorer =
            Explorer::new(network, (faults, faults), Duration::ZERO, Duration::from_secs(1));
        let (states_max, depth_max) = (usize::MAX, usize::MAX);
        let bounds = Bounds { states_max, time_max: Duration::MAX, depth_max, is_reduced };
        let interrupted = AtomicBool::new(false);
        Search::new(&mut explorer, bounds).run(&interrupted, |_, _, _| {})
    }

    #[test]
    fn steps_that_are_left_out_change_no_state_at_rest() {
        for (name, faults) in [("pair-boot", 1), ("pair-claim", 0), ("line-boot", 0)] {
            let [reduced, all] = [true, false].map(|it| explore(name, faults, it));
            println!("{name}, {faults} faults: {} of {} states", reduced.states, all.states);
            assert!(reduced.is_exhausted && all.is_exhausted);
            assert!(reduced.states < all.states, "{name}");
            assert_eq!(reduced.rest_states, all.rest_states, "{name}");
        }
    }
}
