//! [`Session`]: one connection's side of a wire, and what it exchanges with the node.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use smallvec::SmallVec;

use super::{RoomFrames, RunMatcher, WebAccess, WebReply, WebRequest, Wire};
use crate::id::{HostId, WideId};
use crate::limits::Limits;
use crate::link::{CloseReason, LinkId, SendQueue, Time};
use crate::mail::Spool;
use crate::names::Names;
use crate::relay::message::Message;
use crate::relay::notice::{Notice, RoomChats};
use crate::relay::profile::ProfileChange;
use crate::relay::{Displaced, Interests, Relay, View};

/// One connection's side of a wire: frames to effects, and notices to frames.
///
/// A session replies to its own client on the send queue of its context. Whatever concerns others
/// is returned as an [`Effect`].
pub trait Session: fmt::Debug + Send {
    /// Returns the wire that the session speaks.
    fn wire(&self) -> Wire;

    /// Returns a copy of the session.
    fn clone_box(&self) -> Box<dyn Session>;

    /// Returns the length of the frame that `bytes` begin with, or `None` while its header is
    /// incomplete.
    ///
    /// # Errors
    /// Why the bytes are no frame of this wire. The stream cannot be read any further.
    fn frame_len(&self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, String>;

    /// Handles the start of a connection, before the client has sent anything.
    fn on_open(&mut self, cx: &mut SessionCx<'_>, effects: &mut Effects<'_>) {
        let _ = (cx, effects);
    }

    /// Registers a client that was assigned an id and is not a user yet, since it has sent `frame`,
    /// or someone else has sent something to that id.
    fn on_first_use(
        &mut self,
        frame: Option<&[u8]>,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'_>,
    ) {
        let _ = (frame, cx, effects);
    }

    /// Handles a whole frame.
    fn on_frame<'a>(&mut self, frame: &'a [u8], cx: &mut SessionCx<'_>, effects: &mut Effects<'a>);

    /// Encodes a notice for the client, if its wire has a form for it.
    fn on_notice(&mut self, notice: &Notice<'_>, cx: &mut NoticeCx<'_>);

    /// Runs the session's timers that are due. A frame that was deferred is handled again after it.
    fn on_timer(&mut self, cx: &mut SessionCx<'_>, effects: &mut Effects<'_>) {
        let _ = (cx, effects);
    }

    /// Returns when [`Session::on_timer`] is to be called.
    fn deadline(&self) -> Option<Time> {
        None
    }

    /// Returns what the client is sent beside what concerns itself. Asked once it is registered.
    fn interests(&self) -> Interests {
        Interests::default()
    }

    /// Encodes a message for an adjacent server. Called for the wire of servers alone.
    fn on_message(&mut self, message: &Message<'_>, queue: &mut SendQueue) {
        let _ = (message, queue);
    }

    /// Continues after the effects before an [`Effect::Continue`] have been applied.
    fn on_continue(&mut self, cx: &mut SessionCx<'_>, effects: &mut Effects<'_>) {
        let _ = (cx, effects);
    }

    /// Handles the refusal of the registration that the session asked for.
    fn on_registration_refused(&mut self, queue: &mut SendQueue) {
        let _ = queue;
    }

    /// Returns whether a client that has lost its id to another host takes another one, see
    /// [`Session::on_displaced`], instead of being closed.
    fn takes_other_id(&self) -> bool {
        false
    }

    /// Registers a client again that has lost its id.
    fn on_displaced(
        &mut self,
        user: &Displaced,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'_>,
    ) {
        let _ = (user, cx, effects);
    }

    /// Returns whether [`Session::send_pending`] has something to send.
    fn is_behind(&self, names: &Names) -> bool {
        let _ = names;
        false
    }

    /// Sends state that is shared between sessions and has changed. Called at the end of a turn
    /// in which it changed, and when the send queue has room again.
    fn send_pending(&mut self, now: Time, relay: &Relay, names: &mut Names, queue: &mut SendQueue) {
        let _ = (now, relay, names, queue);
    }

    /// Writes a part of the reply to an [`Effect::Web`]. Returns whether the connection ends once
    /// that is sent.
    fn on_web_reply(&mut self, reply: WebReply<'_>, queue: &mut SendQueue) -> bool {
        let _ = (reply, queue);
        false
    }

    /// Returns whether the client has its answers and asks for nothing. The end of such a
    /// connection is nothing to note.
    fn is_answered(&self) -> bool {
        false
    }

