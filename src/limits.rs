//! Every bound of the daemon in one place: its unit in its name, its reason beside it.
//!
//! Owns no behaviour. A bound that a user may want to move is also an option of `crc server` and
//! travels in [`Limits`]; the constants are the defaults and the bounds nobody needs to move.

use std::time::Duration;

/// The largest frame that is taken, in bytes with its header. A chat of this size is a document,
/// not a sentence; more would let one sender hold a link for long.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// The smallest `--max-frame`: the server's own statuses must fit.
pub const FRAME_BYTES_MAX_FLOOR: usize = 128;

/// The largest `--max-frame`: one frame must not take the memory of a small machine.
pub const FRAME_BYTES_MAX_CEILING: usize = 64 * 1024 * 1024;

/// Names and infos of all known hosts together, in bytes, and [`HOST_OVERHEAD_BYTES`] for each host: eight
/// million hosts with names and infos of usual length. Who tells of more is closed.
pub const HOST_TABLE_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// What a host counts beside its name and info, about what it takes to keep: 80 bytes in the table,
/// which hold short texts too, and about 20 where its id is found.
pub const HOST_OVERHEAD_BYTES: usize = 100;

/// The same of claims on ids that are taken. They are mistakes: there are few.
pub const CLAIMS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What may wait unsent for a client. A person who is this far behind is not reading.
pub const CLIENT_QUEUE_BYTES_MAX: usize = 256 * 1024;

/// What may wait unsent for a server: room for a burst and a pause of some seconds.
pub const SERVER_QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A queue this long is written as soon as the frame at hand is handled rather than at the end of
/// the turn, so that a turn with many senders cannot overflow the queue of one that reads well.
pub const QUEUE_HIGH_WATER_BYTES: usize = 64 * 1024;

/// A burst is put into a queue in portions: no more is added while this much waits. A buffer that grows by
/// doubling is then 32 KiB, of which several are in use while several clients register at once.
pub const QUEUE_LOW_WATER_BYTES: usize = 24 * 1024;

/// What all links together are told of hosts in one turn, in bytes: a millisecond or two with the
/// writing, so that the chats of others do not wait for a burst.
pub const ANNOUNCE_BYTES_PER_TURN: usize = 512 * 1024;

/// What a host counts there beside its name and info, also if a link is not told of it: one that is to
/// be told of few among very many looks at those in turns too.
pub const ANNOUNCE_HOST_OVERHEAD_BYTES: usize = 16;

/// From so many users on, what they are told of newcomers is gathered. With fewer, each hears at once:
/// so many writes are over before anybody could see the difference.
pub const ANNOUNCE_BATCH_USERS_MIN: usize = 64;

/// How long it is gathered at least. Nobody sees it; and when thousands connect at once, it makes one
/// write of a hundred.
pub const ANNOUNCE_BATCH_DELAY_MIN: Duration = Duration::from_millis(5);

/// How long it is gathered for each user who is to be told, if that is longer: a write takes some
/// microseconds, and telling everyone may take a fraction of the time alone.
pub const ANNOUNCE_BATCH_DELAY_PER_USER: Duration = Duration::from_micros(20);

/// And at most: a person would notice more.
pub const ANNOUNCE_BATCH_DELAY_MAX: Duration = Duration::from_millis(250);

/// What is said to everyone waits while the queue of a server link is this long, since many of those
/// who are to hear it may be behind that one link.
pub const BROADCAST_QUEUE_HIGH_WATER_BYTES: usize = 1024 * 1024;

/// How long it waits for such a link that takes nothing.
pub const BROADCAST_STALL_TIMEOUT: Duration = Duration::from_secs(5);

/// What is kept together of buffers that no queue uses now: those of a turn in which dozens of links
/// were busy, and little beside what one slow reader may hold.
pub const BUFFER_POOL_BYTES_MAX: usize = 1024 * 1024;

/// The largest of them that the beginning of a frame is put into: it may wait there for long, and is to
/// take little more memory than what was received.
pub const PARTIAL_FRAME_BUFFER_BYTES_MAX: usize = 4 * 1024;

