//! Waits for news from the system: asleep, or first awake for a while, where the operator wants that.
//! The loop's clock is here too, since waiting is what time is read for.

use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Registry};

use crate::link::Time;

/// What is registered with the system, and how its news are waited for.
pub(super) struct Poller {
    poll: Poll,
    start: Instant,
    /// How long to look again before sleeping; not at all if it is zero.
    pub(super) busy_poll: Duration,
}

impl Poller {
    pub(super) fn new(poll: Poll) -> Self {
        Self { poll, start: Instant::now(), busy_poll: Duration::ZERO }
    }

    pub(super) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    pub(super) fn now(&self) -> Time {
        Time::from_start(self.start.elapsed())
    }

    /// Waits for news, for so long at most; `None` for ever. May end early without any.
    pub(super) fn wait(
        &mut self,
        events: &mut Events,
        mut timeout: Option<Duration>,
    ) -> io::Result<()> {
        if !self.busy_poll.is_zero() && timeout != Some(Duration::ZERO) {
            // Half of what a lone message waits for is the waking of a core that sleeps.
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
