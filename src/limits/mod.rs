//! Every limit of the daemon, with the unit in its name and the reason beside it. This file has
//! those of links, the relay and the shell; `connections` has those of connections from strangers,
//! and `mail`, `peer`, `rooms`, `web` and `wires` have those of these parts.
//!
//! A limit that is also an option of `crc server` is a field of [`Limits`]; its constant is the
//! default.

mod connections;
mod mail;
mod operator;
mod peer;
mod rooms;
mod web;
mod wires;

use std::time::Duration;

pub use self::connections::*;
pub use self::mail::*;
pub use self::operator::*;
pub use self::peer::*;
pub use self::rooms::*;
pub use self::web::*;
pub use self::wires::*;

/// Maximum length of a frame with its header, in bytes. A chat of this size is a document; longer
/// frames would let one sender hold a link for long.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// Minimum of `--max-frame`, in bytes: this server's own statuses must fit.
pub const FRAME_BYTES_MAX_FLOOR: usize = 128;

/// Maximum of `--max-frame`, in bytes: one frame must not take the memory of a small machine.
pub const FRAME_BYTES_MAX_CEILING: usize = 64 * 1024 * 1024;

/// Maximum size of the host table, in bytes: names, infos, and [`HOST_OVERHEAD_BYTES`] per host.
/// Room for eight million hosts with names and infos of usual length. A link that registers a host
/// beyond it is closed.
pub const HOST_TABLE_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// Divides the maximum size of the host table: this part is left for users who connect here, so
/// that no other server can close them by what it announces.
pub const HOST_TABLE_USER_SHARE_DIVISOR: usize = 4;

/// Size of a host apart from its name and info, in bytes: 80 bytes in the table, which include
/// short texts, and about 20 in the index of ids.
pub const HOST_OVERHEAD_BYTES: usize = 100;

/// Maximum size of all claims on ids in use, in bytes, counted like hosts. Claims result from
/// mistakes, so there are few.
pub const CLAIMS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Maximum number of unsent bytes for a client. A person who is this far behind does not read.
pub const CLIENT_QUEUE_BYTES_MAX: usize = 256 * 1024;

/// Maximum number of unsent bytes for a server: room for a burst and a pause of some seconds.
pub const SERVER_QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Length in bytes from which a send queue is written at once rather than at the end of the turn,
/// so that a turn with many senders does not overflow the queue of a client that reads well.
pub const QUEUE_HIGH_WATER_BYTES: usize = 64 * 1024;

/// Length in bytes from which nothing more of a burst is put into a send queue. The buffer of a
/// portion then stays at 32 KiB, since buffers grow by doubling; several are in use while several
/// clients register at once.
pub const QUEUE_LOW_WATER_BYTES: usize = 24 * 1024;

/// Maximum size of the hosts announced to all links in one turn, in bytes: one or two milliseconds
/// with the writing, so that chats do not wait for a burst.
pub const ANNOUNCE_BYTES_PER_TURN: usize = 512 * 1024;

/// Size of an announced host apart from its name and info, in bytes. Also counted for a host that
/// is skipped: a link that gets few of very many hosts looks at them in several turns.
pub const ANNOUNCE_HOST_OVERHEAD_BYTES: usize = 32;

/// Maximum length of a portion of announcements to a program that may read once, in bytes. Such
/// programs read at most 1,024 bytes at a time and lose a frame that is cut there.
pub const PACED_PORTION_BYTES_MAX: usize = 1023;

/// Pause between two portions, counted from an empty send queue. A program in another thread or on
/// another machine has read the first portion by then, so that the two are not read as one. 400
/// users with names and infos of usual length take 13 portions, which is less than a second.
pub const PACED_PORTION_INTERVAL: Duration = Duration::from_millis(50);

/// Maximum length of a frame to a plain server that has not shown that it reads cut frames, in
/// bytes.
pub const PLAIN_FRAME_BYTES_MAX: usize = PACED_PORTION_BYTES_MAX;

