//! The send queue of a connection, in bytes of whole frames.
//!
//! A queue may keep the bytes that were sent until the other end acknowledges them. It then has one
//! buffer for good, which holds the kept bytes and behind them the unsent ones.

use crate::limits::QUEUE_HIGH_WATER_BYTES;

/// Bytes, with the number of bytes at the front that were sent. Buffers move between owners, so
/// they are boxed: an owner without one has no more than a pointer.
#[derive(Clone, Debug, Default)]
pub struct Buffer {
    pub(super) bytes: Vec<u8>,
    sent_bytes: usize,
    /// Number of bytes at the front that are not needed any more: those that were sent, or those
    /// that were acknowledged.
    released_bytes: usize,
    /// Sent bytes stay until they are released.
    keeps_sent: bool,
}

/// The bytes of a queue that the other end has not acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unacknowledged {
    /// The bytes, oldest first.
    pub bytes: Vec<u8>,
    /// Number of bytes at the front that were sent.
    pub sent_bytes: usize,
}

/// Encoded bytes that the socket has not taken yet. The queue has a buffer only while it holds
/// bytes, see [`crate::link::LinkTable`], unless it keeps those that were sent.
#[derive(Clone, Debug, Default)]
pub struct SendQueue {
    buffer: Option<Box<Buffer>>,
}

impl Buffer {
    /// Returns the size of its memory in bytes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Removes the released bytes, once that moves no more bytes than it frees.
    fn compact(&mut self) {
        if self.released_bytes >= self.bytes.len() - self.released_bytes {
            self.bytes.drain(..self.released_bytes);
            self.sent_bytes -= self.released_bytes;
            self.released_bytes = 0;
        }
    }

    /// Frees half of the memory if no bytes are left and the last `used_bytes` of them took less
    /// than a quarter: a busy link will need it again, and all at once would take too long.
    fn shrink(&mut self, used_bytes: usize) {
        if self.bytes.is_empty() && used_bytes < self.bytes.capacity() / 4 {
            self.bytes.shrink_to(QUEUE_HIGH_WATER_BYTES.max(self.bytes.capacity() / 2));
        }
    }

    /// Removes all bytes and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.sent_bytes = 0;
        self.released_bytes = 0;
    }
}

