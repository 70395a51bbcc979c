//! A server or user as it was registered, in 80 bytes with its texts where these are short.

use super::message::{HostKind, Registration};
use crate::id::HostId;
use crate::limits::HOST_OVERHEAD_BYTES;
use crate::link::LinkId;

/// No slot: the end of a chain.
pub(super) const NO_SLOT: u32 = u32::MAX;

/// Where the way to a host begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstLink {
    /// Over this link.
    Link(LinkId),
    /// Nowhere: its link was lost and the grace of this split runs.
    Split(u32),
}

/// A server or user, as it was registered.
#[derive(Debug)]
pub struct Host {
    /// Its id.
    pub id: HostId,
    /// What it is.
    pub kind: HostKind,
    /// The way to it.
    pub first_link: FirstLink,
    /// Grows from host to host: who was here first.
    pub(super) join_seq: u64,
    name_len: u8,
    info_len: u16,
    texts: Texts,
    /// Its neighbours in the order of joining.
    pub(super) join_links: Links,
    /// Its neighbours in the chain of its link or split.
    pub(super) route_links: Links,
}

/// Name and info, one after the other. Most are short, and are read without leaving the host.
#[derive(Debug)]
enum Texts {
    Inline([u8; Texts::INLINE_BYTES_MAX]),
    Heap(Box<[u8]>),
}

impl Texts {
    /// As many as fit beside the tag where the other variant takes 32 bytes anyway.
    const INLINE_BYTES_MAX: usize = 31;

    fn new(name: &[u8], info: &[u8]) -> Self {
        let len = name.len() + info.len();
        if len > Self::INLINE_BYTES_MAX {
            return Self::Heap([name, info].concat().into_boxed_slice());
        }
        let mut bytes = [0; Self::INLINE_BYTES_MAX];
        bytes[..name.len()].copy_from_slice(name);
        bytes[name.len()..len].copy_from_slice(info);
        Self::Inline(bytes)
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Inline(bytes) => bytes,
            Self::Heap(bytes) => bytes,
        }
    }
}

/// Slots of the neighbours in a chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    pub(super) prev: u32,
    pub(super) next: u32,
}

impl Links {
    pub(super) const UNLINKED: Self = Self { prev: NO_SLOT, next: NO_SLOT };
}

// A host is as large as this says, also where it may be none.
const _: () = assert!(size_of::<Option<Host>>() == 80);

impl Host {
    /// A host that stands in no chain yet.
    pub(super) fn new(registration: &Registration<'_>, link: LinkId, join_seq: u64) -> Self {
        let Registration { kind, source: id, name, info, .. } = *registration;
        Self {
            id,
            kind,
            first_link: FirstLink::Link(link),
            join_seq,
            name_len: u8::try_from(name.len()).expect("a name of at most 255 bytes"),
            info_len: u16::try_from(info.len()).expect("an info of at most 65535 bytes"),
            texts: Texts::new(name, info),
            join_links: Links::UNLINKED,
            route_links: Links::UNLINKED,
        }
    }

    /// Its name: bytes, not always UTF-8.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.texts.as_bytes()[..usize::from(self.name_len)]
    }

    /// What it says of itself.
    #[must_use]
    pub fn info(&self) -> &[u8] {
        let begin = usize::from(self.name_len);
        &self.texts.as_bytes()[begin..begin + usize::from(self.info_len)]
    }

    /// Grows from host to host: who was here first.
    #[must_use]
    pub fn join_seq(&self) -> u64 {
        self.join_seq
    }

    /// What it counts in the table.
    pub(super) fn size_bytes(&self) -> usize {
        usize::from(self.name_len) + usize::from(self.info_len) + HOST_OVERHEAD_BYTES
    }

    /// The registration that tells of this host, with the last hop given.
    pub(super) fn registration(&self, last_hop: HostId) -> Registration<'_> {
        let (kind, source) = (self.kind, self.id);
        Registration { kind, source, last_hop, name: self.name(), info: self.info() }
    }

    /// Whether a registration tells of this very host, not of another with its id.
    pub(super) fn matches(&self, registration: &Registration<'_>) -> bool {
        self.registration(registration.last_hop) == *registration
    }
}
