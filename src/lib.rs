//! crc: a chat relay. `docs/ARCHITECTURE.md` has the bird's eye view and the code map.

pub mod address;
pub mod blocks;
pub mod cli;
pub mod client;
pub mod doors;
pub mod limits;
pub mod mail;
pub mod mailbox;
pub mod net;
pub mod node;
pub mod operator;
pub mod peer;
pub mod printable;
pub mod relay;
pub mod slots;
