//! The error of the load generator.

use std::fmt;

/// The reason why a load ends early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LoadError {
    /// The user interrupted the load.
    Interrupted,
    /// Something failed; the reason is one line.
    Failed(String),
}

impl LoadError {
    /// Returns a failure with this reason.
    pub(super) fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => f.write_str("interrupted: the figures are of the time until then"),
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}
