//! Limits of peer mode.

use std::time::Duration;

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