/// Time to wait for the answer that a plain server has read a portion, unless it has left one
/// unanswered and has never answered another.
pub const READ_PROOF_TIMEOUT: Duration = Duration::from_secs(1);

/// Maximum number of registrations that are remembered because a plain server may announce them
/// back. A server that does so answers each portion with them, which has fewer than 100.
pub const ECHOES_MAX: usize = 1024;

/// Time after the quit of a user for which a registration from a plain server may still be what it
/// announces back: longer than any usual round trip.
pub const LATE_ECHO_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum size of the quits, statuses and messages of rooms that wait for a portion on one link,
/// in bytes of their frames: about 19,000 quits of a split. Beyond it, all of them are sent at
/// once.
pub const PACED_FRAMES_BYTES_MAX: usize = 256 * 1024;

/// Number of users from which announcements to users are batched. With fewer users, the writes of
/// an announcement are done before anybody sees a difference.
pub const ANNOUNCE_BATCH_USERS_MIN: usize = 64;

/// Minimum delay of a batch of announcements. Invisible to people, and when thousands of users
/// connect at once, it makes one write of a hundred.
pub const ANNOUNCE_BATCH_DELAY_MIN: Duration = Duration::from_millis(5);

/// Delay of a batch per user, if that is longer than the minimum. A write takes some microseconds,
/// and writing to all users may take a fraction of the time only.
pub const ANNOUNCE_BATCH_DELAY_PER_USER: Duration = Duration::from_micros(20);

/// Maximum delay of a batch of announcements: people would notice more.
pub const ANNOUNCE_BATCH_DELAY_MAX: Duration = Duration::from_millis(250);

/// Length in bytes of a server's send queue from which a broadcast waits, since many recipients may
/// be behind that link.
pub const BROADCAST_QUEUE_HIGH_WATER_BYTES: usize = 1024 * 1024;

/// Time for which a broadcast waits for a link that takes no bytes.
pub const BROADCAST_STALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum size of the spare send buffers, in bytes: those of a turn in which dozens of links are
/// busy, and little beside what one slow reader may hold.
pub const BUFFER_POOL_BYTES_MAX: usize = 1024 * 1024;

/// Maximum size in bytes of a spare buffer that is used for an incomplete frame. The frame may wait
/// for long, and should take little more memory than what was received.
pub const PARTIAL_FRAME_BUFFER_BYTES_MAX: usize = 4 * 1024;

/// Number of buffers returned to the pool after which a buffer that was not used meanwhile is
/// freed: some turns of dozens of busy links, so that buffers are not allocated again and again.
pub const BUFFER_POOL_TRIM_RETURNS: u32 = 512;

/// Minimum length in bytes of a run of chats that is written to the socket directly from the read
/// buffer. Shorter runs are copied into the send queue, where one write sends them with other
/// frames of the turn, which saves more than the copy costs.
pub const DIRECT_WRITE_BYTES_MIN: usize = 16 * 1024;

/// Time for which the hosts behind a lost link to a server are kept before their users leave.
pub const SPLIT_GRACE: Duration = Duration::from_secs(5);

/// Maximum number of hosts that leave at a time after the grace, so that readers keep up with the
/// quits.
pub const SPLIT_BATCH_HOSTS_MAX: usize = 256;

/// Maximum number of quits that are sent at a time after the grace, to all links together, so that
/// no turn takes more than about 1 ms. At least one host leaves.
pub const SPLIT_BATCH_QUITS_MAX: usize = 2048;

/// Send queue space that one quit of a split may take, in bytes: four times the size of its frame.
pub const SPLIT_QUIT_QUEUE_BYTES: usize = 64;

/// Quit text of users that did not rejoin after a split.
pub const SPLIT_QUIT_TEXT: &[u8] = b"split";

/// Quit text of a host whose id another host has registered earlier, or a server has.
pub const TAKEN_QUIT_TEXT: &[u8] = b"id taken";

/// Default of `--ping-interval`: time after which a silent server is asked whether it lives.
pub const PING_INTERVAL: Duration = Duration::from_secs(5);

