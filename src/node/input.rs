//! The way in: bytes of a link become frames, and each frame goes to the relay or to the link's session.

use super::{Action, Node};
use crate::limits::BURST_HOSTS_MIN;
use crate::link::frame_decoder::{Decoded, Flow};
use crate::link::{CloseReason, DirectWrite, LinkId, Machine as _};
use crate::relay::Outbox as _;
use crate::wires::{Effect, Session, SessionCx, Wire, classic, crc, direct};

impl Node {
    /// Handles the frames that some bytes complete, until they have made a queue long: a few bytes of
    /// one wire can be very many of another, and who reads well must get to read.
    pub(super) fn decode_input(&mut self, id: LinkId, bytes: &[u8], direct_write: DirectWrite<'_>) {
        let limits = self.links.limits;
        let Some(link) = self.links.live_mut(id) else {
            return;
        };
        let wire = link.session.wire();
        let mut decoder = std::mem::take(&mut link.decoder);
        let mut spare_buffer = self.links.table.buffer_pool.take();
        let mut forwarded_frames = 0;
        self.links.hosts_added = 0;
        let result = match wire {
            Wire::Crc => {
                let frame_len = |bytes: &[u8]| crc::codec::frame_len(bytes, limits.frame_bytes_max);
                let on_frame = |bytes: &[u8], len| {
                    self.forward_or_handle(id, bytes, len, &mut forwarded_frames, direct_write)
                };
                let result = decoder.decode_while(bytes, &mut spare_buffer, frame_len, on_frame);
                result.map_err(|error| error.to_string())
            }
            Wire::Direct => {
                let frame_len =
                    |bytes: &[u8]| direct::codec::frame_len(bytes, limits.frame_bytes_max);
                let on_frame = |bytes: &[u8], len| self.handle_session_frame(id, bytes, len);
                let result = decoder.decode_while(bytes, &mut spare_buffer, frame_len, on_frame);
                result.map_err(|error| error.to_string())
            }
            Wire::Classic => {
                let on_frame = |bytes: &[u8], len| self.handle_session_frame(id, bytes, len);
                let result = decoder.decode_while(
                    bytes,
                    &mut spare_buffer,
                    classic::codec::frame_len,
                    on_frame,
                );
                result.map_err(|error| error.to_string())
            }
        };
        if let Some(spare_buffer) = spare_buffer {
            self.links.table.buffer_pool.recycle(spare_buffer);
        }
        let above_high_water = self.links.above_high_water;
        let hosts_added = self.links.hosts_added;
        let link = self.links.get_mut(id).expect("links are removed in `closed` alone");
        link.decoder = decoder;
        link.traffic.frames_in += forwarded_frames;
        link.is_bursting = hosts_added >= BURST_HOSTS_MIN;
        match result {
            Ok(Decoded::All) => {}
            Ok(Decoded::Deferred(rest)) => {
                link.deferred_input = Some(Box::new(rest));
                if above_high_water {
                    self.links.pause(id);
                }
            }
            Err(message) => self.links.close(id, CloseReason::ProtocolError(message)),
        }
    }

    pub(super) fn handle_crc_frame(&mut self, id: LinkId, frame: &[u8]) -> Flow {
        let now = self.links.now;
        let Some(link) = self.links.live_mut(id) else {
            return Flow::Stop;
        };
        link.traffic.frames_in += 1;
        self.relay.receive(now, id, &crc::codec::parse_frame(frame), &mut self.links);
        Flow::Continue
    }

    /// The first frame of some bytes, of a wire whose words are not the relay's; if it is a chat, with those
    /// behind it that go the same way.
    fn handle_session_frame(&mut self, id: LinkId, bytes: &[u8], len: usize) -> Flow {
        if self.links.above_high_water {
            return Flow::Defer;
        }
        if !self.is_open(id) {
            return Flow::Stop;
        }
        // What a session answers goes into the queue of a client that may not be reading.
        if self.links.close_if_overfull(id) {
            return Flow::Stop;
        }
        if self.links.get(id).is_some_and(|link| link.is_broadcasting) {
            return Flow::Defer;
        }
        let receive =
            |session: &mut Session, cx: &mut SessionCx<'_>| session.on_frame(&bytes[..len], cx);
        let (frames, more_bytes) = match self.links.with_session(id, &self.relay, receive) {
            None => return Flow::Stop,
            Some(Effect::Defer) => return Flow::Defer,
            Some(Effect::Chat { from, to, text }) => {
                self.forward_chats(id, (from, to), &text, &bytes[len..])
            }
            Some(effect) => {
                self.apply(id, effect);
                (1, 0)
            }
        };
        if let Some(link) = self.links.get_mut(id) {
            link.traffic.frames_in += frames;
        }
        Flow::ContinueAfter(len + more_bytes)
    }

    /// Goes on with what a link said while it had to wait, if it has to no more.
    pub(super) fn resume_input(&mut self, id: LinkId) {
        let above_high_water = self.links.above_high_water;
        let Some(link) = self.links.live_mut(id) else {
            return;
        };
        if link.unacked_mail > 0 || link.is_broadcasting || link.is_paused {
            return;
        }
        if above_high_water && link.deferred_input.is_some() {
            return self.links.pause(id);
        }
        if let Some(input) = link.deferred_input.take() {
            self.decode_input(id, &input, &mut |_, _| 0);
            if self.wants_read(id) {
                self.links.actions.push_back(Action::Resume { link: id });
            }
        }
    }
}
