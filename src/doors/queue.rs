//! The send queue: bytes of whole frames on their way to one connection.

use crate::limits::BUFFER_KEPT_BYTES;

/// Bytes that were encoded and not yet taken by the socket. Empty, it owns no memory.
#[derive(Debug, Default)]
pub struct SendQueue {
    bytes: Vec<u8>,
    sent: usize,
}

impl SendQueue {
    /// What is still to be sent, oldest first.
    #[must_use]
    pub fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// How many bytes are still to be sent.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Whether all has been sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where an encoder appends a frame.
    pub fn tail(&mut self) -> &mut Vec<u8> {
        // Sent bytes are cut off before they are as many as those that would have to move.
        if self.sent > 0 && self.sent >= self.len() {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        &mut self.bytes
    }

    /// The first `count` unsent bytes have been sent.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn consume(&mut self, count: usize) {
        assert!(count <= self.len(), "more bytes sent than there were");
        self.sent += count;
        if self.is_empty() {
            self.sent = 0;
            self.bytes.clear();
            if self.bytes.capacity() > BUFFER_KEPT_BYTES {
                self.bytes = Vec::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_the_order_they_came_whatever_the_portions() {
        let mut queue = SendQueue::default();
        let (mut put, mut got) = (Vec::new(), Vec::new());
        for round in 0..200_usize {
            let frame: Vec<u8> = (0..round % 37).map(|i| (round + i) as u8).collect();
            queue.tail().extend_from_slice(&frame);
            put.extend_from_slice(&frame);
            let count = (round * 7 % 23).min(queue.len());
            got.extend_from_slice(&queue.unsent()[..count]);
            queue.consume(count);
        }
        got.extend_from_slice(queue.unsent());
        assert_eq!(got, put);
    }

    #[test]
    fn memory_is_given_back_when_a_long_queue_is_empty() {
        let mut queue = SendQueue::default();
        queue.tail().resize(1_000_000, 1);
        queue.consume(1_000_000);
        assert!(queue.is_empty());
        assert!(queue.bytes.capacity() <= BUFFER_KEPT_BYTES);
    }

    #[test]
    fn a_queue_that_is_never_quite_empty_does_not_grow() {
        let mut queue = SendQueue::default();
        queue.tail().extend_from_slice(&[0; 100]);
        for _ in 0..10_000 {
            queue.tail().extend_from_slice(&[0; 100]);
            queue.consume(100);
        }
        assert!(queue.bytes.capacity() < 2_000, "{}", queue.bytes.capacity());
    }
}
