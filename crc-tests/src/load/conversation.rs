//! Clients that talk: who speaks to whom, when, and what has become of it.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::fleet::{Ear, Fleet};
use super::ledger::{Ledger, Receivers};
use super::pace::{Pace, Pacer};
use super::servers::Network;
use super::stamp::Stamp;
use super::wire::{self, Heard, Identity};
use super::{AT_A_TIME, Stop};
use crate::command::Wire;

/// The longest latency that a histogram tells apart, in nanoseconds; longer ones count as this.
const LATENCY_MAX: u64 = 120_000_000_000;

/// How soon a probe that has not arrived is sent again: the way may not have been known.
const PROBE_AGAIN: Duration = Duration::from_millis(100);

/// A closed loop in which nothing arrives for so long stands still for good.
const STALLED: Duration = Duration::from_secs(5);

/// How long what is on its way may take when nothing is sent any more.
const SETTLE: Duration = Duration::from_millis(1_500);

/// A connection that has so much unsent is sent no more for now; it stays due.
const UNSENT_BYTES_MAX: usize = 1024 * 1024;

/// How clients talk.
#[derive(Clone, Debug)]
pub(super) struct Talk {
    pub(super) wire: Wire,
    pub(super) receivers: Receivers,
    /// Bytes of each text.
    pub(super) size: usize,
    pub(super) pace: Pace,
    /// Clients go round all servers, instead of senders to the first and receivers to the last.
    pub(super) spread: bool,
}

impl Talk {
    /// Connections that it takes.
    pub(super) fn connections(&self) -> usize {
        match self.receivers {
            Receivers::Own { pairs } => 2 * pairs,
            Receivers::Others { clients } => clients,
        }
    }

    /// The server of each of its clients, of so many.
    fn servers(&self, count: usize) -> impl Iterator<Item = usize> {
        let (talk, senders) = (self.clone(), self.receivers.senders());
        (0..self.connections()).map(move |at| match talk.receivers {
            Receivers::Others { .. } => at % count,
            Receivers::Own { .. } if talk.spread => (at % senders + at / senders) % count,
            Receivers::Own { .. } => at / senders * (count - 1),
        })
    }
}

/// A histogram of nanoseconds.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX, 3).expect("bounds that fit")
}

/// What the receivers have heard.
pub(super) struct Hearing {
    pub(super) ledger: Ledger,
    /// Of messages that were due in the window.
    pub(super) latencies: Histogram<u64>,
    window: (u64, u64),
    /// Messages of each sender that are no longer on their way, and the senders that have any.
    credits: Vec<u32>,
    credited: Vec<usize>,
    first_receiver: usize,
    /// Ways that a probe has come, by sender, in this round.
    is_open: Vec<bool>,
    open_count: usize,
    /// Answers that nobody is there.
    pub(super) absent_count: u64,
}

impl Ear for Hearing {
    fn hear(&mut self, client: usize, heard: Heard<'_>, now: u64) {
        let text = match heard {
            Heard::Chat(text) => text,
            Heard::Absent => {
                self.absent_count += 1;
                return;
            }
            _ => return,
        };
        let receiver = client.checked_sub(self.first_receiver);
        let (Some(stamp), Some(receiver)) = (Stamp::read(text), receiver) else { return };
        let Some(due) = stamp.due else {
            return self.note_probe(stamp.sender);
        };
        let freed = self.ledger.arrived(stamp, receiver);
        if freed == 0 {
            return;
        }
        if self.credits[stamp.sender] == 0 {
            self.credited.push(stamp.sender);
        }
        self.credits[stamp.sender] += freed;
        if due >= self.window.0 && due < self.window.1 {
            self.latencies.saturating_record(now.saturating_sub(due));
        }
    }
}

impl Hearing {
    fn note_probe(&mut self, sender: usize) {
        if let Some(is_open @ false) = self.is_open.get_mut(sender) {
            *is_open = true;
            self.open_count += 1;
        }
    }
}

/// Two ears for the same frames.
struct Both<'a, A, B>(&'a mut A, &'a mut B);

impl<A: Ear, B: Ear> Ear for Both<'_, A, B> {
    fn hear(&mut self, client: usize, heard: Heard<'_>, now: u64) {
        self.0.hear(client, heard, now);
        self.1.hear(client, heard, now);
    }
}

/// Clients that talk.
pub(super) struct Conversation {
    talk: Talk,
    pub(super) hearing: Hearing,
    /// The connection of the first sender.
    first: usize,
    clients: Vec<Identity>,
    /// To whom each sender spoke last.
    receiver: Vec<usize>,
    text: Vec<u8>,
    pacer: Option<Pacer>,
    /// How late messages of an open loop were sent that could have been.
    pub(super) lateness: Histogram<u64>,
    /// Due and not sent when the window ended, as the network took no more.
    pub(super) unsent_count: u64,
    heard_at: (u64, Instant),
}

