//! [`Slab`]: the slab of the crate of that name, with its entries in any debug output.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// A slab whose debug output has its entries on one line too, so that the output of two values is
/// the same only if they are.
#[derive(Clone)]
pub(crate) struct Slab<T>(slab::Slab<T>);

impl<T> Slab<T> {
    /// Creates an empty slab.
    pub(crate) fn new() -> Self {
        Self(slab::Slab::new())
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Deref for Slab<T> {
    type Target = slab::Slab<T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> DerefMut for Slab<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Slab<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_has_the_entries() {
        let mut slab = Slab::new();
        let first = slab.insert('a');
        slab.insert('b');
        slab.remove(first);
        assert_eq!(format!("{slab:?}"), "{1: 'b'}");
    }
}
