//! Limits of connections from strangers: how many there are, how long they may take, and how much
//! memory all of them hold.

use std::time::Duration;

/// Time within which a registration must be accepted on a new connection.
pub const REGISTER_DEADLINE: Duration = Duration::from_secs(10);

/// Number of frames with a false source after which a client is closed. One or two may result from
/// a race, such as a chat sent before a refusal was read.
pub const FALSE_SOURCES_MAX: u32 = 8;

/// Maximum number of TLS handshakes that are continued in one turn. One costs the processor some
/// 0.2 ms, as much as several hundred chats.
pub const HANDSHAKES_PER_TURN: usize = 8;

/// Maximum number of connections accepted from one listener per turn.
pub const ACCEPTS_PER_TURN: usize = 64;

/// Maximum number of connections to a listener that are established and wait to be accepted; the
/// kernel's `net.core.somaxconn` bounds it, too. Beyond it, the kernel drops the end of a
/// handshake, and a client that waits for the server's first bytes waits in vain. As many as
/// [`UNREGISTERED_MAX`].
pub const LISTEN_BACKLOG: i32 = 4096;

/// Time within which a frame that has begun must be complete. A whole frame of the largest size
/// then needs 35 KB a second, which every network has.
pub const FRAME_DEADLINE: Duration = Duration::from_secs(30);

/// Maximum number of connections that have not registered. An ordinary client registers within a
/// round trip, so thousands of them fit through; beyond it, the oldest is closed for the newcomer.
pub const UNREGISTERED_MAX: usize = 4096;

/// Maximum number of accepted connections whose TLS handshake goes on: each takes some 20 KB.
/// Beyond it, the one that began first is closed for the newcomer.
pub const HANDSHAKES_MAX: usize = 1024;

/// Maximum number of connections from one address that have not registered. A full classroom behind
/// one address that starts at once has fewer.
pub const UNREGISTERED_PER_ADDRESS_MAX: usize = 256;

/// Maximum number of users from one address: a large hall behind one address.
pub const USERS_PER_ADDRESS_MAX: usize = 1024;

/// Maximum number of servers from one address: a classroom in which everybody runs one.
pub const SERVERS_PER_ADDRESS_MAX: usize = 64;

/// Number of refused registrations after which a connection that is not a server's is closed: each
/// is answered and logged, and no program tries so many ids.
pub const REFUSED_REGISTRATIONS_MAX: u32 = 64;

/// Number of users that may register at once from one address: as many as may be connected. Each is
/// announced to everyone.
pub const JOINS_PER_ADDRESS_MAX: u32 = 1024;

/// Interval at which another user may register from an address that has used up
/// [`JOINS_PER_ADDRESS_MAX`].
pub const JOIN_INTERVAL_PER_ADDRESS: Duration = Duration::from_millis(50);

/// Maximum size of all send queues and of all incomplete and deferred input together, in bytes.
/// Beyond it, the connection that holds the most is closed.
pub const BUFFER_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Minimum of `--buffer-bytes`, in bytes: room for one frame of the largest default size on a
/// handful of connections.
pub const BUFFER_BYTES_MAX_FLOOR: usize = 4 * 1024 * 1024;

/// Maximum number of unregistered connections that are closed in one turn when the process has no
/// descriptors left. The rest gets another turn to register.
pub const EVICTIONS_PER_TURN: usize = 8;

/// Maximum length of the header of a trusted proxy, in bytes: addresses, and more additions than
/// proxies send.
pub const PROXY_HEADER_BYTES_MAX: usize = 2048;

/// Maximum number of lines of one kind in the log within [`LOG_INTERVAL`]. Further ones are
/// counted.
pub const LOG_LINES_PER_KIND_MAX: u32 = 200;

/// Interval for which the lines of one kind in the log are counted.
pub const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The limits of connections that options of `crc server` set. [`ConnectionLimits::default`]
/// returns the constants above.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// `--frame-deadline`, see [`FRAME_DEADLINE`].
    pub frame_deadline: Duration,
    /// `--max-unregistered`, see [`UNREGISTERED_MAX`].
    pub unregistered_max: usize,
    /// See [`HANDSHAKES_MAX`].
    pub handshakes_max: usize,
    /// `--unregistered-per-address`, see [`UNREGISTERED_PER_ADDRESS_MAX`].
    pub unregistered_per_address_max: usize,
    /// `--users-per-address`, see [`USERS_PER_ADDRESS_MAX`].
    pub users_per_address_max: usize,
    /// `--servers-per-address`, see [`SERVERS_PER_ADDRESS_MAX`].
    pub servers_per_address_max: usize,
    /// `--buffer-bytes`, see [`BUFFER_BYTES_MAX`].
    pub buffer_bytes_max: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            frame_deadline: FRAME_DEADLINE,
            unregistered_max: UNREGISTERED_MAX,
            handshakes_max: HANDSHAKES_MAX,
            unregistered_per_address_max: UNREGISTERED_PER_ADDRESS_MAX,
            users_per_address_max: USERS_PER_ADDRESS_MAX,
            servers_per_address_max: SERVERS_PER_ADDRESS_MAX,
            buffer_bytes_max: BUFFER_BYTES_MAX,
        }
    }
}
