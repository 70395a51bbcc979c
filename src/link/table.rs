//! [`LinkTable`]: the links of a machine by their [`LinkId`]s, and the lists of links with bytes to
//! send.
//!
//! Invariants:
//! - An index is reused, a [`LinkId`] is not: a late event of a link that is gone finds none.
//! - A link is in the list of links with bytes to send at most once.
//! - A send queue has a buffer only while it holds bytes. Idle links need no memory for it, and
//!   busy links share a few buffers that are in the CPU's cache.
//! - A queue is reported once when it rises above [`QUEUE_HIGH_WATER_BYTES`], and again only after
//!   it was below.

use std::collections::VecDeque;

use super::buffer_pool::BufferPool;
use crate::limits::QUEUE_HIGH_WATER_BYTES;
use crate::link::{LinkId, SendQueue, Slab};

/// A link that a [`LinkTable`] can hold.
pub trait QueuedLink {
    /// Returns the id that the link was created with.
    fn id(&self) -> LinkId;

    /// Returns the send queue.
    fn queue(&self) -> &SendQueue;

    /// Returns the send queue, to add to it or to send from it.
    fn queue_mut(&mut self) -> &mut SendQueue;

    /// Returns the size of its buffers in bytes.
    fn buffer_bytes(&self) -> usize {
        self.queue().capacity()
    }
}

#[derive(Clone, Debug)]
struct Entry<L> {
    /// Whether the link is in `unsent_links`.
    is_in_unsent_list: bool,
    /// Size of its buffers in the sum of all, in bytes.
    counted_bytes: u32,
    link: L,
}

impl<L: QueuedLink> Entry<L> {
    /// Updates the sum of all buffers by what has changed in those of this link.
    #[inline]
    fn count_buffers(&mut self, sum_bytes: &mut usize) {
        let bytes = u32::try_from(self.link.buffer_bytes()).unwrap_or(u32::MAX);
        *sum_bytes = *sum_bytes - self.counted_bytes as usize + bytes as usize;
        self.counted_bytes = bytes;
    }

    /// Updates the sum of all buffers by what has changed in the send queue of this link alone,
    /// without a look at its other buffers.
    #[inline]
    fn count_queue(&mut self, bytes_before: usize, sum_bytes: &mut usize) {
        let bytes_after = self.link.queue().capacity();
        if bytes_after != bytes_before {
            let others = (self.counted_bytes as usize).saturating_sub(bytes_before);
            let bytes = u32::try_from(others + bytes_after).unwrap_or(u32::MAX);
            *sum_bytes = *sum_bytes - self.counted_bytes as usize + bytes as usize;
            self.counted_bytes = bytes;
        }
    }
}

/// A table of links.
#[derive(Clone, Debug)]
pub struct LinkTable<L> {
    entries: Slab<Entry<L>>,
    generation: u32,
    unsent_links: Vec<LinkId>,
    high_water_links: VecDeque<LinkId>,
    /// Size of the buffers of all links, in bytes.
    buffer_bytes: usize,
    /// Buffers of send queues and of incomplete frames.
    pub buffer_pool: BufferPool,
}

impl<L> Default for LinkTable<L> {
    fn default() -> Self {
        Self {
            entries: Slab::new(),
            generation: 0,
            unsent_links: Vec::new(),
            high_water_links: VecDeque::new(),
            buffer_bytes: 0,
            buffer_pool: BufferPool::default(),
        }
    }
}

impl<L: QueuedLink> LinkTable<L> {
    /// Adds the link that `new_link` returns for an unused id.
    ///
    /// # Panics
    /// If there are 2^32 links.
    pub fn open(&mut self, new_link: impl FnOnce(LinkId) -> L) -> LinkId {
        let vacant = self.entries.vacant_entry();
        self.generation = self.generation.wrapping_add(1);
        let index = u32::try_from(vacant.key()).expect("fewer links than 2^32");
        let id = LinkId { index, generation: self.generation };
        vacant.insert(Entry { is_in_unsent_list: false, counted_bytes: 0, link: new_link(id) });
        id
    }

    /// Returns a link; `None` once it is gone.
    #[must_use]
    pub fn get(&self, id: LinkId) -> Option<&L> {
        let entry = self.entries.get(id.index as usize).filter(|entry| entry.link.id() == id)?;
        Some(&entry.link)
    }

    /// Returns a link; `None` once it is gone. Frames are queued by [`LinkTable::enqueue_with`]
    /// alone.
    pub fn get_mut(&mut self, id: LinkId) -> Option<&mut L> {
        Some(&mut self.entry_mut(id)?.link)
    }

    fn entry_mut(&mut self, id: LinkId) -> Option<&mut Entry<L>> {
        self.entries.get_mut(id.index as usize).filter(|entry| entry.link.id() == id)
    }

    /// Removes a link.
    pub fn remove(&mut self, id: LinkId) -> Option<L> {
        self.get(id)?;
        let entry = self.entries.remove(id.index as usize);
        self.buffer_bytes -= entry.counted_bytes as usize;
        Some(entry.link)
    }

