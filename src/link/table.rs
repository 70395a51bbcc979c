//! The places of links: each link under a [`LinkId`] that no other ever had, and the lists of those
//! that have something to send. A server's node and a peer keep theirs here; what a link is beside
//! its send queue is theirs to say.
//!
//! - A place is used again, a name is not: what comes late for a link that is gone meets nothing.
//! - A link stands at most once in the list of those with bytes to send.
//! - A queue has a buffer only while it holds something: idle links cost nothing, and busy ones share a
//!   few buffers that are warm in the cache.
//! - A queue that becomes long is named once as it passes [`QUEUE_HIGH_WATER_BYTES`], and again only after
//!   it has been shorter.

use std::collections::VecDeque;

use slab::Slab;

use crate::limits::{BUFFER_POOL_BYTES_MAX, BUFFER_POOL_TRIM_RETURNS, QUEUE_HIGH_WATER_BYTES};
use crate::link::LinkId;
use crate::link::{Buffer, SendQueue};

/// What has a place: anything with a name and a send queue.
pub trait QueuedLink {
    /// The name that it was given.
    fn id(&self) -> LinkId;

    /// Bytes on their way to the other end.
    fn queue(&self) -> &SendQueue;

    /// The same, to be added to or sent from.
    fn queue_mut(&mut self) -> &mut SendQueue;
}

#[derive(Debug)]
struct Entry<L> {
    /// It stands in the list of those with bytes to send.
    is_in_unsent_list: bool,
    link: L,
}

/// Buffers that nobody uses now, the one used last on top.
#[derive(Debug, Default)]
pub struct BufferPool {
    #[expect(clippy::vec_box, reason = "they go from hand to hand, and mostly there is none")]
    buffers: Vec<Box<Buffer>>,
    pooled_bytes: usize,
    /// So many at the bottom were not used for some time.
    low_water: usize,
    /// Buffers that came back in that time.
    returns_since_trim: u32,
}

impl BufferPool {
    /// An empty buffer, if there is one.
    pub fn take(&mut self) -> Option<Box<Buffer>> {
        let buffer = self.buffers.pop()?;
        self.pooled_bytes -= buffer.capacity();
        self.low_water = self.low_water.min(self.buffers.len());
        Some(buffer)
    }

    /// Takes back a buffer, whatever is in it. Its memory goes to the system past [`BUFFER_POOL_BYTES_MAX`], and
    /// if it is not used while [`BUFFER_POOL_TRIM_RETURNS`] others come back.
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

/// Links in their places.
#[derive(Debug)]
pub struct LinkTable<L> {
    entries: Slab<Entry<L>>,
    generation: u32,
    unsent_links: VecDeque<LinkId>,
    high_water_links: VecDeque<LinkId>,
    /// For queues, and for whatever else a link needs a buffer now and then.
    pub buffer_pool: BufferPool,
}

impl<L> Default for LinkTable<L> {
    fn default() -> Self {
        Self {
            entries: Slab::new(),
            generation: 0,
            unsent_links: VecDeque::new(),
            high_water_links: VecDeque::new(),
            buffer_pool: BufferPool::default(),
        }
    }
}

impl<L: QueuedLink> LinkTable<L> {
    /// Gives a new link a place and a name; `make` is told the name.
    ///
    /// # Panics
    /// If there are 2^32 links.
    pub fn open(&mut self, new_link: impl FnOnce(LinkId) -> L) -> LinkId {
        let vacant = self.entries.vacant_entry();
        self.generation = self.generation.wrapping_add(1);
        let index = u32::try_from(vacant.key()).expect("fewer links than 2^32");
        let id = LinkId { index, generation: self.generation };
        vacant.insert(Entry { is_in_unsent_list: false, link: new_link(id) });
        id
    }

    /// A link; `None` once it is gone.
    #[must_use]
    pub fn get(&self, id: LinkId) -> Option<&L> {
        let entry = self.entries.get(id.index as usize).filter(|entry| entry.link.id() == id)?;
        Some(&entry.link)
    }

