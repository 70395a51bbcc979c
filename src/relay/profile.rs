//! [`Profile`]: what a user says of itself beside its registration. See "Profiles" in
//! `docs/PROTOCOL.md`.

use std::borrow::Cow;

use crate::limits::PROFILE_TEXT_BYTES_MAX;

/// Bit of the flags of an encoded profile: the user is a program.
const IS_PROGRAM: u8 = 2;

/// What a user says of itself. The default says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Profile<'a> {
    /// Whether the user is a program.
    pub is_program: bool,
    /// Text for others while the user is away, at most [`PROFILE_TEXT_BYTES_MAX`] bytes; empty if
    /// it is not.
    pub away: &'a [u8],
    /// The real name that the user has given since its registration, at most
    /// [`PROFILE_TEXT_BYTES_MAX`] bytes; empty if none.
    pub real_name: &'a [u8],
}

impl<'a> Profile<'a> {
    /// Returns the profile with a change. Longer texts are cut.
    #[must_use]
    pub fn with_change(self, change: &'a ProfileChange<'_>) -> Self {
        match change {
            ProfileChange::Program(is_program) => Self { is_program: *is_program, ..self },
            ProfileChange::Away(text) => Self { away: cut(text), ..self },
            ProfileChange::RealName(text) => Self { real_name: cut(text), ..self },
        }
    }

    /// Returns the changes that lead to this profile from one that says nothing.
    pub fn changes(self) -> impl Iterator<Item = ProfileChange<'static>> {
        let owned = |text: &[u8]| (!text.is_empty()).then(|| Cow::Owned(text.to_vec()));
        let is_program = self.is_program.then_some(ProfileChange::Program(true));
        let away = owned(self.away).map(ProfileChange::Away);
        let real_name = owned(self.real_name).map(ProfileChange::RealName);
        [is_program, away, real_name].into_iter().flatten()
    }

    /// Returns the flags of the encoded profile.
    pub(in crate::relay) fn flags(self) -> u8 {
        if self.is_program { IS_PROGRAM } else { 0 }
    }

    /// Returns a profile with these flags and texts.
    pub(in crate::relay) fn new(flags: u8, away: &'a [u8], real_name: &'a [u8]) -> Self {
        Self { is_program: flags & IS_PROGRAM != 0, away, real_name }
    }

    /// Returns a profile of its own.
    pub(in crate::relay) fn to_buf(self) -> ProfileBuf {
        let away_len = u8::try_from(self.away.len()).expect("a text of at most 255 bytes");
        let texts = [self.away, self.real_name].concat().into();
        ProfileBuf { is_program: self.is_program, away_len, texts }
    }
}

fn cut(text: &[u8]) -> &[u8] {
    &text[..text.len().min(PROFILE_TEXT_BYTES_MAX)]
}

/// What a user changes of its [`Profile`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProfileChange<'a> {
    /// Whether it is a program.
    Program(bool),
    /// The text for others while it is away; empty if it is back.
    Away(Cow<'a, [u8]>),
    /// Its real name.
    RealName(Cow<'a, [u8]>),
}

/// A [`Profile`] that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::relay) struct ProfileBuf {
    is_program: bool,
    away_len: u8,
    texts: Box<[u8]>,
}

impl ProfileBuf {
    /// Returns the profile.
    pub(in crate::relay) fn as_profile(&self) -> Profile<'_> {
        let (away, real_name) = self.texts.split_at(usize::from(self.away_len));
        Profile { is_program: self.is_program, away, real_name }
    }

    /// Returns the size as counted against the limit of the table of hosts, in bytes.
    pub(in crate::relay) fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.texts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_profile_is_the_same() {
        let texts: [&[u8]; 3] = [b"", b"lunch", &[b'x'; PROFILE_TEXT_BYTES_MAX]];
        for (is_program, away) in [(false, texts[0]), (true, texts[1]), (false, texts[2])] {
            for real_name in texts {
                let profile = Profile { is_program, away, real_name };
                assert_eq!(profile.to_buf().as_profile(), profile);
            }
        }
    }

    #[test]
    fn changes_lead_to_the_profile() {
        let long = [b'x'; PROFILE_TEXT_BYTES_MAX + 1];
        let is_too_long = ProfileChange::Away(long.as_slice().into());
        let cut = Profile::default().with_change(&is_too_long);
        assert_eq!(cut.away.len(), PROFILE_TEXT_BYTES_MAX);
        let changes: Vec<_> =
            Profile { is_program: true, real_name: b"Sam", ..cut }.changes().collect();
        assert_eq!(changes.len(), 3);
        let again = changes.iter().fold(Profile::default(), Profile::with_change);
        assert_eq!(again, Profile { is_program: true, real_name: b"Sam", ..cut });
        assert_eq!(Profile::default().changes().count(), 0);
    }
}
