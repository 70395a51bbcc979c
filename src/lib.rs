//! crc: a chat relay. `docs/ARCHITECTURE.md` has the bird's eye view and the code map.

pub mod doors;
pub mod limits;
pub mod node;
pub mod printable;
pub mod relay;