    /// A link; `None` once it is gone. [`Slots::put`] puts something into its queue.
    pub fn get_mut(&mut self, id: LinkId) -> Option<&mut L> {
        Some(&mut self.entry_mut(id)?.link)
    }

    fn entry_mut(&mut self, id: LinkId) -> Option<&mut Entry<L>> {
        self.entries.get_mut(id.index as usize).filter(|entry| entry.link.id() == id)
    }

    /// Takes a link out of its place.
    pub fn remove(&mut self, id: LinkId) -> Option<L> {
        self.get(id)?;
        Some(self.entries.remove(id.index as usize).link)
    }

    /// All links, by their places.
    pub fn iter(&self) -> impl Iterator<Item = &L> {
        self.entries.iter().map(|(_, entry)| &entry.link)
    }

    /// All links, by their places.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut L> {
        self.entries.iter_mut().map(|(_, entry)| &mut entry.link)
    }

    /// Lets something be put into a link's queue. Answers what `put` does, and whether the queue has
    /// become long by it; `None` once the link is gone.
    pub fn enqueue_with<R>(
        &mut self,
        id: LinkId,
        enqueue: impl FnOnce(&mut L) -> R,
    ) -> Option<(R, bool)> {
        let Self { entries, unsent_links, high_water_links, buffer_pool, .. } = self;
        let entry = entries.get_mut(id.index as usize).filter(|entry| entry.link.id() == id)?;
        let queue = entry.link.queue_mut();
        let len_before = queue.len();
        if len_before == 0 {
            queue.set_buffer(buffer_pool.take());
        }
        let result = enqueue(&mut entry.link);
        let queue = entry.link.queue_mut();
        let len_after = queue.len();
        if len_after == 0
            && let Some(buffer) = queue.take_buffer()
        {
            buffer_pool.recycle(buffer);
        }
        if len_after <= len_before {
            return Some((result, false));
        }
        if !std::mem::replace(&mut entry.is_in_unsent_list, true) {
            unsent_links.push_back(id);
        }
        let above_high_water =
            len_before < QUEUE_HIGH_WATER_BYTES && len_after >= QUEUE_HIGH_WATER_BYTES;
        if above_high_water {
            high_water_links.push_back(id);
        }
        Some((result, above_high_water))
    }

    /// The next link with bytes to send that was not named since it last had none.
    pub fn poll_unsent(&mut self) -> Option<LinkId> {
        let id = self.unsent_links.pop_front()?;
        if let Some(entry) = self.entry_mut(id) {
            entry.is_in_unsent_list = false;
        }
        Some(id)
    }

    /// The next link whose queue has become long, and should be written now.
    pub fn poll_above_high_water(&mut self) -> Option<LinkId> {
        self.high_water_links.pop_front()
    }

    /// Unsent bytes of a link; empty if it is gone.
    #[must_use]
    pub fn unsent(&self, id: LinkId) -> &[u8] {
        self.get(id).map_or(&[], |link| link.queue().unsent())
    }

    /// The first `count` unsent bytes of a link have been sent. Answers which link that is; `None` once
    /// it is gone.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn mark_sent(&mut self, id: LinkId, count: usize) -> Option<&mut L> {
        let Self { entries, buffer_pool, .. } = self;
        let entry = entries.get_mut(id.index as usize).filter(|entry| entry.link.id() == id)?;
        let queue = entry.link.queue_mut();
        queue.consume(count);
        if queue.is_empty()
            && let Some(buffer) = queue.take_buffer()
        {
            buffer_pool.recycle(buffer);
        }
        Some(&mut entry.link)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[derive(Debug)]
    struct Link(LinkId, SendQueue);

    impl Link {
        fn new(id: LinkId) -> Self {
            Self(id, SendQueue::default())
        }
    }

    impl QueuedLink for Link {
        fn id(&self) -> LinkId {
            self.0
        }

