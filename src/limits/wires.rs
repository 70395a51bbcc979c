//! Limits of the direct and the classic wire.

use std::time::Duration;

/// Number of bytes that must remain free in a frame beside a text from another wire: the headers of
/// a chat and of a status, and the sender of mail.
pub const FRAME_HEADROOM_BYTES: usize = 64;

/// Time after which a direct client becomes a user of the network that has not sent anything: not
/// noticed by people and programs, and longer than a connection lasts that is opened and closed.
pub const DIRECT_SILENCE_MAX: Duration = Duration::from_millis(100);

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
