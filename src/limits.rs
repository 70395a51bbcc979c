//! Every limit of the daemon, with the unit in its name and the reason beside it.
//!
//! A limit that is also an option of `crc server` is a field of [`Limits`]; its constant is the
//! default.

use std::time::Duration;

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
pub const ANNOUNCE_HOST_OVERHEAD_BYTES: usize = 16;

/// Maximum length of a portion of announcements to a program that may read once, in bytes. Such
/// programs read at most 1,024 bytes at a time and lose a frame that is cut there.
pub const PACED_PORTION_BYTES_MAX: usize = 1023;

/// Pause between two portions, counted from an empty send queue. A program in another thread or on
/// another machine has read the first portion by then, so that the two are not read as one. 400
/// users with names and infos of usual length take 13 portions, which is less than a second.
pub const PACED_PORTION_INTERVAL: Duration = Duration::from_millis(50);

/// Maximum size of the quits that wait for a portion on one link, in bytes of their frames: about
/// 19,000 quits of a split. Beyond it, all of them are sent at once.
pub const PACED_QUITS_BYTES_MAX: usize = 256 * 1024;

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

/// Time within which a registration must be accepted on a new connection.
pub const REGISTER_DEADLINE: Duration = Duration::from_secs(10);

/// Time for which the hosts behind a lost link to a server are kept before their users leave.
pub const SPLIT_GRACE: Duration = Duration::from_secs(5);

/// Maximum number of hosts that leave at a time after the grace, so that readers keep up with the
/// quits.
pub const SPLIT_BATCH_HOSTS_MAX: usize = 1024;

/// Send queue space that one quit of a split may take, in bytes: four times the size of its frame.
pub const SPLIT_QUIT_QUEUE_BYTES: usize = 64;

/// Quit text of users that did not rejoin after a split.
pub const SPLIT_QUIT_TEXT: &[u8] = b"split";

/// Interval between two batches of hosts that leave after the grace.
pub const SPLIT_BATCH_INTERVAL: Duration = Duration::from_millis(1);

/// Time for which hosts that should leave stay for links without room for their quits.
pub const SPLIT_STALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum size of the messages that wait for the hosts behind one lost link, in bytes.
pub const SPLIT_DEFERRED_BYTES_MAX: usize = 256 * 1024;

/// Size of a deferred message apart from its text, in bytes: about the memory that it takes.
pub const SPLIT_DEFERRED_OVERHEAD_BYTES: usize = 64;

/// Lower bound of the first delay before dialling again.
pub const REDIAL_BACKOFF_MIN: Duration = Duration::from_millis(200);

/// Upper bound of every delay before dialling again.
pub const REDIAL_BACKOFF_MAX: Duration = Duration::from_secs(4);

/// Minimum delay before a server dials a parent again that refused it for its id or for a loop.
pub const UPLINK_REFUSED_RETRY_DELAY: Duration = Duration::from_secs(60);

/// Time for which a server that stops waits for its send queues to be sent.
pub const SHUTDOWN_DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Time after which an uplink counts as stable: when it is lost, its parent is dialled first, and
/// the delays start from the minimum.
pub const LINK_STABLE_AFTER: Duration = Duration::from_secs(10);

/// Time for which an id must be free before a claim on it is granted. By then the quits of its last
/// holder have reached the whole network, and claims that were echoes of the holder are withdrawn.
pub const CLAIM_GRANT_DELAY: Duration = Duration::from_secs(5);

/// Number of frames with a false source after which a client is closed. One or two may result from
/// a race, such as a chat sent before a refusal was read.
pub const FALSE_SOURCES_MAX: u32 = 8;

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

/// Maximum number of bytes read per turn from a link that has just registered [`BURST_HOSTS_MIN`]
/// hosts or more. Learning a host costs more than forwarding a chat.
pub const BURST_READ_BYTES_PER_TURN: usize = 16 * 1024;

/// Number of hosts registered in one turn from which a link counts as sending a burst.
pub const BURST_HOSTS_MIN: u32 = 64;

/// Maximum number of bytes written to one socket per turn, so that one link does not delay the
/// others.
pub const WRITE_BYTES_PER_TURN: usize = 256 * 1024;

/// Maximum number of connections accepted from one listener per turn.
pub const ACCEPTS_PER_TURN: usize = 64;

/// Maximum length of a line from the operator, on the console or the control socket, in bytes.
pub const OPERATOR_LINE_BYTES_MAX: usize = 64 * 1024;

