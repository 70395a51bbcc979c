//! What a network is to be: its weather and its servers.

use std::time::Duration;

use crc::limits::Limits;

/// How the links treat what passes.
#[derive(Clone, Copy, Debug)]
pub struct NetConditions {
    /// Each piece arrives after a random time up to this; in order all the same.
    pub delay_max: Duration,
    /// What is sent arrives in random pieces.
    pub splits_writes: bool,
}

impl Default for NetConditions {
    fn default() -> Self {
        Self { delay_max: Duration::from_millis(2), splits_writes: false }
    }
}

/// A server to be started.
#[derive(Clone, Debug)]
pub struct ServerSpec {
    /// Its own label in the simulator, by which others name it as their parent.
    pub label: String,
    /// Its id.
    pub id: u32,
    /// Whether the id was chosen, as with `--id`.
    pub id_is_chosen: bool,
    /// Name on the wire.
    pub name: Vec<u8>,
    /// Info on the wire.
    pub info: Vec<u8>,
    /// Labels of its parents, in order.
    pub parents: Vec<String>,
    /// Its bounds.
    pub limits: Limits,
}

impl ServerSpec {
    /// A server with a chosen id, named by it, and the default bounds.
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
