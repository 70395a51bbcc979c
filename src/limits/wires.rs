//! Limits of the direct, the classic and the IRC wire.

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

/// Number of recipients whose names are remembered for a client of the classic or the IRC wire, to
/// name them in an answer when they have left: as many as may be addressed before an answer arrives
/// from far away.
pub const RECENT_RECIPIENTS_MAX: usize = 8;

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

/// Maximum number of hosts that are looked at in one step of the work on nicks and lists for IRC
/// clients: less than a millisecond.
pub const IRC_HOSTS_PER_STEP_MAX: usize = 4096;

/// Interval between two steps of work on nicks, in which other links have theirs.
pub const IRC_WORK_INTERVAL: Duration = Duration::from_millis(1);

/// Number of users who have left that are remembered for `WHOWAS`: some 10 KB.
pub const IRC_HISTORY_NICKS_MAX: usize = 100;

/// Time for which the wall clock of a server runs with its other clock before it is read again.
pub const WALL_CLOCK_INTERVAL: Duration = Duration::from_secs(1);

/// Minimum interval between two changes of the nick of an IRC client, or of what it says of itself.
/// Each is announced to all servers, and the client's lines wait meanwhile.
pub const IRC_CHANGE_INTERVAL: Duration = Duration::from_millis(100);

/// Time within which a user who has left to take another nick must have joined its rooms again, to
/// be shown to IRC clients as one who has another nick, and not as one who has left: as long as the
/// grace of a split.
pub const IRC_RENAME_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum number of users who are waited for in that way, for each IRC client. Others leave and
/// join.
pub const IRC_RENAMES_MAX: usize = 16;

/// Time without a line after which an IRC client is sent `PING`. The kernel notices lost machines
/// itself, so this is for programs that hang, and clients that expect it.
pub const IRC_PING_INTERVAL: Duration = Duration::from_secs(120);

/// Time after that `PING` within which the client must send a line.
pub const IRC_PING_TIMEOUT: Duration = Duration::from_secs(120);

/// Maximum number of nicks that an IRC client watches with `MONITOR`: the contacts of a person.
pub const IRC_MONITORED_NICKS_MAX: usize = 100;

/// Maximum number of targets of one command of an IRC client.
pub const IRC_TARGETS_MAX: usize = 4;

/// Maximum length of the user name of an IRC client, in bytes; longer ones are cut.
pub const IRC_USER_BYTES_MAX: usize = 16;

/// Maximum length of the real name of an IRC client, in bytes; longer ones are cut.
pub const IRC_REAL_NAME_BYTES_MAX: usize = 128;

/// Maximum length of the text of `AWAY`, in bytes; longer ones are cut.
pub const IRC_AWAY_BYTES_MAX: usize = 200;

/// Maximum length of the label of a command of an IRC client, in bytes.
pub const IRC_LABEL_BYTES_MAX: usize = 64;

/// Maximum length of the message of the day in bytes: a few screens, which fit into the send queue
/// of a client that registers.
pub const MOTD_BYTES_MAX: usize = 16 * 1024;

/// Maximum length of the text of one line of it, in bytes; a longer line becomes several.
pub const MOTD_LINE_BYTES_MAX: usize = 400;
