//! What passed over the links of a simulated network lately, a line a frame.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use crc::link::Time;
use crc::link::frame_decoder::FrameDecoder;
use crc::printable::Printable;
use crc::relay::message::Message;
use crc::wires::crc::codec as wire;

/// Lines that are kept.
const TRACE_LINES_MAX: usize = 400;

/// The latest frames, put together again for each end that sends.
pub(super) struct Trace<End> {
    lines: VecDeque<String>,
    decoders: HashMap<End, FrameDecoder>,
}

impl<End> Default for Trace<End> {
    fn default() -> Self {
        Self { lines: VecDeque::new(), decoders: HashMap::new() }
    }
}

impl<End: Eq + Hash> Trace<End> {
    /// The lines, oldest first.
    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// `from` has sent these bytes; `way` says so in words.
    pub(super) fn record(&mut self, now: Time, from: End, direction: &str, bytes: &[u8]) {
        let mut frames = Vec::new();
        let decoder = self.decoders.entry(from).or_default();
        let len_of = |bytes: &[u8]| wire::frame_len(bytes, usize::MAX);
        let result = decoder.decode(bytes, len_of, |frame| {
            frames.push(describe_frame(frame));
            true
        });
        if result.is_err() {
            frames.push(format!("{} bytes that are no frame", bytes.len()));
        }
        for frame in frames {
            self.push_line(now, direction, &frame);
        }
    }

    /// Bytes of a wire that is not CRC.
    pub(super) fn record_bytes(&mut self, now: Time, direction: &str, bytes: &[u8]) {
        let preview = Printable(&bytes[..bytes.len().min(60)]);
        self.push_line(now, direction, &format!("{} bytes: {preview}", bytes.len()));
    }

    fn push_line(&mut self, now: Time, direction: &str, description: &str) {
        if self.lines.len() == TRACE_LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(format!(
            "{:10.4} {direction}: {description}",
            now.since_start().as_secs_f64()
        ));
    }
}

/// A frame in a line, for people.
#[must_use]
pub fn describe_frame(frame: &[u8]) -> String {
    let kind = frame[0];
    match wire::parse_frame(frame) {
        Message::Registration(r) => {
            format!("{kind:02x} registration of {} by {}", r.source, r.last_hop)
        }
        Message::Status { source, destination, code, text } => {
            let text = String::from_utf8_lossy(text);
            format!("{kind:02x} status {} from {source} to {destination}: {text:?}", code.0)
        }
        Message::ServerQuit { source, replacement, .. } => {
            format!("{kind:02x} server quit of {source}, replacement {replacement}")
        }
        Message::Chat { source, destination, text } => {
            format!("{kind:02x} chat from {source} to {destination}, {} bytes", text.len())
        }
        Message::ClientQuit { source, .. } => format!("{kind:02x} client quit of {source}"),
    }
}
