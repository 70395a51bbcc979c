//! The interface of a network that a case runs on, simulated or real.

use std::fmt;
use std::time::Duration;

use crate::runner::command::{Action, LaunchClient, LaunchServer};
use crate::runner::state::HostState;

/// The reason why a case ends early, in one or more lines of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunError(pub String);

impl RunError {
    /// Returns an error with this text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RunError {}

/// The kinds of network that every case runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum BackendKind {
    /// `Node`s in memory, in virtual time.
    Simulator,
    /// The real binary, over loopback.
    Processes,
}

impl BackendKind {
    /// All kinds, in the order in which a case runs on them.
    pub const ALL: [Self; 2] = [Self::Simulator, Self::Processes];

    /// Returns the name on the command line and in the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Simulator => "simulator",
            Self::Processes => "processes",
        }
    }
}

/// Returns the text of the status by which a parent refuses a server whose id it knows already.
pub(crate) fn id_taken_text(id: u32) -> String {
    format!("A machine has already registered with ID {id}")
}

/// A user in the table of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownUser {
    pub(crate) id: u32,
    pub(crate) name: String,
    /// Whether it is not behind a split.
    pub(crate) is_reachable: bool,
}

impl KnownUser {
    /// Returns whether mail for `address` is for this user: `address` is its id, or is too large
    /// for an id and is its name.
    pub(crate) fn has_mail_address(&self, address: i64) -> bool {
        match u32::try_from(address) {
            Ok(id) => self.id == id,
            Err(_) => self.name == address.to_string(),
        }
    }
}

/// Returns whether a classic client's list is current: it has as many names as there are other
/// users, among them each user's name or its alias, which ends with the id.
pub(crate) fn is_user_list_current<'a>(
    users: &[KnownUser],
    own_name: &str,
    listed: impl Iterator<Item = &'a str>,
) -> bool {
    let listed: Vec<&str> = listed.collect();
    let is_listed = |user: &KnownUser| {
        let suffix = alias_suffix(user.id);
        let matches = |name: &&str| *name == user.name || name.ends_with(&suffix);
        user.name == own_name || listed.iter().any(matches)
    };
    listed.len() + 1 == users.len() && users.iter().all(is_listed)
}

/// Returns `~` and the id in base 36, the end of an alias.
fn alias_suffix(id: u32) -> String {
    let mut digits = Vec::new();
    let mut remaining = id;
    while remaining > 0 || digits.is_empty() {
        digits.push(char::from_digit(remaining % 36, 36).expect("a digit"));
        remaining /= 36;
    }
    std::iter::once('~').chain(digits.into_iter().rev()).collect()
}

/// A network that a case runs on. A name refers to the host last launched under it.
///
/// A refused registration is not an error, as some cases test it. A host that has quit or was
/// killed keeps the state of its end.
pub trait Backend {
    /// Starts a server, and returns once it listens.
    ///
    /// # Errors
    /// It cannot be started.
    fn launch_server(&mut self, launch: &LaunchServer) -> Result<(), RunError>;

    /// Starts a client, and returns once it is registered or refused.
    ///
    /// # Errors
    /// It cannot be started, or reaches no server.
    fn launch_client(&mut self, launch: &LaunchClient) -> Result<(), RunError>;

    /// Types a line at a client. A client that has quit ignores it.
    ///
    /// # Errors
    /// It cannot be typed.
    fn client_command(&mut self, username: &str, action: &Action) -> Result<(), RunError>;

    /// Lets time pass, where the case depends on it.
    ///
    /// # Errors
    /// As [`Backend::wait_until_quiescent`].
    fn wait(&mut self, duration: Duration) -> Result<(), RunError>;

    /// Ends a server or client abruptly.
    ///
    /// # Errors
    /// Its last state cannot be read.
    fn kill(&mut self, name: &str) -> Result<(), RunError>;

    /// Stops a client for good. It neither reads nor sends, and its connection stays open.
    ///
    /// # Errors
    /// It cannot be stopped.
    fn freeze(&mut self, username: &str) -> Result<(), RunError>;

    /// Returns once no frame is in flight or queued. Timers that are not yet due do not count.
    ///
    /// # Errors
    /// The network is not quiescent at the deadline, or a server has exited by itself.
    fn wait_until_quiescent(&mut self) -> Result<(), RunError>;

    /// Returns the lists of a server.
    ///
    /// # Errors
    /// It has exited by itself, or does not answer.
    fn server_state(&mut self, servername: &str) -> Result<HostState, RunError>;

    /// Returns the lists of a client.
    ///
    /// # Errors
    /// Its output cannot be parsed.
    fn client_state(&mut self, username: &str) -> Result<HostState, RunError>;

    /// Notes that the command with this number, counted from 1, is about to run. Does nothing by
    /// default.
    fn begin_command(&mut self, _number: usize) {}

    /// Returns what led here, the newest last: frames, or the ends of the logs.
    fn trace(&mut self) -> Vec<String>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classic_user_list_is_current_when_it_names_every_other_user() {
        let user = |id, name: &str| KnownUser { id, name: name.to_owned(), is_reachable: true };
        let users = [user(7, "pip"), user(102, "samwise gamgee"), user(101, "frodo")];
        for (listed, expected) in [
            (&["samwi~2u", "frodo"][..], true),
            (&["samwi~2v", "frodo"], false),
            (&["frodo"], false),
            (&["samwi~2u", "frodo", "merry"], false),
            (&["samwi~2u", "merry"], false),
        ] {
            assert_eq!(
                is_user_list_current(&users, "pip", listed.iter().copied()),
                expected,
                "{listed:?}"
            );
        }
        assert_eq!(alias_suffix(0), "~0");
        assert_eq!(alias_suffix(u32::MAX), "~1z141z3");
    }

    #[test]
    fn mail_address_matches_a_user_by_id_or_by_number_as_name() {
        let user = KnownUser { id: 7, name: "123456789012".to_owned(), is_reachable: true };
        assert!(user.has_mail_address(7) && user.has_mail_address(123_456_789_012));
        assert!(!user.has_mail_address(8));
        let user = KnownUser { name: "8".to_owned(), ..user };
        assert!(!user.has_mail_address(8), "a name that is an id is only a name");
    }
}
