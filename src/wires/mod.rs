//! The doors: a wire a folder, each turning its bytes into the relay's messages and back.
//!
//! [`Wire`], [`Session`] and [`SharedNames`] are the one table of them. What only one wire needs stays in
//! its own folder; no door knows another.
//!
//! A session handles whole frames. What concerns its own client alone, such as an echo, it answers
//! itself, on the [`SessionCx`] that it is handed; what concerns others comes back as a [`Effect`].

mod chat_run;
pub mod classic;
pub mod crc;
pub mod direct;

use std::borrow::Cow;
use std::fmt;

use rand::rngs::StdRng;

pub use self::chat_run::ChatRun;
use self::chat_run::RunKind;

use crate::id::{HostId, WideId};
use crate::limits::Limits;
use crate::link::{CloseReason, SendQueue, Time};
use crate::mail::Spool;
use crate::names::{Directory, WideIds};
use crate::relay::message::Message;
use crate::relay::{Host, Relay};

/// Which wire a listener or a dialled link speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wire {
    /// Binary CRC frames (contract section 2).
    Crc,
    /// Protobuf messages with numeric ids (contract section 3).
    Direct,
    /// Messages of 256 bytes with names of eight (contract section 4).
    Classic,
}

impl Wire {
    /// Returns the wire's name, which is also its URI scheme.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc => "crc",
            Self::Direct => "direct",
            Self::Classic => "classic",
        }
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the sessions of a server know together.
#[derive(Debug, Default)]
pub struct SharedNames {
    /// Who has which number of 64 bits.
    pub wide_ids: WideIds,
    /// What classic clients are told of who is online.
    pub directory: Directory,
    /// Lists of the directory, shared by the classic sessions.
    pub lists: classic::ListCache,
}

impl SharedNames {
    /// A host can be reached: it has joined, or is found again.
    pub fn host_up(&mut self, host: &Host) {
        self.wide_ids.host_up(host);
        self.directory.host_up(host);
    }

    /// A host has left. Answers which number is another's now, and whose, see [`WideIds::left`].
    pub fn host_down(&mut self, host: &Host) -> Option<(WideId, HostId)> {
        self.directory.host_down(host);
        self.wide_ids.host_down(host)
    }
}

/// What a session sees, and where it answers its own client.
pub struct SessionCx<'a> {
    /// The time.
    pub now: Time,
    /// The network as this server knows it.
    pub relay: &'a Relay,
    /// What sessions know together.
    pub names: &'a mut SharedNames,
    /// What is kept for whom.
    pub spool: &'a Spool,
    /// Whether something that this client said is on its way to the disk: nothing that follows may
    /// happen before it is there, except that more is kept.
    pub has_unacked_mail: bool,
    /// Whether something that this client said waits and has not been looked at.
    pub has_deferred_input: bool,
    /// The client's own.
    pub queue: &'a mut SendQueue,
    /// The bounds.
    pub limits: &'a Limits,
    /// For ids.
    pub rng: &'a mut StdRng,
}

impl SessionCx<'_> {
    /// An id that nobody has.
    pub fn unused_id(&mut self) -> HostId {
        loop {
            let id = HostId::random(self.rng);
            if !self.is_taken(id) {
                return id;
            }
        }
    }

    /// Whether anybody in the network has an id, this server included.
    #[must_use]
    pub fn is_taken(&self, id: HostId) -> bool {
        id == self.relay.identity().id || self.relay.hosts().get(id).is_some()
    }
}

/// What a session wants done beyond what it has answered itself.
#[derive(Debug)]
pub enum Effect<'a> {
    /// Nothing: the frame is dealt with.
    None,
    /// Nothing yet: the same frame comes again, before any that follow, once what this client said
    /// before is on disk, when the store has room for more, and at the session's deadline.
    Defer,
    /// This message comes from the client.
    Relay(Message<'a>),
    /// The client joins the network as this user; if it is one already, that one leaves.
    Register {
        /// Free.
        id: HostId,
        /// At most [`crate::limits::NAME_BYTES_MAX`] bytes.
        name: Cow<'a, [u8]>,
    },
    /// The client, registered as `from`, speaks to a user.
    Chat {
        /// Who speaks.
        from: HostId,
        /// To whom.
        to: HostId,
        /// What.
        text: Cow<'a, [u8]>,
    },
    /// The client, registered as `from`, speaks to every other user of the network.
    Broadcast {
        /// Who speaks.
        from: HostId,
        /// What.
        text: Cow<'a, [u8]>,
    },
    /// Something is to be kept for a user who cannot be reached, or for whom mail waits.
    SendMail {
        /// Who speaks.
        from: WideId,
        /// To whom.
        to: WideId,
        /// What.
        text: Cow<'a, [u8]>,
    },
    /// The connection ends.
    Close(CloseReason),
}

/// One connection's side of a wire: whole frames ⇄ messages.
#[derive(Debug)]
pub enum Session {
    /// CRC's messages are the relay's own: nothing has to be remembered between two frames.
    Crc,
    /// See [`direct::Session`].
    Direct(Box<direct::Session>),
    /// See [`classic::Session`].
    Classic(Box<classic::Session>),
}

impl Session {
    /// A session for a connection that has just begun.
    #[must_use]
    pub fn new(wire: Wire) -> Self {
        match wire {
            Wire::Crc => Self::Crc,
            Wire::Direct => Self::Direct(Box::default()),
            Wire::Classic => Self::Classic(Box::default()),
        }
    }

    /// Which wire it speaks.
    #[must_use]
    pub fn wire(&self) -> Wire {
        match self {
            Self::Crc => Wire::Crc,
            Self::Direct(_) => Wire::Direct,
            Self::Classic(_) => Wire::Classic,
        }
    }

