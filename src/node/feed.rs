//! The way in: bytes of a link become frames, and each frame goes to the relay or to the link's session.

use super::{Action, AtOnce, Node};
use crate::doors::assembly::{Fed, Flow};
use crate::doors::{Desk, Door, Session, Step, classic, crc, direct};
use crate::limits::NEWS_HOSTS_MANY;
use crate::relay::{CloseReason, LinkId, Outbox as _};

impl Node {
    /// Handles the frames that some bytes complete, until they have made a queue long: a few bytes of
    /// one wire can be very many of another, and who reads well must get to read.
    pub(super) fn feed(&mut self, id: LinkId, bytes: &[u8], socket: AtOnce<'_>) {
        let limits = self.links.limits;
        let Some(link) = self.links.live_mut(id) else {
            return;
        };
        let door = link.session.door();
        let mut assembly = std::mem::take(&mut link.assembly);
        let mut spare = self.links.slots.spares.take();
        let mut passed = 0;
        self.links.joined = 0;
        let result = match door {
            Door::Crc => {
                let len_of = |bytes: &[u8]| crc::wire::frame_len(bytes, limits.frame_bytes_max);
                let each =
                    |bytes: &[u8], len| self.pass_or_handle(id, bytes, len, &mut passed, socket);
                let result = assembly.feed_while(bytes, &mut spare, len_of, each);
                result.map_err(|error| error.to_string())
            }
            Door::Direct => {
                let len_of = |bytes: &[u8]| direct::wire::frame_len(bytes, limits.frame_bytes_max);
                let each = |bytes: &[u8], len| self.handle_words(id, bytes, len);
                let result = assembly.feed_while(bytes, &mut spare, len_of, each);
                result.map_err(|error| error.to_string())
            }
            Door::Classic => {
                let each = |bytes: &[u8], len| self.handle_words(id, bytes, len);
                let result = assembly.feed_while(bytes, &mut spare, classic::wire::frame_len, each);
                result.map_err(|error| error.to_string())
            }
        };
        if let Some(spare) = spare {
            self.links.slots.spares.give(spare);
        }
        let is_paused = self.links.is_pressed;
        let joined = self.links.joined;
        let link = self.links.get_mut(id).expect("links are removed in `closed` alone");
        link.assembly = assembly;
        link.traffic.frames_in += passed;
        link.brings_hosts = joined >= NEWS_HOSTS_MANY;
        match result {
            Ok(Fed::All) => {}
            Ok(Fed::Held(rest)) => {
                link.held = Some(Box::new(rest));
                if is_paused {
                    self.links.pause(id);
                }
            }
            Err(what) => self.links.close(id, CloseReason::BadBytes(what)),
        }
    }

    pub(super) fn handle_frame(&mut self, id: LinkId, frame: &[u8]) -> Flow {
        let now = self.links.now;
        let Some(link) = self.links.live_mut(id) else {
            return Flow::Stop;
        };
        link.traffic.frames_in += 1;
        self.relay.receive(now, id, &crc::wire::message(frame), &mut self.links);
        Flow::More
    }

    /// The first frame of some bytes, of a wire whose words are not the relay's; if it is a chat, with those
    /// behind it that go the same way.
    fn handle_words(&mut self, id: LinkId, bytes: &[u8], len: usize) -> Flow {
        if self.links.is_pressed {
            return Flow::Hold;
        }
        if !self.is_open(id) {
            return Flow::Stop;
        }
        // What a session answers goes into the queue of a client that may not be reading.
        if self.links.close_overfull(id) {
            return Flow::Stop;
        }
        if self.links.get(id).is_some_and(|link| link.is_broadcasting) {
            return Flow::Hold;
        }
        let receive =
            |session: &mut Session, desk: &mut Desk<'_>| session.receive(&bytes[..len], desk);
        let (frames, more_bytes) = match self.links.at_desk(id, &self.relay, receive) {
            None => return Flow::Stop,
            Some(Step::Hold) => return Flow::Hold,
            Some(Step::Chat { from, to, text }) => self.chats(id, (from, to), &text, &bytes[len..]),
            Some(step) => {
                self.perform(id, step);
                (1, 0)
            }
        };
        if let Some(link) = self.links.get_mut(id) {
            link.traffic.frames_in += frames;
        }
        Flow::MoreAfter(len + more_bytes)
    }

    /// Goes on with what a link said while it had to wait, if it has to no more.
    pub(super) fn release(&mut self, id: LinkId) {
        let is_pressed = self.links.is_pressed;
        let Some(link) = self.links.live_mut(id) else {
            return;
        };
        if link.unkept > 0 || link.is_broadcasting || link.is_paused {
            return;
        }
        if is_pressed && link.held.is_some() {
            return self.links.pause(id);
        }
        if let Some(held) = link.held.take() {
            self.feed(id, &held, &mut |_, _| 0);
            if self.is_listening(id) {
                self.links.actions.push_back(Action::Resume { link: id });
            }
        }
    }
}
