//! Probes: messages that are sent before the load until each receiver has one, because servers may
//! still be announcing the clients.

use std::time::{Duration, Instant};

use super::super::client_pool::{ClientPool, RESPONSE_TIMEOUT};
use super::super::delivery_tracker::Addressing;
use super::super::error::LoadError;
use super::super::stamp::Stamp;
use super::ChatTraffic;

/// Interval of probes.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);

/// Time in which a client is sent a probe and reads it, at most.
const PROBE_TIME_PER_CLIENT: Duration = Duration::from_micros(50);

/// The streams that are probed in one round.
#[derive(Default)]
pub(super) struct Probes {
    /// The receiver that each sender probes in this round; that of a speaker to a room is each.
    probed: Vec<(usize, usize)>,
    has_arrived: Vec<bool>,
    arrived_count: usize,
}

impl Probes {
    /// Starts a round with these streams, each of a sender and a receiver, sorted.
    fn start(&mut self, probed: Vec<(usize, usize)>) {
        (self.has_arrived, self.arrived_count) = (vec![false; probed.len()], 0);
        self.probed = probed;
    }

    /// Records the arrival of a probe.
    pub(super) fn on_arrival(&mut self, sender: usize, receiver: usize) {
        if let Ok(at) = self.probed.binary_search(&(sender, receiver))
            && !std::mem::replace(&mut self.has_arrived[at], true)
        {
            self.arrived_count += 1;
        }
    }

    fn missing_count(&self) -> usize {
        self.probed.len() - self.arrived_count
    }

    fn missing(&self) -> impl Iterator<Item = (usize, usize)> {
        let probed = self.probed.iter().zip(&self.has_arrived);
        probed.filter(|(_, has_arrived)| !**has_arrived).map(|(stream, _)| *stream)
    }
}

impl ChatTraffic {
    /// Sends probes on every stream until they arrive.
    pub(super) fn probe_all(&mut self, pool: &mut ClientPool) -> Result<(), LoadError> {
        let addressing = self.parameters.addressing;
        let senders = addressing.sender_count();
        match addressing {
            Addressing::Paired { .. } => self.probe((0..senders).map(|at| (at, at)), pool),
            Addressing::AllToAll { clients } => (1..clients).try_for_each(|offset| {
                self.probe((0..senders).map(|at| (at, (at + offset) % senders)), pool)
            }),
            Addressing::Room { members, speakers } => (0..speakers).try_for_each(|speaker| {
                let others = (0..members).filter(|&member| member != speaker);
                self.probe(others.map(|member| (speaker, member)), pool)
            }),
        }
    }

    /// Sends probes on some streams until they arrive. One to a room is sent to all members.
    fn probe(
        &mut self,
        streams: impl Iterator<Item = (usize, usize)>,
        pool: &mut ClientPool,
    ) -> Result<(), LoadError> {
        self.received.probes.start(streams.collect());
        let mut next_probe_at = Instant::now();
        let mut deadline = next_probe_at + RESPONSE_TIMEOUT;
        let mut missing_count = usize::MAX;
        while self.received.probes.missing_count() > 0 {
            let now = Instant::now();
            if self.received.probes.missing_count() < missing_count {
                missing_count = self.received.probes.missing_count();
                deadline = now + RESPONSE_TIMEOUT;
            }
            if now > deadline {
                return Err(LoadError::failed(format!(
                    "{missing_count} of {} receivers have not been reached by their sender within \
                     {} s: are the servers named part of one network?",
                    self.received.probes.probed.len(),
                    RESPONSE_TIMEOUT.as_secs()
                )));
            }
            if now >= next_probe_at {
                let mut missing: Vec<_> = self.received.probes.missing().collect();
                if self.room.is_some() {
                    missing.truncate(1);
                }
                for (sender, receiver) in missing {
                    let stamp = Stamp { sender, sequence: 0, due_nanos: None };
                    self.write_chat(pool, receiver, stamp);
                }
                // The copies of one probe arrive before the next is sent.
                next_probe_at = now + PROBE_INTERVAL.max(PROBE_TIME_PER_CLIENT * pool.len() as u32);
            }
            pool.run_turn(PROBE_INTERVAL, &mut self.received)?;
        }
        Ok(())
    }
}
