//! The places of links: each link under a [`LinkId`] that no other ever had, and the lists of those
//! that have something to send. A server's node and a peer keep theirs here; what a link is beside
//! its send queue is theirs to say.
//!
//! - A place is used again, a name is not: what comes late for a link that is gone meets nothing.
//! - A link stands at most once in the list of those with bytes to send.
//! - A queue has a buffer only while it holds something: idle links cost nothing, and busy ones share a
//!   few buffers that are warm in the cache.
//! - A queue that becomes long is named once as it passes [`QUEUE_PRESSED_BYTES`], and again only after
//!   it has been shorter.

use std::collections::VecDeque;

use slab::Slab;

use crate::doors::{Buffer, SendQueue};
use crate::limits::{QUEUE_PRESSED_BYTES, SPARE_BYTES_MAX, SPARES_RETURNED};
use crate::relay::LinkId;

/// What has a place: anything with a name and a send queue.
pub trait Queued {
    /// The name that it was given.
    fn id(&self) -> LinkId;

    /// Bytes on their way to the other end.
    fn queue(&self) -> &SendQueue;

    /// The same, to be added to or sent from.
    fn queue_mut(&mut self) -> &mut SendQueue;
}

#[derive(Debug)]
struct Slot<L> {
    /// It stands in the list of those with bytes to send.
    is_listed: bool,
    link: L,
}

/// Buffers that nobody uses now, the one used last on top.
#[derive(Debug, Default)]
pub struct Spares {
    #[expect(clippy::vec_box, reason = "they go from hand to hand, and mostly there is none")]
    buffers: Vec<Box<Buffer>>,
    bytes: usize,
    /// So many at the bottom were not used for some time.
    unused: usize,
    /// Buffers that came back in that time.
    returned: u32,
}

impl Spares {
    /// An empty buffer, if there is one.
    pub fn take(&mut self) -> Option<Box<Buffer>> {
        let buffer = self.buffers.pop()?;
        self.bytes -= buffer.capacity();
        self.unused = self.unused.min(self.buffers.len());
        Some(buffer)
    }

    /// Takes back a buffer, whatever is in it. Its memory goes to the system past [`SPARE_BYTES_MAX`], and
    /// if it is not used while [`SPARES_RETURNED`] others come back.
    pub fn give(&mut self, mut buffer: Box<Buffer>) {
        let bytes = buffer.capacity();
        if bytes > 0 && self.bytes + bytes <= SPARE_BYTES_MAX {
            buffer.clear();
            self.bytes += bytes;
            self.buffers.push(buffer);
        }
        self.returned += 1;
        if self.returned >= SPARES_RETURNED {
            for unused in self.buffers.drain(..self.unused) {
                self.bytes -= unused.capacity();
            }
            (self.returned, self.unused) = (0, self.buffers.len());
        }
    }
}

/// Links in their places.
#[derive(Debug)]
pub struct Slots<L> {
    slots: Slab<Slot<L>>,
    generation: u32,
    unsent: VecDeque<LinkId>,
    pressed: VecDeque<LinkId>,
    /// For queues, and for whatever else a link needs a buffer now and then.
    pub spares: Spares,
}

impl<L> Default for Slots<L> {
    fn default() -> Self {
        Self {
            slots: Slab::new(),
            generation: 0,
            unsent: VecDeque::new(),
            pressed: VecDeque::new(),
            spares: Spares::default(),
        }
    }
}

impl<L: Queued> Slots<L> {
    /// Gives a new link a place and a name; `make` is told the name.
    ///
    /// # Panics
    /// If there are 2^32 links.
    pub fn open(&mut self, make: impl FnOnce(LinkId) -> L) -> LinkId {
        let entry = self.slots.vacant_entry();
        self.generation = self.generation.wrapping_add(1);
        let index = u32::try_from(entry.key()).expect("fewer links than 2^32");
        let id = LinkId { index, generation: self.generation };
        entry.insert(Slot { is_listed: false, link: make(id) });
        id
    }

