//! Nicks of the IRC wire: which names are nicks, and aliases for those that are not.

use sha2::{Digest as _, Sha256};
use smallvec::SmallVec;

use crate::id::{HostId, WideId};

/// Maximum length of a nick in bytes. Longer names get an alias.
pub(crate) const NICK_BYTES_MAX: usize = 30;

/// Number of ids that belong to a nick.
pub(crate) const NICK_IDS: usize = 8;

/// Bit that no id of a nick has: ids under which rooms are shown have it.
const ROOM_ID_BIT: u32 = 1 << 31;

/// Separates the two parts of an alias.
const ALIAS_SEPARATOR: u8 = b'|';

/// A nick, or an alias. Takes no memory of its own.
pub(crate) type Nick = SmallVec<[u8; 32]>;

/// Returns whether a byte may be in a nick.
fn is_nick_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"[]\\`_^{|}-".contains(&byte)
}

/// Returns whether a name is a nick that a user may choose: 1 to [`NICK_BYTES_MAX`] letters, digits
/// and ``[]\`_^{|}-``, the first no digit and no `-`, and not of the form of an alias.
#[must_use]
pub(crate) fn is_nick(name: &[u8]) -> bool {
    let Some(&first) = name.first() else { return false };
    name.len() <= NICK_BYTES_MAX
        && !first.is_ascii_digit()
        && first != b'-'
        && name.iter().copied().all(is_nick_byte)
        && parse_nick_alias(name).is_none()
        && parse_wide_alias(name).is_none()
}

/// Returns the alias of a user whose own name is no nick or belongs to another user: the name with
/// `_` for each character that a nick cannot have, `|`, and the CRC id. The id makes the alias
/// unique, and equal on every server. A name that is the id itself is left out.
#[must_use]
pub(crate) fn make_nick_alias(name: &[u8], id: HostId) -> Nick {
    let digits = id.digits();
    let mut alias = Nick::new();
    if name != &*digits {
        let bytes_max = NICK_BYTES_MAX - 1 - digits.len();
        for chunk in name.utf8_chunks() {
            let invalid = chunk.invalid().iter().map(|_| '\u{fffd}');
            for c in chunk.valid().chars().chain(invalid) {
                let byte = u8::try_from(c).ok().filter(|&byte| is_nick_byte(byte));
                let byte = byte.filter(|&byte| byte != ALIAS_SEPARATOR).unwrap_or(b'_');
                if alias.is_empty() && (byte.is_ascii_digit() || byte == b'-') {
                    alias.push(b'_');
                }
                alias.push(byte);
            }
            if alias.len() > bytes_max {
                break;
            }
        }
        alias.truncate(bytes_max);
    }
    alias.push(ALIAS_SEPARATOR);
    alias.extend_from_slice(&digits);
    alias
}

/// Returns the id in a nick of the form of an alias.
#[must_use]
pub(crate) fn parse_nick_alias(nick: &[u8]) -> Option<HostId> {
    let at = nick.iter().rposition(|&byte| byte == ALIAS_SEPARATOR)?;
    let digits = &nick[at + 1..];
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let id = std::str::from_utf8(digits).ok().filter(|_| is_number)?;
    id.parse().ok().map(HostId)
}

/// Returns the id in a nick of the form of an alias, which may be one of 64 bits.
#[must_use]
pub(crate) fn parse_wide_alias(nick: &[u8]) -> Option<WideId> {
    let at = nick.iter().rposition(|&byte| byte == ALIAS_SEPARATOR)?;
    let digits = std::str::from_utf8(&nick[at + 1..]).ok()?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().map(WideId).filter(|id| is_number && id.0 > 0)
}

