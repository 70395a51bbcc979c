//! Every bound, its unit in its name, its reason beside it.

use std::time::Duration;

/// A line that is typed, and so the body of a message. What is pasted fits; a file does not.
pub(crate) const LINE_BYTES_MAX: usize = 64 * 1024;

/// A gRPC message that is taken: a body of [`LINE_BYTES_MAX`], and a name of any decent length.
pub(crate) const MESSAGE_BYTES_MAX: usize = 2 * LINE_BYTES_MAX;

/// Requests of one connection at a time; more of them wait.
pub(crate) const STREAMS_MAX: u32 = 64;

/// Messages that have come and are not shown: whoever sends more waits for their answers.
pub(crate) const RECEIVED_MAX: usize = 64;

/// Lines that were typed ahead of what is sent: the rest waits where it comes from.
pub(crate) const TYPED_AHEAD_MAX: usize = 16;

/// Lines to show that a slow reader of the output has not taken: then nothing more is read.
pub(crate) const SHOWN_MAX: usize = 64;

/// How soon after the last attempt to connect to the peer the next one may begin.
pub(crate) const DIAL_INTERVAL: Duration = Duration::from_secs(1);

/// How long a connection may take to stand, or to be welcome.
pub(crate) const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// How long an answer may take. Whoever needs longer is stuck or cut off.
pub(crate) const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// How long after the welcome a network's users are waited for, where it does not say that it has
/// told of all.
pub(crate) const SETTLE_DEADLINE: Duration = Duration::from_secs(1);

/// How long leaving may take, for each of its steps.
pub(crate) const LEAVE_DEADLINE: Duration = Duration::from_secs(1);

/// Random ids that are tried. Two in use one after the other is a wonder; eight, a server that
/// refuses whatever it is asked.
pub(crate) const RANDOM_IDS_MAX: u32 = 8;