    /// A link; `None` once it is gone.
    #[must_use]
    pub fn get(&self, id: LinkId) -> Option<&L> {
        let slot = self.slots.get(id.index as usize).filter(|slot| slot.link.id() == id)?;
        Some(&slot.link)
    }

    /// A link; `None` once it is gone. [`Slots::put`] puts something into its queue.
    pub fn get_mut(&mut self, id: LinkId) -> Option<&mut L> {
        Some(&mut self.slot_mut(id)?.link)
    }

    fn slot_mut(&mut self, id: LinkId) -> Option<&mut Slot<L>> {
        self.slots.get_mut(id.index as usize).filter(|slot| slot.link.id() == id)
    }

    /// Takes a link out of its place.
    pub fn remove(&mut self, id: LinkId) -> Option<L> {
        self.get(id)?;
        Some(self.slots.remove(id.index as usize).link)
    }

    /// All links, by their places.
    pub fn iter(&self) -> impl Iterator<Item = &L> {
        self.slots.iter().map(|(_, slot)| &slot.link)
    }

    /// All links, by their places.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut L> {
        self.slots.iter_mut().map(|(_, slot)| &mut slot.link)
    }

    /// Lets something be put into a link's queue. Answers what `put` does, and whether the queue has
    /// become long by it; `None` once the link is gone.
    pub fn put<R>(&mut self, id: LinkId, put: impl FnOnce(&mut L) -> R) -> Option<(R, bool)> {
        let Self { slots, unsent, pressed, spares, .. } = self;
        let slot = slots.get_mut(id.index as usize).filter(|slot| slot.link.id() == id)?;
        let queue = slot.link.queue_mut();
        let before = queue.len();
        if before == 0 {
            queue.lend(spares.take());
        }
        let result = put(&mut slot.link);
        let queue = slot.link.queue_mut();
        let after = queue.len();
        if after == 0
            && let Some(buffer) = queue.reclaim()
        {
            spares.give(buffer);
        }
        if after <= before {
            return Some((result, false));
        }
        if !std::mem::replace(&mut slot.is_listed, true) {
            unsent.push_back(id);
        }
        let is_pressed = before < QUEUE_PRESSED_BYTES && after >= QUEUE_PRESSED_BYTES;
        if is_pressed {
            pressed.push_back(id);
        }
        Some((result, is_pressed))
    }

    /// The next link with bytes to send that was not named since it last had none.
    pub fn poll_unsent(&mut self) -> Option<LinkId> {
        let id = self.unsent.pop_front()?;
        if let Some(slot) = self.slot_mut(id) {
            slot.is_listed = false;
        }
        Some(id)
    }

    /// The next link whose queue has become long, and should be written now.
    pub fn poll_pressed(&mut self) -> Option<LinkId> {
        self.pressed.pop_front()
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
    pub fn sent(&mut self, id: LinkId, count: usize) -> Option<&mut L> {
        let Self { slots, spares, .. } = self;
        let slot = slots.get_mut(id.index as usize).filter(|slot| slot.link.id() == id)?;
        let queue = slot.link.queue_mut();
        queue.consume(count);
        if queue.is_empty()
            && let Some(buffer) = queue.reclaim()
        {
            spares.give(buffer);
        }
        Some(&mut slot.link)
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

    impl Queued for Link {
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

    fn put(slots: &mut Slots<Link>, id: LinkId, count: usize) -> bool {
        let put = |link: &mut Link| link.1.tail().extend(std::iter::repeat_n(7, count));
        slots.put(id, put).expect("a link").1
    }

    #[test]
    fn a_place_is_used_again_and_a_name_is_not() {
        let mut slots = Slots::default();
        let first = slots.open(Link::new);
        assert!(!put(&mut slots, first, 3));
        assert!(slots.remove(first).is_some());
        let second = slots.open(|id| {
            assert_eq!(id.index, first.index);
            Link::new(id)
        });
        assert_ne!(first, second);
        assert!(slots.get(first).is_none() && slots.get_mut(first).is_none());
        assert!(slots.put(first, |_| unreachable!()).is_none());
        assert!(slots.unsent(first).is_empty());
        assert!(slots.sent(first, 3).is_none());
        assert!(slots.remove(first).is_none());
        assert!(slots.get(second).is_some());
        assert_eq!(slots.iter().count(), 1);
        // The one that is gone is still named once, and the one in its place is not, as it has nothing.
        assert_eq!(slots.poll_unsent(), Some(first));
        assert_eq!(slots.poll_unsent(), None);
    }

    #[test]
    fn who_has_bytes_is_named_once_until_it_is_asked_about() {
        let mut slots = Slots::default();
        let a = slots.open(Link::new);
        let b = slots.open(Link::new);
        assert!(!put(&mut slots, a, 0), "nothing was put");
        put(&mut slots, b, 1);
        put(&mut slots, a, 1);
        put(&mut slots, b, 1);
        assert_eq!(slots.poll_unsent(), Some(b));
        put(&mut slots, b, 1);
        assert_eq!(slots.poll_unsent(), Some(a));
        assert_eq!(slots.poll_unsent(), Some(b));
        assert_eq!(slots.poll_unsent(), None);
        assert_eq!(slots.unsent(b), [7, 7, 7]);
        slots.sent(b, 2);
        assert_eq!(slots.unsent(b), [7]);
    }

    #[test]
    fn a_long_queue_is_named_as_it_becomes_long() {
        let mut slots = Slots::default();
        let id = slots.open(Link::new);
        assert!(!put(&mut slots, id, QUEUE_PRESSED_BYTES - 1));
        assert_eq!(slots.poll_pressed(), None);
        assert!(put(&mut slots, id, 1));
        assert!(!put(&mut slots, id, 1), "it was long before");
        assert_eq!(slots.poll_pressed(), Some(id));
        assert_eq!(slots.poll_pressed(), None);
        slots.sent(id, 2);
        assert!(put(&mut slots, id, 1));
        assert_eq!(slots.poll_pressed(), Some(id));
    }

    /// A buffer with so much memory.
    fn buffer(bytes: usize) -> Box<Buffer> {
        let mut queue = SendQueue::default();
        queue.tail().reserve_exact(bytes);
        queue.reclaim().expect("it has one")
    }

    #[test]
    fn a_queue_gives_its_buffer_back_when_it_is_empty() {
        let mut slots = Slots::default();
        let ids = [0; 20].map(|_| slots.open(Link::new));
        let mut buffers = HashSet::new();
        for id in ids {
            put(&mut slots, id, 1000);
            let unsent = slots.unsent(id).as_ptr();
            buffers.insert(unsent);
            slots.sent(id, 999);
            slots.sent(id, 1);
            put(&mut slots, id, 0);
            assert_eq!(slots.spares.buffers.len(), 1, "all have used the same one");
        }
        assert_eq!(buffers.len(), 1);
    }

    #[test]
    fn buffers_that_nobody_needs_any_more_are_given_back() {
        let mut spares = Spares::default();
        let mut use_together = |count: usize, times: u32| {
            for _ in 0..times {
                let taken = (0..count).map(|_| spares.take().unwrap_or_else(|| buffer(1000)));
                let taken: Vec<_> = taken.collect();
                taken.into_iter().for_each(|buffer| spares.give(buffer));
            }
            (spares.buffers.len(), spares.bytes)
        };
        assert_eq!(use_together(50, SPARES_RETURNED), (50, 50_000), "what is used stays");
        assert_eq!(use_together(3, SPARES_RETURNED), (3, 3000));
    }

    #[test]
    fn spare_buffers_are_bounded() {
        let mut spares = Spares::default();
        spares.give(buffer(SPARE_BYTES_MAX + 1));
        assert!(spares.take().is_none(), "too large to keep");
        for _ in 0..100 {
            spares.give(buffer(SPARE_BYTES_MAX / 10));
        }
        assert_eq!(spares.bytes, SPARE_BYTES_MAX / 10 * 10);
        assert_eq!(spares.buffers.len(), 10);
        assert_eq!(spares.take().map(|buffer| buffer.capacity()), Some(SPARE_BYTES_MAX / 10));
        assert_eq!(spares.bytes, SPARE_BYTES_MAX / 10 * 9);
    }
}