/// Default of `--ping-timeout`: time after which the link to a silent server is closed.
pub const PING_TIMEOUT: Duration = Duration::from_secs(15);

/// Age of a measured round trip from which it is measured again, on a link that is never silent.
pub const ROUND_TRIP_AGE_MAX: Duration = Duration::from_secs(60);

/// Time without input after which TCP asks a client whether it is there. An idle server with
/// 100,000 clients then sends about 1,700 probes a second, without waking up. Routers between them
/// that translate addresses keep idle connections for longer than that.
pub const CLIENT_KEEPALIVE_IDLE: Duration = Duration::from_secs(60);

/// Time after which the connection of a client ends whose machine does not acknowledge anything.
pub const CLIENT_KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(120);

/// Number of TCP keepalive probes between idle time and timeout. One may be lost.
pub const KEEPALIVE_PROBES: u32 = 2;

/// Time for which HELLO or OFFER is waited for behind the registration of a server that has spoken
/// the extension before: longer than for others, since one that is taken for plain is refused.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(2);

/// Time for which OFFER is waited for behind the registration of a parent: both are in one write,
/// and only a network that cuts and delays separates them.
pub const OFFER_TIMEOUT: Duration = Duration::from_millis(200);

/// Time for which a server that moves waits for its old parent to answer END, and then for the END
/// of the old parent: twice this is less than the grace, for which messages wait.
pub const MOVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Time after which a server that is attached to a fallback asks an earlier parent of its list
/// whether it can go back, with up to a tenth more at random. Short beside the life of a link, and
/// long beside a dial.
pub const RETURN_INTERVAL: Duration = Duration::from_secs(30);

/// Maximum number of servers that are remembered after their split, so that the log can tell for
/// how long they were away.
pub const GONE_SERVERS_MAX: usize = 1024;

/// Interval between two batches of hosts that leave after the grace.
pub const SPLIT_BATCH_INTERVAL: Duration = Duration::from_millis(1);

/// Time for which hosts that should leave stay for links without room for their quits.
pub const SPLIT_STALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum size of the messages that wait for the hosts of one split, in bytes. Some thousand chats
/// a second wait for the whole default grace, and the queue of the link over which the hosts come
/// back has room for them, beside what the lost link had not delivered.
pub const SPLIT_DEFERRED_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Maximum size of the messages that wait for lost hosts in all splits together, in bytes: half of
/// the queue of a link, since one link may bring the hosts of several splits back.
pub const SPLITS_DEFERRED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Size of a deferred message apart from its text, in bytes: about the memory that it takes.
pub const SPLIT_DEFERRED_OVERHEAD_BYTES: usize = 64;

/// Maximum number of servers of which it is remembered when they were withdrawn, for the messages
/// on links that are lost later. Far more than are withdrawn before a silent link is noticed.
pub const WITHDRAWALS_KEPT_MAX: usize = 1024;

/// Number of bytes of another crc server after which they are acknowledged: a few full reads,
/// beside which one frame costs nothing.
pub const ACK_INTERVAL_BYTES: u64 = 4 * READ_BYTES_PER_TURN as u64;

/// Divides the maximum length of a queue: bytes are acknowledged after that part of it at the
/// latest, since the other end keeps no more than its queue may hold, which is likely to be equal.
pub const ACK_INTERVAL_DIVISOR: usize = 4;

/// Divides the maximum length of a queue: that much more than the excess is given up when kept
/// bytes exceed it, so that it does not happen at every write.
pub const KEPT_BYTES_SLACK_DIVISOR: usize = 8;

/// Maximum number of lost links whose counts of handled bytes are remembered.
pub const LOST_LINKS_MAX: usize = 1024;

/// Lower bound of the first delay before dialling again.
pub const REDIAL_BACKOFF_MIN: Duration = Duration::from_millis(200);

/// Upper bound of every delay before dialling again.
pub const REDIAL_BACKOFF_MAX: Duration = Duration::from_secs(4);

