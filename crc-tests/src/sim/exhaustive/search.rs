//! [`Search`]: all states that a network reaches, breadth first.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::canonical::{Fingerprint, fingerprint};
use super::explorer::{Broken, Explorer};
use super::state::{State, Step};
use crate::sim::scenario::panics;

/// Time within which a network heals after the last fault: twice the detection time and 5 s.
const HEAL_TIME: Duration = Duration::from_secs(35);

/// Number of steps in which a network without faults reaches the end of [`HEAL_TIME`].
const HEAL_STEPS_MAX: u32 = 100_000;

/// How far a search goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) states_max: usize,
    pub(super) time_max: Duration,
}

/// What a search has found.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) states: usize,
    pub(super) steps: u64,
    /// Length of the longest of the shortest histories of all states.
    pub(super) depth: usize,
    pub(super) healed: usize,
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
    visited: HashSet<Fingerprint>,
    /// By the number of the state.
    reached: Vec<Reached>,
    frontier: VecDeque<(u32, State)>,
    /// States from which the network is known to heal by itself.
    healing: HashMap<Fingerprint, ()>,
    found: Found,
}

impl<'a> Search<'a> {
    pub(super) fn new(explorer: &'a mut Explorer) -> Self {
        Self {
            explorer,
            visited: HashSet::new(),
            reached: Vec::new(),
            frontier: VecDeque::new(),
            healing: HashMap::new(),
            found: Found::default(),
        }
    }

    /// Visits every state until a predicate breaks, or the bounds are reached. `on_depth` is called
    /// with the number of states for each depth.
    pub(super) fn run(
        mut self,
        faults: u8,
        bounds: Bounds,
        interrupted: &AtomicBool,
        mut on_depth: impl FnMut(usize, usize, usize),
    ) -> Found {
        let started_at = Instant::now();
        let start = match self.explorer.start(faults) {
            Ok(start) => start,
            Err(broken) => {
                self.found.violation = Some((Vec::new(), Vec::new(), broken));
                return self.found;
            }
        };
        self.add(0, Step::Wait, start);
        while !self.frontier.is_empty() {
            on_depth(self.found.depth, self.visited.len(), self.frontier.len());
            for _ in 0..self.frontier.len() {
                let (number, state) = self.frontier.pop_front().expect("a state");
                if let Err((steps, broken)) = self.visit(number, &state) {
                    let (mut history, rest) = (self.history(number), steps);
                    history.extend(rest.first_step);
                    self.found.violation = Some((history, rest.healing, broken));
                    return self.finish();
                }
                let is_over = self.visited.len() >= bounds.states_max
                    || started_at.elapsed() >= bounds.time_max
                    || interrupted.load(Ordering::Relaxed);
                if is_over {
                    return self.finish();
                }
            }
            self.found.depth += usize::from(!self.frontier.is_empty());
        }
        self.found.is_exhausted = true;
        self.finish()
    }

    fn finish(mut self) -> Found {
        self.found.states = self.visited.len();
        self.found.healed = self.healing.len();
        self.found
    }

    fn add(&mut self, from: u32, step: Step, state: State) {
        if self.visited.insert(fingerprint(&state)) {
            let number = u32::try_from(self.reached.len()).expect("fewer states than 2^32");
            self.reached.push(Reached { from, step });
            self.frontier.push_back((number, state));
        }
    }

    /// Takes every step from a state.
    fn visit(&mut self, number: u32, state: &State) -> Result<(), (Failed, Broken)> {
        if !state.is_in_flight() {
            self.check_healing(state)?;
        }
        for step in self.explorer.steps(state) {
            self.found.steps += 1;
            match apply(self.explorer, state, step) {
                Ok(next) => self.add(number, step, next),
                Err(broken) => {
                    return Err((Failed { first_step: Some(step), healing: Vec::new() }, broken));
                }
            }
        }
        Ok(())
    }

    /// Checks that a network in which nothing is in flight heals by itself if nothing fails any
    /// more and no user does anything.
    fn check_healing(&mut self, state: &State) -> Result<(), (Failed, Broken)> {
        let mut state = State { faults_left: 0, idle_waits: 0, ..state.clone() };
        let (mut steps, mut elapsed, mut passed) = (Vec::new(), Duration::ZERO, Vec::new());
        let fail = |steps, broken| Err((Failed { first_step: None, healing: steps }, broken));
        for _ in 0..HEAL_STEPS_MAX {
            if !state.is_in_flight() {
                let key = fingerprint(&state);
                if self.healing.contains_key(&key) {
                    break;
                }
                passed.push(key);
                if elapsed >= HEAL_TIME {
                    if let Err(broken) = self.explorer.check_healed(&state) {
                        return fail(steps, broken);
                    }
                    break;
                }
            }
            let Some(&step) = self.explorer.own_steps(&state).first() else {
                let result = self.explorer.check_healed(&state);
                self.healing.extend(passed.into_iter().map(|key| (key, ())));
                return result.or_else(|broken| fail(steps, broken));
            };
            if step == Step::Wait {
                elapsed += self.explorer.next_wait(&state).unwrap_or_default();
            }
            steps.push(step);
            state = match apply(self.explorer, &state, step) {
                Ok(next) => State { idle_waits: 0, ..next },
                Err(broken) => return fail(steps, broken),
            };
        }
        self.healing.extend(passed.into_iter().map(|key| (key, ())));
        Ok(())
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
