//! Limits of rooms.

use std::time::Duration;

/// Maximum number of rooms that one user is in. A person follows a few; a bot that bridges many
/// uses several names.
pub const ROOMS_PER_USER_MAX: usize = 50;

/// Maximum number of memberships of all users in all rooms that this server adds to. A membership
/// takes about 100 bytes.
pub const ROOM_MEMBERSHIPS_MAX: usize = 4_000_000;

/// Number of bytes that must remain free in a frame beside the text of a message to a room: the
/// headers of its frame between servers with the name of the room, or the name of the sender.
pub const ROOM_FRAME_HEADROOM_BYTES: usize = 512;

/// Maximum number of messages to one room that are delivered together.
pub const ROOM_RUN_MESSAGES_MAX: usize = 64;

/// Number of bytes of messages to one room that are delivered together at most, if there is more
/// than one: far less than a send queue may hold, also on wires whose messages have a fixed length.
pub const ROOM_RUN_BYTES_MAX: usize = 16 * 1024;

/// Maximum number of copies of a room message that one link takes while it waits for a lost server:
/// one for each other server behind the link that has members. Beyond it, there is one for all.
pub const ROOM_COPIES_MAX: usize = 8;

/// Number of messages that one user may send to one room at once: a text that somebody pastes, or
/// that a program sends line by line.
pub const ROOM_BURST_MAX: u32 = 2000;

/// Number of users who have left a room and whose messages to it are still counted, if they come
/// back: more than leave one within the 20 s in which [`ROOM_BURST_MAX`] messages are made up for.
pub const ROOM_LEAVERS_MAX: usize = 64;

/// Default of `--room-rate`: number of messages that one user may send to one room in a second,
/// after [`ROOM_BURST_MAX`] at once. Nobody reads that much, and each is sent to every member.
pub const ROOM_RATE: u32 = 100;

/// Maximum of `--room-rate`: more than one server handles.
pub const ROOM_RATE_CEILING: u32 = 1_000_000;

/// Maximum number of rooms in the answer to `/rooms`, in the order of their names: each of them is
/// shown as a user to all CRC clients from then on.
pub const ROOMS_LISTED_MAX: usize = 200;

/// Maximum length of one chat in the answer to `/rooms` and `/names`, in bytes: programs that read
/// at most 1,024 bytes at a time get it whole.
pub const ROOM_LIST_BYTES_MAX: usize = 900;

/// Number of members of rooms that are looked at in one turn when a home has sent all its users,
/// and of those who are informed of the ones that are in no room any more: about 1 ms.
pub const ROOM_SYNC_WORK_PER_TURN: usize = 4096;

/// Interval between two such portions.
pub const ROOM_SYNC_INTERVAL: Duration = Duration::from_millis(1);

/// Maximum number of servers, present or gone, of whose users the number of the latest room message
/// is remembered. One takes some 40 bytes.
pub const ROOM_NUMBERS_MAX: usize = 65_536;

/// Number of changes to the rooms of users of other servers after which the rest of a read waits
/// for the next turn. One takes some 2 µs with 100,000 members.
pub const ROOM_CHANGES_PER_TURN_MAX: u32 = 512;

/// Maximum length of the topic of a room in bytes, which fits into a line of IRC.
pub const TOPIC_BYTES_MAX: usize = 390;

/// Maximum length of each text of a profile in bytes: its length takes a byte in PROFILE.
pub const PROFILE_TEXT_BYTES_MAX: usize = 255;

/// Maximum number of topics. One takes some 200 bytes, and 1 KB at most.
pub const TOPICS_MAX: usize = 65_536;

/// Interval between two searches for topics whose rooms have ended. A topic is removed by the
/// second search that finds no room: a topic is kept for longer than any frame is on its way, or
/// waits, that brings a member.
pub const TOPIC_SWEEP_INTERVAL: Duration = Duration::from_mins(10);

/// Number of topics that such a search looks at in one turn: less than 1 ms.
pub const TOPIC_SWEEP_WORK_PER_TURN: usize = 1024;

/// Interval between two such portions.
pub const TOPIC_SWEEP_PORTION_INTERVAL: Duration = Duration::from_millis(1);
