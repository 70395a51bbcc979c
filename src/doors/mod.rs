//! The doors: a wire a folder, each turning its bytes into the relay's messages and back.
//!
//! [`Door`], [`Session`] and [`Shared`] are the one table of them. What only one wire needs stays in
//! its own folder; no door knows another.
//!
//! A session handles whole frames. What concerns its own client alone, such as an echo, it answers
//! itself, on the [`Desk`] that it is handed; what concerns others comes back as a [`Step`].

pub mod assembly;
mod chats;
pub mod classic;
pub mod crc;
pub mod direct;
mod queue;

use std::borrow::Cow;
use std::fmt;

use rand::rngs::StdRng;

pub use self::chats::Chats;
use self::chats::Row;
pub use self::queue::{Buffer, SendQueue};

use crate::limits::Limits;
use crate::mail::{Numbers, Room};
use crate::relay::message::{HostId, Message, WideId};
use crate::relay::{CloseReason, Host, Relay, Time};

/// Which wire a listener or a dialled link speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Door {
    /// Binary CRC frames (contract section 2).
    Crc,
    /// Protobuf messages with numeric ids (contract section 3).
    Direct,
    /// Messages of 256 bytes with names of eight (contract section 4).
    Classic,
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crc => "crc",
            Self::Direct => "direct",
            Self::Classic => "classic",
        })
    }
}

/// What the sessions of a server know together.
#[derive(Debug, Default)]
pub struct Shared {
    /// Who has which number of 64 bits.
    pub numbers: Numbers,
    /// What classic clients are told of who is online.
    pub directory: classic::Directory,
}

impl Shared {
    /// A host can be reached: it has joined, or is found again.
    pub fn came(&mut self, host: &Host) {
        self.numbers.came(host);
        self.directory.came(host);
    }

    /// A host has left. Answers which number is another's now, and whose, see [`Numbers::left`].
    pub fn left(&mut self, host: &Host) -> Option<(WideId, HostId)> {
        self.directory.left(host);
        self.numbers.left(host)
    }
}

/// What a session sees, and where it answers its own client.
pub struct Desk<'a> {
    /// The time.
    pub now: Time,
    /// The network as this server knows it.
    pub relay: &'a Relay,
    /// What sessions know together.
    pub shared: &'a mut Shared,
    /// What is kept for whom.
    pub mail: &'a Room,
    /// Whether something that this client said is on its way to the disk: nothing that follows may
    /// happen before it is there, except that more is kept.
    pub is_keeping: bool,
    /// Whether something that this client said waits and has not been looked at.
    pub is_held: bool,
    /// The client's own.
    pub queue: &'a mut SendQueue,
    /// The bounds.
    pub limits: &'a Limits,
    /// For ids.
    pub rng: &'a mut StdRng,
}

impl Desk<'_> {
    /// An id that nobody has.
    pub fn free_id(&mut self) -> HostId {
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
        id == self.relay.own().id || self.relay.hosts().get(id).is_some()
    }
}

