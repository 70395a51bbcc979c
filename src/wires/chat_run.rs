//! Chats in a row: what a client says to one addressee, again and again.
//!
//! Most that is said is said in rows, of which one read has many. The first chat of a row is looked up as any
//! frame is, by [`super::Session::receive`]. Those behind it that differ in nothing but their texts go
//! the same way, so that a chat in a row costs what its bytes cost.

use super::{classic, direct};
use crate::id::WideId;
use crate::limits::FRAME_HEADROOM_BYTES;

/// The whole frames at the front of some bytes that are chats to the same addressee, which
/// [`super::Session::receive`] would take one by one as it has taken the one before them.
#[derive(Debug)]
pub struct ChatRun<'a> {
    kind: RunKind,
    bytes: &'a [u8],
    consumed_bytes: usize,
    frame_bytes_max: usize,
}

/// What chats of a row have in common.
#[derive(Clone, Copy, Debug)]
pub(super) enum RunKind {
    /// Nothing: there is no row.
    None,
    /// Their addressee.
    Direct(WideId),
    /// Destination and source.
    Classic(classic::codec::Name, classic::codec::Name),
}

impl<'a> ChatRun<'a> {
    pub(super) fn new(kind: RunKind, bytes: &'a [u8], frame_bytes_max: usize) -> Self {
        Self { kind, bytes, consumed_bytes: 0, frame_bytes_max }
    }

    /// Bytes of the frames that were taken.
    #[must_use]
    pub fn consumed_bytes(&self) -> usize {
        self.consumed_bytes
    }
}

impl<'a> Iterator for ChatRun<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let bytes = &self.bytes[self.consumed_bytes..];
        let (text, len) = match self.kind {
            RunKind::None => return None,
            RunKind::Direct(WideId(to)) => {
                direct::codec::parse_plain_to(to, bytes, self.frame_bytes_max)?
            }
            RunKind::Classic(to, from) => classic::codec::parse_text_between(to, from, bytes)?,
        };
        if text.len() + FRAME_HEADROOM_BYTES > self.frame_bytes_max {
            return None; // too long to pass on
        }
        self.consumed_bytes += len;
        Some(text)
    }
}
