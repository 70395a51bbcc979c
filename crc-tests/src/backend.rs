//! What a case is run on: a network of servers and clients, simulated or real.

use std::fmt;
use std::time::Duration;

use crate::command::{Action, LaunchClient, LaunchServer};
use crate::state::NodeState;

/// Why a case cannot go on. Shown to people, one line or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(pub String);

impl Fault {
    /// A fault with these words.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

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
pub(crate) fn refusal(id: u32) -> String {
    format!("A machine has already registered with ID {id}")
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
    fn launch_server(&mut self, launch: &LaunchServer) -> Result<(), Fault>;

    /// Starts a client and returns when it was welcomed, or refused.
    ///
    /// # Errors
    /// It cannot be started, or reaches no server.
    fn launch_client(&mut self, launch: &LaunchClient) -> Result<(), Fault>;

    /// Types a command at a client; one that has left hears nothing.
    ///
    /// # Errors
    /// It cannot be typed.
    fn client_command(&mut self, username: &str, action: &Action) -> Result<(), Fault>;

    /// Lets time pass, as far as the case could tell the difference.
    ///
    /// # Errors
    /// As [`Backend::settle`].
    fn wait(&mut self, duration: Duration) -> Result<(), Fault>;

    /// Ends a server or client abruptly.
    ///
    /// # Errors
    /// Its last state cannot be read.
    fn kill(&mut self, name: &str) -> Result<(), Fault>;

    /// Returns when nothing is on its way any more, without waiting for what only time brings.
    ///
    /// # Errors
    /// Something still is on its way when the deadline has come, or a server has died by itself.
    fn settle(&mut self) -> Result<(), Fault>;

    /// The lists of a server.
    ///
    /// # Errors
    /// It has died by itself, or does not answer.
    fn server_state(&mut self, servername: &str) -> Result<NodeState, Fault>;

    /// The lists of a client.
    ///
    /// # Errors
    /// What it printed was not understood.
    fn client_state(&mut self, username: &str) -> Result<NodeState, Fault>;

    /// What led here, the newest last: frames, or the ends of the logs.
    fn trace(&mut self) -> Vec<String>;
}
