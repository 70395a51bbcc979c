//! Every bound, its unit in its name, its reason beside it.

use std::time::Duration;

/// A line that is typed, and so the body of a message. What is pasted fits; a file does not.
pub(crate) const LINE_BYTES_MAX: usize = 64 * 1024;

/// A gRPC message that is taken: a body of [`LINE_BYTES_MAX`], and a name of any decent length.
pub(crate) const MESSAGE_BYTES_MAX: usize = 2 * LINE_BYTES_MAX;

/// Connections that are served at a time; more of them wait where the system keeps them. Whoever
/// chats needs two, and with all that may wait in each ([`STREAMS_MAX`]) they stay under 128 MiB.
pub(crate) const CONNECTIONS_MAX: usize = 64;

/// Requests of one connection at a time; more of them wait.
pub(crate) const STREAMS_MAX: u32 = 16;

/// What a connection may send ahead of its being read: a message and what is around it.
pub(crate) const WINDOW_BYTES: u32 = 256 * 1024;

/// Names that are greeted at a time: a system commonly grants 1,024 descriptors.
pub(crate) const GREETINGS_MAX: usize = 256;

/// Messages that have come and are not shown: whoever sends more waits for their answers.
pub(crate) const RECEIVED_MESSAGES_MAX: usize = 64;

/// Lines that were typed ahead of what is sent: the rest waits where it comes from.
pub(crate) const INPUT_LINES_MAX: usize = 16;

/// Lines to show that a slow reader of the output has not taken: then nothing more is read.
pub(crate) const OUTPUT_LINES_MAX: usize = 64;

/// How soon after the last attempt to connect to the peer the next one may begin.
pub(crate) const DIAL_INTERVAL: Duration = Duration::from_secs(1);

/// How long a connection may take to stand, or to be welcome.
pub(crate) const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// How long after an accept that failed the next is tried: mostly there are no descriptors left.
pub(crate) const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// How long a connection that has come may take to begin to speak: less than those behind it wait.
pub(crate) const PREFACE_DEADLINE: Duration = Duration::from_secs(5);

/// How long a request may take to come and to be answered: longer than anybody waits for it.
pub(crate) const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

/// How long a connection may be silent before the system asks whether there is another end, and
/// how long between such questions: the third that is not answered ends it, after 15 s in all.
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// Such questions.
pub(crate) const KEEPALIVE_PROBES_MAX: u32 = 2;

/// How long an answer may take. Whoever needs longer is stuck or cut off.
pub(crate) const RESPONSE_DEADLINE: Duration = Duration::from_secs(10);

/// How long after the welcome a network's users are waited for, where it does not say that it has
/// told of all.
pub(crate) const INITIAL_SYNC_DEADLINE: Duration = Duration::from_secs(1);

/// How long leaving may take, for each of its steps.
pub(crate) const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(1);

/// Users of a network who chat over gRPC and are remembered: past that nobody finds anybody by chance,
/// and a server that makes them up costs no more than 2 MiB.
pub(crate) const USERS_MAX: usize = 4096;

/// Questions of people whom the network has not told of yet, or before it is certain who we are.
pub(crate) const DEFERRED_REQUESTS_MAX: usize = 64;

/// Random ids that are tried. Two in use one after the other is a wonder; eight, a server that
/// refuses whatever it is asked.
pub(crate) const ID_ATTEMPTS_MAX: u32 = 8;
