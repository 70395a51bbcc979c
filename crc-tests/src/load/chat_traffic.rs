//! Chat traffic between clients: sends messages at a pace, and measures their delivery.

mod probes;

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use self::probes::Probes;
use super::chat_parameters::ChatParameters;
use super::client_codec::{self, Identity, Incoming, Room};
use super::client_pool::{ClientPool, Sink};
use super::delivery_tracker::{Addressing, DeliveryTracker};
use super::error::LoadError;
use super::pace::{Pace, Pacer};
use super::servers::Network;
use super::stamp::Stamp;

/// Maximum latency of a histogram, in nanoseconds; longer ones are clamped.
const LATENCY_NANOS_MAX: u64 = 120_000_000_000;

/// Time without an arrival after which a closed loop has stalled.
const STALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Time that messages in flight have to arrive after the last was sent.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Maximum number of unsent bytes of a connection. Beyond it, messages wait and stay due.
const UNSENT_BYTES_MAX: usize = 1024 * 1024;

/// Returns an empty histogram of nanoseconds.
pub(super) fn latency_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NANOS_MAX, 3).expect("bounds that fit")
}

/// Statistics of the receivers.
pub(super) struct ReceiveStats {
    pub(super) deliveries: DeliveryTracker,
    /// Latencies of messages that were due in the window.
    pub(super) latencies: Histogram<u64>,
    window_nanos: (u64, u64),
    /// Number of messages of each sender that are no longer in flight, and the senders that have
    /// any.
    credits: Vec<u32>,
    senders_with_credit: Vec<usize>,
    first_receiver: usize,
    probes: Probes,
    /// Replies that a destination is unknown.
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
            return self.probes.on_arrival(stamp.sender, receiver);
        };
        let Some(credit) = self.deliveries.record_arrival(stamp, receiver) else { return };
        if credit > 0 {
            if self.credits[stamp.sender] == 0 {
                self.senders_with_credit.push(stamp.sender);
            }
            self.credits[stamp.sender] += credit;
        }
        if due >= self.window_nanos.0 && due < self.window_nanos.1 {
            self.latencies.saturating_record(now.saturating_sub(due));
        }
    }
}

/// Passes each frame to two sinks.
struct TeeSink<'a, A, B>(&'a mut A, &'a mut B);

impl<A: Sink, B: Sink> Sink for TeeSink<'_, A, B> {
    fn receive(&mut self, client: usize, incoming: Incoming<'_>, now: u64) {
        self.0.receive(client, incoming, now);
        self.1.receive(client, incoming, now);
    }
}

/// Clients that chat.
pub(super) struct ChatTraffic {
    parameters: ChatParameters,
    pub(super) received: ReceiveStats,
    /// The connection of the first sender.
    first_sender: usize,
    identities: Vec<Identity>,
    room: Option<Room>,
    /// The last receiver of each sender.
    last_receiver: Vec<usize>,
    /// The next sender of an open loop.
    next_sender: usize,
    text: Vec<u8>,
    pacer: Option<Pacer>,
    /// Lateness of the messages of an open loop when they were sent.
    pub(super) lateness: Histogram<u64>,
    /// Number of messages due and not sent when the window ended, because the network accepted no
    /// more.
    pub(super) overdue_count: u64,
    last_progress: (u64, Instant),
}

impl ChatTraffic {
    /// Connects the clients, and waits until every receiver is reachable.
    pub(super) fn join(
        pool: &mut ClientPool,
        network: &Network,
        parameters: ChatParameters,
    ) -> Result<Self, LoadError> {
        let (first, senders) = (pool.len(), parameters.addressing.sender_count());
        let first_receiver = match parameters.addressing {
            Addressing::Paired { .. } => first + senders,
            Addressing::AllToAll { .. } | Addressing::Room { .. } => first,
        };
        let received = ReceiveStats {
            deliveries: DeliveryTracker::new(parameters.addressing),
            latencies: latency_histogram(),
            window_nanos: (u64::MAX, u64::MAX),
            credits: vec![0; senders],
            senders_with_credit: Vec::with_capacity(senders),
            first_receiver,
            probes: Probes::default(),
            unknown_destination_count: 0,
        };
        let mut traffic = Self {
            received,
            first_sender: first,
            identities: Vec::new(),
            room: parameters.room(),
            last_receiver: (0..senders).collect(),
            next_sender: 0,
            text: vec![b'x'; parameters.text_bytes],
            pacer: None,
            lateness: latency_histogram(),
            overdue_count: 0,
            last_progress: (0, Instant::now()),
            parameters,
        };
        let (protocol, servers) =
            (traffic.parameters.protocol, traffic.parameters.client_servers(network.len()));
        let addresses = servers.map(|server| (protocol, network.address(server, protocol)));
        let pending_max = network.pending_registrations_max();
        pool.connect_all(addresses, pending_max, &mut traffic.received)?;
        traffic.identities = (first..pool.len()).map(|at| pool.identity(at)).collect();
        traffic.join_room(pool);
        traffic.probe_all(pool)?;
        traffic.received.unknown_destination_count = 0;
        Ok(traffic)
    }

