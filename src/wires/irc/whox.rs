//! The fields that a client asks for with WHOX.

use super::text::truncated;

/// The fields of WHOX in the order in which they are sent.
pub(super) const FIELDS: &str = "tcuihsnfdlaor";

/// Maximum length of the token of WHOX in bytes.
const TOKEN_BYTES_MAX: usize = 3;

/// The fields that a client asks for; none for those of `WHO`.
#[derive(Clone, Debug, Default)]
pub(super) struct WhoFields {
    /// Those of [`FIELDS`] that are wanted.
    pub(super) fields: Option<Box<str>>,
    /// The token that the client recognizes the replies by.
    pub(super) token: Box<str>,
}

impl WhoFields {
    /// Parses `%FIELDS,TOKEN`.
    pub(super) fn parse(text: &str) -> Self {
        let Some((_, fields)) = text.split_once('%') else { return Self::default() };
        let (fields, token) = fields.split_once(',').unwrap_or((fields, "0"));
        let fields = fields.chars().filter(|&field| FIELDS.contains(field)).collect::<String>();
        Self { fields: Some(fields.into()), token: truncated(token, TOKEN_BYTES_MAX).into() }
    }
}