    /// Somebody connected: what the server does before they have said anything.
    pub fn on_connect(&mut self, cx: &mut SessionCx<'_>) -> Effect<'static> {
        match self {
            Self::Crc | Self::Classic(_) => Effect::None,
            Self::Direct(direct) => direct.on_connect(cx),
        }
    }

    /// What a frame, whole by its wire's `frame_len`, asks for.
    pub fn on_frame<'a>(&mut self, frame: &'a [u8], cx: &mut SessionCx<'_>) -> Effect<'a> {
        match self {
            Self::Crc => Effect::Relay(crc::codec::parse_frame(frame)),
            Self::Direct(direct) => direct.on_frame(frame, cx),
            Self::Classic(classic) => classic.on_frame(frame, cx),
        }
    }

    /// What `bytes` begin with in the same row as a frame that has just been received, and was a
    /// [`Effect::DeferredMessage`].
    #[must_use]
    pub fn chat_run_after<'a>(&self, bytes: &'a [u8], limits: &Limits) -> ChatRun<'a> {
        let kind = match self {
            Self::Crc => RunKind::None, // the node passes these on as they are
            Self::Direct(direct) => RunKind::Direct(direct.last_recipient()),
            Self::Classic(classic) => classic
                .last_chat_names()
                .map_or(RunKind::None, |(to, from)| RunKind::Classic(to, from)),
        };
        ChatRun::new(kind, bytes, limits.frame_bytes_max)
    }

    /// The relay did not take the registration that was asked for.
    pub fn on_registration_refused(&mut self, queue: &mut SendQueue) {
        match self {
            Self::Crc => {}
            Self::Direct(direct) => direct.on_registration_refused(queue),
            Self::Classic(classic) => classic.on_registration_refused(queue),
        }
    }

    /// Says a message of the relay in this wire's words, if it has any for it.
    pub fn deliver(&mut self, message: &Message<'_>, names: &SharedNames, queue: &mut SendQueue) {
        match self {
            Self::Crc => crc::codec::encode(message, queue.tail()),
            Self::Direct(direct) => direct.deliver(message, names, queue),
            Self::Classic(classic) => classic.deliver(message, names, queue),
        }
    }

    /// Says chats of one user to another as [`Session::deliver`] says each. `next` is shown the queue and
    /// answers the text of the next one, until there is none.
    pub fn deliver_chats<'a>(
        &mut self,
        source: HostId,
        destination: HostId,
        names: &SharedNames,
        queue: &mut SendQueue,
        mut next_text: impl FnMut(&SendQueue) -> Option<&'a [u8]>,
    ) {
        match self {
            Self::Crc => {
                while let Some(text) = next_text(queue) {
                    crc::codec::encode(&Message::Chat { source, destination, text }, queue.tail());
                }
            }
            Self::Direct(direct) => {
                let sender = names.wide_ids.wide_id(source);
                while let Some(text) = next_text(queue) {
                    direct.deliver_text(sender, text, queue);
                }
            }
            Self::Classic(classic) => {
                let sender = classic::sender_name(source, names);
                while let Some(text) = next_text(queue) {
                    classic.deliver_chat(sender, text, queue);
                }
            }
        }
    }

    /// Hands over what was said to this client, known as `destination`, while it was away.
    pub fn deliver_mail(
        &mut self,
        sender: WideId,
        destination: HostId,
        text: &[u8],
        names: &SharedNames,
        queue: &mut SendQueue,
    ) {
        match self {
            Self::Crc => crc::deliver_mail(sender, destination, text, queue),
            Self::Direct(direct) => direct.deliver_text(sender, text, queue),
            Self::Classic(classic) => classic.deliver_mail(sender, text, names, queue),
        }
    }

    /// Notifies the client that its message to `to` is not kept. Only direct clients send mail.
    pub fn refuse_mail(&mut self, to: WideId, reason: &str, queue: &mut SendQueue) {
        match self {
            Self::Crc | Self::Classic(_) => {}
            Self::Direct(direct) => direct.refuse_mail(to, reason, queue),
        }
    }

    /// Whether its wire has words for who is there, or its client is told in another way, or not at all.
    #[must_use]
    pub fn wants_presence(&self) -> bool {
        match self {
            Self::Crc => true,
            Self::Direct(_) | Self::Classic(_) => false,
        }
    }

    /// When [`Session::expire`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        match self {
            Self::Crc => None,
            Self::Direct(direct) => direct.deadline(),
            Self::Classic(classic) => classic.deadline(),
        }
    }

    /// Does what is due by now. A frame that was held for that comes again.
    pub fn on_timer(&mut self, cx: &mut SessionCx<'_>) -> Effect<'static> {
        match self {
            Self::Crc => Effect::None,
            Self::Direct(direct) => {
                direct.on_timer(cx.now);
                Effect::None
            }
            Self::Classic(classic) => classic.on_timer(cx),
        }
    }

    /// Whether [`Session::refresh`] has anything to do.
    #[must_use]
    pub fn is_behind(&self, names: &SharedNames) -> bool {
        match self {
            Self::Crc | Self::Direct(_) => false,
            Self::Classic(classic) => classic.is_behind(names),
        }
    }

    /// The turn is over and what sessions share has changed, or the client's queue has room again:
    /// tells it what it should know.
    pub fn send_presence(&mut self, now: Time, names: &mut SharedNames, queue: &mut SendQueue) {
        match self {
            Self::Crc | Self::Direct(_) => {}
            Self::Classic(classic) => classic.send_presence(now, names, queue),
        }
    }

    /// The connection is gone.
    pub fn on_closed(&mut self, names: &mut SharedNames) {
        match self {
            Self::Crc | Self::Direct(_) => {}
            Self::Classic(classic) => classic.on_closed(names),
        }
    }
}
