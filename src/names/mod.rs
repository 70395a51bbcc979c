//! Which name or number means which user.

mod wide_ids;

pub use self::wide_ids::WideIds;
