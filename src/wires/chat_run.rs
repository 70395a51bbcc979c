//! Runs of chats: consecutive frames of one client to one recipient.
//!
//! One read often holds many chats to the same recipient. The first is handled by
//! [`super::Session::on_frame`]; those that follow and differ in their text alone take the same
//! route without a look-up of their own.

use crate::limits::{FRAME_HEADROOM_BYTES, Limits};

/// What the frames of a run have in common, such as the recipient, as the wire encodes it.
pub type RunKey = [u8; 32];

/// Returns text and length of the whole frame at the front of some bytes, if it is a chat with the
/// key of the run. Takes the key, the bytes, and the maximum length of a frame.
pub type MatchChat = for<'a> fn(&RunKey, &'a [u8], usize) -> Option<(&'a [u8], usize)>;

/// Recognizes the frames that continue a run.
#[derive(Clone, Copy, Debug)]
pub struct RunMatcher {
    /// The part that the frames of the run have in common, such as the recipient.
    pub key: RunKey,
    /// The wire's function that compares a frame with the key.
    pub match_chat: MatchChat,
}

/// An iterator over the texts of the chats at the front of some bytes that continue a run.
#[derive(Debug)]
pub struct ChatRun<'a> {
    matcher: Option<RunMatcher>,
    bytes: &'a [u8],
    consumed_bytes: usize,
    frame_bytes_max: usize,
}

impl<'a> ChatRun<'a> {
    /// Creates an iterator over `bytes`; without a matcher it is empty.
    #[must_use]
    pub fn new(matcher: Option<RunMatcher>, bytes: &'a [u8], limits: &Limits) -> Self {
        Self { matcher, bytes, consumed_bytes: 0, frame_bytes_max: limits.frame_bytes_max }
    }

    /// Returns the bytes of the frames whose texts were returned.
    #[must_use]
    pub fn consumed_bytes(&self) -> usize {
        self.consumed_bytes
    }
}

impl<'a> Iterator for ChatRun<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let RunMatcher { key, match_chat } = self.matcher.as_ref()?;
        let bytes = &self.bytes[self.consumed_bytes..];
        let (text, len) = match_chat(key, bytes, self.frame_bytes_max)?;
        if text.len() + FRAME_HEADROOM_BYTES > self.frame_bytes_max {
            return None; // too long to forward
        }
        self.consumed_bytes += len;
        Some(text)
    }
}
