//! Every bound of this program, with its unit in its name.

use std::time::Duration;

/// Maximum length of a typed line, and so of the body of a message: 64 KiB.
pub(crate) const LINE_BYTES_MAX: usize = 64 * 1024;

/// Maximum size of a received gRPC message: a body of [`LINE_BYTES_MAX`] and a name.
pub(crate) const MESSAGE_BYTES_MAX: usize = 2 * LINE_BYTES_MAX;

/// Maximum number of connections served at a time; more wait in the backlog of the listener. A chat
/// needs two. With [`STREAMS_MAX`] messages buffered for each, all stay below 128 MiB.
pub(crate) const CONNECTIONS_MAX: usize = 64;

/// Maximum number of concurrent requests of one connection.
pub(crate) const STREAMS_MAX: u32 = 16;

/// HTTP/2 flow-control window: a message with its framing.
pub(crate) const WINDOW_BYTES: u32 = 256 * 1024;

/// Maximum number of concurrent greetings: the usual limit is 1,024 descriptors.
pub(crate) const GREETINGS_MAX: usize = 256;

/// Maximum number of received messages not yet shown; senders of more wait for their responses.
pub(crate) const RECEIVED_MESSAGES_MAX: usize = 64;

/// Maximum number of lines read ahead of sending; the rest stays unread.
pub(crate) const INPUT_LINES_MAX: usize = 16;

/// Maximum number of output lines that wait for a slow reader; then no more input is processed.
pub(crate) const OUTPUT_LINES_MAX: usize = 64;

/// Minimum time between two attempts to connect to a peer.
pub(crate) const DIAL_INTERVAL: Duration = Duration::from_secs(1);

/// Timeout for a connection attempt, and for the welcome of a server.
pub(crate) const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// Wait after a failed accept, which usually means that no descriptors are left.
pub(crate) const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Timeout for the HTTP/2 preface of an accepted connection; shorter than [`RESPONSE_DEADLINE`], so
/// that clients in the backlog are still served.
pub(crate) const PREFACE_DEADLINE: Duration = Duration::from_secs(5);

/// Timeout for receiving and answering a request; longer than any client waits.
pub(crate) const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

/// TCP keepalive: idle time before the first probe, and time between probes. A silent connection
/// ends 15 s after the last segment.
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// TCP keepalive: number of unanswered probes.
pub(crate) const KEEPALIVE_PROBES_MAX: u32 = 2;

/// Timeout for a response.
pub(crate) const RESPONSE_DEADLINE: Duration = Duration::from_secs(10);

/// Time after the welcome when the list of users counts as complete, for servers that answer no
/// chat to oneself.
pub(crate) const INITIAL_SYNC_DEADLINE: Duration = Duration::from_secs(1);

/// Timeout for each step of the shutdown.
pub(crate) const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(1);

/// Maximum number of chat users stored from a network: at most 2 MiB, even if a server forges them.
pub(crate) const USERS_MAX: usize = 4096;

/// Maximum number of pair requests deferred until their sender is known in the network and our own
/// name is confirmed.
pub(crate) const DEFERRED_REQUESTS_MAX: usize = 64;

/// Maximum number of random ids tried. A server that refuses eight refuses all.
pub(crate) const ID_ATTEMPTS_MAX: u32 = 8;
