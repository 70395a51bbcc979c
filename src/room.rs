//! [`RoomName`]: the name of a room, a place where a group talks.
//!
//! See "Rooms" in `docs/PROTOCOL.md`.

use std::fmt;
use std::ops::Deref;

use sha2::{Digest as _, Sha256};
use smallvec::SmallVec;

use crate::id::HostId;
use crate::printable::Printable;

/// Maximum length of a name, with its `#`, in bytes.
pub const ROOM_NAME_BYTES_MAX: usize = 64;

/// Bit of each id under which a room is shown.
const SHOWN_ID_BIT: u32 = 1 << 31;

/// The name of a room: `#` and 1 to 63 bytes without space, comma, NUL or control characters.
///
/// Names that differ only in the case of ASCII letters are of the same room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomName<'a>(&'a [u8]);

/// The name of a room in lower case, by which rooms are told apart. Takes no memory of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomKey(SmallVec<[u8; ROOM_NAME_BYTES_MAX]>);

impl Deref for RoomKey {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<RoomKey> for Box<[u8]> {
    fn from(key: RoomKey) -> Self {
        (*key).into()
    }
}

/// The reason why bytes are not the name of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomNameError {
    /// The first byte is not `#`.
    NoSign,
    /// Nothing follows the `#`.
    Empty,
    /// There are more than [`ROOM_NAME_BYTES_MAX`] bytes.
    TooLong,
    /// This byte must not be in a name.
    Byte(u8),
}

impl fmt::Display for RoomNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSign => f.write_str("the name of a room begins with #"),
            Self::Empty => {
                f.write_str("the name of a room has at least one character behind the #")
            }
            Self::TooLong => {
                write!(f, "the name of a room has at most {ROOM_NAME_BYTES_MAX} bytes")
            }
            Self::Byte(b' ') => f.write_str("the name of a room has no spaces"),
            Self::Byte(b',') => f.write_str("the name of a room has no commas"),
            Self::Byte(byte) => {
                write!(f, "the name of a room has no control characters such as 0x{byte:02x}")
            }
        }
    }
}

impl std::error::Error for RoomNameError {}

impl<'a> RoomName<'a> {
    /// Checks a name.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RoomNameError> {
        let Some((b'#', rest)) = bytes.split_first() else { return Err(RoomNameError::NoSign) };
        if rest.is_empty() {
            return Err(RoomNameError::Empty);
        }
        if bytes.len() > ROOM_NAME_BYTES_MAX {
            return Err(RoomNameError::TooLong);
        }
        let is_invalid = |&byte: &u8| byte <= b' ' || byte == b',' || byte == 0x7f;
        match rest.iter().copied().find(is_invalid) {
            Some(byte) => Err(RoomNameError::Byte(byte)),
            None => Ok(Self(bytes)),
        }
    }

    /// Returns the bytes of the name.
    #[must_use]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Returns the name with ASCII letters in lower case: the same for all names of one room.
    #[must_use]
    pub fn key(self) -> RoomKey {
        RoomKey(self.0.iter().map(u8::to_ascii_lowercase).collect())
    }

    /// Returns the ids under which the room is shown as a user, in the order in which they are
    /// tried: the parts of four bytes of the SHA-256 of the [key](Self::key), with the top bit set.
    pub fn shown_ids(self) -> impl Iterator<Item = HostId> {
        let hash: [u8; 32] = Sha256::digest(&*self.key()).into();
        let (parts, _) = hash.as_chunks::<4>();
        let ids = parts.iter().map(|&part| HostId(u32::from_be_bytes(part) | SHOWN_ID_BIT));
        ids.filter(|id| id.is_registrable()).collect::<Vec<_>>().into_iter()
    }
}

impl fmt::Display for RoomName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable(self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_sign_and_no_separators() {
        let check = |name: &[u8], expected: Result<(), RoomNameError>| {
            assert_eq!(RoomName::parse(name).map(|_| ()), expected, "{name:?}");
        };
        check(b"#lab", Ok(()));
        check("#küche".as_bytes(), Ok(()));
        check(b"#\xff", Ok(()));
        check(&[b"#", &[b'x'; 63][..]].concat(), Ok(()));
        check(&[b"#", &[b'x'; 64][..]].concat(), Err(RoomNameError::TooLong));
        check(b"lab", Err(RoomNameError::NoSign));
        check(b"", Err(RoomNameError::NoSign));
        check(b"#", Err(RoomNameError::Empty));
        for byte in [b' ', b',', 0, b'\n', 0x1b, 0x7f] {
            check(&[b'#', b'a', byte], Err(RoomNameError::Byte(byte)));
        }
    }

    #[test]
    fn names_of_one_room_differ_in_ascii_case_only() {
        let key = |name: &str| RoomName::parse(name.as_bytes()).expect("a name").key();
        assert_eq!(key("#Lab"), key("#lAB"));
        assert_ne!(key("#Ä"), key("#ä"));
    }

    #[test]
    fn shown_ids_are_the_parts_of_the_hash_with_the_top_bit() {
        let ids = |name: &str| {
            let name = RoomName::parse(name.as_bytes()).expect("a name");
            name.shown_ids().map(|id| format!("{:08x}", id.0)).collect::<Vec<_>>()
        };
        // The hash is what `printf '#lab' | sha256sum` prints.
        let expected = [
            "e64b7641", "d880beb7", "f4f39af6", "b8910303", "a631182a", "ab9f3f7e", "d6daec57",
            "8e47bc4e",
        ];
        assert_eq!(ids("#LAB"), expected);
    }
}
