//! Waiting for events: asleep, or busy polling first where the operator wants that. The loop's
//! clock is here too.

use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Registry};

use crate::link::Time;

/// The poll instance and the clock.
pub(super) struct Poller {
    poll: Poll,
    start: Instant,
    /// How long to poll without sleeping before each sleep; zero turns it off.
    pub(super) busy_poll: Duration,
}

impl Poller {
    pub(super) fn new(poll: Poll) -> Self {
        Self { poll, start: Instant::now(), busy_poll: Duration::ZERO }
    }

    pub(super) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Returns the time since the start of the loop.
    pub(super) fn now(&self) -> Time {
        Time::from_start(self.start.elapsed())
    }

    /// Waits for events, at most for `timeout`. May return early without any.
    pub(super) fn wait(
        &mut self,
        events: &mut Events,
        mut timeout: Option<Duration>,
    ) -> io::Result<()> {
        if !self.busy_poll.is_zero() && timeout != Some(Duration::ZERO) {
            // Half of the latency of a lone message is the wake-up of a sleeping core.
            let start = self.now();
            let deadline = start + timeout.map_or(self.busy_poll, |span| span.min(self.busy_poll));
            let mut now = start;
            while now < deadline {
                self.poll_once(events, Some(Duration::ZERO))?;
                if !events.is_empty() {
                    return Ok(());
                }
                now = self.now();
            }
            timeout = timeout.map(|span| (start + span).since(now));
        }
        self.poll_once(events, timeout)
    }

    fn poll_once(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }
}
