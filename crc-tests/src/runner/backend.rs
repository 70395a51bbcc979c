//! What a case is run on: a network of servers and clients, simulated or real.

use std::fmt;
use std::time::Duration;

use crate::runner::command::{Action, LaunchClient, LaunchServer};
use crate::runner::state::HostState;

/// Why a case cannot go on. Shown to people, one line or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunError(pub String);

impl RunError {
    /// A fault with these words.
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

/// The two kinds of network that every case runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum BackendKind {
    /// `Node`s in memory, in virtual time.
    Simulator,
    /// The real binary, over loopback.
    Processes,
}

impl BackendKind {
    /// In the order in which a case runs on them.
    pub const ALL: [Self; 2] = [Self::Simulator, Self::Processes];

    /// As the command line and the table write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Simulator => "simulator",
            Self::Processes => "processes",
        }
    }
}

/// What a server was told by a parent that did not take it in, because its id is known there.
pub(crate) fn id_taken_text(id: u32) -> String {
    format!("A machine has already registered with ID {id}")
}

/// A user as its own server knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownUser {
    pub(crate) id: u32,
    pub(crate) name: String,
    /// Not lost in a split.
    pub(crate) is_reachable: bool,
}

impl KnownUser {
    /// Whether mail for `address` is mail for this user: its id, or a number that no id can be and
    /// that is its name.
    pub(crate) fn has_mail_address(&self, address: i64) -> bool {
        match u32::try_from(address) {
            Ok(id) => self.id == id,
            Err(_) => self.name == address.to_string(),
        }
    }
}

/// Whether the list that a classic client has of the others is the newest there can be: as many names
/// as users, and each user's among them, be it the own name or an alias, which ends with the id.
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

/// `~` and the id in base 36.
fn alias_suffix(id: u32) -> String {
    let mut digits = Vec::new();
    let mut remaining = id;
    while remaining > 0 || digits.is_empty() {
        digits.push(char::from_digit(remaining % 36, 36).expect("a digit"));
        remaining /= 36;
    }
    std::iter::once('~').chain(digits.into_iter().rev()).collect()
}

/// A network that a case is played on. Names mean what was last launched under them.
///
/// A refused registration is no fault: it is what some cases are about. Whatever has left or was
/// killed keeps the state that it had at its end.
pub trait Backend {
    /// Starts a server and returns when it listens.
    ///
    /// # Errors
    /// It cannot be started.
    fn launch_server(&mut self, launch: &LaunchServer) -> Result<(), RunError>;

    /// Starts a client and returns when it was welcomed, or refused.
    ///
    /// # Errors
    /// It cannot be started, or reaches no server.
    fn launch_client(&mut self, launch: &LaunchClient) -> Result<(), RunError>;

    /// Types a command at a client; one that has left hears nothing.
    ///
    /// # Errors
    /// It cannot be typed.
    fn client_command(&mut self, username: &str, action: &Action) -> Result<(), RunError>;

    /// Lets time pass, as far as the case could tell the difference.
    ///
    /// # Errors
    /// As [`Backend::settle`].
    fn wait(&mut self, duration: Duration) -> Result<(), RunError>;

    /// Ends a server or client abruptly.
    ///
    /// # Errors
    /// Its last state cannot be read.
    fn kill(&mut self, name: &str) -> Result<(), RunError>;

    /// Silences a client for good: it does nothing any more, and its connection stands.
    ///
    /// # Errors
    /// It cannot be stopped.
    fn freeze(&mut self, username: &str) -> Result<(), RunError>;

    /// Returns when nothing is on its way any more, without waiting for what only time brings.
    ///
    /// # Errors
    /// Something still is on its way when the deadline has come, or a server has died by itself.
    fn wait_until_quiescent(&mut self) -> Result<(), RunError>;

    /// The lists of a server.
    ///
    /// # Errors
    /// It has died by itself, or does not answer.
    fn server_state(&mut self, servername: &str) -> Result<HostState, RunError>;

    /// The lists of a client.
    ///
    /// # Errors
    /// What it printed was not understood.
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
