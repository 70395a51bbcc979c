//! CPU time and memory of processes, and the cores they run on.

use std::fs;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use super::error::LoadError;

/// File descriptors that a process needs besides its connections.
const OTHER_DESCRIPTORS: u64 = 64;

/// CPU time of the servers and of this process at one moment.
#[derive(Clone, Debug)]
pub(super) struct UsageSample {
    at: Instant,
    servers: Vec<Option<Duration>>,
    generator: Duration,
    generator_idle: Duration,
    machine_busy: Option<Duration>,
}

/// Resource use between two marks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// The elapsed time.
    pub(super) elapsed: Duration,
    /// CPU time of each server; empty if unknown for any.
    pub(super) servers: Vec<Duration>,
    /// CPU time of the generator.
    pub(super) generator: Duration,
    /// Time in which the generator had work.
    pub(super) generator_busy: Duration,
    /// CPU time of all other programs on this machine, if known.
    pub(super) other_programs: Option<Duration>,
}

impl UsageSample {
    /// Takes a mark now. `generator_idle` is the total time in which the generator has had no work.
    pub(super) fn now(pids: &[u32], generator_idle: Duration) -> Self {
        let generator = read_clock(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap_or_default();
        let servers = pids.iter().map(|&pid| process_cpu_time(pid)).collect();
        Self {
            at: Instant::now(),
            servers,
            generator,
            generator_idle,
            machine_busy: machine_busy_time(),
        }
    }

    /// Returns the use from this mark to a later one.
    pub(super) fn usage_until(&self, end: &Self) -> Usage {
        let elapsed = end.at - self.at;
        let pairs = self.servers.iter().zip(&end.servers);
        let servers: Option<Vec<_>> =
            pairs.map(|(begin, end)| (*end)?.checked_sub((*begin)?)).collect();
        let busy = elapsed.saturating_sub(end.generator_idle.saturating_sub(self.generator_idle));
        let own = end.generator.saturating_sub(self.generator);
        let mut spent = Usage {
            elapsed,
            servers: servers.unwrap_or_default(),
            generator: own,
            generator_busy: busy,
            other_programs: None,
        };
        let machine =
            self.machine_busy.zip(end.machine_busy).map(|(begin, end)| end.saturating_sub(begin));
        spent.other_programs = machine
            .zip(spent.servers_total())
            .map(|(machine, servers)| machine.saturating_sub(servers).saturating_sub(own));
        spent
    }
}

impl Usage {
    /// Returns the CPU time of all servers; `None` if unknown.
    pub(super) fn servers_total(&self) -> Option<Duration> {
        (!self.servers.is_empty()).then(|| self.servers.iter().sum())
    }

    /// Returns the CPU use of the busiest server, as a fraction of a core.
    pub(super) fn busiest_server_share(&self) -> Option<f64> {
        self.servers.iter().max().map(|time| self.core_share(*time))
    }

