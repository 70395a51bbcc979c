//! [`RoomNames`]: the names of rooms at the end of a frame.

use crate::room::RoomName;

/// Names of rooms, each behind its length (`u8`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoomNames<'a>(&'a [u8]);

impl<'a> RoomNames<'a> {
    /// Checks encoded names. Returns `None` if one of them is cut or is not the name of a room.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        while !rest.is_empty() {
            (_, rest) = split_name(rest)?;
        }
        Some(Self(bytes))
    }

    /// Appends the encoded form of a name to `out`.
    pub fn push(name: RoomName<'_>, out: &mut Vec<u8>) {
        let name = name.as_bytes();
        out.push(u8::try_from(name.len()).expect("a name of at most 64 bytes"));
        out.extend_from_slice(name);
    }

    /// Returns the encoded names.
    #[must_use]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Iterates over the names.
    pub fn iter(self) -> impl Iterator<Item = RoomName<'a>> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (name, after) = split_name(rest)?;
            rest = after;
            Some(name)
        })
    }
}

/// Splits the first name from others or from a text. Returns `None` if it is cut or is not the name
/// of a room.
pub(super) fn split_name(bytes: &[u8]) -> Option<(RoomName<'_>, &[u8])> {
    let (&len, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(len))?;
    Some((RoomName::parse(name).ok()?, rest))
}