/// What a session wants done beyond what it has answered itself.
#[derive(Debug)]
pub enum Step<'a> {
    /// Nothing: the frame is dealt with.
    Nothing,
    /// Nothing yet: the same frame comes again, before any that follow, once what this client said
    /// before is on disk, when the store has room for more, and at the session's deadline.
    Hold,
    /// This message comes from the client.
    Say(Message<'a>),
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
    ChatToAll {
        /// Who speaks.
        from: HostId,
        /// What.
        text: Cow<'a, [u8]>,
    },
    /// Something is to be kept for a user who cannot be reached, or for whom mail waits.
    Keep {
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
    pub fn new(door: Door) -> Self {
        match door {
            Door::Crc => Self::Crc,
            Door::Direct => Self::Direct(Box::default()),
            Door::Classic => Self::Classic(Box::default()),
        }
    }

    /// Which wire it speaks.
    #[must_use]
    pub fn door(&self) -> Door {
        match self {
            Self::Crc => Door::Crc,
            Self::Direct(_) => Door::Direct,
            Self::Classic(_) => Door::Classic,
        }
    }

    /// Somebody connected: what the server does before they have said anything.
    pub fn open(&mut self, desk: &mut Desk<'_>) -> Step<'static> {
        match self {
            Self::Crc | Self::Classic(_) => Step::Nothing,
            Self::Direct(direct) => direct.open(desk),
        }
    }

    /// What a frame, whole by its wire's `frame_len`, asks for.
    pub fn receive<'a>(&mut self, frame: &'a [u8], desk: &mut Desk<'_>) -> Step<'a> {
        match self {
            Self::Crc => Step::Say(crc::wire::message(frame)),
            Self::Direct(direct) => direct.receive(frame, desk),
            Self::Classic(classic) => classic.receive(frame, desk),
        }
    }

    /// What `bytes` begin with in the same row as a frame that has just been received, and was a
    /// [`Step::Chat`].
    #[must_use]
    pub fn chats_after<'a>(&self, bytes: &'a [u8], limits: &Limits) -> Chats<'a> {
        let row = match self {
            Self::Crc => Row::None, // the node passes these on as they are
            Self::Direct(direct) => Row::Direct(direct.spoke_to()),
            Self::Classic(classic) => {
                classic.spoke_to().map_or(Row::None, |(to, from)| Row::Classic(to, from))
            }
        };
        Chats::new(row, bytes, limits.frame_bytes_max)
    }

    /// The relay did not take the registration that was asked for.
    pub fn refused(&mut self, queue: &mut SendQueue) {
        match self {
            Self::Crc => {}
            Self::Direct(direct) => direct.refused(queue),
            Self::Classic(classic) => classic.refused(queue),
        }
    }

    /// Says a message of the relay in this wire's words, if it has any for it.
    pub fn deliver(&mut self, message: &Message<'_>, shared: &Shared, queue: &mut SendQueue) {
        match self {
            Self::Crc => crc::wire::encode(message, queue.tail()),
            Self::Direct(direct) => direct.deliver(message, shared, queue),
            Self::Classic(classic) => classic.deliver(message, shared, queue),
        }
    }

    /// Says chats of one user to another as [`Session::deliver`] says each. `next` is shown the queue and
    /// answers the text of the next one, until there is none.
    pub fn deliver_chats<'a>(
        &mut self,
        source: HostId,
        destination: HostId,
        shared: &Shared,
        queue: &mut SendQueue,
        mut next: impl FnMut(&SendQueue) -> Option<&'a [u8]>,
    ) {
        match self {
            Self::Crc => {
                while let Some(text) = next(queue) {
                    crc::wire::encode(&Message::Chat { source, destination, text }, queue.tail());
                }
            }
            Self::Direct(direct) => {
                let sender = shared.numbers.of(source);
                while let Some(text) = next(queue) {
                    direct.deliver_mail(sender, text, queue);
                }
            }
            Self::Classic(classic) => {
                let sender = classic::sender_name(source, shared);
                while let Some(text) = next(queue) {
                    classic.say(sender, text, queue);
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
        shared: &Shared,
        queue: &mut SendQueue,
    ) {
        match self {
            Self::Crc => crc::deliver_mail(sender, destination, text, queue),
            Self::Direct(direct) => direct.deliver_mail(sender, text, queue),
            Self::Classic(classic) => classic.deliver_mail(sender, text, shared, queue),
        }
    }

    /// Whether its wire has words for who is there, or its client is told in another way, or not at all.
    #[must_use]
    pub fn hears_of_hosts(&self) -> bool {
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
    pub fn expire(&mut self, desk: &mut Desk<'_>) -> Step<'static> {
        match self {
            Self::Crc => Step::Nothing,
            Self::Direct(direct) => {
                direct.expire(desk.now);
                Step::Nothing
            }
            Self::Classic(classic) => classic.expire(desk),
        }
    }

    /// Whether [`Session::refresh`] has anything to do.
    #[must_use]
    pub fn is_behind(&self, shared: &Shared) -> bool {
        match self {
            Self::Crc | Self::Direct(_) => false,
            Self::Classic(classic) => classic.is_behind(shared),
        }
    }

    /// The turn is over and what sessions share has changed, or the client's queue has room again:
    /// tells it what it should know.
    pub fn refresh(&mut self, now: Time, shared: &mut Shared, queue: &mut SendQueue) {
        match self {
            Self::Crc | Self::Direct(_) => {}
            Self::Classic(classic) => classic.refresh(now, shared, queue),
        }
    }

    /// The connection is gone.
    pub fn closed(&mut self, shared: &mut Shared) {
        match self {
            Self::Crc | Self::Direct(_) => {}
            Self::Classic(classic) => classic.closed(shared),
        }
    }
}
