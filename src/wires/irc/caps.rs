//! The capabilities that a client may ask for.

/// The names of all capabilities, in the order of their bits.
const NAMES: [&str; 10] = [
    "away-notify",
    "batch",
    "cap-notify",
    "echo-message",
    "labeled-response",
    "message-tags",
    "multi-prefix",
    "server-time",
    "setname",
    "userhost-in-names",
];

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Caps(u16);

impl Caps {
    pub(super) const AWAY_NOTIFY: Self = Self(1);
    pub(super) const BATCH: Self = Self(1 << 1);
    pub(super) const CAP_NOTIFY: Self = Self(1 << 2);
    pub(super) const ECHO_MESSAGE: Self = Self(1 << 3);
    pub(super) const LABELED_RESPONSE: Self = Self(1 << 4);
    pub(super) const MESSAGE_TAGS: Self = Self(1 << 5);
    pub(super) const SERVER_TIME: Self = Self(1 << 7);
    pub(super) const SETNAME: Self = Self(1 << 8);
    pub(super) const USERHOST_IN_NAMES: Self = Self(1 << 9);

    /// Returns whether all of some capabilities are in the set.
    pub(super) fn has(self, caps: Self) -> bool {
        self.0 & caps.0 == caps.0
    }

    /// Adds capabilities.
    pub(super) fn insert(&mut self, caps: Self) {
        self.0 |= caps.0;
    }

    /// Returns the names of all capabilities.
    pub(super) fn all_names() -> String {
        NAMES.join(" ")
    }

    /// Returns the names of those in the set.
    pub(super) fn names(self) -> String {
        let is_in = |(bit, _): &(usize, &str)| self.0 & 1 << bit != 0;
        let names = NAMES.into_iter().enumerate().filter(is_in).map(|(_, name)| name);
        names.collect::<Vec<_>>().join(" ")
    }

    /// Returns the set with what a request adds and removes (`-name`), or `None` if one of the
    /// names is unknown: nothing changes then.
    pub(super) fn with_request(mut self, request: &str) -> Option<Self> {
        for word in request.split_ascii_whitespace() {
            let (name, is_removed) = match word.strip_prefix('-') {
                Some(name) => (name, true),
                None => (word, false),
            };
            let bit = 1 << NAMES.iter().position(|&known| known == name)?;
            self.0 = if is_removed { self.0 & !bit } else { self.0 | bit };
        }
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_change_all_or_nothing() {
        let caps = Caps::default().with_request("echo-message server-time ").expect("known");
        assert_eq!(caps.names(), "echo-message server-time");
        assert!(caps.has(Caps::ECHO_MESSAGE) && caps.has(Caps::SERVER_TIME));
        assert!(!caps.has(Caps::BATCH));
        let caps = caps.with_request("-echo-message batch").expect("known");
        assert_eq!(caps.names(), "batch server-time");
        assert_eq!(caps.with_request("-batch sasl"), None);
        let all = Caps::default().with_request(&Caps::all_names()).expect("known");
        assert_eq!(all, Caps((1 << NAMES.len()) - 1));
        let named = [Caps::AWAY_NOTIFY, Caps::CAP_NOTIFY, Caps::MESSAGE_TAGS, Caps::SETNAME];
        assert!(named.into_iter().all(|cap| all.has(cap)));
    }
}