        fn queue(&self) -> &SendQueue {
            &self.1
        }

        fn queue_mut(&mut self) -> &mut SendQueue {
            &mut self.1
        }
    }

    fn enqueue(table: &mut LinkTable<Link>, id: LinkId, count: usize) -> bool {
        let append = |link: &mut Link| link.1.tail().extend(std::iter::repeat_n(7, count));
        table.enqueue_with(id, append).expect("a link").1
    }

    #[test]
    fn link_index_is_reused_with_a_new_generation() {
        let mut table = LinkTable::default();
        let first = table.open(Link::new);
        assert!(!enqueue(&mut table, first, 3));
        assert!(table.remove(first).is_some());
        let second = table.open(|id| {
            assert_eq!(id.index, first.index);
            Link::new(id)
        });
        assert_ne!(first, second);
        assert!(table.get(first).is_none() && table.get_mut(first).is_none());
        assert!(table.enqueue_with(first, |_| unreachable!()).is_none());
        assert!(table.unsent(first).is_empty());
        assert!(table.mark_sent(first, 3).is_none());
        assert!(table.remove(first).is_none());
        assert!(table.get(second).is_some());
        assert_eq!(table.iter().count(), 1);
        // The one that is gone is still named once, and the one in its place is not, as it has nothing.
        assert_eq!(table.poll_unsent(), Some(first));
        assert_eq!(table.poll_unsent(), None);
    }

    #[test]
    fn poll_unsent_returns_a_link_once_however_often_it_is_filled() {
        let mut table = LinkTable::default();
        let a = table.open(Link::new);
        let b = table.open(Link::new);
        assert!(!enqueue(&mut table, a, 0), "nothing was put");
        enqueue(&mut table, b, 1);
        enqueue(&mut table, a, 1);
        enqueue(&mut table, b, 1);
        assert_eq!(table.poll_unsent(), Some(b));
        enqueue(&mut table, b, 1);
        assert_eq!(table.poll_unsent(), Some(a));
        assert_eq!(table.poll_unsent(), Some(b));
        assert_eq!(table.poll_unsent(), None);
        assert_eq!(table.unsent(b), [7, 7, 7]);
        table.mark_sent(b, 2);
        assert_eq!(table.unsent(b), [7]);
    }

    #[test]
    fn poll_above_high_water_returns_a_link_once_per_crossing() {
        let mut table = LinkTable::default();
        let id = table.open(Link::new);
        assert!(!enqueue(&mut table, id, QUEUE_HIGH_WATER_BYTES - 1));
        assert_eq!(table.poll_above_high_water(), None);
        assert!(enqueue(&mut table, id, 1));
        assert!(!enqueue(&mut table, id, 1), "it was long before");
        assert_eq!(table.poll_above_high_water(), Some(id));
        assert_eq!(table.poll_above_high_water(), None);
        table.mark_sent(id, 2);
        assert!(enqueue(&mut table, id, 1));
        assert_eq!(table.poll_above_high_water(), Some(id));
    }

    /// A buffer with so much memory.
    fn buffer(bytes: usize) -> Box<Buffer> {
        let mut queue = SendQueue::default();
        queue.tail().reserve_exact(bytes);
        queue.take_buffer().expect("it has one")
    }

    #[test]
    fn send_queue_returns_its_buffer_when_empty() {
        let mut table = LinkTable::default();
        let ids = [0; 20].map(|_| table.open(Link::new));
        let mut buffers = HashSet::new();
        for id in ids {
            enqueue(&mut table, id, 1000);
            let unsent = table.unsent(id).as_ptr();
            buffers.insert(unsent);
            table.mark_sent(id, 999);
            table.mark_sent(id, 1);
            enqueue(&mut table, id, 0);
            assert_eq!(table.buffer_pool.buffers.len(), 1, "all have used the same one");
        }
        assert_eq!(buffers.len(), 1);
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