/// Number of unread bytes of answers, on the console or a control connection, beyond which no
/// command is read.
pub const OPERATOR_OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// Maximum number of connections to the control socket.
pub const CONTROL_CONNECTIONS_MAX: usize = 16;

/// Size of a stored message apart from its text, in bytes: about the memory that it takes.
pub const MAIL_OVERHEAD_BYTES: usize = 64;

/// Size in bytes of the messages not yet durable beyond which senders of mail are not read.
pub const MAIL_UNACKED_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Maximum number of messages stored for one recipient.
pub const MAIL_MESSAGES_MAX: u64 = 10_000;

/// Maximum size of all mail in a mailbox on disk, in bytes.
pub const MAIL_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Maximum size of all mail without a mailbox on disk, in bytes: it takes memory.
pub const MAIL_IN_MEMORY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Time for which mail is stored, counted while the server runs.
pub const MAIL_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Minimum interval between two requests to the store for expired mail.
pub const MAIL_EXPIRY_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Interval at which the clock of the mailbox is saved while mail is stored. A server that is
/// killed loses at most this much of it.
pub const MAIL_CLOCK_SAVE_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// Number of bytes that must remain free in a frame beside a text from another wire: the headers of
/// a chat and of a status, and the sender of mail.
pub const FRAME_HEADROOM_BYTES: usize = 64;

/// Minimum interval between two id changes of a direct client. Each is announced to all hosts, and
/// the client's frames wait meanwhile.
pub const DIRECT_ID_CHANGE_INTERVAL: Duration = Duration::from_millis(100);

/// Interval at which a classic client must show that it is alive.
pub const CLASSIC_ALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Number of alive intervals after which a silent classic client is closed.
pub const CLASSIC_MISSED_ALIVES_MAX: u32 = 3;

/// Time after which the form of answers to a classic client is decided: long enough for the rest of
/// a message that the network has cut, too short to be noticed.
pub const CLASSIC_FORM_DETECTION_TIMEOUT: Duration = Duration::from_millis(100);

/// Maximum output to a classic client while the form of answers is undecided, in bytes: a few
/// sentences.
pub const CLASSIC_DEFERRED_OUTPUT_BYTES_MAX: usize = 4 * 1024;

/// Number of recipients whose names are remembered for a classic client, to name them in an answer
/// when they have left: as many as may be addressed before an answer arrives from far away.
pub const CLASSIC_RECENT_RECIPIENTS_MAX: usize = 8;

/// Delay of the next list after each page of a list to a classic client: at most 10 KB of lists per
/// second and client, however many users come and go.
pub const CLASSIC_PAGE_INTERVAL: Duration = Duration::from_millis(25);

/// Maximum work per turn on names and lists for classic clients, in names: about a millisecond
/// while a million users come and go.
pub const CLASSIC_WORK_PER_TURN: usize = 8_000;

/// Work of finding the classic name of one host, in names.
pub const CLASSIC_WORK_PER_HOST: usize = 10;

/// Interval between two turns of work on classic names, in which other links have theirs.
pub const CLASSIC_WORK_INTERVAL: Duration = Duration::from_millis(1);

/// Maximum size of the lists that classic clients are being sent, in bytes, before older ones are
/// replaced: dozens of versions of a list of 100,000 names.
pub const CLASSIC_LISTS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Maximum size of one portion of mail read from the store, in bytes.
pub const MAIL_FETCH_BYTES_MAX: usize = 64 * 1024;

/// Maximum size of one transaction of the mailbox, requests and replies, in bytes: one sync serves
/// many messages, and the first do not wait long.
pub const MAIL_TRANSACTION_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Time for which a server that stops waits for the mailbox to be closed. Stored mail is safe
/// without that; the next start takes longer.
pub const MAIL_CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Length of the write-ahead log of the mailbox from which it is checkpointed, in bytes. A page
/// that was written many times is then moved once.
pub const MAIL_WAL_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Maximum size of the page cache of the mailbox, in bytes: the index of about a million messages,
/// so that a busy mailbox does not read what it has just written.
pub const MAIL_CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// Maximum length of a frame between peers, in bytes of protobuf.
pub const PEER_FRAME_BYTES_MAX: usize = 1024 * 1024;

