//! What is sent over the links of a simulated network, frame by frame, for the predicates of
//! scenarios.

use std::collections::HashMap;

use crc::link::Time;
use crc::link::frame_decoder::FrameDecoder;
use crc::wires::crc::codec;

use super::PipeEnd;

/// A frame that was sent.
pub(super) struct ObservedFrame {
    pub(super) sent_at: Time,
    pub(super) to: PipeEnd,
    pub(super) bytes: Vec<u8>,
}

/// The frames since they were last taken.
#[derive(Default)]
pub(super) struct Observer {
    pub(super) frames: Vec<ObservedFrame>,
    /// The ends to which a write did not consist of whole frames.
    pub(super) cut_writes: Vec<PipeEnd>,
    /// The ends that have sent bytes that are no frames, and these bytes' error.
    pub(super) errors: Vec<(PipeEnd, String)>,
    decoders: HashMap<PipeEnd, FrameDecoder>,
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

    pub(super) fn on_write(&mut self, now: Time, from: PipeEnd, to: PipeEnd, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.bytes += bytes.len() as u64;
        let elapsed = now.since(self.started_at);
        self.add_to_digest(format!("{elapsed:?} {from:?}").as_bytes());
        self.add_to_digest(bytes);
        let decoder = self.decoders.entry(from).or_default();
        let begins_whole = !decoder.has_partial_frame();
        let frames = &mut self.frames;
        let result = decoder.decode(
            bytes,
            |bytes| codec::frame_len(bytes, usize::MAX),
            |frame| {
                frames.push(ObservedFrame { sent_at: now, to, bytes: frame.to_vec() });
                true
            },
        );
        let is_whole = begins_whole && !decoder.has_partial_frame();
        if let Err(error) = result {
            self.errors.push((from, error.to_string()));
        }
        if !is_whole {
            self.cut_writes.push(to);
        }
    }

    /// Adds bytes to the digest (FNV-1a).
    fn add_to_digest(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