    /// Starts the senders.
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

    /// Opens the window: records latencies of messages that are due from now until the end.
    pub(super) fn open_window(&mut self, pool: &ClientPool, duration: Duration) {
        let now = pool.now();
        self.received.window_nanos = (now, now.saturating_add(duration.as_nanos() as u64));
        self.received.latencies.reset();
        self.lateness.reset();
    }

    /// Closes the window. Messages due before and not yet sent are sent now, because leaving them
    /// out would leave out the slowest.
    pub(super) fn close_window(&mut self, pool: &mut ClientPool) {
        let end = self.received.window_nanos.1.min(pool.now());
        self.received.window_nanos.1 = end;
        self.send_due_before(pool, end);
        self.overdue_count = self.pacer.as_ref().map_or(0, |pacer| pacer.overdue_count(end - 1));
    }

    /// Runs one turn: sends due messages and handles received frames.
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

    /// Sends due messages. Returns how long nothing is due.
    fn send_due(&mut self, pool: &mut ClientPool) -> Duration {
        let now = pool.now();
        self.send_due_before(pool, now + 1);
        match &self.pacer {
            Some(pacer) if pacer.next_due() > now => pacer.sleep_time(now),
            _ => Duration::from_millis(1), // until a connection accepts more
        }
    }

    /// Sends the messages due before `end`, as far as the connections accept them.
    fn send_due_before(&mut self, pool: &mut ClientPool, end: u64) {
        let Some(mut pacer) = self.pacer.take() else { return };
        let (senders, now) = (self.parameters.addressing.sender_count(), pool.now());
        let mut sender = self.next_sender;
        while pacer.next_due() < end
            && pool.unsent_bytes(self.first_sender + sender) <= UNSENT_BYTES_MAX
        {
            self.lateness.saturating_record(now.saturating_sub(pacer.next_due()));
            self.send(pool, sender, pacer.next_due());
            pacer.advance();
            sender = if sender + 1 == senders { 0 } else { sender + 1 };
        }
        (self.pacer, self.next_sender) = (Some(pacer), sender);
    }

    /// Sends a message for each one that is no longer in flight.
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
                "nothing has arrived for {seconds} s, and {missing} messages are in flight: each \
                 lost message leaves one less of --in-flight"
            )));
        }
        Ok(())
    }

    fn send(&mut self, pool: &mut ClientPool, sender: usize, due: u64) {
        let receiver = self.parameters.addressing.next_receiver(sender, self.last_receiver[sender]);
        self.last_receiver[sender] = receiver;
        let deliveries = &mut self.received.deliveries;
        let sequence = match self.room {
            Some(_) => deliveries.record_sent_to_room(sender),
            None => deliveries.record_sent(sender, receiver),
        };
        self.write_chat(pool, receiver, Stamp { sender, sequence, due_nanos: Some(due) });
    }

    /// Sends a chat to the room, or to a receiver if there is none.
    fn write_chat(&mut self, pool: &mut ClientPool, receiver: usize, stamp: Stamp) {
        stamp.encode(&mut self.text);
        let from = &self.identities[stamp.sender];
        let out = pool.send_buffer(self.first_sender + stamp.sender);
        let protocol = self.parameters.protocol;
        if let Some(room) = &self.room {
            return client_codec::encode_room_chat(protocol, from, room, &self.text, out);
        }
        let to = &self.identities[self.received.first_receiver - self.first_sender + receiver];
        client_codec::encode_chat(protocol, from, to, &self.text, out);
    }

    /// Lets all clients join the room, if there is one.
    fn join_room(&self, pool: &mut ClientPool) {
        let Some(room) = &self.room else { return };
        for (client, identity) in self.identities.iter().enumerate() {
            let is_speaker = client < self.parameters.addressing.sender_count();
            let server = pool.server(self.first_sender + client);
            client_codec::encode_room_join(
                self.parameters.protocol,
                identity,
                (server, room),
                is_speaker,
                pool.send_buffer(self.first_sender + client),
            );
        }
    }

    /// Waits until all messages in flight have arrived, or no more do.
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
