//! Clients that talk: who speaks to whom, when, and what has become of it.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::PENDING_REGISTRATIONS_MAX;
use super::client_codec::{self, Identity, Incoming};
use super::client_pool::{ClientPool, Sink};
use super::delivery_tracker::{Addressing, DeliveryTracker};
use super::error::LoadError;
use super::pace::{Pace, Pacer};
use super::servers::Network;
use super::stamp::Stamp;
use crate::runner::command::ClientWire;

/// The longest latency that a histogram tells apart, in nanoseconds; longer ones count as this.
const LATENCY_NANOS_MAX: u64 = 120_000_000_000;

/// How soon a probe that has not arrived is sent again: the way may not have been known.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);

/// A closed loop in which nothing arrives for so long stands still for good.
const STALL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long what is on its way may take when nothing is sent any more.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(1_500);

/// A connection that has so much unsent is sent no more for now; it stays due.
const UNSENT_BYTES_MAX: usize = 1024 * 1024;

/// How clients talk.
#[derive(Clone, Debug)]
pub(super) struct ChatParameters {
    pub(super) wire: ClientWire,
    pub(super) addressing: Addressing,
    /// Bytes of each text.
    pub(super) text_bytes: usize,
    pub(super) pace: Pace,
    /// Clients go round all servers, instead of senders to the first and receivers to the last.
    pub(super) spreads_clients: bool,
}

impl ChatParameters {
    /// Connections that it takes.
    pub(super) fn connection_count(&self) -> usize {
        match self.addressing {
            Addressing::Paired { pairs } => 2 * pairs,
            Addressing::AllToAll { clients } => clients,
        }
    }

    /// The server of each of its clients, of so many.
    fn client_servers(&self, server_count: usize) -> impl Iterator<Item = usize> {
        let (parameters, sender_count) = (self.clone(), self.addressing.sender_count());
        (0..self.connection_count()).map(move |client| match parameters.addressing {
            Addressing::AllToAll { .. } => client % server_count,
            Addressing::Paired { .. } if parameters.spreads_clients => {
                (client % sender_count + client / sender_count) % server_count
            }
            Addressing::Paired { .. } => client / sender_count * (server_count - 1),
        })
    }
}

/// A histogram of nanoseconds.
pub(super) fn latency_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NANOS_MAX, 3).expect("bounds that fit")
}

/// What the receivers have heard.
pub(super) struct ReceiveStats {
    pub(super) deliveries: DeliveryTracker,
    /// Of messages that were due in the window.
    pub(super) latencies: Histogram<u64>,
    window_nanos: (u64, u64),
    /// Messages of each sender that are no longer on their way, and the senders that have any.
    credits: Vec<u32>,
    senders_with_credit: Vec<usize>,
    first_receiver: usize,
    /// Ways that a probe has come, by sender, in this round.
    is_reachable: Vec<bool>,
    reachable_count: usize,
    /// Answers that nobody is there.
    pub(super) unknown_destination_count: u64,
}

impl Sink for ReceiveStats {
    fn receive(&mut self, client: usize, incoming: Incoming<'_>, now: u64) {
        let text = match incoming {
            Incoming::Chat(text) => text,
            Incoming::UnknownDestination => {
                self.unknown_destination_count += 1;
                return;
            }
            _ => return,
        };
        let receiver = client.checked_sub(self.first_receiver);
        let (Some(stamp), Some(receiver)) = (Stamp::parse(text), receiver) else { return };
        let Some(due) = stamp.due_nanos else {
            return self.on_probe(stamp.sender);
        };
        let credit = self.deliveries.record_arrival(stamp, receiver);
        if credit == 0 {
            return;
        }
        if self.credits[stamp.sender] == 0 {
            self.senders_with_credit.push(stamp.sender);
        }
        self.credits[stamp.sender] += credit;
        if due >= self.window_nanos.0 && due < self.window_nanos.1 {
            self.latencies.saturating_record(now.saturating_sub(due));
        }
    }
}

impl ReceiveStats {
    fn on_probe(&mut self, sender: usize) {
        if let Some(is_reachable @ false) = self.is_reachable.get_mut(sender) {
            *is_reachable = true;
            self.reachable_count += 1;
        }
    }
}

/// Two ears for the same frames.
struct TeeSink<'a, A, B>(&'a mut A, &'a mut B);

impl<A: Sink, B: Sink> Sink for TeeSink<'_, A, B> {
    fn receive(&mut self, client: usize, incoming: Incoming<'_>, now: u64) {
        self.0.receive(client, incoming, now);
        self.1.receive(client, incoming, now);
    }
}

/// Clients that talk.
pub(super) struct ChatTraffic {
    parameters: ChatParameters,
    pub(super) received: ReceiveStats,
    /// The connection of the first sender.
    first_sender: usize,
    identities: Vec<Identity>,
    /// To whom each sender spoke last.
    last_receiver: Vec<usize>,
    text: Vec<u8>,
    pacer: Option<Pacer>,
    /// How late messages of an open loop were sent that could have been.
    pub(super) lateness: Histogram<u64>,
    /// Due and not sent when the window ended, as the network took no more.
    pub(super) overdue_count: u64,
    last_progress: (u64, Instant),
}