/// A spare buffer that was not used while so many came back is given to the system: some turns of dozens
/// of busy links, so that they are not taken from it again and again.
pub const BUFFER_POOL_TRIM_RETURNS: u32 = 512;

/// So many bytes of chats in a row that go to one link are offered to its socket at once, from where
/// they were read. Fewer are gathered: what others say to the same link in this turn goes out with
/// them in one write, which saves more than copying them costs.
pub const DIRECT_WRITE_BYTES_MIN: usize = 16 * 1024;

/// How long a connection may stay without a registration that is accepted.
pub const REGISTER_DEADLINE: Duration = Duration::from_secs(10);

/// How long the hosts behind a lost server link are kept before their users leave.
pub const SPLIT_GRACE: Duration = Duration::from_secs(5);

/// How many of them leave at a time, if they have not come back: who hears of it gets to read before the
/// next do.
pub const SPLIT_BATCH_HOSTS_MAX: usize = 1024;

/// Send queue space that one quit of a split may take, in bytes: four times the size of its frame.
pub const SPLIT_QUIT_QUEUE_BYTES: usize = 64;

/// Quit text of users that did not rejoin after a split.
pub const SPLIT_QUIT_TEXT: &[u8] = b"split";

/// How long after those the next ones leave, if there is room to tell of them.
pub const SPLIT_BATCH_INTERVAL: Duration = Duration::from_millis(1);

/// How long they stay for the sake of links that have no room to be told.
pub const SPLIT_STALL_TIMEOUT: Duration = Duration::from_secs(5);

/// What may wait for the hosts behind one lost link during its grace, in bytes.
pub const SPLIT_DEFERRED_BYTES_MAX: usize = 256 * 1024;

/// What a chat that waits counts beside its text, about what it takes to keep.
pub const SPLIT_DEFERRED_OVERHEAD_BYTES: usize = 64;

/// The shortest and longest span from which the wait before dialling again is drawn.
pub const REDIAL_BACKOFF_MIN: Duration = Duration::from_millis(200);
/// See [`REDIAL_BACKOFF_MIN`].
pub const REDIAL_BACKOFF_MAX: Duration = Duration::from_secs(4);

/// A server that a parent refused for its id, or for a loop, asks again no sooner than this.
pub const UPLINK_REFUSED_RETRY_DELAY: Duration = Duration::from_secs(60);

/// How long a server that stops waits for its queues to drain.
pub const SHUTDOWN_DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an uplink must have stood before its parent counts as one that works: it is tried first
/// again when it is lost, and the waits between attempts begin anew.
pub const LINK_STABLE_AFTER: Duration = Duration::from_secs(10);

/// How long an id stays free before another claim on it counts. The quits of its last holder have
/// gone round by then, and claims that were nothing but echoes of it are withdrawn.
pub const CLAIM_GRANT_DELAY: Duration = Duration::from_secs(5);

/// Frames with a source that is not theirs which a client may send before it is closed. One or two
/// may be an honest race, such as a chat written before a refusal was read.
pub const FALSE_SOURCES_MAX: u32 = 8;

/// How many status texts a server keeps for its operator (the newest), and how much of each.
pub const STATUS_UPDATES_MAX: usize = 1000;
/// See [`STATUS_UPDATES_MAX`].
pub const STATUS_UPDATE_BYTES_MAX: usize = 1024;

/// The longest name: its length travels in one byte.
pub const NAME_BYTES_MAX: usize = 255;

/// The longest info: its length travels in two bytes.
pub const INFO_BYTES_MAX: usize = 65_535;

/// The smallest `--client-queue` and `--server-queue`: what is written at once when it is reached
/// must fit, and so must a portion of a burst.
pub const QUEUE_BYTES_MAX_FLOOR: usize = QUEUE_HIGH_WATER_BYTES;

/// How much of a text from others the log shows, in bytes.
pub const EXCERPT_BYTES_MAX: usize = 120;

/// The largest `--busy-poll`: longer would be a core that never sleeps.
pub const BUSY_POLL_MAX: Duration = Duration::from_secs(1);

/// Bytes read from one socket a turn: a batch large enough that the calls cost little beside it,
/// small enough that one busy link does not keep the others waiting.
pub const READ_BYTES_PER_TURN: usize = 64 * 1024;

