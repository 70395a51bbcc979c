//! Limits of the HTTP wire.

use std::time::Duration;

/// Maximum length of the head of an HTTP request, in bytes: request line and headers. Browsers send
/// 500 to 1,000 bytes, those with cookies of other programs on the same host some thousands.
pub const HTTP_HEAD_BYTES_MAX: usize = 8 * 1024;

/// Maximum number of headers of an HTTP request.
pub const HTTP_HEADERS_MAX: usize = 64;

/// Maximum length of a control frame's payload in WebSocket, in bytes, see RFC 6455, section 5.5.
pub const WEBSOCKET_CONTROL_BYTES_MAX: usize = 125;

/// Number of refused ids in `hello` after which a connection is closed: no person tries so many.
pub const WEB_REFUSED_IDS_MAX: u8 = 16;

/// Maximum number of lists that a web client waits for at once. Further requests are refused.
pub const WEB_LISTS_MAX: usize = 4;

/// Maximum number of users, rooms or members in one event of a list: some 8 KiB.
pub const WEB_LIST_ENTRIES_MAX: usize = 200;

/// Maximum number of entries of the table of hosts that are looked at for one event of a list, or
/// for one step of finding a user by name: some 50 microseconds.
pub const WEB_HOSTS_PER_STEP_MAX: usize = 8192;

/// Interval between two steps of finding a user by name, in which other links have their turn.
pub const WEB_LOOKUP_INTERVAL: Duration = Duration::from_millis(1);

/// Minimum length of the operator's token in bytes: as many as of the link key.
pub const OPERATOR_TOKEN_BYTES_MIN: usize = 16;

/// Maximum length of the operator's token in bytes: it fits into a header.
pub const OPERATOR_TOKEN_BYTES_MAX: usize = 1024;

/// Interval at which the page of an operator is brought up to date.
pub const OPERATOR_UPDATE_INTERVAL: Duration = Duration::from_secs(1);

/// Time for which an operator who has signed in over a WebSocket is believed.
pub const OPERATOR_SESSION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Number of the last lines of the log that an operator's page is sent.
pub const LOG_TAIL_LINES_MAX: usize = 100;

/// Maximum length of one of these lines in bytes. Longer ones are cut.
pub const LOG_TAIL_LINE_BYTES_MAX: usize = 1024;

/// Maximum number of servers that one request of an operator's page asks.
pub const WEB_LOADS_MAX: usize = 100;
