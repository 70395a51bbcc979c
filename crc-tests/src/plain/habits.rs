//! The habits in which plain CRC servers differ, all of them seen in programs in use.

use rand::{Rng, RngExt as _};

/// Maximum size of a read of a program that takes each read for whole frames, in bytes.
const SMALL_READ_BYTES_MAX: usize = 1024;
/// Maximum size of a read of a program that assembles frames, in bytes.
const LARGE_READ_BYTES_MAX: usize = 64 * 1024;
/// More registrations than fit into a read of 1,024 bytes.
const REGISTRATIONS_PER_READ_MIN: usize = 100;

/// The habits that a program has or has not.
const FLAGS: [&str; 14] = [
    "refuses-second-introduction",
    "echoes-announcements",
    "returns-newcomer-entries",
    "welcomes-with-code-1",
    "welcomes-to-client-id",
    "announces-servers-under-own-name",
    "ends-on-server-quit",
    "reads-once",
    "ends-on-invalid-text",
    "ends-on-huge-length",
    "ends-on-unknown-type",
    "logs-statuses-to-0",
    "answers-chats-to-0",
    "keeps-lost-servers",
];

/// The last hop of the registration by which a server introduces itself to a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntroductionHop {
    /// 0, as in its first registration at its parent.
    Zero,
    /// Its own id, as the protocol says.
    Own,
    /// The id of the newcomer.
    Newcomer,
}

/// What a server does with a status to `0xFFFFFFFF`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtensionStatus {
    /// Sends it back unchanged.
    Returned,
    /// Drops it.
    Dropped,
    /// Keeps its text, as that of a status to the server itself.
    Kept,
}

/// The habits of one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Habits {
    /// The last hop with which it introduces itself.
    pub introduction_hop: IntroductionHop,
    /// Whether it answers a repeated introduction with status 2.
    pub refuses_second_introduction: bool,
    /// Whether it announces hosts also over the link from which it learnt them.
    pub echoes_announcements: bool,
    /// Whether it sends a newcomer that newcomer's own registration, among all that it knows.
    pub returns_newcomer_entries: bool,
    /// What it does with a status to `0xFFFFFFFF`.
    pub extension_status: ExtensionStatus,
    /// Whether its welcome has code 1.
    pub welcomes_with_code_1: bool,
    /// Whether the destination of its welcome is the id of the client.
    pub welcomes_to_client_id: bool,
    /// Whether it announces other servers under its own name.
    pub announces_servers_under_own_name: bool,
    /// Whether it ends on the type `0x02`.
    pub ends_on_server_quit: bool,
    /// Whether it reads at most 1,024 bytes, takes them for whole frames, and ends otherwise.
    pub reads_once: bool,
    /// Whether it ends on a name, info or text that is not UTF-8.
    pub ends_on_invalid_text: bool,
    /// Whether it ends on a length above 1 MiB; otherwise it closes the connection.
    pub ends_on_huge_length: bool,
    /// Whether it ends on an unknown type; otherwise it closes the connection.
    pub ends_on_unknown_type: bool,
    /// Whether it keeps the text of statuses to 0.
    pub logs_statuses_to_0: bool,
    /// Whether it answers a chat to 0 with `Unknown ID 0`.
    pub answers_chats_to_0: bool,
    /// Maximum number of registrations in one read, beyond which it ends.
    pub registrations_per_read_max: Option<usize>,
    /// Whether it keeps servers behind a closed link, and so refuses their ids for ever.
    pub keeps_lost_servers: bool,
}

impl Habits {
    /// Returns the behaviour of the protocol's text, which ends on nothing.
    #[must_use]
    pub fn ours_plain() -> Self {
        Self {
            introduction_hop: IntroductionHop::Own,
            refuses_second_introduction: true,
            echoes_announcements: false,
            returns_newcomer_entries: false,
            extension_status: ExtensionStatus::Dropped,
            welcomes_with_code_1: false,
            welcomes_to_client_id: false,
            announces_servers_under_own_name: false,
            ends_on_server_quit: false,
            reads_once: false,
            ends_on_invalid_text: false,
            ends_on_huge_length: false,
            ends_on_unknown_type: false,
            logs_statuses_to_0: true,
            answers_chats_to_0: true,
            registrations_per_read_max: None,
            keeps_lost_servers: false,
        }
    }

    /// Returns a program that reads once and ends on everything else than the table of frames.
    fn fragile() -> Self {
        Self {
            ends_on_server_quit: true,
            reads_once: true,
            ends_on_invalid_text: true,
            ends_on_huge_length: true,
            ends_on_unknown_type: true,
            keeps_lost_servers: true,
            ..Self::ours_plain()
        }
    }

