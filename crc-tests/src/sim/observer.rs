//! What happens in a simulated network, in order, for the predicates of scenarios: each frame that
//! is sent over a link, and what the mail stores are asked for and have done.

use std::collections::HashMap;

use crc::link::Time;
use crc::link::frame_decoder::FrameDecoder;
use crc::wires::Wire;
use crc::wires::classic::codec as classic;
use crc::wires::crc::codec;
use crc::wires::direct::codec as direct;

use super::PipeEnd;

/// A frame that was sent.
pub(super) struct ObservedFrame {
    pub(super) sent_at: Time,
    pub(super) from: PipeEnd,
    pub(super) to: PipeEnd,
    /// CRC, direct or classic.
    pub(super) wire: Wire,
    /// Position in the stream at which the frame ends.
    pub(super) end_position: u64,
    pub(super) bytes: Vec<u8>,
}

/// What the predicates look at.
pub(super) enum Observation {
    /// A frame was written to a socket.
    Frame(ObservedFrame),
    /// A connection ended while a frame waited in a send queue.
    Unsent(ObservedFrame),
    /// A mail store was asked to keep a message with this text.
    MailRequested { label: String, text: Box<[u8]> },
    /// A mail store has kept a message.
    MailKept { text: Box<[u8]> },
    /// An end has handled what it receives up to a position that was watched.
    Handled { end: PipeEnd, position: u64, at: Time },
}

/// The stream of bytes that an end sends.
#[derive(Default)]
struct Sent {
    decoder: FrameDecoder,
    bytes: u64,
    /// Number of bytes in whole frames.
    framed_bytes: u64,
}

/// The stream of bytes that an end receives.
#[derive(Default)]
struct Received {
    bytes: u64,
    /// Number of bytes that do not wait for something.
    handled_bytes: u64,
}

/// What has happened since it was last taken, and the streams.
#[derive(Default)]
pub(super) struct Observer {
    pub(super) observations: Vec<Observation>,
    /// The ends to which a write did not consist of whole frames.
    pub(super) cut_writes: Vec<PipeEnd>,
    /// The ends that have sent bytes that are no frames, and these bytes' error.
    pub(super) errors: Vec<(PipeEnd, String)>,
    sent: HashMap<PipeEnd, Sent>,
    /// The end that has sent something to each end.
    senders: HashMap<PipeEnd, PipeEnd>,
    received: HashMap<PipeEnd, Received>,
    /// Ends of which it is observed when they have handled what they receive up to a position.
    watched: Vec<(PipeEnd, u64)>,
    pub(super) started_at: Time,
    /// Digest of all bytes with their time since the start and their ends: two runs with one digest
    /// are the same to the byte.
    pub(super) digest: u64,
    pub(super) bytes: u64,
}

impl Observer {
    pub(super) fn new(started_at: Time) -> Self {
        Self { started_at, ..Self::default() }
    }

    /// Handles that an end has written bytes to its socket.
    pub(super) fn on_write(
        &mut self,
        now: Time,
        wire: Wire,
        (from, to): (PipeEnd, PipeEnd),
        bytes: &[u8],
    ) {
        if bytes.is_empty() {
            return;
        }
        self.bytes += bytes.len() as u64;
        let elapsed = now.since(self.started_at);
        self.add_to_digest(format!("{elapsed:?} {from:?}").as_bytes());
        self.add_to_digest(bytes);
        self.senders.insert(to, from);
        self.sent.entry(from).or_default().bytes += bytes.len() as u64;
        let is_whole = self.decode((now, wire), (from, to), bytes, Observation::Frame);
        if !is_whole {
            self.cut_writes.push(to);
        }
    }

    /// Handles that a connection has ended while these bytes waited in the send queue of one end.
    pub(super) fn on_unsent(&mut self, now: Time, wire: Wire, from: PipeEnd, bytes: &[u8]) {
        let Some(&to) = self.senders.get(&from) else { return };
        self.decode((now, wire), (from, to), bytes, Observation::Unsent);
    }

    /// Adds the frames that some bytes complete. Returns whether the bytes are whole frames.
    fn decode(
        &mut self,
        (sent_at, wire): (Time, Wire),
        (from, to): (PipeEnd, PipeEnd),
        bytes: &[u8],
        observation: fn(ObservedFrame) -> Observation,
    ) -> bool {
        let frame_len = |bytes: &[u8]| {
            if wire == Wire::DIRECT {
                direct::frame_len(bytes, usize::MAX).map_err(|error| error.to_string())
            } else if wire == Wire::CLASSIC {
                classic::frame_len(bytes).map_err(|error| error.to_string())
            } else if wire == Wire::IRC {
                Ok(bytes.iter().position(|&byte| byte == b'\n').map(|end| end + 1))
            } else {
                codec::frame_len(bytes, usize::MAX).map_err(|error| error.to_string())
            }
        };
        let Self { observations, errors, sent, .. } = self;
        let Sent { decoder, framed_bytes, .. } = sent.entry(from).or_default();
        let begins_whole = !decoder.has_partial_frame();
        let result = decoder.decode(bytes, frame_len, |frame| {
            *framed_bytes += frame.len() as u64;
            let (end_position, bytes) = (*framed_bytes, frame.to_vec());
            observations.push(observation(ObservedFrame {
                sent_at,
                from,
                to,
                wire,
                end_position,
                bytes,
            }));
            true
        });
        let is_whole = begins_whole && !decoder.has_partial_frame();
        errors.extend(result.err().map(|error| (from, error)));
        is_whole
    }

    /// Handles that an end has received bytes. `is_handled` is false if some of them wait.
    pub(super) fn on_received(&mut self, now: Time, to: PipeEnd, count: usize, is_handled: bool) {
        self.received.entry(to).or_default().bytes += count as u64;
        if is_handled {
            self.set_handled(now, to);
        }
    }

    /// Handles that nothing waits at an end any more.
    pub(super) fn set_handled(&mut self, now: Time, to: PipeEnd) {
        let Some(received) = self.received.get_mut(&to) else { return };
        received.handled_bytes = received.bytes;
        let is_handled =
            |watched: &mut (PipeEnd, u64)| watched.0 == to && watched.1 <= received.handled_bytes;
        let handled = self.watched.extract_if(.., is_handled);
        let observation = |(end, position)| Observation::Handled { end, position, at: now };
        self.observations.extend(handled.map(observation));
    }

    /// Returns whether an end has handled what it receives up to a position.
    pub(super) fn is_handled(&self, to: PipeEnd, position: u64) -> bool {
        self.received.get(&to).is_some_and(|received| received.handled_bytes >= position)
    }

    /// Observes when an end has handled all that another one has sent so far. Returns the position
    /// up to which that is.
    pub(super) fn watch(&mut self, from: PipeEnd, to: PipeEnd) -> u64 {
        let position = self.sent.get(&from).map_or(0, |sent| sent.bytes);
        self.watched.push((to, position));
        position
    }

    /// Adds bytes to the digest (FNV-1a).
    fn add_to_digest(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
