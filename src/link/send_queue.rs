//! The send queue of a connection, in bytes of whole frames.

/// Bytes, with the number of bytes at the front that were sent. Buffers move between owners, so
/// they are boxed: an owner without one has no more than a pointer.
#[derive(Debug, Default)]
pub struct Buffer {
    pub(super) bytes: Vec<u8>,
    sent_bytes: usize,
}

/// Encoded bytes that the socket has not taken yet. The queue has a buffer only while it holds
/// bytes, see [`crate::link::LinkTable`].
#[derive(Debug, Default)]
pub struct SendQueue {
    buffer: Option<Box<Buffer>>,
}

impl Buffer {
    /// Returns the size of its memory in bytes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Removes the bytes that were sent, once that moves no more bytes than it frees.
    fn compact(&mut self) {
        if self.sent_bytes >= self.bytes.len() - self.sent_bytes {
            self.bytes.drain(..self.sent_bytes);
            self.sent_bytes = 0;
        }
    }

    /// Removes all bytes and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.sent_bytes = 0;
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

    /// Returns whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the vector that an encoder appends a frame to.
    #[inline]
    pub fn tail(&mut self) -> &mut Vec<u8> {
        let buffer = &mut **self.buffer.get_or_insert_default();
        if buffer.sent_bytes > 0 {
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
            if buffer.sent_bytes == buffer.bytes.len() {
                buffer.clear();
            }
        }
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

    /// Takes the buffer of an empty queue, if it has one.
    ///
    /// # Panics
    /// If it is not empty.
    pub fn take_buffer(&mut self) -> Option<Box<Buffer>> {
        assert!(self.is_empty(), "bytes would be lost");
        self.buffer.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        queue.set_buffer(Some(Box::new(Buffer { bytes: Vec::with_capacity(100), sent_bytes: 0 })));
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
