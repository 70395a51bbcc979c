//! [`Host`]: a registered server or user, in 80 bytes including short texts.

use crate::id::HostId;
use crate::limits::HOST_OVERHEAD_BYTES;
use crate::link::LinkId;
use crate::relay::message::{HostKind, Registration};

/// The position of a host in the table. Reused after the host has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) struct Slot(pub(super) u32);

impl Slot {
    /// No host: the end of a list.
    pub(super) const NONE: Self = Self(u32::MAX);

    /// Returns the index into the table.
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Names a split: the loss of one link to a server. Reused after the split has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SplitId(pub(super) u32);

/// Names a home server among those that extended links lead to. Reused after it has been removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerKey(pub(super) u32);

/// The home of a host: the server that alone adds and removes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// This server: a user that is connected to it, or a host behind a neighbour that speaks plain
    /// CRC. Holds the [index](LinkId::index) of the live link.
    Link(u32),
    /// This server, which has lost the link to the plain neighbour that the host is behind.
    Split(SplitId),
    /// Another server, to which routes lead, and in which of its two lists the host is.
    Server(ServerKey, HomeList),
}

/// One of the two lists of the hosts of a home. The home has confirmed the hosts of one of them;
/// the lists change places when it begins to send all its hosts again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HomeList {
    /// The list of the confirmed hosts when the home was new.
    #[default]
    A,
    /// The other list.
    B,
}

impl HomeList {
    /// Returns the other list.
    pub(super) fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

impl Home {
    /// Returns the other server that is the home, or `None` if it is this one.
    #[must_use]
    pub fn server(self) -> Option<ServerKey> {
        match self {
            Self::Link(_) | Self::Split(_) => None,
            Self::Server(server, _) => Some(server),
        }
    }
}

/// The next hop towards a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstLink {
    /// A live link.
    Link(LinkId),
    /// The link was lost, and the grace of this split runs.
    Split(SplitId),
}

/// A registered server or user.
#[derive(Clone, Debug)]
pub struct Host {
    /// Id of the host.
    pub id: HostId,
    /// Server or user.
    pub kind: HostKind,
    /// Home of the host.
    pub(super) home: Home,
    /// The home's logical time at which the host registered: of two claims on an id, the earlier
    /// one wins.
    pub(super) stamp: u64,
    /// Position in the order of joining; larger than that of every host that joined before.
    pub(super) join_seq: u64,
    name_len: u8,
    info_len: u16,
    texts: Texts,
    /// Neighbours in the order of joining.
    pub(super) join_links: Links,
    /// Neighbours in the list of the home.
    pub(super) home_links: Links,
}

/// Name and info, concatenated. Short ones are stored inline.
#[derive(Clone, Debug)]
enum Texts {
    Inline([u8; Texts::INLINE_BYTES_MAX]),
    Heap(Box<[u8]>),
}

impl Texts {
    /// Bytes that fit beside the tag without making the enum larger than 32 bytes.
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

/// Slots of the neighbours in a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    pub(super) prev: Slot,
    pub(super) next: Slot,
}

impl Links {
    pub(super) const UNLINKED: Self = Self { prev: Slot::NONE, next: Slot::NONE };
}

// `Option` adds nothing, because an enum inside the host has spare tags.
const _: () = assert!(size_of::<Option<Host>>() == 80);

impl Host {
    /// Creates a host that is in no list.
    pub(super) fn new(
        registration: &Registration<'_>,
        home: Home,
        stamp: u64,
        join_seq: u64,
    ) -> Self {
        let Registration { kind, source: id, name, info, .. } = *registration;
        Self {
            id,
            kind,
            home,
            stamp,
            join_seq,
            name_len: u8::try_from(name.len()).expect("a name of at most 255 bytes"),
            info_len: u16::try_from(info.len()).expect("an info of at most 65535 bytes"),
            texts: Texts::new(name, info),
            join_links: Links::UNLINKED,
            home_links: Links::UNLINKED,
        }
    }

    /// Returns the name: bytes, not necessarily UTF-8.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.texts.as_bytes()[..usize::from(self.name_len)]
    }

    /// Returns the description that the host registered with.
    #[must_use]
    pub fn info(&self) -> &[u8] {
        let begin = usize::from(self.name_len);
        &self.texts.as_bytes()[begin..begin + usize::from(self.info_len)]
    }

    /// Returns the home of the host.
    pub(in crate::relay) fn home(&self) -> Home {
        self.home
    }

    /// Returns the home's logical time at which the host registered.
    pub(in crate::relay) fn stamp(&self) -> u64 {
        self.stamp
    }

    /// Returns the position in the order of joining.
    #[must_use]
    pub fn join_seq(&self) -> u64 {
        self.join_seq
    }

    /// Returns the size of the host as counted against the limit of the table, in bytes.
    pub(super) fn size_bytes(&self) -> usize {
        host_size_bytes(self.name(), self.info())
    }

    /// Returns the registration that announces this host, passed on by `last_hop`.
    pub(in crate::relay) fn registration(&self, last_hop: HostId) -> Registration<'_> {
        let (kind, source) = (self.kind, self.id);
        Registration { kind, source, last_hop, name: self.name(), info: self.info() }
    }

    /// Returns whether a registration is that of this host, rather than of another with its id.
    pub(in crate::relay) fn matches(&self, registration: &Registration<'_>) -> bool {
        self.registration(registration.last_hop) == *registration
    }
}

/// Returns the size of a host with this name and info as counted against limits, in bytes.
pub(in crate::relay) fn host_size_bytes(name: &[u8], info: &[u8]) -> usize {
    name.len() + info.len() + HOST_OVERHEAD_BYTES
}
