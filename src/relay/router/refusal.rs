//! [`RoomRefusal`]: why a request about a room is refused.

use std::fmt;

use crate::limits::{ROOM_BURST_MAX, ROOMS_PER_USER_MAX};
use crate::room::RoomNameError;

/// The reason for which a request about a room is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomRefusal {
    /// The text is not the name of a room.
    Name(RoomNameError),
    /// The user is not in the room.
    NotMember,
    /// The user is in [`ROOMS_PER_USER_MAX`] rooms.
    UserFull,
    /// The network has [`ROOM_MEMBERSHIPS_MAX`](crate::limits::ROOM_MEMBERSHIPS_MAX) memberships.
    NetworkFull,
    /// The message has more bytes than this, and does not fit into the frames of the network.
    TooLong {
        /// Maximum length of a text.
        text_bytes_max: usize,
    },
    /// The user has sent [`ROOM_BURST_MAX`] messages to the room at once, and more than this number
    /// in each second since.
    TooMuch {
        /// Maximum number of messages in a second.
        rate: u32,
    },
}

impl fmt::Display for RoomRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::NotMember => f.write_str("you are not in this room; join it first"),
            Self::UserFull => {
                write!(f, "you are in {ROOMS_PER_USER_MAX} rooms, the most there may be; leave one")
            }
            Self::TooLong { text_bytes_max } => {
                write!(f, "the message is too long; it may have {text_bytes_max} bytes at most")
            }
            Self::TooMuch { rate } => write!(
                f,
                "you send too much to this room: after {ROOM_BURST_MAX} messages at once, at most \
                 {rate} a second; wait a second, and send more slowly"
            ),
            Self::NetworkFull => f.write_str("the rooms of this network are full; try again later"),
        }
    }
}

impl From<RoomNameError> for RoomRefusal {
    fn from(error: RoomNameError) -> Self {
        Self::Name(error)
    }
}