impl ChatTraffic {
    /// Connects the clients, and waits until each way is known to be there.
    pub(super) fn join(
        pool: &mut ClientPool,
        network: &Network,
        parameters: ChatParameters,
    ) -> Result<Self, LoadError> {
        let (first, senders) = (pool.len(), parameters.addressing.sender_count());
        let first_receiver = match parameters.addressing {
            Addressing::Paired { .. } => first + senders,
            Addressing::AllToAll { .. } => first,
        };
        let hearing = ReceiveStats {
            deliveries: DeliveryTracker::new(parameters.addressing),
            latencies: latency_histogram(),
            window_nanos: (u64::MAX, u64::MAX),
            credits: vec![0; senders],
            senders_with_credit: Vec::with_capacity(senders),
            first_receiver,
            is_reachable: Vec::new(),
            reachable_count: 0,
            unknown_destination_count: 0,
        };
        let mut traffic = Self {
            received: hearing,
            first_sender: first,
            identities: Vec::new(),
            last_receiver: (0..senders).collect(),
            text: vec![b'x'; parameters.text_bytes],
            pacer: None,
            lateness: latency_histogram(),
            overdue_count: 0,
            last_progress: (0, Instant::now()),
            parameters,
        };
        let (wire, servers) =
            (traffic.parameters.wire, traffic.parameters.client_servers(network.len()));
        let addresses = servers.map(|server| (wire, network.address(server, wire)));
        pool.connect_all(addresses, PENDING_REGISTRATIONS_MAX, &mut traffic.received)?;
        traffic.identities = (first..pool.len()).map(|at| pool.identity(at)).collect();
        traffic.probe(pool)?;
        traffic.received.unknown_destination_count = 0;
        Ok(traffic)
    }

    /// Sends over each way until something has come: servers may still be telling each other.
    fn probe(&mut self, pool: &mut ClientPool) -> Result<(), LoadError> {
        let senders = self.parameters.addressing.sender_count();
        let offsets = match self.parameters.addressing {
            Addressing::Paired { .. } => 0..1,
            Addressing::AllToAll { clients } => 1..clients,
        };
        for offset in offsets {
            self.received.is_reachable = vec![false; senders];
            self.received.reachable_count = 0;
            let mut next_probe_at = Instant::now();
            let deadline = next_probe_at + super::client_pool::RESPONSE_TIMEOUT;
            while self.received.reachable_count < senders {
                let now = Instant::now();
                if now > deadline {
                    let missing = senders - self.received.reachable_count;
                    return Err(LoadError::failed(format!(
                        "{missing} of {senders} senders have not reached their receiver within \
                         {} s: are the servers named part of one network?",
                        super::client_pool::RESPONSE_TIMEOUT.as_secs()
                    )));
                }
                if now >= next_probe_at {
                    next_probe_at = now + PROBE_INTERVAL;
                    for sender in 0..senders {
                        if !self.received.is_reachable[sender] {
                            let receiver = (sender + offset) % senders;
                            self.write_chat(
                                pool,
                                receiver,
                                Stamp { sender, sequence: 0, due_nanos: None },
                            );
                        }
                    }
                }
                pool.run_turn(PROBE_INTERVAL, &mut self.received)?;
            }
        }
        Ok(())
    }

    /// The senders begin.
    pub(super) fn start(&mut self, pool: &mut ClientPool) {
        let now = pool.now();
        self.last_progress = (0, Instant::now());
        match self.parameters.pace {
            Pace::Rate(rate) => self.pacer = Some(Pacer::new(now, rate)),
            Pace::InFlight(count) => {
                for sender in 0..self.parameters.addressing.sender_count() {
                    for _ in 0..count {
                        self.send(pool, sender, now);
                    }
                }
            }
        }
    }

    /// From now on, latencies count, of what is due before `end`.
    pub(super) fn open_window(&mut self, pool: &ClientPool, duration: Duration) {
        let now = pool.now();
        self.received.window_nanos = (now, now.saturating_add(duration.as_nanos() as u64));
        self.received.latencies.reset();
        self.lateness.reset();
    }

    /// Latencies of what is due from now on do not count any more. What was due before and could not
    /// be sent yet is sent now: to leave it out would be to leave out the slowest.
    pub(super) fn close_window(&mut self, pool: &mut ClientPool) {
        let end = self.received.window_nanos.1.min(pool.now());
        self.received.window_nanos.1 = end;
        self.send_due_before(pool, end);
        self.overdue_count = self.pacer.as_ref().map_or(0, |pacer| pacer.overdue_count(end - 1));
    }

