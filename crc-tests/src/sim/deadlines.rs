//! [`Deadlines`]: when the timers of each server are due.

use std::collections::BTreeSet;

use crc::link::Time;

/// The next deadline of each server, in order of time.
#[derive(Clone, Debug, Default)]
pub(super) struct Deadlines {
    by_server: Vec<Option<Time>>,
    by_time: BTreeSet<(Time, usize)>,
}

impl Deadlines {
    /// Sets the next deadline of a server.
    pub(super) fn set(&mut self, server: usize, at: Option<Time>) {
        if self.by_server.len() <= server {
            self.by_server.resize(server + 1, None);
        }
        let old = std::mem::replace(&mut self.by_server[server], at);
        if old != at {
            old.map(|old| self.by_time.remove(&(old, server)));
            at.map(|at| self.by_time.insert((at, server)));
        }
    }

    /// Iterates over the deadlines, the next one first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Time, usize)> {
        self.by_time.iter().copied()
    }
}
