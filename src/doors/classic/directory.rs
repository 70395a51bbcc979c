//! Who is online, in names of eight bytes.

use crate::relay::Host;

/// The names.
#[derive(Debug, Default)]
pub struct Directory {}

impl Directory {
    pub(in crate::doors) fn came(&mut self, _host: &Host) {}

    pub(in crate::doors) fn left(&mut self, _host: &Host) {}

    /// Whether classic clients are to be told of a change: call `refresh` of each.
    pub fn take_news(&mut self) -> bool {
        false
    }
}