/// Time after the loss of a stable connection during which the delays before dialling stay below
/// four times [`REDIAL_BACKOFF_MIN`]: as long as the default grace.
pub const REDIAL_HASTE: Duration = SPLIT_GRACE;

/// Minimum delay before a server dials a parent again to which it is connected already. What showed
/// the loop may be out of date: twice the grace of a split, after which it is not.
pub const UPLINK_LOOP_RETRY_DELAY: Duration = Duration::from_secs(10);

/// Minimum delay before a server dials a parent again that refused it for its id.
pub const UPLINK_REFUSED_RETRY_DELAY: Duration = Duration::from_secs(60);

/// Time after which a server without a chosen id takes another one if it is refused again. Some
/// plain parents refuse for ever an id that was cut off, so this is less than the time to notice a
/// silent link.
pub const RENUMBER_INTERVAL: Duration = Duration::from_secs(10);

/// Time for which a parent that gave no sign is not dialled again: long enough for another parent
/// to be tried first, and short for a server that has only one.
pub const SILENT_PARENT_DELAY: Duration = Duration::from_secs(1);

/// Time for which a server that stops waits for its send queues to be sent.
pub const SHUTDOWN_DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Time after which an uplink counts as stable: when it is lost, its parent is dialled first, and
/// the delays start from the minimum.
pub const LINK_STABLE_AFTER: Duration = Duration::from_secs(10);

/// Time for which an id must be free before a claim on it is granted. By then the quits of its last
/// holder have reached the whole network, and claims that were echoes of the holder are withdrawn.
pub const CLAIM_GRANT_DELAY: Duration = Duration::from_secs(5);

/// Minimum length of a link key, in bytes: shorter ones can be guessed from the proofs on the wire.
pub const LINK_KEY_BYTES_MIN: usize = 16;

/// Maximum length of a link key, in bytes: a longer text is most likely another file.
pub const LINK_KEY_BYTES_MAX: usize = 1024;

/// Maximum number of invitations that have been used or can be: 200 bytes each.
pub const INVITATIONS_MAX: usize = 1000;

/// Time within which an invitation must be used for the first time, unless it has another one.
pub const INVITATION_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// Maximum number of addresses whose servers are refused that the log names, each once: it stays
/// short, however many there are. `links` counts refusals for each connection.
pub const REFUSED_ADDRESSES_MAX: usize = 1000;

/// Maximum number of status texts that a server keeps for its operator: the newest.
pub const STATUS_UPDATES_MAX: usize = 1000;

/// Maximum length of a status text that is kept or quoted, in bytes.
pub const STATUS_UPDATE_BYTES_MAX: usize = 1024;

/// Maximum length of a name, in bytes: its length is sent in one byte.
pub const NAME_BYTES_MAX: usize = 255;

/// Maximum length of an info, in bytes: its length is sent in two bytes.
pub const INFO_BYTES_MAX: usize = 65_535;

/// Minimum of `--client-queue` and `--server-queue`, in bytes: a queue that is written at once at
/// this length must fit, and so must a portion of a burst.
pub const QUEUE_BYTES_MAX_FLOOR: usize = QUEUE_HIGH_WATER_BYTES;

/// Maximum length of a text from others in the log, in bytes.
pub const EXCERPT_BYTES_MAX: usize = 120;

/// Maximum of `--busy-poll`. A longer time would keep a core busy for good.
pub const BUSY_POLL_MAX: Duration = Duration::from_secs(1);

/// Maximum number of bytes read from one socket per turn: a batch large enough to make system calls
/// cheap, and small enough that one busy link does not delay the others.
pub const READ_BYTES_PER_TURN: usize = 64 * 1024;

/// Maximum number of bytes read per turn from a link to a server whose last read was full and had
/// hardly anything but chats that were forwarded unchanged: system calls and wake-ups are most of
/// what these cost. What must be handled otherwise waits beyond [`READ_BYTES_PER_TURN`].
pub const STREAM_READ_BYTES_PER_TURN: usize = 4 * READ_BYTES_PER_TURN;

