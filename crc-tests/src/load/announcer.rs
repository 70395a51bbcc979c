//! Hosts that only exist: a connection that joins as a server and announces them.
//!
//! How far the network is with them is seen from a client at its other end: what the announcing
//! server says to it last has passed every server behind all that was announced.

use std::time::Instant;

use crc::id::HostId;
use crc::relay::message::{HostKind, Message};

use super::client_codec::{self, Incoming, Role};
use super::client_pool::{ClientPool, NullSink, RESPONSE_TIMEOUT, Sink};
use super::error::LoadError;
use super::servers::Network;
use crate::runner::command::ClientWire;

/// What is put into the connection at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// What is said last.
const END_MARKER: &[u8] = b"that is all";

/// What is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnnouncedKind {
    /// Servers, of whom clients are told nothing.
    Servers,
    /// Users, of whom every CRC client is told.
    Users,
}

/// A server that exists only as a connection.
pub(super) struct Announcer {
    announcing_client: usize,
    /// The client at the other end of the network, and its id.
    observer: usize,
    observer_id: HostId,
    is_observer_known: bool,
    /// All registrations and the last word, and how much of them was passed on.
    frames: Vec<u8>,
    queued_bytes: usize,
    started_at: u64,
    done_at: Option<u64>,
    last_queued_at: Instant,
}

impl Sink for Announcer {
    fn receive(&mut self, client: usize, incoming: Incoming<'_>, now: u64) {
        match incoming {
            Incoming::HostUp(id) if client == self.announcing_client => {
                self.is_observer_known |= id == self.observer_id;
            }
            Incoming::Chat(END_MARKER) if client == self.observer => self.done_at = Some(now),
            _ => {}
        }
    }
}

impl Announcer {
    /// Joins the first server of a network, with so many hosts to announce, and looks on from the last.
    pub(super) fn join(
        pool: &mut ClientPool,
        network: &Network,
        count: usize,
        kind: AnnouncedKind,
    ) -> Result<Self, LoadError> {
        let observer = pool.len();
        let last = network.address(network.len() - 1, ClientWire::Crc);
        pool.connect_all([(ClientWire::Crc, last)].into_iter(), 1, &mut NullSink)?;
        let connection =
            pool.connect(ClientWire::Crc, Role::Server, network.address(0, ClientWire::Crc))?;
        let mut announcer = Self {
            announcing_client: connection,
            observer,
            observer_id: HostId(pool.identity(observer).id),
            is_observer_known: false,
            frames: Vec::new(),
            queued_bytes: 0,
            started_at: 0,
            done_at: None,
            last_queued_at: Instant::now(),
        };
        let condition = "that a new server is told of a client at the other end";
        pool.run_until(condition, &mut announcer, |_, own| own.is_observer_known)?;
        // Only now: the server may have had to take another id.
        announcer.frames = encode_registrations(pool, connection, count, kind);
        let (source, destination) = (HostId(pool.identity(connection).id), announcer.observer_id);
        let end_marker = Message::Chat { source, destination, text: END_MARKER };
        crc::wires::crc::codec::encode(&end_marker, &mut announcer.frames);
        announcer.started_at = pool.now();
        announcer.last_queued_at = Instant::now();
        Ok(announcer)
    }

    /// Says more, as far as the connection takes it.
    pub(super) fn queue_more(&mut self, pool: &mut ClientPool) {
        if self.queued_bytes == 0 {
            self.started_at = pool.now();
        }
        if pool.unsent_bytes(self.announcing_client) < CHUNK_BYTES
            && self.queued_bytes < self.frames.len()
        {
            let end = self.frames.len().min(self.queued_bytes + CHUNK_BYTES);
            pool.send_buffer(self.announcing_client)
                .extend_from_slice(&self.frames[self.queued_bytes..end]);
            self.queued_bytes = end;
            self.last_queued_at = Instant::now();
        }
    }

    /// Whether every server has taken all of it.
    pub(super) fn is_done(&self) -> bool {
        self.done_at.is_some()
    }

    /// How long that took, in nanoseconds.
    pub(super) fn elapsed_nanos(&self) -> Option<u64> {
        self.done_at.map(|at| at - self.started_at)
    }

    /// Gives up when the network takes nothing any more.
    ///
    /// # Errors
    /// That it does not.
    pub(super) fn check_progress(&self) -> Result<(), LoadError> {
        if self.last_queued_at.elapsed() < RESPONSE_TIMEOUT {
            return Ok(());
        }
        let (fed, all, seconds) =
            (self.queued_bytes, self.frames.len(), RESPONSE_TIMEOUT.as_secs());
        Err(LoadError::failed(format!(
            "the hosts that were announced have not gone through the network: {fed} of {all} bytes \
             were taken, and then nothing happened for {seconds} s"
        )))
    }
}

fn encode_registrations(
    pool: &mut ClientPool,
    connection: usize,
    count: usize,
    announced: AnnouncedKind,
) -> Vec<u8> {
    let announcing_id = HostId(pool.identity(connection).id);
    let kind = match announced {
        AnnouncedKind::Servers => HostKind::Server,
        AnnouncedKind::Users => HostKind::User,
    };
    let mut bytes = Vec::with_capacity(count * 24);
    for _ in 0..count {
        let host = pool.next_identity();
        client_codec::encode_registration(
            kind,
            HostId(host.id),
            announcing_id,
            host.name.unpadded(),
            &mut bytes,
        );
    }
    bytes
}

/// Counts the hosts that one connection is told of.
pub(super) struct HostCounter {
    pub(super) client: usize,
    pub(super) count: u64,
    /// When the last of them came.
    pub(super) last_at: u64,
}

impl Sink for HostCounter {
    fn receive(&mut self, client: usize, incoming: Incoming<'_>, now: u64) {
        if client == self.client && matches!(incoming, Incoming::HostUp(_)) {
            (self.count, self.last_at) = (self.count + 1, now);
        }
    }
}
