//! Announces hosts over a connection that registers as a server. The hosts have no connections.
//!
//! An observer at the other end of the network receives a final chat from the announcing server.
//! Frames stay in order, so every server on the path has handled all announcements by then.

use std::time::Instant;

use crc::id::HostId;
use crc::relay::message::{HostKind, Message};
use crc::wires::Wire;

use super::client_codec::{self, Incoming, Role};
use super::client_pool::{ClientPool, NullSink, RESPONSE_TIMEOUT, Sink};
use super::error::LoadError;
use super::servers::Network;

/// Number of bytes queued on the connection at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// Text of the final chat.
const END_MARKER: &[u8] = b"that is all";

/// The kind of the announced hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnnouncedKind {
    /// Servers, which are not announced to clients.
    Servers,
    /// Users, which are announced to every CRC client.
    Users,
}

/// A connection that registers as a server and announces hosts.
pub(super) struct Announcer {
    announcing_client: usize,
    /// The connection of the observer, and its id.
    observer: usize,
    observer_id: HostId,
    is_observer_known: bool,
    /// The registrations and the final chat, and how many bytes of them were queued.
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
    /// Registers at the first server of a network as a server with `count` hosts to announce, and
    /// the observer at the last.
    pub(super) fn join(
        pool: &mut ClientPool,
        network: &Network,
        count: usize,
        kind: AnnouncedKind,
    ) -> Result<Self, LoadError> {
        let observer = pool.len();
        let last = network.address(network.len() - 1, Wire::CRC.into());
        pool.connect_all([(Wire::CRC.into(), last)].into_iter(), 1, &mut NullSink)?;
        let connection =
            pool.connect(Wire::CRC.into(), Role::Server, network.address(0, Wire::CRC.into()))?;
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
        let condition = "the announcement of a client at the other end to a new server";
        pool.run_until(condition, &mut announcer, |_, own| own.is_observer_known)?;
        // Encoded only now, because the server may have been given another id.
        announcer.frames = encode_registrations(pool, connection, count, kind);
        let (source, destination) = (HostId(pool.identity(connection).id), announcer.observer_id);
        let end_marker = Message::Chat { source, destination, text: END_MARKER };
        crc::wires::crc::codec::encode(&end_marker, &mut announcer.frames);
        announcer.started_at = pool.now();
        announcer.last_queued_at = Instant::now();
        Ok(announcer)
    }

    /// Queues more frames, as far as the connection accepts them.
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

    /// Returns whether the observer has received the final chat.
    pub(super) fn is_done(&self) -> bool {
        self.done_at.is_some()
    }

    /// Returns how long the announcement took, in nanoseconds.
    pub(super) fn elapsed_nanos(&self) -> Option<u64> {
        self.done_at.map(|at| at - self.started_at)
    }

    /// Checks that the network still accepts frames.
    ///
    /// # Errors
    /// Returns an error if none were accepted for [`RESPONSE_TIMEOUT`].
    pub(super) fn check_progress(&self) -> Result<(), LoadError> {
        if self.last_queued_at.elapsed() < RESPONSE_TIMEOUT {
            return Ok(());
        }
        let (fed, all, seconds) =
            (self.queued_bytes, self.frames.len(), RESPONSE_TIMEOUT.as_secs());
        Err(LoadError::failed(format!(
            "the announced hosts have not crossed the network: {fed} of {all} bytes \
             were accepted, and then nothing happened for {seconds} s"
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

/// Counts the hosts announced to one connection.
pub(super) struct HostCounter {
    pub(super) client: usize,
    pub(super) count: u64,
    /// Time of the last announcement.
    pub(super) last_at: u64,
}

impl Sink for HostCounter {
    fn receive(&mut self, client: usize, incoming: Incoming<'_>, now: u64) {
        if client == self.client && matches!(incoming, Incoming::HostUp(_)) {
            (self.count, self.last_at) = (self.count + 1, now);
        }
    }
}
