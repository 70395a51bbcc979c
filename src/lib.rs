//! crc: a chat relay. `docs/ARCHITECTURE.md` has the bird's eye view and the code map.

pub mod chunked_vec;
pub mod cli;
pub mod client;
pub mod id;
pub mod limits;
pub mod link;
pub mod mail;
pub mod names;
pub mod net;
pub mod node;
pub mod operator;
pub mod peer;
pub mod printable;
pub mod relay;
pub mod ui;
pub mod uri;
pub mod wires;
