//! File descriptors held in reserve for the time when the process has no others left.
//!
//! A listener that cannot accept for want of a descriptor would leave its clients waiting: the
//! kernel has completed their connections. With a reserve, [`AcceptReserve`] accepts such
//! connections and closes them, and the control socket serves them.

use std::fs::File;
use std::io;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::link::Time;

/// Time between two reports of refused connections.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// Whether the process or the system has no free file descriptor.
pub(super) fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// File descriptors that can be released one at a time.
pub(super) struct DescriptorReserve {
    files: Vec<File>,
    size: usize,
}

impl DescriptorReserve {
    /// Reserves `size` descriptors, or as many as there are.
    pub(super) fn new(size: usize) -> Self {
        let mut reserve = Self { files: Vec::with_capacity(size), size };
        reserve.refill();
        reserve
    }

    /// Closes one reserved descriptor, which the next system call can use. Returns whether there
    /// was one.
    pub(super) fn release(&mut self) -> bool {
        self.files.pop().is_some()
    }

    /// Reserves what was released, as far as there are descriptors.
    pub(super) fn refill(&mut self) {
        while self.files.len() < self.size
            && let Ok(file) = File::open("/dev/null")
        {
            self.files.push(file);
        }
    }
}

/// The descriptor with which listeners accept and close connections that cannot be served, and the
/// number of connections that were closed in this way.
pub(super) struct AcceptReserve {
    reserve: DescriptorReserve,
    refused: u64,
    /// Connections that had not registered were closed for new ones, which was not reported.
    has_evicted: bool,
    /// When `refused` may be reported; `None` if it may be reported at once.
    report_at: Option<Time>,
}

impl AcceptReserve {
    pub(super) fn new() -> Self {
        Self { reserve: DescriptorReserve::new(1), refused: 0, has_evicted: false, report_at: None }
    }

    /// Accepts and closes connections until `accept` fails, at most `count_max`. Returns the error,
    /// or `None` at the maximum.
    pub(super) fn refuse<T>(
        &mut self,
        now: Time,
        count_max: usize,
        mut accept: impl FnMut() -> io::Result<T>,
    ) -> Option<io::Error> {
        if !self.reserve.release() {
            self.reserve.refill();
            return Some(Errno::MFILE.into());
        }
        let mut failure = None;
        for _ in 0..count_max {
            match accept() {
                Ok(connection) => {
                    drop(connection);
                    self.refused += 1;
                }
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        self.reserve.refill();
        if self.report_at.is_none() {
            self.report(now);
        }
        failure
    }

    /// Records that connections which had not registered were closed for new ones.
    pub(super) fn on_eviction(&mut self, now: Time) {
        self.has_evicted = true;
        if self.report_at.is_none() {
            self.report(now);
        }
    }

    /// When [`AcceptReserve::report_if_due`] has something to do.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.report_at
    }

    /// Reports the connections that were refused since the last report, if it was long enough ago.
    pub(super) fn report_if_due(&mut self, now: Time) {
        if self.report_at.is_some_and(|at| at <= now) {
            self.report_at = None;
            self.report(now);
        }
    }

    fn report(&mut self, now: Time) {
        let count = std::mem::take(&mut self.refused);
        let what = match (count, std::mem::take(&mut self.has_evicted)) {
            (0, false) => return,
            (0, true) => "connections that have not registered are closed for new ones".to_owned(),
            (1, _) => "1 new connection refused".to_owned(),
            _ => format!("{count} new connections refused"),
        };
        self.report_at = Some(now + REPORT_INTERVAL);
        let limit = getrlimit(Resource::Nofile).current;
        let limit = limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
        log::error!(
            "out of file descriptors (limit {limit}): {what}; raise the limit (`ulimit -n`); this is \
             reported at most once every {} s",
            REPORT_INTERVAL.as_secs()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_reported_at_once_and_then_once_per_interval() {
        let mut reserve = AcceptReserve::new();
        let start = Time::default();
        let would_block = || io::Error::from(io::ErrorKind::WouldBlock);
        let mut waiting = 3;
        let mut accept = || {
            waiting -= 1;
            if waiting < 0 { Err(would_block()) } else { Ok(()) }
        };
        assert!(reserve.refuse(start, 2, &mut accept).is_none(), "the maximum was reached");
        assert_eq!((reserve.refused, reserve.next_deadline()), (0, Some(start + REPORT_INTERVAL)));
        let error = reserve.refuse(start, 2, &mut accept).expect("no more connections");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(reserve.refused, 1, "not reported yet");
        reserve.report_if_due(start);
        assert_eq!(reserve.refused, 1);
        reserve.report_if_due(start + REPORT_INTERVAL);
        assert_eq!(
            (reserve.refused, reserve.next_deadline()),
            (0, Some(start + REPORT_INTERVAL * 2))
        );
        reserve.report_if_due(start + REPORT_INTERVAL * 2);
        assert_eq!(reserve.next_deadline(), None, "nothing was refused since");
    }

    #[test]
    fn released_descriptors_are_reserved_again() {
        let mut reserve = DescriptorReserve::new(2);
        assert!(reserve.release() && reserve.release() && !reserve.release());
        reserve.refill();
        assert!(reserve.release() && reserve.release() && !reserve.release());
    }
}
