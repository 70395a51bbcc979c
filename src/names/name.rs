//! Classic names: their bytes, which names users may have, and aliases.

use std::fmt;

use crate::id::HostId;

/// Size of a name in bytes. Shorter names are padded with spaces.
pub const NAME_BYTES: usize = 8;

/// Separates the two parts of an alias. Own names cannot contain it.
const ALIAS_SEPARATOR: u8 = b'~';

/// A classic name: a user, the server or everyone, in eight bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name([u8; NAME_BYTES]);

impl Name {
    /// The server.
    pub const SERVER: Self = Self(*b"-SERVER-");
    /// Everyone except the sender.
    pub const ALL: Self = Self(*b"ALL     ");

    /// Returns the name that fills these eight bytes.
    #[must_use]
    pub const fn from_padded(bytes: [u8; NAME_BYTES]) -> Self {
        Self(bytes)
    }

    /// Returns the eight bytes of the name, its padding included.
    #[must_use]
    pub const fn padded(&self) -> &[u8; NAME_BYTES] {
        &self.0
    }

    /// Returns the name with these bytes, padded with spaces, or `None` if there are more than
    /// eight.
    #[must_use]
    pub fn new(name: &[u8]) -> Option<Self> {
        let mut padded = [b' '; NAME_BYTES];
        padded.get_mut(..name.len())?.copy_from_slice(name);
        Some(Self(padded))
    }

    /// Returns the name without its padding.
    #[must_use]
    pub fn unpadded(&self) -> &[u8] {
        let end = self.0.iter().rposition(|&byte| byte != b' ').map_or(0, |at| at + 1);
        &self.0[..end]
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.unpadded()))
    }
}

/// Parses a user's own name: 1 to 8 bytes, no spaces, control characters or `~`.
pub(crate) fn parse_user_name(name: &[u8]) -> Option<Name> {
    let is_allowed = |&byte: &u8| !matches!(byte, 0..=b' ' | 0x7f | ALIAS_SEPARATOR);
    if name.is_empty() || !name.iter().all(is_allowed) {
        return None;
    }
    Name::new(name)
}

/// Returns whether a name stands for the server or everyone.
pub(crate) fn is_reserved(name: Name) -> bool {
    name == Name::SERVER || name == Name::ALL
}

/// Returns the alias of a user whose own name cannot be used: the beginning of the name, `~`, and
/// the CRC id in base 36. The id makes the alias unique, and equal on every server.
pub(crate) fn make_alias(name: &[u8], id: HostId) -> Name {
    let mut id_digits = Vec::with_capacity(NAME_BYTES);
    let mut rest = id.0;
    loop {
        id_digits.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[rest as usize % 36]);
        rest /= 36;
        if rest == 0 {
            break;
        }
    }
    let prefix_len_max = NAME_BYTES - 1 - id_digits.len();
    let prefix =
        name.iter().copied().filter(|&byte| byte.is_ascii_graphic() && byte != ALIAS_SEPARATOR);
    let alias: Vec<u8> = prefix
        .take(prefix_len_max)
        .chain([ALIAS_SEPARATOR])
        .chain(id_digits.into_iter().rev())
        .collect();
    Name::new(&alias).expect("an id has at most seven digits in base 36")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_padded_and_bounded() {
        for name in ["bob", "", "12345678"] {
            let padded = Name::new(name.as_bytes()).expect("eight bytes at most");
            assert_eq!(padded.unpadded(), name.as_bytes());
            assert_eq!(Name::from_padded(*padded.padded()), padded);
        }
        assert_eq!(Name::new(b"123456789"), None);
    }

    #[test]
    fn user_name_is_1_to_8_printable_bytes_without_tilde() {
        for good in ["b", "bob", "12345678", "jürgen", "-x-", "all", "A.L"] {
            assert_eq!(parse_user_name(good.as_bytes()), Name::new(good.as_bytes()), "{good}");
        }
        for bad in ["", "123456789", "a b", " b", "b ", "b~", "\tb", "b\n", "b\x7f", "\0"] {
            assert_eq!(parse_user_name(bad.as_bytes()), None, "{bad:?}");
        }
        for (name, expected) in [("ALL", true), ("-SERVER-", true), ("all", false), ("ALLE", false)]
        {
            assert_eq!(
                is_reserved(parse_user_name(name.as_bytes()).expect("usable")),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn aliases_hold_as_much_of_the_name_as_fits() {
        let check = |name: &str, id: u32, expected: &str| {
            let alias = make_alias(name.as_bytes(), HostId(id));
            assert_eq!(alias.unpadded(), expected.as_bytes(), "{name} {id}");
            assert_eq!(parse_user_name(alias.unpadded()), None, "an alias is no own name");
        };
        check("samwise-gamgee", 102, "samwi~2u");
        check("sam", 102, "sam~2u");
        check("samwise-gamgee", 0, "samwis~0");
        check("samwise-gamgee", 35, "samwis~z");
        check("samwise-gamgee", 36, "samwi~10");
        check("samwise-gamgee", u32::MAX, "~1z141z3");
        check("", 102, "~2u");
        check("a b~c\nd", 1, "abcd~1");
        check("Jürgen Müller", 102, "Jrgen~2u");
        check("世界", 102, "~2u");
    }
}
