//! The life cycle of a machine.

use super::Time;

/// Whether a machine runs, drains its queues before it ends, or has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LifeCycle {
    /// Links are accepted and served.
    #[default]
    Running,
    /// The last frames are queued and are being sent, until the deadline.
    Draining {
        /// When the machine stops at the latest.
        deadline: Time,
    },
    /// [`super::Action::Shutdown`] was requested.
    Stopped,
}

impl LifeCycle {
    /// Returns whether the machine drains or has ended.
    #[must_use]
    pub fn is_stopping(self) -> bool {
        self != Self::Running
    }

    /// Returns whether the machine drains.
    #[must_use]
    pub fn is_draining(self) -> bool {
        self.deadline().is_some()
    }

    /// Returns when the drain ends at the latest.
    #[must_use]
    pub fn deadline(self) -> Option<Time> {
        match self {
            Self::Draining { deadline } => Some(deadline),
            Self::Running | Self::Stopped => None,
        }
    }

    /// Ends a drain whose deadline has passed. Returns whether it ended now.
    #[must_use]
    pub fn stop_if_due(&mut self, now: Time) -> bool {
        let is_due = self.deadline().is_some_and(|deadline| deadline <= now);
        if is_due {
            *self = Self::Stopped;
        }
        is_due
    }
}
