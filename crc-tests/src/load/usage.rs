//! What processes cost: their CPU time and memory, and where they run.

use std::fs;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use super::Stop;

/// Descriptors that a process needs beside its connections.
const DESCRIPTORS_BESIDE: u64 = 64;

/// CPU time of some processes, of this one, and the time itself, at one moment.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    at: Instant,
    servers: Vec<Option<Duration>>,
    own: Duration,
    waited: Duration,
    machine: Option<Duration>,
}

/// What was used between two marks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Spent {
    /// How long it was.
    pub(super) time: Duration,
    /// CPU time of each server; empty if it is not known of every one.
    pub(super) servers: Vec<Duration>,
    /// CPU time of the generator.
    pub(super) own: Duration,
    /// How long the generator had something to do.
    pub(super) busy: Duration,
    /// CPU time of all other programs on this machine, if it and that of all servers is known.
    pub(super) others: Option<Duration>,
}

impl Mark {
    /// Now. `waited` is how long the generator has had nothing to do so far.
    pub(super) fn now(pids: &[u32], waited: Duration) -> Self {
        let own = clock(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap_or_default();
        let servers = pids.iter().map(|&pid| cpu(pid)).collect();
        Self { at: Instant::now(), servers, own, waited, machine: machine() }
    }

    /// What was used from this mark to a later one.
    pub(super) fn until(&self, end: &Self) -> Spent {
        let time = end.at - self.at;
        let both = self.servers.iter().zip(&end.servers);
        let servers: Option<Vec<_>> =
            both.map(|(begin, end)| (*end)?.checked_sub((*begin)?)).collect();
        let busy = time.saturating_sub(end.waited.saturating_sub(self.waited));
        let own = end.own.saturating_sub(self.own);
        let mut spent =
            Spent { time, servers: servers.unwrap_or_default(), own, busy, others: None };
        let machine = self.machine.zip(end.machine).map(|(begin, end)| end.saturating_sub(begin));
        spent.others = machine
            .zip(spent.all_servers())
            .map(|(machine, servers)| machine.saturating_sub(servers).saturating_sub(own));
        spent
    }
}

impl Spent {
    /// CPU time of all servers; `None` if it is not known.
    pub(super) fn all_servers(&self) -> Option<Duration> {
        (!self.servers.is_empty()).then(|| self.servers.iter().sum())
    }

    /// The part of a core that the busiest server used.
    pub(super) fn busiest_server(&self) -> Option<f64> {
        self.servers.iter().max().map(|time| self.share(*time))
    }

    /// A time as a part of the whole.
    pub(super) fn share(&self, part: Duration) -> f64 {
        part.as_secs_f64() / self.time.as_secs_f64().max(1e-9)
    }
}

/// User and system time that a process has used, all its threads; `None` if there is no such one.
pub(super) fn cpu(pid: u32) -> Option<Duration> {
    clock(ClockId::pid_cpu_clock_id(Pid::from_raw(i32::try_from(pid).ok()?)).ok()?)
}

fn clock(clock: ClockId) -> Option<Duration> {
    clock_gettime(clock).ok().map(Duration::from)
}

/// Time that all cores of the machine were busy.
fn machine() -> Option<Duration> {
    /// Ticks a second in /proc, on every platform of today.
    const TICKS: u32 = 100;
    let text = fs::read_to_string("/proc/stat").ok()?;
    let fields = text.lines().next()?.split_whitespace().skip(1);
    let fields: Vec<u64> = fields.map(str::parse).collect::<Result<_, _>>().ok()?;
    // user, nice, system, idle, waiting for disks, two kinds of interrupts, stolen by other machines
    let [user, nice, system, _, _, hard, soft, stolen, ..] = fields[..] else { return None };
    Some(Duration::from_secs(user + nice + system + hard + soft + stolen) / TICKS)
}

/// Resident memory of all these processes, in bytes; `None` if it is not known of every one.
pub(super) fn resident_bytes(pids: &[u32]) -> Option<u64> {
    sum(pids, |pid| {
        // Counted page by page; `status` may be some pages behind.
        field(&format!("/proc/{pid}/smaps_rollup"), "Rss:")
            .or_else(|| field(&format!("/proc/{pid}/status"), "VmRSS:"))
    })
}

/// The most that each of these processes has had resident at once, added up, in bytes.
pub(super) fn peak_bytes(pids: &[u32]) -> Option<u64> {
    sum(pids, |pid| field(&format!("/proc/{pid}/status"), "VmHWM:"))
}

fn sum(pids: &[u32], one: impl Fn(u32) -> Option<u64>) -> Option<u64> {
    if pids.is_empty() {
        return None;
    }
    pids.iter().map(|&pid| one(pid)).sum()
}

/// A field of a file in /proc that is given in KiB.
fn field(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Lets this thread, and what it starts from now on, run on one core only.
pub(super) fn pin(core: usize) -> Result<(), Stop> {
    let mut cores = CpuSet::new();
    let pinned = cores.set(core).and_then(|()| sched_setaffinity(Pid::from_raw(0), &cores));
    pinned.map_err(|error| {
        Stop::fault(format!("--pin: core {core} cannot be had: {error}; leave --pin out"))
    })
}

/// Raises the limit of open files, which servers started from here share, to its bound.
pub(super) fn allow_connections(count: usize) -> Result<(), Stop> {
    let wanted = count as u64 + DESCRIPTORS_BESIDE;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)
        .map_err(|error| Stop::fault(format!("the limit of open files: {error}")))?;
    if soft < hard {
        // Where even that is refused, what there is may suffice.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    if wanted > hard {
        return Err(Stop::fault(format!(
            "{count} connections need {wanted} open files and {hard} are allowed: raise `ulimit -Hn`"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_s_own_use_is_seen() {
        let own = [std::process::id()];
        let begin = Mark::now(&own, Duration::ZERO);
        let mut count = 0_u64;
        while begin.at.elapsed() < Duration::from_millis(20) {
            count += std::hint::black_box(1);
        }
        assert!(count > 0);
        let end = Mark::now(&own, Duration::from_millis(5));
        let spent = begin.until(&end);
        assert_eq!(spent.servers.len(), 1);
        assert!(spent.all_servers().expect("known") > Duration::ZERO, "{spent:?}");
        assert!(spent.own > Duration::ZERO, "{spent:?}");
        assert_eq!(spent.busy, spent.time - Duration::from_millis(5));
        let resident = resident_bytes(&own).expect("known");
        assert!(resident > 100_000, "{resident}");
        assert!(peak_bytes(&own).expect("known") > 100_000);
    }

    #[test]
    fn of_a_process_that_is_not_there_nothing_is_known() {
        let none = [std::process::id(), u32::MAX];
        let mark = Mark::now(&none, Duration::ZERO);
        assert_eq!(mark.until(&mark).all_servers(), None);
        assert_eq!(resident_bytes(&none), None);
        assert_eq!(resident_bytes(&[]), None);
    }

    #[test]
    fn connections_that_no_system_allows_are_refused_at_once() {
        let error = allow_connections(usize::MAX / 2).expect_err("too many");
        assert!(error.to_string().contains("ulimit"), "{error}");
    }
}