impl Conversation {
    /// Connects the clients, and waits until each way is known to be there.
    pub(super) fn join(fleet: &mut Fleet, network: &Network, talk: Talk) -> Result<Self, Stop> {
        let (first, senders) = (fleet.len(), talk.receivers.senders());
        let first_receiver = match talk.receivers {
            Receivers::Own { .. } => first + senders,
            Receivers::Others { .. } => first,
        };
        let hearing = Hearing {
            ledger: Ledger::new(talk.receivers),
            latencies: histogram(),
            window: (u64::MAX, u64::MAX),
            credits: vec![0; senders],
            credited: Vec::with_capacity(senders),
            first_receiver,
            is_open: Vec::new(),
            open_count: 0,
            absent_count: 0,
        };
        let mut conversation = Self {
            hearing,
            first,
            clients: Vec::new(),
            receiver: (0..senders).collect(),
            text: vec![b'x'; talk.size],
            pacer: None,
            lateness: histogram(),
            unsent_count: 0,
            heard_at: (0, Instant::now()),
            talk,
        };
        let (wire, servers) = (conversation.talk.wire, conversation.talk.servers(network.len()));
        let addresses = servers.map(|server| (wire, network.door(server, wire)));
        fleet.connect_all(addresses, AT_A_TIME, &mut conversation.hearing)?;
        conversation.clients = (first..fleet.len()).map(|at| fleet.own(at)).collect();
        conversation.probe(fleet)?;
        conversation.hearing.absent_count = 0;
        Ok(conversation)
    }

    /// Sends over each way until something has come: servers may still be telling each other.
    fn probe(&mut self, fleet: &mut Fleet) -> Result<(), Stop> {
        let senders = self.talk.receivers.senders();
        let offsets = match self.talk.receivers {
            Receivers::Own { .. } => 0..1,
            Receivers::Others { clients } => 1..clients,
        };
        for offset in offsets {
            self.hearing.is_open = vec![false; senders];
            self.hearing.open_count = 0;
            let mut due = Instant::now();
            let deadline = due + super::fleet::PATIENCE;
            while self.hearing.open_count < senders {
                let now = Instant::now();
                if now > deadline {
                    let missing = senders - self.hearing.open_count;
                    return Err(Stop::fault(format!(
                        "{missing} of {senders} senders have not reached their receiver within \
                         {} s: are the servers named part of one network?",
                        super::fleet::PATIENCE.as_secs()
                    )));
                }
                if now >= due {
                    due = now + PROBE_AGAIN;
                    for sender in 0..senders {
                        if !self.hearing.is_open[sender] {
                            let receiver = (sender + offset) % senders;
                            self.write(fleet, receiver, Stamp { sender, sequence: 0, due: None });
                        }
                    }
                }
                fleet.turn(PROBE_AGAIN, &mut self.hearing)?;
            }
        }
        Ok(())
    }

    /// The senders begin.
    pub(super) fn begin(&mut self, fleet: &mut Fleet) {
        let now = fleet.now();
        self.heard_at = (0, Instant::now());
        match self.talk.pace {
            Pace::Rate(rate) => self.pacer = Some(Pacer::new(now, rate)),
            Pace::InFlight(count) => {
                for sender in 0..self.talk.receivers.senders() {
                    for _ in 0..count {
                        self.say(fleet, sender, now);
                    }
                }
            }
        }
    }

    /// From now on, latencies count, of what is due before `end`.
    pub(super) fn open_window(&mut self, fleet: &Fleet, span: Duration) {
        let now = fleet.now();
        self.hearing.window = (now, now.saturating_add(span.as_nanos() as u64));
        self.hearing.latencies.reset();
        self.lateness.reset();
    }

    /// Latencies of what is due from now on do not count any more. What was due before and could not
    /// be sent yet is sent now: to leave it out would be to leave out the slowest.
    pub(super) fn close_window(&mut self, fleet: &mut Fleet) {
        let end = self.hearing.window.1.min(fleet.now());
        self.hearing.window.1 = end;
        self.say_until(fleet, end);
        self.unsent_count = self.pacer.as_ref().map_or(0, |pacer| pacer.behind(end - 1));
    }