    /// Returns the size of the input that the session keeps, in bytes.
    fn buffer_bytes(&self) -> usize {
        0
    }

    /// Writes last words to the client, since the node ends the connection. `has_partial` is
    /// whether a frame has begun and is not complete.
    fn on_closing(&mut self, reason: &CloseReason, has_partial: bool, queue: &mut SendQueue) {
        let _ = (reason, has_partial, queue);
    }

    /// Handles the end of the connection.
    fn closed(&mut self, names: &mut Names) {
        let _ = names;
    }

    /// Returns the header of the chat that `bytes` begin with, where the frames of chats may be
    /// forwarded unchanged to links of the same wire. The frame may be incomplete. Returns `None`
    /// for any other frame, and for one that [`Session::frame_len`] refuses.
    fn peek_chat(&self, bytes: &[u8], limits: &Limits) -> Option<ChatHeader> {
        let _ = (bytes, limits);
        None
    }

    /// Returns the message of a whole frame, on the wire between servers.
    fn parse_message<'a>(&self, frame: &'a [u8]) -> Option<Message<'a>> {
        let _ = frame;
        None
    }

    /// Returns bytes and number of the whole frames at the front of `bytes` that are chats between
    /// the same two hosts as the first, whose length is `first_len`.
    fn measure_chat_run(&self, bytes: &[u8], first_len: usize, limits: &Limits) -> (usize, u64) {
        let _ = (bytes, limits);
        (first_len, 1)
    }

    /// Returns what recognizes the frames that continue the last [`Effect::Chat`] with further
    /// chats to the same recipient.
    fn run_matcher(&self) -> Option<RunMatcher> {
        None
    }

    /// Returns the text and the length of the whole frame at the front of `bytes`, if it is another
    /// message to the room that the client has just sent one to.
    fn parse_room_text<'a>(
        &self,
        room: &[u8],
        bytes: &'a [u8],
        limits: &Limits,
    ) -> Option<(&'a [u8], usize)> {
        let _ = (room, bytes, limits);
        None
    }

    /// Encodes messages to a room for the client, whose id is `destination`, as
    /// [`Session::on_notice`] encodes each. `encoded` is shared by all members of the room.
    fn on_room_chats(
        &mut self,
        chats: &RoomChats<'_>,
        destination: HostId,
        encoded: &mut RoomFrames,
        cx: &mut NoticeCx<'_>,
    ) {
        let _ = encoded;
        for notice in chats.notices(destination) {
            self.on_notice(&notice, cx);
        }
    }

    /// Encodes chats from one user to another as [`Session::on_notice`] encodes each. `next_text`
    /// is called with the send queue and returns the next text, until there is none.
    fn on_chats<'a>(
        &mut self,
        (source, destination): (HostId, HostId),
        cx: &mut NoticeCx<'_>,
        next_text: &mut dyn FnMut(&SendQueue) -> Option<&'a [u8]>,
    ) {
        while let Some(text) = next_text(cx.queue) {
            self.on_notice(&Notice::Chat { source, destination, text }, cx);
        }
    }
}

impl Clone for Box<dyn Session> {
    fn clone(&self) -> Self {
        (**self).clone_box()
    }
}

/// The header of a chat whose frame may be forwarded unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatHeader {
    /// Length of the frame in bytes.
    pub frame_bytes: usize,
    /// Id of the sender.
    pub source: HostId,
    /// Id of the recipient.
    pub destination: HostId,
    /// Whether the header behind the frame is that of another chat between the same two hosts.
    pub is_continued: bool,
}

/// Context in which a session handles input and timers.
pub struct SessionCx<'a> {
    /// The time of the event.
    pub now: Time,
    /// The link of the session.
    pub link: LinkId,
    /// The network as this server knows it.
    pub relay: &'a Relay,
    /// State shared by all sessions.
    pub names: &'a mut Names,
    /// The mail spool.
    pub spool: &'a Spool,
    /// Whether mail from this client is on its way to the disk. Until it is there, only further
    /// mail may be handled.
    pub has_unacked_mail: bool,
    /// Whether input of this client is deferred, and has not been handled.
    pub has_deferred_input: bool,
    /// The client's send queue.
    pub queue: &'a mut SendQueue,
    /// The bounds in force.
    pub limits: &'a Limits,
    /// Which requests of browsers are answered.
    pub web: &'a WebAccess,
    /// The message of the day; empty if there is none.
    pub motd: &'a str,
    /// Whether the bytes of the connection are encrypted.
    pub is_encrypted: bool,
    /// Time since 1970, for people.
    pub unix_time: Duration,
    /// Source of random ids.
    pub rng: &'a mut StdRng,
}

