//! Bounds of what operators ask: on the control socket and console, and from other servers.

use std::time::Duration;

/// Time for which the answer to a trace is waited for.
pub const TRACE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for which the operator's `trace` waits for its answer: less than `crc ctl` waits for its
/// own.
pub const OPERATOR_TRACE_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum number of traces that wait for an answer. Further ones are not passed back.
pub const TRACES_MAX: usize = 1024;

/// Maximum number of servers that are asked at a time what their links carry, and of answers that
/// wait to be taken. One page of an operator draws fewer.
pub const LOADS_MAX: usize = 256;

/// Time after which a server that has not answered may be asked again.
pub const LOADS_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum length of a line from the operator, on the console or the control socket, in bytes.
pub const OPERATOR_LINE_BYTES_MAX: usize = 64 * 1024;

/// Number of unread bytes of answers, on the console or a control connection, beyond which no
/// command is read.
pub const OPERATOR_OUTPUT_BYTES_MAX: usize = 1024 * 1024;