/// The same where a link has just told of [`BURST_HOSTS_MIN`] hosts or more: to know a host is dearer than
/// to pass on what it says, and others wait for a turn twice, until it is over and once more.
pub const BURST_READ_BYTES_PER_TURN: usize = 16 * 1024;

/// See [`BURST_READ_BYTES_PER_TURN`].
pub const BURST_HOSTS_MIN: u32 = 64;

/// Bytes written to one socket a turn, for the same reason.
pub const WRITE_BYTES_PER_TURN: usize = 256 * 1024;

/// Connections accepted a turn from one listener.
pub const ACCEPTS_PER_TURN: usize = 64;

/// A line of the operator, on the console or the control socket.
pub const OPERATOR_LINE_BYTES_MAX: usize = 64 * 1024;

/// Answers that nobody has read yet, on the console or a control connection: while there are more,
/// no further command is taken.
pub const OPERATOR_OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// Connections of the control socket at a time.
pub const CONTROL_CONNECTIONS_MAX: usize = 16;

/// What a kept message counts beside its text, about what it takes to keep.
pub const MAIL_OVERHEAD_BYTES: usize = 64;

/// What may be on its way to the store of mail and not durable yet, in bytes: who sends more is read
/// no further until it is.
pub const MAIL_UNACKED_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Messages that may wait for one addressee.
pub const MAIL_MESSAGES_MAX: u64 = 10_000;

/// What all mail may count together in a mailbox on disk, in bytes.
pub const MAIL_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The same without a mailbox, where it is memory.
pub const MAIL_IN_MEMORY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How long mail waits, counted while the server runs.
pub const MAIL_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How soon the store of mail is asked again for what is too old, after it has looked.
pub const MAIL_EXPIRY_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// How often, while mail waits, the store is told what the mailbox's clock shows: a server that is
/// killed loses no more of it.
pub const MAIL_CLOCK_SAVE_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// What must fit into a frame beside a text that comes in by another door: the headers of a chat and
/// of a status, and who mail is from.
pub const FRAME_HEADROOM_BYTES: usize = 64;

/// How soon a direct client that has changed its id may do so again: everybody is told of it, and
/// all that it says waits meanwhile.
pub const DIRECT_ID_CHANGE_INTERVAL: Duration = Duration::from_millis(100);

/// How often a classic client must say that it is alive; after three times as long it is gone.
pub const CLASSIC_ALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// How many intervals a classic client may let pass without saying that it is alive.
pub const CLASSIC_MISSED_ALIVES_MAX: u32 = 3;

/// How long it may stay unclear in which form a classic client is to be answered: long enough for the
/// rest of a message that the network has cut, too short to be felt.
pub const CLASSIC_FORM_DETECTION_TIMEOUT: Duration = Duration::from_millis(100);

/// What may be said to a classic client meanwhile, in bytes: a few sentences.
pub const CLASSIC_DEFERRED_OUTPUT_BYTES_MAX: usize = 4 * 1024;

/// Whom a classic client spoke to last, so many of them, are called by name when it is told that they
/// are gone: as many as it may speak to before an answer comes from far away.
pub const CLASSIC_RECENT_RECIPIENTS_MAX: usize = 8;

/// How long each page of a list that a classic client is sent keeps back the next push: 10 KB of
/// lists a second and client, however many users come and go.
pub const CLASSIC_PAGE_INTERVAL: Duration = Duration::from_millis(25);

/// What is done in one turn to find out the names for the first classic client, and to make lists, in
/// names that are looked at: about a millisecond where a million users come and go.
pub const CLASSIC_WORK_PER_TURN: usize = 8_000;

/// What it counts as to find out the name of one host.
pub const CLASSIC_WORK_PER_HOST: usize = 10;

/// How soon that goes on: others have had their turn.
pub const CLASSIC_WORK_INTERVAL: Duration = Duration::from_millis(1);

/// What the lists may take together that classic clients are in the middle of, in bytes, before
/// older ones are sent again: dozens of versions of a list of 100,000 names.
pub const CLASSIC_LISTS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What is read of an addressee's mail at once, so that a long absence comes back in portions.
pub const MAIL_FETCH_BYTES_MAX: usize = 64 * 1024;

