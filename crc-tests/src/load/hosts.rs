//! Hosts that only exist: a connection that joins as a server and announces them.
//!
//! How far the network is with them is seen from a client at its other end: what the announcing
//! server says to it last has passed every server behind all that was announced.

use std::time::Instant;

use crc::relay::message::{HostId, Kind, Message};

use super::Stop;
use super::fleet::{Deaf, Ear, Fleet, PATIENCE};
use super::servers::Network;
use super::wire::{self, Heard, Role};
use crate::command::Wire;

/// What is put into the connection at a time.
const PORTION_BYTES: usize = 256 * 1024;

/// What is said last.
const LAST_WORD: &[u8] = b"that is all";

/// What is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Announced {
    /// Servers, of whom clients are told nothing.
    Servers,
    /// Users, of whom every CRC client is told.
    Users,
}

/// A server that exists only as a connection.
pub(super) struct Announcer {
    connection: usize,
    /// The client at the other end of the network, and its id.
    witness: usize,
    witness_id: HostId,
    is_witness_known: bool,
    /// All registrations and the last word, and how much of them was passed on.
    bytes: Vec<u8>,
    fed: usize,
    begun_at: u64,
    done_at: Option<u64>,
    fed_at: Instant,
}

impl Ear for Announcer {
    fn hear(&mut self, client: usize, heard: Heard<'_>, now: u64) {
        match heard {
            Heard::Host(id) if client == self.connection => {
                self.is_witness_known |= id == self.witness_id;
            }
            Heard::Chat(LAST_WORD) if client == self.witness => self.done_at = Some(now),
            _ => {}
        }
    }
}

impl Announcer {
    /// Joins the first server of a network, with so many hosts to announce, and looks on from the last.
    pub(super) fn join(
        fleet: &mut Fleet,
        network: &Network,
        count: usize,
        what: Announced,
    ) -> Result<Self, Stop> {
        let witness = fleet.len();
        let last = network.door(network.len() - 1, Wire::Crc);
        fleet.connect_all([(Wire::Crc, last)].into_iter(), 1, &mut Deaf)?;
        let connection = fleet.connect(Wire::Crc, Role::Server, network.door(0, Wire::Crc))?;
        let mut announcer = Self {
            connection,
            witness,
            witness_id: HostId(fleet.own(witness).id),
            is_witness_known: false,
            bytes: Vec::new(),
            fed: 0,
            begun_at: 0,
            done_at: None,
            fed_at: Instant::now(),
        };
        let what_is_waited_for = "that a new server is told of a client at the other end";
        fleet.turn_until(what_is_waited_for, &mut announcer, |_, own| own.is_witness_known)?;
        // Only now: the server may have had to take another id.
        announcer.bytes = registrations(fleet, connection, count, what);
        let (source, destination) = (HostId(fleet.own(connection).id), announcer.witness_id);
        let last_word = Message::Chat { source, destination, text: LAST_WORD };
        crc::doors::crc::wire::encode(&last_word, &mut announcer.bytes);
        announcer.begun_at = fleet.now();
        announcer.fed_at = Instant::now();
        Ok(announcer)
    }

    /// Says more, as far as the connection takes it.
    pub(super) fn feed(&mut self, fleet: &mut Fleet) {
        if self.fed == 0 {
            self.begun_at = fleet.now();
        }
        if fleet.unsent(self.connection) < PORTION_BYTES && self.fed < self.bytes.len() {
            let end = self.bytes.len().min(self.fed + PORTION_BYTES);
            fleet.out(self.connection).extend_from_slice(&self.bytes[self.fed..end]);
            self.fed = end;
            self.fed_at = Instant::now();
        }
    }

    /// Whether every server has taken all of it.
    pub(super) fn is_done(&self) -> bool {
        self.done_at.is_some()
    }

    /// How long that took, in nanoseconds.
    pub(super) fn took(&self) -> Option<u64> {
        self.done_at.map(|at| at - self.begun_at)
    }

    /// Gives up when the network takes nothing any more.
    ///
    /// # Errors
    /// That it does not.
    pub(super) fn check_progress(&self) -> Result<(), Stop> {
        if self.fed_at.elapsed() < PATIENCE {
            return Ok(());
        }
        let (fed, all, seconds) = (self.fed, self.bytes.len(), PATIENCE.as_secs());
        Err(Stop::fault(format!(
            "the hosts that were announced have not gone through the network: {fed} of {all} bytes \
             were taken, and then nothing happened for {seconds} s"
        )))
    }
}

fn registrations(fleet: &mut Fleet, connection: usize, count: usize, what: Announced) -> Vec<u8> {
    let own = HostId(fleet.own(connection).id);
    let kind = match what {
        Announced::Servers => Kind::Server,
        Announced::Users => Kind::User,
    };
    let mut bytes = Vec::with_capacity(count * 24);
    for _ in 0..count {
        let host = fleet.choose();
        wire::register(kind, HostId(host.id), own, host.name.bytes(), &mut bytes);
    }
    bytes
}

/// Counts the hosts that one connection is told of.
pub(super) struct Counter {
    pub(super) client: usize,
    pub(super) count: u64,
    /// When the last of them came.
    pub(super) at: u64,
}

impl Ear for Counter {
    fn hear(&mut self, client: usize, heard: Heard<'_>, now: u64) {
        if client == self.client && matches!(heard, Heard::Host(_)) {
            (self.count, self.at) = (self.count + 1, now);
        }
    }
}