    /// One turn of the loop: what is due is said, what comes is heard.
    pub(super) fn step(&mut self, fleet: &mut Fleet, also: &mut impl Ear) -> Result<(), Stop> {
        let patience = match self.pacer.is_some() {
            true => self.say_what_is_due(fleet),
            false => Duration::from_millis(100),
        };
        fleet.turn(patience, &mut Both(&mut self.hearing, also))?;
        if self.pacer.is_none() {
            self.go_on(fleet)?;
        } else {
            for sender in self.hearing.credited.drain(..) {
                self.hearing.credits[sender] = 0;
            }
        }
        Ok(())
    }

    /// Answers how long there is nothing to send.
    fn say_what_is_due(&mut self, fleet: &mut Fleet) -> Duration {
        let now = fleet.now();
        self.say_until(fleet, now + 1);
        match &self.pacer {
            Some(pacer) if pacer.due() > now => pacer.sleep(now),
            _ => Duration::from_millis(1), // until a connection takes what it has
        }
    }

    /// Says what is due before `end`, as far as the connections take it.
    fn say_until(&mut self, fleet: &mut Fleet, end: u64) {
        let Some(mut pacer) = self.pacer.take() else { return };
        let (senders, now) = (self.talk.receivers.senders(), fleet.now());
        let mut sender = self.hearing.ledger.sent_count as usize % senders;
        while pacer.due() < end && fleet.unsent(self.first + sender) <= UNSENT_BYTES_MAX {
            self.lateness.saturating_record(now.saturating_sub(pacer.due()));
            self.say(fleet, sender, pacer.due());
            pacer.take();
            sender = if sender + 1 == senders { 0 } else { sender + 1 };
        }
        self.pacer = Some(pacer);
    }

    /// Each message that is no longer on its way makes room for another.
    fn go_on(&mut self, fleet: &mut Fleet) -> Result<(), Stop> {
        let now = fleet.now();
        let mut credited = std::mem::take(&mut self.hearing.credited);
        for sender in credited.drain(..) {
            for _ in 0..std::mem::take(&mut self.hearing.credits[sender]) {
                self.say(fleet, sender, now);
            }
        }
        self.hearing.credited = credited;
        let arrived = self.hearing.ledger.arrived_count;
        if arrived > self.heard_at.0 {
            self.heard_at = (arrived, Instant::now());
        } else if self.heard_at.1.elapsed() > STALLED {
            let seconds = STALLED.as_secs();
            let missing = self.hearing.ledger.missing_count();
            return Err(Stop::fault(format!(
                "nothing has arrived for {seconds} s, and {missing} messages are on their way: \
                 with so few --in-flight, what is lost is never made up for"
            )));
        }
        Ok(())
    }

    fn say(&mut self, fleet: &mut Fleet, sender: usize, due: u64) {
        let receiver = self.talk.receivers.after(sender, self.receiver[sender]);
        self.receiver[sender] = receiver;
        let sequence = self.hearing.ledger.send(sender, receiver);
        self.write(fleet, receiver, Stamp { sender, sequence, due: Some(due) });
    }

    fn write(&mut self, fleet: &mut Fleet, receiver: usize, stamp: Stamp) {
        stamp.write(&mut self.text);
        let from = &self.clients[stamp.sender];
        let to = &self.clients[self.hearing.first_receiver - self.first + receiver];
        wire::say(self.talk.wire, from, to, &self.text, fleet.out(self.first + stamp.sender));
    }

    /// Waits until what is on its way has arrived, or nothing more does.
    pub(super) fn settle(&mut self, fleet: &mut Fleet) -> Result<(), Stop> {
        let (mut arrived, mut since) = (self.hearing.ledger.arrived_count, Instant::now());
        while !self.hearing.ledger.is_settled() && since.elapsed() < SETTLE {
            fleet.turn(Duration::from_millis(20), &mut self.hearing)?;
            if self.hearing.ledger.arrived_count > arrived {
                (arrived, since) = (self.hearing.ledger.arrived_count, Instant::now());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(receivers: Receivers, spread: bool, servers: usize, expected: &[usize]) {
        let pace = Pace::InFlight(1);
        let talk = Talk { wire: Wire::Crc, receivers, size: 16, pace, spread };
        assert_eq!(talk.servers(servers).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn clients_are_where_their_messages_cross_the_network() {
        check(Receivers::Own { pairs: 2 }, false, 1, &[0, 0, 0, 0]);
        check(Receivers::Own { pairs: 2 }, false, 3, &[0, 0, 2, 2]);
        check(Receivers::Own { pairs: 3 }, true, 3, &[0, 1, 2, 1, 2, 0]);
        check(Receivers::Others { clients: 4 }, false, 3, &[0, 1, 2, 0]);
    }
}
