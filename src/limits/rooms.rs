//! Limits of rooms.

/// Maximum number of rooms that one user is in. A person follows a few; a bot that bridges many
/// uses several names.
pub const ROOMS_PER_USER_MAX: usize = 50;

/// Maximum number of memberships of all users in all rooms that this server adds to. A membership
/// takes about 100 bytes.
pub const ROOM_MEMBERSHIPS_MAX: usize = 4_000_000;

/// Maximum number of rooms in the answer to `/rooms`, in the order of their names: each of them is
/// shown as a user to all CRC clients from then on.
pub const ROOMS_LISTED_MAX: usize = 200;

/// Maximum length of one chat in the answer to `/rooms` and `/names`, in bytes: programs that read
/// at most 1,024 bytes at a time get it whole.
pub const ROOM_LIST_BYTES_MAX: usize = 900;
