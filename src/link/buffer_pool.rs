//! [`BufferPool`]: unused buffers, for send queues and incomplete frames.

use super::Buffer;
use crate::limits::{BUFFER_POOL_BYTES_MAX, BUFFER_POOL_TRIM_RETURNS};

/// A stack of unused buffers.
#[derive(Clone, Debug, Default)]
pub struct BufferPool {
    #[expect(clippy::vec_box, reason = "buffers move between owners, most of which have none")]
    buffers: Vec<Box<Buffer>>,
    pooled_bytes: usize,
    /// Number of buffers at the bottom that were not used since the last trim.
    low_water: usize,
    /// Number of buffers returned since the last trim.
    returns_since_trim: u32,
}

impl BufferPool {
    /// Returns the number of buffers in the pool.
    #[must_use]
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.buffers.len()
    }

    /// Takes an empty buffer, if there is one.
    pub fn take(&mut self) -> Option<Box<Buffer>> {
        let buffer = self.buffers.pop()?;
        self.pooled_bytes -= buffer.capacity();
        self.low_water = self.low_water.min(self.buffers.len());
        Some(buffer)
    }

    /// Returns a buffer to the pool and clears it. It is freed if the pool exceeds
    /// [`BUFFER_POOL_BYTES_MAX`], or if it is not used during [`BUFFER_POOL_TRIM_RETURNS`] returns.
    pub fn recycle(&mut self, mut buffer: Box<Buffer>) {
        let bytes = buffer.capacity();
        if bytes > 0 && self.pooled_bytes + bytes <= BUFFER_POOL_BYTES_MAX {
            buffer.clear();
            self.pooled_bytes += bytes;
            self.buffers.push(buffer);
        }
        self.returns_since_trim += 1;
        if self.returns_since_trim >= BUFFER_POOL_TRIM_RETURNS {
            for idle in self.buffers.drain(..self.low_water) {
                self.pooled_bytes -= idle.capacity();
            }
            (self.returns_since_trim, self.low_water) = (0, self.buffers.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::SendQueue;
    use super::*;

    /// A buffer with so much memory.
    fn buffer(bytes: usize) -> Box<Buffer> {
        let mut queue = SendQueue::default();
        queue.tail().reserve_exact(bytes);
        queue.take_buffer().expect("it has one")
    }

    #[test]
    fn buffer_pool_frees_idle_buffers() {
        let mut pool = BufferPool::default();
        let mut use_together = |count: usize, times: u32| {
            for _ in 0..times {
                let buffers = (0..count).map(|_| pool.take().unwrap_or_else(|| buffer(1000)));
                let buffers: Vec<_> = buffers.collect();
                buffers.into_iter().for_each(|buffer| pool.recycle(buffer));
            }
            (pool.buffers.len(), pool.pooled_bytes)
        };
        assert_eq!(use_together(50, BUFFER_POOL_TRIM_RETURNS), (50, 50_000), "what is used stays");
        assert_eq!(use_together(3, BUFFER_POOL_TRIM_RETURNS), (3, 3000));
    }

    #[test]
    fn buffer_pool_size_is_bounded() {
        let mut pool = BufferPool::default();
        pool.recycle(buffer(BUFFER_POOL_BYTES_MAX + 1));
        assert!(pool.take().is_none(), "too large to keep");
        for _ in 0..100 {
            pool.recycle(buffer(BUFFER_POOL_BYTES_MAX / 10));
        }
        assert_eq!(pool.pooled_bytes, BUFFER_POOL_BYTES_MAX / 10 * 10);
        assert_eq!(pool.buffers.len(), 10);
        assert_eq!(pool.take().map(|buffer| buffer.capacity()), Some(BUFFER_POOL_BYTES_MAX / 10));
        assert_eq!(pool.pooled_bytes, BUFFER_POOL_BYTES_MAX / 10 * 9);
    }
}
