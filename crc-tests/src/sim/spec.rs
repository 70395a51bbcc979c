//! The parameters of a network and of its servers.

use std::time::Duration;

use crc::limits::Limits;

use crate::plain::Habits;

/// The conditions of all links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetConditions {
    /// Maximum delay of each piece. Pieces arrive in order.
    pub delay_max: Duration,
    /// Whether each write arrives in random pieces of at most 40 bytes.
    pub splits_writes: bool,
}

impl Default for NetConditions {
    fn default() -> Self {
        Self { delay_max: Duration::from_millis(2), splits_writes: false }
    }
}

/// The conditions of all links towards plain servers, beside their delay.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainConditions {
    /// Whether each write to a plain server arrives in random pieces of at most 40 bytes.
    pub splits_writes: bool,
    /// Whether a plain server reads late, so that one read has the bytes of several writes.
    pub coalesces_writes: bool,
}

/// The parameters of a plain server.
#[derive(Clone, Debug)]
pub struct PlainSpec {
    /// Its address in the simulator, by which other servers dial it.
    pub label: String,
    /// Its id.
    pub id: u32,
    /// Its name on the wire.
    pub name: String,
    /// The label of its parent, which it dials once.
    pub parent: Option<String>,
    /// Its habits.
    pub habits: Habits,
}

impl PlainSpec {
    /// Returns a server named and labelled as [`ServerSpec::new`] does.
    #[must_use]
    pub fn new(id: u32, parent: Option<u32>, habits: Habits) -> Self {
        let label_of = |id| format!("s{id}");
        Self { label: label_of(id), id, name: label_of(id), parent: parent.map(label_of), habits }
    }
}

/// The parameters of a server.
#[derive(Clone, Debug)]
pub struct ServerSpec {
    /// Its address in the simulator, by which other servers dial it.
    pub label: String,
    /// Its id.
    pub id: u32,
    /// Whether the id is configured, as with `--id`.
    pub id_is_chosen: bool,
    /// Its name on the wire.
    pub name: Vec<u8>,
    /// Its info on the wire.
    pub info: Vec<u8>,
    /// The labels of its parents, in order.
    pub parents: Vec<String>,
    /// Its bounds.
    pub limits: Limits,
}

impl ServerSpec {
    /// Returns a server with a configured id, named `s` and its id, with default limits.
    #[must_use]
    pub fn new(id: u32, parent: Option<u32>) -> Self {
        Self {
            label: format!("s{id}"),
            id,
            id_is_chosen: true,
            name: format!("s{id}").into_bytes(),
            info: b"simulated".to_vec(),
            parents: parent.iter().map(|id| format!("s{id}")).collect(),
            limits: Limits::default(),
        }
    }
}