    /// Returns the size of the buffers of all links in bytes, as far as they were counted.
    #[must_use]
    #[inline]
    pub fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    /// Counts the buffers of a link after a change by other means than [`LinkTable::enqueue_with`]
    /// and [`LinkTable::mark_sent`].
    pub fn count_buffers(&mut self, id: LinkId) {
        let Self { entries, buffer_bytes, .. } = self;
        let entry = entries.get_mut(id.index as usize).filter(|entry| entry.link.id() == id);
        if let Some(entry) = entry {
            entry.count_buffers(buffer_bytes);
        }
    }

    /// Returns the number of places, taken or not.
    #[must_use]
    pub fn slot_count(&self) -> usize {
        self.entries.capacity()
    }

    /// Returns the link in a place.
    #[must_use]
    pub fn at_slot(&self, slot: usize) -> Option<&L> {
        self.entries.get(slot).map(|entry| &entry.link)
    }

    /// Returns all links, by index.
    pub fn iter(&self) -> impl Iterator<Item = &L> {
        self.entries.iter().map(|(_, entry)| &entry.link)
    }

    /// Returns all links, by index.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut L> {
        self.entries.iter_mut().map(|(_, entry)| &mut entry.link)
    }

    /// Calls `enqueue`, which may put frames into the link's queue. Returns its result, and whether
    /// the queue rose above the high-water mark; `None` once the link is gone.
    pub fn enqueue_with<R>(
        &mut self,
        id: LinkId,
        enqueue: impl FnOnce(&mut L) -> R,
    ) -> Option<(R, bool)> {
        let Self { entries, unsent_links, high_water_links, buffer_pool, buffer_bytes, .. } = self;
        let entry = entries.get_mut(id.index as usize).filter(|entry| entry.link.id() == id)?;
        let queue = entry.link.queue_mut();
        let (len_before, bytes_before) = (queue.len(), queue.capacity());
        if !queue.has_buffer() {
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
        entry.count_queue(bytes_before, buffer_bytes);
        if len_after <= len_before {
            return Some((result, false));
        }
        if !std::mem::replace(&mut entry.is_in_unsent_list, true) {
            unsent_links.push(id);
        }
        let above_high_water =
            len_before < QUEUE_HIGH_WATER_BYTES && len_after >= QUEUE_HIGH_WATER_BYTES;
        if above_high_water {
            high_water_links.push_back(id);
        }
        Some((result, above_high_water))
    }

    /// Returns the next link with bytes to send that was not returned since its queue was last
    /// empty: the latest first, whose queue is still in the CPU's cache. All are returned in a
    /// turn.
    pub fn poll_unsent(&mut self) -> Option<LinkId> {
        let id = self.unsent_links.pop()?;
        if let Some(entry) = self.entry_mut(id) {
            entry.is_in_unsent_list = false;
        }
        Some(id)
    }

    /// Returns the next link whose queue rose above the high-water mark.
    pub fn poll_above_high_water(&mut self) -> Option<LinkId> {
        self.high_water_links.pop_front()
    }

    /// Returns the unsent bytes of a link; empty if it is gone.
    #[must_use]
    pub fn unsent(&self, id: LinkId) -> &[u8] {
        self.get(id).map_or(&[], |link| link.queue().unsent())
    }

    /// Removes the first `count` unsent bytes of a link. Returns the link; `None` once it is gone.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn mark_sent(&mut self, id: LinkId, count: usize) -> Option<&mut L> {
        let Self { entries, buffer_pool, buffer_bytes, .. } = self;
        let entry = entries.get_mut(id.index as usize).filter(|entry| entry.link.id() == id)?;
        let queue = entry.link.queue_mut();
        let bytes_before = queue.capacity();
        queue.consume(count);
        if queue.is_empty()
            && let Some(buffer) = queue.take_buffer()
        {
            buffer_pool.recycle(buffer);
        }
        entry.count_queue(bytes_before, buffer_bytes);
        Some(&mut entry.link)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[derive(Clone, Debug)]
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
        // The one that is gone is still named once, and the one in its place is not, as it has
        // nothing.
        assert_eq!(table.poll_unsent(), Some(first));
        assert_eq!(table.poll_unsent(), None);
    }

    #[test]
    fn buffers_are_counted_while_links_have_them() {
        let mut table = LinkTable::default();
        let links = [table.open(Link::new), table.open(Link::new)];
        let held = |table: &LinkTable<Link>| -> usize {
            table.iter().map(|link| link.queue().capacity()).sum()
        };
        for (count, link) in [(10, links[0]), (20_000, links[1]), (90_000, links[0])] {
            enqueue(&mut table, link, count);
            assert!(held(&table) > 0);
            assert_eq!(table.buffer_bytes(), held(&table));
        }
        table.mark_sent(links[1], 5_000);
        assert_eq!(table.buffer_bytes(), held(&table));
        table.mark_sent(links[1], 15_000);
        assert_eq!(table.buffer_bytes(), held(&table));
        table.remove(links[0]);
        assert_eq!(table.buffer_bytes(), 0);
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
        assert_eq!(table.poll_unsent(), Some(a), "the latest in the list");
        enqueue(&mut table, b, 1);
        enqueue(&mut table, a, 1);
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
            assert_eq!(table.buffer_pool.len(), 1, "all have used the same one");
        }
        assert_eq!(buffers.len(), 1);
    }
}