impl SendQueue {
    /// Returns the bytes to send, oldest first.
    #[must_use]
    pub fn unsent(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], |buffer| &buffer.bytes[buffer.sent_bytes..])
    }

    /// Returns the number of bytes to send.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffer.as_ref().map_or(0, |buffer| buffer.bytes.len() - buffer.sent_bytes)
    }

    /// Returns the size of its memory in bytes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.buffer.as_ref().map_or(0, |buffer| buffer.capacity())
    }

    /// Returns whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the vector that an encoder appends a frame to.
    #[inline]
    pub fn tail(&mut self) -> &mut Vec<u8> {
        let buffer = &mut **self.buffer.get_or_insert_default();
        if buffer.released_bytes > 0 {
            buffer.compact();
        }
        &mut buffer.bytes
    }

    /// Removes the first `count` unsent bytes.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn consume(&mut self, count: usize) {
        assert!(count <= self.len(), "more bytes sent than there were");
        if let Some(buffer) = &mut self.buffer {
            buffer.sent_bytes += count;
            if buffer.keeps_sent {
                return;
            }
            buffer.released_bytes = buffer.sent_bytes;
            if buffer.sent_bytes == buffer.bytes.len() {
                buffer.clear();
            }
        }
    }

    /// Keeps the bytes that are sent from now on until [`SendQueue::release`] is called for them.
    pub fn keep_sent(&mut self) {
        self.buffer.get_or_insert_default().keeps_sent = true;
    }

    /// Returns the bytes that were sent and are kept, oldest first.
    #[must_use]
    pub fn kept(&self) -> &[u8] {
        let buffer = self.buffer.as_ref().filter(|buffer| buffer.keeps_sent);
        buffer.map_or(&[], |buffer| &buffer.bytes[buffer.released_bytes..buffer.sent_bytes])
    }

    /// Removes the first `count` kept bytes, or all of them if there are fewer.
    pub fn release(&mut self, count: usize) {
        let kept_bytes = self.kept().len();
        if let Some(buffer) = &mut self.buffer {
            buffer.released_bytes += count.min(kept_bytes);
            let used_bytes = buffer.bytes.len();
            buffer.compact();
            buffer.shrink(used_bytes);
        }
    }

    /// Removes and returns the kept bytes and the unsent ones, which will not be sent. From now on
    /// the queue keeps nothing.
    pub fn take_unacknowledged(&mut self) -> Unacknowledged {
        let Some(buffer) = self.buffer.take() else { return Unacknowledged::default() };
        let Buffer { mut bytes, sent_bytes, released_bytes, .. } = *buffer;
        bytes.drain(..released_bytes);
        Unacknowledged { bytes, sent_bytes: sent_bytes - released_bytes }
    }

    /// Returns whether the queue has a buffer, which may be empty.
    #[must_use]
    #[inline]
    pub fn has_buffer(&self) -> bool {
        self.buffer.is_some()
    }

    /// Gives an empty queue an empty buffer, if there is one.
    ///
    /// # Panics
    /// If either is not.
    pub fn set_buffer(&mut self, buffer: Option<Box<Buffer>>) {
        let is_empty = buffer.as_ref().is_none_or(|buffer| buffer.bytes.is_empty());
        assert!(self.is_empty() && is_empty, "bytes would be lost");
        self.buffer = buffer;
    }

    /// Takes the buffer of an empty queue, if it has one and does not keep what was sent.
    ///
    /// # Panics
    /// If it is not empty.
    pub fn take_buffer(&mut self) -> Option<Box<Buffer>> {
        assert!(self.is_empty(), "bytes would be lost");
        self.buffer.take_if(|buffer| !buffer.keeps_sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_bytes_stay_until_they_are_released() {
        let mut queue = SendQueue::default();
        queue.tail().extend_from_slice(b"before");
        queue.consume(3);
        queue.keep_sent();
        assert_eq!((queue.kept(), queue.unsent()), (&b""[..], &b"ore"[..]));
        queue.tail().extend_from_slice(b" and after");
        queue.consume(13);
        assert_eq!((queue.kept(), queue.unsent()), (&b"ore and after"[..], &b""[..]));
        assert!(queue.is_empty() && queue.take_buffer().is_none());
        queue.release(4);
        assert_eq!(queue.kept(), b"and after");
        queue.tail().extend_from_slice(b" all");
        queue.consume(1);
        let bytes = b"and after all".to_vec();
        assert_eq!(queue.take_unacknowledged(), Unacknowledged { bytes, sent_bytes: 10 });
        assert!(queue.is_empty() && queue.kept().is_empty());
    }

    #[test]
    fn release_never_removes_unsent_bytes() {
        let mut queue = SendQueue::default();
        queue.keep_sent();
        queue.tail().extend_from_slice(b"abcdef");
        queue.consume(2);
        queue.release(usize::MAX);
        assert_eq!((queue.kept(), queue.unsent()), (&b""[..], &b"cdef"[..]));
        queue.consume(4);
        queue.release(4);
        assert_eq!(queue.take_unacknowledged(), Unacknowledged::default());
    }

    #[test]
    fn kept_bytes_are_those_sent_since_the_release_for_any_sizes() {
        let mut queue = SendQueue::default();
        queue.keep_sent();
        let (mut appended, mut sent, mut released) = (Vec::new(), 0, 0);
        for round in 0..2_000_usize {
            let frame: Vec<u8> = (0..round % 37).map(|i| (round + i) as u8).collect();
            queue.tail().extend_from_slice(&frame);
            appended.extend_from_slice(&frame);
            let count = (round * 7 % 41).min(queue.len());
            queue.consume(count);
            sent += count;
            let count = (round * 5 % 43).min(sent - released);
            queue.release(count);
            released += count;
            assert_eq!(queue.kept(), &appended[released..sent]);
            assert_eq!(queue.unsent(), &appended[sent..]);
        }
        let capacity = queue.buffer.map_or(0, |buffer| buffer.capacity());
        assert!(capacity < 4_000, "{capacity}");
    }

    #[test]
    fn memory_of_kept_bytes_stays_while_they_are_many_and_is_freed_when_they_are_few() {
        let mut queue = SendQueue::default();
        queue.keep_sent();
        let mut send = |count: usize| {
            queue.tail().resize(count, 0);
            queue.consume(count);
            queue.release(count);
            queue.capacity()
        };
        let busy_capacity = send(QUEUE_HIGH_WATER_BYTES * 16);
        for _ in 0..100 {
            assert_eq!(send(QUEUE_HIGH_WATER_BYTES * 8), busy_capacity);
        }
        let quiet_capacities: Vec<_> = (0..8).map(|_| send(100)).collect();
        assert_eq!(quiet_capacities[0], busy_capacity / 2, "a half at a time");
        assert_eq!(quiet_capacities[7], QUEUE_HIGH_WATER_BYTES);
    }

    #[test]
    fn send_queue_returns_bytes_in_order_for_any_write_sizes() {
        let mut queue = SendQueue::default();
        let (mut appended, mut sent) = (Vec::new(), Vec::new());
        for round in 0..200_usize {
            let frame: Vec<u8> = (0..round % 37).map(|i| (round + i) as u8).collect();
            queue.tail().extend_from_slice(&frame);
            appended.extend_from_slice(&frame);
            let count = (round * 7 % 23).min(queue.len());
            sent.extend_from_slice(&queue.unsent()[..count]);
            queue.consume(count);
        }
        sent.extend_from_slice(queue.unsent());
        assert_eq!(sent, appended);
    }

    #[test]
    fn send_queue_gives_back_the_buffer_it_was_given() {
        let mut queue = SendQueue::default();
        let bytes = Vec::with_capacity(100);
        queue.set_buffer(Some(Box::new(Buffer { bytes, ..Buffer::default() })));
        queue.tail().extend_from_slice(&[1; 100]);
        queue.consume(100);
        let buffer = queue.take_buffer().expect("the one that was lent");
        assert!(buffer.bytes.is_empty() && buffer.capacity() >= 100);
        assert!(queue.buffer.is_none() && queue.unsent().is_empty());
    }

    #[test]
    #[should_panic = "bytes would be lost"]
    fn take_buffer_panics_while_bytes_are_unsent() {
        let mut queue = SendQueue::default();
        queue.tail().push(1);
        queue.take_buffer();
    }

    #[test]
    fn send_queue_that_never_empties_stays_bounded() {
        let mut queue = SendQueue::default();
        queue.tail().extend_from_slice(&[0; 100]);
        for _ in 0..10_000 {
            queue.tail().extend_from_slice(&[0; 100]);
            queue.consume(100);
        }
        let capacity = queue.buffer.map_or(0, |buffer| buffer.capacity());
        assert!((200..2_000).contains(&capacity), "{capacity}");
    }
}