/// Maximum length of a text from a peer, in bytes: a chat with its headers fits into
/// [`PEER_FRAME_BYTES_MAX`].
pub const PEER_TEXT_BYTES_MAX: usize = PEER_FRAME_BYTES_MAX - 128;

/// Maximum number of links of one peer. Each link gets all messages, so more would add traffic
/// only.
pub const PEER_LINKS_MAX: usize = 256;

/// Maximum number of known peers, including unreachable ones.
pub const PEERS_MAX: usize = 4096;

/// Time for which the advertisement of an unreachable peer is kept: a peer that joins may learn
/// routes later than advertisements.
pub const PEER_UNREACHABLE_RETENTION: Duration = Duration::from_secs(10);

/// Maximum number of unsent bytes for one neighbour: twice the retained messages and the known
/// peers.
pub const PEER_QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Maximum number of unsent bytes for all neighbours together. Beyond it, the link with the longest
/// queue is closed.
pub const PEER_QUEUES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Maximum number of messages without a receipt that a peer retains, including its own. The oldest
/// messages of others are dropped first.
pub const PEER_RETAINED_MESSAGES_MAX: usize = 10_000;

/// Maximum size of the retained messages, in bytes, with [`PEER_MESSAGE_OVERHEAD_BYTES`] each. A
/// new neighbour is sent all of them, so they must fit into [`PEER_QUEUE_BYTES_MAX`].
pub const PEER_RETAINED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Size of a retained message apart from its text, in bytes.
pub const PEER_MESSAGE_OVERHEAD_BYTES: usize = 128;

/// Time for which a message is retained, counted over all peers that forward it.
pub const PEER_RETAINED_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Maximum number of pairs of sender and recipient whose sequence numbers a peer remembers, to
/// forward each message once. A late copy of a forgotten pair is forwarded once more, as far as it
/// is unknown.
pub const PEER_SEEN_PAIRS_MAX: usize = 65_536;

/// Maximum number of ranges of sequence numbers remembered for one pair. Messages in order form one
/// range.
pub const PEER_SEEN_RANGES_MAX: usize = 8;

/// Maximum number of senders whose sequence numbers a recipient remembers, to show each message
/// once. Messages of a sender that had to be forgotten are not shown any more.
pub const PEER_INBOX_SENDERS_MAX: usize = 65_536;

/// Time for which a message waits for an earlier one of the same sender that is missing.
pub const PEER_GAP_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum number of messages that wait for an earlier one.
pub const PEER_REORDER_MESSAGES_MAX: usize = 1000;

/// Maximum size of the messages that wait for an earlier one, in bytes, with
/// [`PEER_MESSAGE_OVERHEAD_BYTES`] each.
pub const PEER_REORDER_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Time for which a peer that joins waits for an id from others before it chooses one.
pub const PEER_ID_GRANT_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum size of unread output of a peer that runs under another program, in bytes. Beyond it,
/// the peer ends, because it must not drop output.
pub const PEER_UNREAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Maximum time between the first and the last byte of a frame from a peer.
pub const PEER_FRAME_TIMEOUT: Duration = Duration::from_secs(30);

/// Time after which a silent neighbour is pinged.
pub const PEER_PING_AFTER: Duration = Duration::from_secs(5);

/// Time after which a silent neighbour is closed.
pub const PEER_IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// The limits that options of `crc server` set. [`Limits::default`] returns the constants above.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
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
    /// `--split-grace`, see [`SPLIT_GRACE`].
    pub split_grace: Duration,
    /// `--classic-interval`, see [`CLASSIC_ALIVE_INTERVAL`].
    pub classic_alive_interval: Duration,
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
            host_table_bytes_max: HOST_TABLE_BYTES_MAX,
            frame_bytes_max: FRAME_BYTES_MAX,
            client_queue_bytes_max: CLIENT_QUEUE_BYTES_MAX,
            server_queue_bytes_max: SERVER_QUEUE_BYTES_MAX,
            announce_batch_users_min: ANNOUNCE_BATCH_USERS_MIN,
            announce_batch_delay_min: ANNOUNCE_BATCH_DELAY_MIN,
            register_deadline: REGISTER_DEADLINE,
            split_grace: SPLIT_GRACE,
            classic_alive_interval: CLASSIC_ALIVE_INTERVAL,
            mail_messages_max: MAIL_MESSAGES_MAX,
            mail_bytes_max: MAIL_BYTES_MAX,
            mail_age_max: MAIL_AGE_MAX,
        }
    }
}