/// Number of bytes of other frames in a read up to which it counts as one of forwarded chats: some
/// acknowledgements and PINGs.
pub const STREAM_OTHER_BYTES_MAX: usize = 1024;

/// Maximum number of bytes read per turn from a link that has just made [`BURST_CHANGES_MIN`]
/// changes or more. Learning a host, or its rooms, costs more than forwarding a chat.
pub const BURST_READ_BYTES_PER_TURN: usize = 16 * 1024;

/// Number of hosts registered, and of changes to the rooms of users, in one turn from which a link
/// counts as sending a burst.
pub const BURST_CHANGES_MIN: u32 = 64;

/// Maximum number of bytes written to one socket per turn, so that one link does not delay the
/// others.
pub const WRITE_BYTES_PER_TURN: usize = 256 * 1024;

/// Maximum number of connections to the control socket.
pub const CONTROL_CONNECTIONS_MAX: usize = 16;

/// The limits that options of `crc server` set. [`Limits::default`] returns the constants above.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Those of connections from strangers.
    pub connections: ConnectionLimits,
    /// See [`HOST_TABLE_BYTES_MAX`].
    pub host_table_bytes_max: usize,
    /// `--max-frame`, see [`FRAME_BYTES_MAX`].
    pub frame_bytes_max: usize,
    /// See [`CLIENT_QUEUE_BYTES_MAX`].
    pub client_queue_bytes_max: usize,
    /// See [`SERVER_QUEUE_BYTES_MAX`].
    pub server_queue_bytes_max: usize,
    /// See [`ANNOUNCE_BATCH_USERS_MIN`].
    pub announce_batch_users_min: usize,
    /// See [`ANNOUNCE_BATCH_DELAY_MIN`].
    pub announce_batch_delay_min: Duration,
    /// See [`REGISTER_DEADLINE`].
    pub register_deadline: Duration,
    /// See [`RETURN_INTERVAL`].
    pub return_interval: Duration,
    /// `--split-grace`, see [`SPLIT_GRACE`].
    pub split_grace: Duration,
    /// See [`SPLIT_BATCH_HOSTS_MAX`].
    pub split_batch_hosts_max: usize,
    /// `--ping-interval`, see [`PING_INTERVAL`].
    pub ping_interval: Duration,
    /// `--ping-timeout`, see [`PING_TIMEOUT`].
    pub ping_timeout: Duration,
    /// `--classic-interval`, see [`CLASSIC_ALIVE_INTERVAL`].
    pub classic_alive_interval: Duration,
    /// `--room-rate`, see [`ROOM_RATE`].
    pub room_rate: u32,
    /// `--mail-messages`, see [`MAIL_MESSAGES_MAX`].
    pub mail_messages_max: u64,
    /// `--mail-bytes`, see [`MAIL_BYTES_MAX`].
    pub mail_bytes_max: u64,
    /// `--mail-days`, see [`MAIL_AGE_MAX`].
    pub mail_age_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: ConnectionLimits::default(),
            host_table_bytes_max: HOST_TABLE_BYTES_MAX,
            frame_bytes_max: FRAME_BYTES_MAX,
            client_queue_bytes_max: CLIENT_QUEUE_BYTES_MAX,
            server_queue_bytes_max: SERVER_QUEUE_BYTES_MAX,
            announce_batch_users_min: ANNOUNCE_BATCH_USERS_MIN,
            announce_batch_delay_min: ANNOUNCE_BATCH_DELAY_MIN,
            register_deadline: REGISTER_DEADLINE,
            return_interval: RETURN_INTERVAL,
            split_grace: SPLIT_GRACE,
            split_batch_hosts_max: SPLIT_BATCH_HOSTS_MAX,
            ping_interval: PING_INTERVAL,
            ping_timeout: PING_TIMEOUT,
            classic_alive_interval: CLASSIC_ALIVE_INTERVAL,
            room_rate: ROOM_RATE,
            mail_messages_max: MAIL_MESSAGES_MAX,
            mail_bytes_max: MAIL_BYTES_MAX,
            mail_age_max: MAIL_AGE_MAX,
        }
    }
}
