//! Which name or number refers to which user, under the rules of each wire.
//!
//! [`WideIds`] maps the 64-bit ids of the direct wire to users. [`Directory`] maps the eight-byte
//! [`Name`]s of the classic wire to users; users whose own name does not fit get an alias.

mod directory;
mod name;
mod name_table;
mod sorted_slots;
mod wide_ids;

pub use self::directory::Directory;
pub use self::name::{NAME_BYTES, Name};
pub(crate) use self::name::{is_reserved, make_alias, parse_user_name};
pub use self::wide_ids::WideIds;