/// Returns the ids that belong to a nick, in the order in which they are tried: the parts of four
/// bytes of the SHA-256 of the nick in lower case, without the top bit. Who comes back under its
/// nick finds the mail for it, since it has the same id.
#[must_use]
pub(crate) fn nick_ids(nick: &[u8]) -> [HostId; NICK_IDS] {
    let hash: [u8; 32] = Sha256::digest(&*fold_nick(nick)).into();
    let (parts, _) = hash.as_chunks::<4>();
    let id = |at: usize| (u32::from_be_bytes(parts[at]) & !ROOM_ID_BIT).max(1);
    std::array::from_fn(|at| HostId(id(at)))
}

/// Returns a nick with ASCII letters in lower case: the same for all forms of one nick.
#[must_use]
pub(crate) fn fold_nick(nick: &[u8]) -> Nick {
    nick.iter().map(u8::to_ascii_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nicks_have_the_characters_of_irc() {
        let longest = "x".repeat(NICK_BYTES_MAX);
        for good in ["b", "Bob", "bob|away", "[a]\\`_^{}-1", "|", "bob|", &longest] {
            assert!(is_nick(good.as_bytes()), "{good}");
        }
        let too_long = "x".repeat(NICK_BYTES_MAX + 1);
        let bad = [
            "",
            "1bob",
            "-bob",
            "a b",
            "jürgen",
            "a.b",
            "a!b",
            "#a",
            "bob|7",
            "bob|0",
            "|5000000000",
            &too_long,
        ];
        for bad in bad {
            assert!(!is_nick(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn aliases_end_with_the_id_and_begin_with_what_a_nick_can_have_of_the_name() {
        let check = |name: &[u8], id: u32, expected: &str| {
            let alias = make_nick_alias(name, HostId(id));
            assert_eq!(alias.as_slice(), expected.as_bytes(), "{name:?}");
            assert!(alias.len() <= NICK_BYTES_MAX);
            assert_eq!(parse_nick_alias(&alias), Some(HostId(id)));
            assert!(!is_nick(&alias), "an alias is nobody's own nick");
        };
        check(b"bob", 7, "bob|7");
        check("Jürgen Müller".as_bytes(), 102, "J_rgen_M_ller|102");
        check(b"102", 102, "|102");
        check(b"103", 102, "_103|102");
        check(b"-x", 1, "_-x|1");
        check(b"", 102, "|102");
        check(b"bob|9", 102, "bob_9|102");
        check(b"\xff\xfe", 1, "__|1");
        check(&[b'x'; 255], u32::MAX - 1, "xxxxxxxxxxxxxxxxxxx|4294967294");
        check(&[b'x'; 31], 7, "xxxxxxxxxxxxxxxxxxxxxxxxxxxx|7");
    }

    #[test]
    fn nicks_have_the_same_ids_in_any_case() {
        let ids = nick_ids(b"Frodo");
        assert_eq!(ids, nick_ids(b"fRODO"));
        assert_ne!(ids[0], nick_ids(b"sam")[0]);
        assert_eq!(ids[0], HostId(0x7f66_68c9));
        assert!(ids.iter().all(|id| id.is_registrable() && id.0 & ROOM_ID_BIT == 0));
    }

    #[test]
    fn aliases_may_have_ids_of_64_bits() {
        let check = |nick: &str, expected: Option<i64>| {
            assert_eq!(parse_wide_alias(nick.as_bytes()), expected.map(WideId), "{nick}");
        };
        check("|77252666718255105", Some(77_252_666_718_255_105));
        check("frodo|102", Some(102));
        check("|9223372036854775808", None);
        check("|0", None);
        check("|+1", None);
        check("102", None);
    }

    #[test]
    fn only_digits_behind_the_last_separator_are_an_id() {
        for (nick, expected) in [
            ("a|b|7", Some(7)),
            ("|0", Some(0)),
            ("a|", None),
            ("a|7b", None),
            ("a7", None),
            ("a|+7", None),
            ("a|4294967296", None),
        ] {
            assert_eq!(parse_nick_alias(nick.as_bytes()), expected.map(HostId), "{nick}");
        }
    }
}