impl SessionCx<'_> {
    /// Returns the context in which notices are encoded.
    pub fn notice_cx(&mut self) -> NoticeCx<'_> {
        let (view, unix_time) = (self.relay.view(), self.unix_time);
        NoticeCx { view, names: self.names, queue: self.queue, unix_time }
    }

    /// Returns a random id that is not in use.
    pub fn unused_id(&mut self) -> HostId {
        loop {
            let id = HostId::random(self.rng);
            if !self.is_taken(id) {
                return id;
            }
        }
    }

    /// Returns whether an id is in use in the network, by this server too, or is reserved for one
    /// of its clients.
    #[must_use]
    pub fn is_taken(&self, id: HostId) -> bool {
        id == self.relay.identity().id
            || self.relay.hosts().get(id).is_some()
            || self.names.reserved_ids.link_of(id).is_some()
    }
}

/// Context in which a session encodes notices.
pub struct NoticeCx<'a> {
    /// This server and the other hosts.
    pub view: View<'a>,
    /// State shared by all sessions.
    pub names: &'a Names,
    /// The client's send queue.
    pub queue: &'a mut SendQueue,
    /// Time since 1970, for people.
    pub unix_time: Duration,
}

/// A client's request about a room. A refusal comes back as [`Notice::RoomRefused`].
#[derive(Debug)]
pub struct RoomRequest<'a> {
    /// The name of the room as the client gave it.
    pub room: Cow<'a, [u8]>,
    /// What the client asks for.
    pub action: RoomAction<'a>,
}

/// What a client asks for about a room.
#[derive(Debug)]
pub enum RoomAction<'a> {
    /// Join it.
    Join,
    /// Leave it, with a text for the others.
    Part(Cow<'a, [u8]>),
    /// Send a message to its other members.
    Chat(Cow<'a, [u8]>),
    /// Set its topic; an empty text removes it.
    Topic(Cow<'a, [u8]>),
}

/// The effects of one event, applied in order. Up to two need no allocation.
pub type Effects<'a> = SmallVec<[Effect<'a>; 2]>;

/// A session's request to the node.
#[derive(Debug)]
pub enum Effect<'a> {
    /// Handle the same frame again later, before any that follow: once the client's mail is on
    /// disk, when the store has room, and at the session's deadline. The only effect of its frame.
    Defer,
    /// Handle a message of the client in the relay.
    Relay(Message<'a>),
    /// Register the client as a user. A user that it was before leaves.
    Register {
        /// An id that is not in use.
        id: HostId,
        /// At most [`crate::limits::NAME_BYTES_MAX`] bytes.
        name: Cow<'a, [u8]>,
        /// Description for others; `None` for the name of the wire.
        info: Option<Cow<'a, [u8]>>,
    },
    /// Forward a chat to a user.
    Chat {
        /// The client's id.
        from: HostId,
        /// The recipient.
        to: HostId,
        /// Text of the chat.
        text: Cow<'a, [u8]>,
    },
    /// Send a chat to every other user of the network.
    Broadcast {
        /// The client's id.
        from: HostId,
        /// Text of the chat.
        text: Cow<'a, [u8]>,
    },
    /// Store a message for a user who cannot be reached, or for whom mail waits.
    SendMail {
        /// The client's id.
        from: WideId,
        /// The recipient.
        to: WideId,
        /// Text of the message.
        text: Cow<'a, [u8]>,
    },
    /// Handle a request about a room.
    Room(RoomRequest<'a>),
    /// Change what the client says of itself.
    Profile(ProfileChange<'a>),
    /// Handle that the client leaves the network.
    Quit {
        /// The client's id.
        from: HostId,
        /// Text for the others.
        text: Cow<'a, [u8]>,
    },
    /// Call [`Session::on_continue`].
    Continue,
    /// Let the connection live without a registration for a day: it is the operator's.
    Authenticated,
    /// Hand a request to the operator's surface.
    Web(WebRequest),
    /// Close the connection.
    Close(CloseReason),
    /// Close the connection once everything in the send queue is sent.
    CloseWhenSent,
}