    /// One turn of the loop: what is due is said, what comes is heard.
    pub(super) fn run_turn(
        &mut self,
        pool: &mut ClientPool,
        extra_sink: &mut impl Sink,
    ) -> Result<(), LoadError> {
        let timeout = match self.pacer.is_some() {
            true => self.send_due(pool),
            false => Duration::from_millis(100),
        };
        pool.run_turn(timeout, &mut TeeSink(&mut self.received, extra_sink))?;
        if self.pacer.is_none() {
            self.send_on_credit(pool)?;
        } else {
            for sender in self.received.senders_with_credit.drain(..) {
                self.received.credits[sender] = 0;
            }
        }
        Ok(())
    }

    /// Answers how long there is nothing to send.
    fn send_due(&mut self, pool: &mut ClientPool) -> Duration {
        let now = pool.now();
        self.send_due_before(pool, now + 1);
        match &self.pacer {
            Some(pacer) if pacer.next_due() > now => pacer.sleep_time(now),
            _ => Duration::from_millis(1), // until a connection takes what it has
        }
    }

    /// Says what is due before `end`, as far as the connections take it.
    fn send_due_before(&mut self, pool: &mut ClientPool, end: u64) {
        let Some(mut pacer) = self.pacer.take() else { return };
        let (senders, now) = (self.parameters.addressing.sender_count(), pool.now());
        let mut sender = self.received.deliveries.sent_count as usize % senders;
        while pacer.next_due() < end
            && pool.unsent_bytes(self.first_sender + sender) <= UNSENT_BYTES_MAX
        {
            self.lateness.saturating_record(now.saturating_sub(pacer.next_due()));
            self.send(pool, sender, pacer.next_due());
            pacer.advance();
            sender = if sender + 1 == senders { 0 } else { sender + 1 };
        }
        self.pacer = Some(pacer);
    }

    /// Each message that is no longer on its way makes room for another.
    fn send_on_credit(&mut self, pool: &mut ClientPool) -> Result<(), LoadError> {
        let now = pool.now();
        let mut credited = std::mem::take(&mut self.received.senders_with_credit);
        for sender in credited.drain(..) {
            for _ in 0..std::mem::take(&mut self.received.credits[sender]) {
                self.send(pool, sender, now);
            }
        }
        self.received.senders_with_credit = credited;
        let arrived = self.received.deliveries.arrived_count;
        if arrived > self.last_progress.0 {
            self.last_progress = (arrived, Instant::now());
        } else if self.last_progress.1.elapsed() > STALL_TIMEOUT {
            let seconds = STALL_TIMEOUT.as_secs();
            let missing = self.received.deliveries.missing_count();
            return Err(LoadError::failed(format!(
                "nothing has arrived for {seconds} s, and {missing} messages are on their way: \
                 with so few --in-flight, what is lost is never made up for"
            )));
        }
        Ok(())
    }

    fn send(&mut self, pool: &mut ClientPool, sender: usize, due: u64) {
        let receiver = self.parameters.addressing.next_receiver(sender, self.last_receiver[sender]);
        self.last_receiver[sender] = receiver;
        let sequence = self.received.deliveries.record_sent(sender, receiver);
        self.write_chat(pool, receiver, Stamp { sender, sequence, due_nanos: Some(due) });
    }

    fn write_chat(&mut self, pool: &mut ClientPool, receiver: usize, stamp: Stamp) {
        stamp.encode(&mut self.text);
        let from = &self.identities[stamp.sender];
        let to = &self.identities[self.received.first_receiver - self.first_sender + receiver];
        client_codec::encode_chat(
            self.parameters.wire,
            from,
            to,
            &self.text,
            pool.send_buffer(self.first_sender + stamp.sender),
        );
    }

    /// Waits until what is on its way has arrived, or nothing more does.
    pub(super) fn drain_in_flight(&mut self, pool: &mut ClientPool) -> Result<(), LoadError> {
        let (mut arrived, mut last_arrival) =
            (self.received.deliveries.arrived_count, Instant::now());
        while !self.received.deliveries.is_complete() && last_arrival.elapsed() < DRAIN_TIMEOUT {
            pool.run_turn(Duration::from_millis(20), &mut self.received)?;
            if self.received.deliveries.arrived_count > arrived {
                (arrived, last_arrival) = (self.received.deliveries.arrived_count, Instant::now());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(receivers: Addressing, spread: bool, servers: usize, expected: &[usize]) {
        let pace = Pace::InFlight(1);
        let talk = ChatParameters {
            wire: ClientWire::Crc,
            addressing: receivers,
            text_bytes: 16,
            pace,
            spreads_clients: spread,
        };
        assert_eq!(talk.client_servers(servers).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn clients_are_placed_on_servers_by_pattern_and_spread() {
        check(Addressing::Paired { pairs: 2 }, false, 1, &[0, 0, 0, 0]);
        check(Addressing::Paired { pairs: 2 }, false, 3, &[0, 0, 2, 2]);
        check(Addressing::Paired { pairs: 3 }, true, 3, &[0, 1, 2, 1, 2, 0]);
        check(Addressing::AllToAll { clients: 4 }, false, 3, &[0, 1, 2, 0]);
    }
}
