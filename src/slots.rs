//! The places of links: each link under a [`LinkId`] that no other ever had, and the lists of those
//! that have something to send. A server's node and a peer keep theirs here; what a link is beside
//! its send queue is theirs to say.
//!
//! - A place is used again, a name is not: what comes late for a link that is gone meets nothing.
//! - A link stands at most once in the list of those with bytes to send.
//! - A queue that becomes long is named once as it passes [`QUEUE_PRESSED_BYTES`], and again only after
//!   it has been shorter.

use std::collections::VecDeque;

use slab::Slab;

use crate::doors::SendQueue;
use crate::limits::QUEUE_PRESSED_BYTES;
use crate::relay::LinkId;

/// What has a place: anything with a send queue.
pub trait Queued {
    /// Bytes on their way to the other end.
    fn queue(&self) -> &SendQueue;

    /// The same, to be added to or sent from.
    fn queue_mut(&mut self) -> &mut SendQueue;
}

#[derive(Debug)]
struct Slot<L> {
    id: LinkId,
    /// It stands in the list of those with bytes to send.
    is_listed: bool,
    link: L,
}

/// Links in their places.
#[derive(Debug)]
pub struct Slots<L> {
    slots: Slab<Slot<L>>,
    generation: u32,
    unsent: VecDeque<LinkId>,
    pressed: VecDeque<LinkId>,
}

impl<L> Default for Slots<L> {
    fn default() -> Self {
        Self {
            slots: Slab::new(),
            generation: 0,
            unsent: VecDeque::new(),
            pressed: VecDeque::new(),
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
        entry.insert(Slot { id, is_listed: false, link: make(id) });
        id
    }

    /// A link; `None` once it is gone.
    #[must_use]
    pub fn get(&self, id: LinkId) -> Option<&L> {
        let slot = self.slots.get(id.index as usize).filter(|slot| slot.id == id)?;
        Some(&slot.link)
    }

    /// A link; `None` once it is gone. What is put into its queue is to be told to [`Slots::queued`].
    pub fn get_mut(&mut self, id: LinkId) -> Option<&mut L> {
        Some(&mut self.slot_mut(id)?.link)
    }

    fn slot_mut(&mut self, id: LinkId) -> Option<&mut Slot<L>> {
        self.slots.get_mut(id.index as usize).filter(|slot| slot.id == id)
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

    /// Something may have been put into a link's queue, which held `unsent_bytes` before. Answers
    /// whether that has made the queue long.
    pub fn queued(&mut self, id: LinkId, unsent_bytes: usize) -> bool {
        let Some(slot) = self.slot_mut(id) else { return false };
        let len = slot.link.queue().len();
        if len <= unsent_bytes {
            return false;
        }
        let is_new = !std::mem::replace(&mut slot.is_listed, true);
        let is_pressed = unsent_bytes < QUEUE_PRESSED_BYTES && len >= QUEUE_PRESSED_BYTES;
        if is_new {
            self.unsent.push_back(id);
        }
        if is_pressed {
            self.pressed.push_back(id);
        }
        is_pressed
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

    /// The first `count` unsent bytes of a link have been sent. Nothing, if it is gone.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn sent(&mut self, id: LinkId, count: usize) {
        if let Some(link) = self.get_mut(id) {
            link.queue_mut().consume(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Queued for SendQueue {
        fn queue(&self) -> &SendQueue {
            self
        }

        fn queue_mut(&mut self) -> &mut SendQueue {
            self
        }
    }

    fn put(slots: &mut Slots<SendQueue>, id: LinkId, count: usize) -> bool {
        let queue = slots.get_mut(id).expect("a link");
        let unsent_bytes = queue.len();
        queue.tail().extend(std::iter::repeat_n(7, count));
        slots.queued(id, unsent_bytes)
    }

    #[test]
    fn a_place_is_used_again_and_a_name_is_not() {
        let mut slots = Slots::default();
        let first = slots.open(|_| SendQueue::default());
        assert!(!put(&mut slots, first, 3));
        assert!(slots.remove(first).is_some());
        let second = slots.open(|id| {
            assert_eq!(id.index, first.index);
            SendQueue::default()
        });
        assert_ne!(first, second);
        assert!(slots.get(first).is_none() && slots.get_mut(first).is_none());
        assert!(!slots.queued(first, 0));
        assert!(slots.unsent(first).is_empty());
        slots.sent(first, 3);
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
        let a = slots.open(|_| SendQueue::default());
        let b = slots.open(|_| SendQueue::default());
        assert!(!slots.queued(a, 0), "nothing was put");
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
        let id = slots.open(|_| SendQueue::default());
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
}