    /// Returns the habits of the program `A` to `E`, or of `plain`.
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        let habits = match name {
            "plain" => Self::ours_plain(),
            // Uses one function for its own registration, and returns what it cannot route.
            "A" => Self {
                introduction_hop: IntroductionHop::Zero,
                extension_status: ExtensionStatus::Returned,
                ..Self::fragile()
            },
            // Has one loop over all servers and one over all hosts, both without an exception.
            "B" => Self {
                echoes_announcements: true,
                returns_newcomer_entries: true,
                welcomes_with_code_1: true,
                keeps_lost_servers: false,
                ..Self::fragile()
            },
            // Fills in the fields of its frames from the wrong variables.
            "C" => Self {
                introduction_hop: IntroductionHop::Newcomer,
                refuses_second_introduction: false,
                extension_status: ExtensionStatus::Kept,
                welcomes_to_client_id: true,
                announces_servers_under_own_name: true,
                ends_on_huge_length: false,
                ..Self::fragile()
            },
            // Assembles frames in a table of fixed size, forwards any bytes, and answers little.
            "D" => Self {
                refuses_second_introduction: false,
                ends_on_server_quit: true,
                ends_on_huge_length: true,
                logs_statuses_to_0: false,
                answers_chats_to_0: false,
                registrations_per_read_max: Some(399),
                keeps_lost_servers: true,
                ..Self::ours_plain()
            },
            // Has most habits at once.
            "E" => Self {
                introduction_hop: IntroductionHop::Zero,
                echoes_announcements: true,
                returns_newcomer_entries: true,
                extension_status: ExtensionStatus::Returned,
                welcomes_with_code_1: true,
                welcomes_to_client_id: true,
                announces_servers_under_own_name: true,
                answers_chats_to_0: false,
                ..Self::fragile()
            },
            _ => return None,
        };
        Some(habits)
    }

    /// Returns random habits.
    pub fn random(rng: &mut impl Rng) -> Self {
        use {ExtensionStatus as Extension, IntroductionHop as Hop};
        Self {
            introduction_hop: [Hop::Zero, Hop::Own, Hop::Newcomer][rng.random_range(0..3)],
            refuses_second_introduction: rng.random(),
            echoes_announcements: rng.random(),
            returns_newcomer_entries: rng.random(),
            extension_status: [Extension::Returned, Extension::Dropped, Extension::Kept]
                [rng.random_range(0..3)],
            welcomes_with_code_1: rng.random(),
            welcomes_to_client_id: rng.random(),
            announces_servers_under_own_name: rng.random(),
            ends_on_server_quit: rng.random(),
            reads_once: rng.random(),
            ends_on_invalid_text: rng.random(),
            ends_on_huge_length: rng.random(),
            ends_on_unknown_type: rng.random(),
            logs_statuses_to_0: rng.random(),
            answers_chats_to_0: rng.random(),
            registrations_per_read_max: rng
                .random::<bool>()
                .then(|| rng.random_range(REGISTRATIONS_PER_READ_MIN..400)),
            keeps_lost_servers: rng.random(),
        }
    }

    /// Returns each habit with its value, for statistics.
    #[must_use]
    pub fn values(&self) -> Vec<String> {
        let mut habits = self.clone();
        let mut values: Vec<String> = FLAGS
            .iter()
            .map(|name| format!("{name}={}", habits.flag(name).expect("a flag")))
            .collect();
        values.push(format!("introduction-hop={:?}", self.introduction_hop));
        values.push(format!("extension-status={:?}", self.extension_status));
        let is_limited = self.registrations_per_read_max.is_some();
        values.push(format!("limits-registrations-per-read={is_limited}"));
        values
    }

    /// Returns the maximum size of a read, in bytes.
    #[must_use]
    pub fn read_bytes_max(&self) -> usize {
        if self.reads_once { SMALL_READ_BYTES_MAX } else { LARGE_READ_BYTES_MAX }
    }

    /// Sets a habit from `NAME` or `NAME=VALUE`, with the name of the field in kebab case.
    ///
    /// # Errors
    /// If there is no such habit, or it has no such value.
    pub fn set(&mut self, text: &str) -> Result<(), String> {
        let (name, value) = text.split_once('=').unwrap_or((text, "true"));
        let is_set = match name {
            "introduction-hop" => assign(&mut self.introduction_hop, parse_hop(value)),
            "extension-status" => assign(&mut self.extension_status, parse_extension(value)),
            "registrations-per-read-max" => {
                assign(&mut self.registrations_per_read_max, value.parse().ok().map(Some))
            }
            _ => {
                let flag = self.flag(name).ok_or_else(|| format!("there is no habit {name}"))?;
                assign(flag, value.parse().ok())
            }
        };
        if is_set { Ok(()) } else { Err(format!("the habit {name} has no value {value}")) }
    }

    fn flag(&mut self, name: &str) -> Option<&mut bool> {
        let flag = match name {
            "refuses-second-introduction" => &mut self.refuses_second_introduction,
            "echoes-announcements" => &mut self.echoes_announcements,
            "returns-newcomer-entries" => &mut self.returns_newcomer_entries,
            "welcomes-with-code-1" => &mut self.welcomes_with_code_1,
            "welcomes-to-client-id" => &mut self.welcomes_to_client_id,
            "announces-servers-under-own-name" => &mut self.announces_servers_under_own_name,
            "ends-on-server-quit" => &mut self.ends_on_server_quit,
            "reads-once" => &mut self.reads_once,
            "ends-on-invalid-text" => &mut self.ends_on_invalid_text,
            "ends-on-huge-length" => &mut self.ends_on_huge_length,
            "ends-on-unknown-type" => &mut self.ends_on_unknown_type,
            "logs-statuses-to-0" => &mut self.logs_statuses_to_0,
            "answers-chats-to-0" => &mut self.answers_chats_to_0,
            "keeps-lost-servers" => &mut self.keeps_lost_servers,
            _ => return None,
        };
        Some(flag)
    }
}

/// Assigns a value if there is one. Returns whether there was.
fn assign<T>(place: &mut T, value: Option<T>) -> bool {
    value.map(|value| *place = value).is_some()
}

fn parse_hop(text: &str) -> Option<IntroductionHop> {
    match text {
        "zero" => Some(IntroductionHop::Zero),
        "own" => Some(IntroductionHop::Own),
        "newcomer" => Some(IntroductionHop::Newcomer),
        _ => None,
    }
}

fn parse_extension(text: &str) -> Option<ExtensionStatus> {
    match text {
        "returned" => Some(ExtensionStatus::Returned),
        "dropped" => Some(ExtensionStatus::Dropped),
        "kept" => Some(ExtensionStatus::Kept),
        _ => None,
    }
}
