//! The send queue: bytes of whole frames on their way to one connection.

/// Bytes that were encoded and not yet taken by the socket. Its buffer is lent to it while there are
/// any, see [`crate::slots::Slots`].
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
        }
    }

    /// Gives an empty queue a buffer that is empty as well.
    ///
    /// # Panics
    /// If either is not.
    pub fn lend(&mut self, buffer: Vec<u8>) {
        assert!(self.is_empty() && buffer.is_empty(), "bytes would be lost");
        self.bytes = buffer;
    }

    /// Takes the buffer of an empty queue away.
    ///
    /// # Panics
    /// If it is not empty.
    pub fn reclaim(&mut self) -> Vec<u8> {
        assert!(self.is_empty(), "bytes would be lost");
        std::mem::take(&mut self.bytes)
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
    fn a_buffer_is_lent_and_comes_back() {
        let mut queue = SendQueue::default();
        queue.lend(Vec::with_capacity(100));
        queue.tail().extend_from_slice(&[1; 100]);
        queue.consume(100);
        let buffer = queue.reclaim();
        assert!(buffer.is_empty() && buffer.capacity() >= 100);
        assert_eq!(queue.bytes.capacity(), 0);
    }

    #[test]
    #[should_panic = "bytes would be lost"]
    fn a_queue_keeps_its_buffer_while_there_is_something_in_it() {
        let mut queue = SendQueue::default();
        queue.tail().push(1);
        queue.reclaim();
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
