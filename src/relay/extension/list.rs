//! [`List`]: the entries at the end of a frame.

use std::fmt;

use byteorder::{BigEndian, ByteOrder as _};

use crate::id::HostId;

/// A server on the path of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The server.
    pub server: HostId,
    /// Time from the origin's sending to the arrival at this server, in microseconds.
    pub elapsed_micros: u32,
}

/// What a link between two servers carries, as one of them has counted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLoad {
    /// The server at the other end.
    pub neighbour: HostId,
    /// The last round-trip time in microseconds; 0 if it was not measured.
    pub round_trip_micros: u32,
    /// Unsent bytes.
    pub queue_bytes: u32,
    /// Frames in both directions since the link is there.
    pub frames: u64,
    /// Bytes in both directions since then.
    pub bytes: u64,
}

/// A value that a [`List`] holds.
pub trait Entry: Copy {
    /// Size of the value in a frame, in bytes.
    const BYTES: usize;

    /// Parses a value.
    ///
    /// # Panics
    /// Panics if there are fewer than [`Entry::BYTES`] bytes.
    fn parse(bytes: &[u8]) -> Self;

    /// Appends the value to `out`.
    fn encode(self, out: &mut Vec<u8>);
}

impl Entry for HostId {
    const BYTES: usize = 4;

    fn parse(bytes: &[u8]) -> Self {
        Self(BigEndian::read_u32(bytes))
    }

    fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_be_bytes());
    }
}

impl Entry for u64 {
    const BYTES: usize = 8;

    fn parse(bytes: &[u8]) -> Self {
        BigEndian::read_u64(bytes)
    }

    fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }
}

impl Entry for Hop {
    const BYTES: usize = 8;

    fn parse(bytes: &[u8]) -> Self {
        let (server, elapsed) = bytes.split_at(4);
        Self { server: HostId::parse(server), elapsed_micros: BigEndian::read_u32(elapsed) }
    }

    fn encode(self, out: &mut Vec<u8>) {
        self.server.encode(out);
        out.extend_from_slice(&self.elapsed_micros.to_be_bytes());
    }
}

impl Entry for LinkLoad {
    const BYTES: usize = 28;

    fn parse(bytes: &[u8]) -> Self {
        Self {
            neighbour: HostId::parse(bytes),
            round_trip_micros: BigEndian::read_u32(&bytes[4..]),
            queue_bytes: BigEndian::read_u32(&bytes[8..]),
            frames: BigEndian::read_u64(&bytes[12..]),
            bytes: BigEndian::read_u64(&bytes[20..]),
        }
    }

    fn encode(self, out: &mut Vec<u8>) {
        self.neighbour.encode(out);
        out.extend_from_slice(&self.round_trip_micros.to_be_bytes());
        out.extend_from_slice(&self.queue_bytes.to_be_bytes());
        self.frames.encode(out);
        self.bytes.encode(out);
    }
}

/// The entries at the end of a frame. The list borrows the frame if it was parsed, and a slice
/// if it is to be encoded.
#[derive(Clone, Copy)]
pub struct List<'a, T>(Source<'a, T>);

#[derive(Clone, Copy)]
enum Source<'a, T> {
    /// Whole encoded entries.
    Encoded(&'a [u8]),
    Values(&'a [T]),
}

impl<'a, T: Entry> List<'a, T> {
    /// Returns the list that `bytes` encode, or `None` if the last entry is cut.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.len().is_multiple_of(T::BYTES).then_some(Self(Source::Encoded(bytes)))
    }

    pub(super) fn encode(self, out: &mut Vec<u8>) {
        match self.0 {
            Source::Encoded(bytes) => out.extend_from_slice(bytes),
            Source::Values(values) => values.iter().for_each(|value| value.encode(out)),
        }
    }

    /// Returns the number of entries.
    #[must_use]
    pub fn len(self) -> usize {
        match self.0 {
            Source::Encoded(bytes) => bytes.len() / T::BYTES,
            Source::Values(values) => values.len(),
        }
    }

    /// Returns whether there are no entries.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Returns the entries in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = T> + Clone + use<'a, T> {
        (0..self.len()).map(move |index| match self.0 {
            Source::Encoded(bytes) => T::parse(&bytes[index * T::BYTES..]),
            Source::Values(values) => values[index],
        })
    }
}

impl<'a, T> From<&'a [T]> for List<'a, T> {
    fn from(values: &'a [T]) -> Self {
        Self(Source::Values(values))
    }
}

impl<T: Entry + PartialEq> PartialEq for List<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<T: Entry + Eq> Eq for List<'_, T> {}

impl<T: Entry + fmt::Debug> fmt::Debug for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsed_list_equals_the_encoded_one() {
        let hops = [(1, 0), (2, 250), (u32::MAX, u32::MAX)];
        let hops = hops.map(|(id, elapsed_micros)| Hop { server: HostId(id), elapsed_micros });
        let list = List::from(&hops[..]);
        let mut bytes = Vec::new();
        list.encode(&mut bytes);
        let parsed = List::<Hop>::parse(&bytes).expect("whole entries");
        assert_eq!((parsed, parsed.len(), parsed.is_empty()), (list, 3, false));
        assert_eq!(parsed.iter().collect::<Vec<_>>(), hops);
        assert_ne!(parsed, List::from(&hops[..2]));
        let mut again = Vec::new();
        parsed.encode(&mut again);
        assert_eq!(again, bytes);
        assert_eq!(List::<Hop>::parse(&bytes[..17]), None, "the last entry is cut");
    }

    #[test]
    fn list_without_entries_is_empty() {
        let parsed = List::<u64>::parse(&[]).expect("no entries");
        assert!(parsed.is_empty() && parsed.iter().next().is_none());
        assert_eq!(parsed, List::from(&[][..]));
    }
}