/// Requests and their answers that the mailbox's file takes as one transaction: enough that one sync
/// serves very many, and not so much that those who came first wait long.
pub const MAIL_TRANSACTION_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long a server that ends waits for the mailbox's file to be closed. What was kept is safe
/// without that; the next opening only has more to do.
pub const MAIL_CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// When the log of the mailbox's file is longer than this, it is moved into the file and begun anew.
/// A page that was written many times is then moved once.
pub const MAIL_WAL_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Pages of the mailbox's file that are held in memory, taken as they are needed: the index of about
/// a million messages, so that a busy mailbox does not read what it has just written.
pub const MAIL_CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// The longest frame between peers, in bytes of protobuf.
pub const PEER_FRAME_BYTES_MAX: usize = 1024 * 1024;

/// The longest text that a peer sends: what a chat has beside it fits below [`PEER_FRAME_BYTES_MAX`].
pub const PEER_TEXT_BYTES_MAX: usize = PEER_FRAME_BYTES_MAX - 128;

/// Links of one peer. Each is told everything, so more than this would be noise.
pub const PEER_LINKS_MAX: usize = 256;

/// Peers that one knows of, those that cannot be reached any more included.
pub const PEERS_MAX: usize = 4096;

/// How long what a peer said of itself is remembered while no way leads there: those who join
/// meanwhile may be told of the ways later than of the peer.
pub const PEER_UNREACHABLE_RETENTION: Duration = Duration::from_secs(10);

/// What may wait unsent for a neighbour: what is kept and what is known of peers fit in twice.
pub const PEER_QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What may wait unsent for all neighbours together; past it the link with the most is closed.
pub const PEER_QUEUES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Messages without a receipt that a peer keeps, its own included: the oldest of others go first.
pub const PEER_RETAINED_MESSAGES_MAX: usize = 10_000;

/// The same in bytes, each message with [`PEER_MESSAGE_OVERHEAD_BYTES`]: a neighbour is told of all at once, so
/// it must fit into [`PEER_QUEUE_BYTES_MAX`].
pub const PEER_RETAINED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a kept message counts beside its text.
pub const PEER_MESSAGE_OVERHEAD_BYTES: usize = 128;

/// How long a message is kept, counted together at all who pass it on: then nobody has it any more.
pub const PEER_RETAINED_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Pairs of a sender and an addressee whose numbers a peer remembers so as to pass each message on
/// once. Of a pair that was forgotten too early, a late copy goes round once more, and no further
/// than where it is known.
pub const PEER_SEEN_PAIRS_MAX: usize = 65_536;

/// Runs of numbers that are remembered for one pair: in order they are one run.
pub const PEER_SEEN_RANGES_MAX: usize = 8;

/// Senders whose numbers an addressee remembers so as to show each message once. Of one that had to
/// be forgotten too early, nothing is shown any more.
pub const PEER_INBOX_SENDERS_MAX: usize = 65_536;

/// How long a message waits for one that was sent before it and is missing.
pub const PEER_GAP_TIMEOUT: Duration = Duration::from_secs(2);

/// Messages that may wait so, and their bytes, each with [`PEER_MESSAGE_OVERHEAD_BYTES`].
pub const PEER_REORDER_MESSAGES_MAX: usize = 1000;
/// See [`PEER_REORDER_MESSAGES_MAX`].
pub const PEER_REORDER_BYTES_MAX: usize = 2 * 1024 * 1024;

/// How long a peer that joins waits for an id from others before it takes one itself.
pub const PEER_ID_GRANT_TIMEOUT: Duration = Duration::from_secs(2);

/// What a peer has shown to a program and nobody has read yet; then it ends, as it may drop none of it.
pub const PEER_UNREAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long a frame between peers may take from its first byte to its last.
pub const PEER_FRAME_TIMEOUT: Duration = Duration::from_secs(30);

/// A neighbour that is silent for so long is asked whether it is there,
pub const PEER_PING_AFTER: Duration = Duration::from_secs(5);
/// and after so long it is not.
pub const PEER_IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// The bounds that options move. [`Limits::default`] holds what stands above.
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