    /// Returns a time as a fraction of the elapsed time.
    pub(super) fn core_share(&self, part: Duration) -> f64 {
        part.as_secs_f64() / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Returns the user and system time of all threads of a process; `None` if it does not exist.
pub(crate) fn process_cpu_time(pid: u32) -> Option<Duration> {
    read_clock(ClockId::pid_cpu_clock_id(Pid::from_raw(i32::try_from(pid).ok()?)).ok()?)
}

fn read_clock(clock: ClockId) -> Option<Duration> {
    clock_gettime(clock).ok().map(Duration::from)
}

/// Returns the time for which all cores of the machine were busy.
fn machine_busy_time() -> Option<Duration> {
    /// Ticks per second in /proc, the same on all current platforms.
    const TICKS_PER_SECOND: u32 = 100;
    let text = fs::read_to_string("/proc/stat").ok()?;
    let fields = text.lines().next()?.split_whitespace().skip(1);
    let fields: Vec<u64> = fields.map(str::parse).collect::<Result<_, _>>().ok()?;
    // Fields: user, nice, system, idle, iowait, irq, softirq, steal.
    let [user, nice, system, _, _, hard, soft, stolen, ..] = fields[..] else { return None };
    Some(Duration::from_secs(user + nice + system + hard + soft + stolen) / TICKS_PER_SECOND)
}

/// Returns the resident memory of all these processes, in bytes; `None` if unknown for any.
pub(crate) fn resident_bytes(pids: &[u32]) -> Option<u64> {
    sum_known(pids, |pid| {
        // `smaps_rollup` is exact; `status` may lag by some pages.
        proc_field_bytes(&format!("/proc/{pid}/smaps_rollup"), "Rss:")
            .or_else(|| proc_field_bytes(&format!("/proc/{pid}/status"), "VmRSS:"))
    })
}

/// Returns how often all these processes have lost their core to another program.
pub(super) fn preemption_count(pids: &[u32]) -> Option<u64> {
    sum_known(pids, |pid| {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let value = text.lines().find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"));
        value?.trim().parse().ok()
    })
}

/// Returns the sum of the peak resident memory of each process, in bytes.
pub(super) fn peak_bytes(pids: &[u32]) -> Option<u64> {
    sum_known(pids, |pid| proc_field_bytes(&format!("/proc/{pid}/status"), "VmHWM:"))
}

fn sum_known(pids: &[u32], read: impl Fn(u32) -> Option<u64>) -> Option<u64> {
    if pids.is_empty() {
        return None;
    }
    pids.iter().map(|&pid| read(pid)).sum()
}

/// Returns a field of a file in /proc that is given in KiB.
fn proc_field_bytes(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Pins this thread, and its future threads and child processes, to one core.
pub(crate) fn pin_to_core(core: usize) -> Result<(), LoadError> {
    let mut cores = CpuSet::new();
    let pinned = cores.set(core).and_then(|()| sched_setaffinity(Pid::from_raw(0), &cores));
    pinned.map_err(|error| {
        LoadError::failed(format!("--pin: core {core} is not available: {error}; omit --pin"))
    })
}

/// Resident memory of the servers before and after a workload and its peak, in bytes, if known.
pub(super) struct MemoryUse {
    pub(super) before: Option<u64>,
    pub(super) after: Option<u64>,
    pub(super) peak: Option<u64>,
}

/// Raises the soft limit of open files to the hard limit. Started servers inherit it.
pub(super) fn raise_open_files_limit(count: usize) -> Result<(), LoadError> {
    let wanted = count as u64 + OTHER_DESCRIPTORS;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)
        .map_err(|error| LoadError::failed(format!("the limit of open files: {error}")))?;
    if soft < hard {
        // If this fails, the current limit may be enough.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    if wanted > hard {
        return Err(LoadError::failed(format!(
            "{count} connections need {wanted} open files and {hard} are allowed: raise `ulimit -Hn`"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_of_the_own_process_is_measured() {
        let own = [std::process::id()];
        let begin = UsageSample::now(&own, Duration::ZERO);
        let mut count = 0_u64;
        while begin.at.elapsed() < Duration::from_millis(20) {
            count += std::hint::black_box(1);
        }
        assert!(count > 0);
        let end = UsageSample::now(&own, Duration::from_millis(5));
        let spent = begin.usage_until(&end);
        assert_eq!(spent.servers.len(), 1);
        assert!(spent.servers_total().expect("known") > Duration::ZERO, "{spent:?}");
        assert!(spent.generator > Duration::ZERO, "{spent:?}");
        assert_eq!(spent.generator_busy, spent.elapsed - Duration::from_millis(5));
        let resident = resident_bytes(&own).expect("known");
        assert!(resident > 100_000, "{resident}");
        assert!(peak_bytes(&own).expect("known") > 100_000);
    }

    #[test]
    fn usage_of_a_missing_process_is_unknown() {
        let none = [std::process::id(), u32::MAX];
        let mark = UsageSample::now(&none, Duration::ZERO);
        assert_eq!(mark.usage_until(&mark).servers_total(), None);
        assert_eq!(resident_bytes(&none), None);
        assert_eq!(resident_bytes(&[]), None);
    }

    #[test]
    fn more_connections_than_open_files_are_rejected() {
        let error = raise_open_files_limit(usize::MAX / 2).expect_err("too many");
        assert!(error.to_string().contains("ulimit"), "{error}");
    }
}
