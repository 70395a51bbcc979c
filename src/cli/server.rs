//! `crc server`: its options, and what comes of them with those of the configuration file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde::Deserialize;

use super::validated::{
    Count, Days, FrameBytes, Id, Info, Interval, LogFilter, Micros, Name, QueueBytes, Seconds,
};
use crate::uri::Address;
use crate::id::HostId;
use crate::limits::{Limits, MAIL_BYTES_MAX, MAIL_IN_MEMORY_BYTES_MAX, NAME_BYTES_MAX};
use crate::net::ServerSettings;
use crate::relay::Identity;
use crate::wires::Wire;

/// The port that is registered for chat relays ("text-relay").
const DEFAULT_PORT: u16 = 3600;

/// `crc server`.
#[derive(Debug, Args)]
pub struct ServerArgs {
    #[command(flatten)]
    options: ServerOptions,

    /// Read options from this TOML file; its keys are these options without their dashes
    #[arg(long, env = "CRC_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Every option of a server that the command line, the environment and the file can set alike.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ServerOptions {
    /// Where to listen for servers and clients that speak CRC [default: 127.0.0.1:3600]
    #[arg(long, env = "CRC_LISTEN", value_name = "ADDR")]
    listen: Option<Address>,

    /// Where to listen for clients that speak protobuf with numeric ids [default: nowhere]
    #[arg(long, env = "CRC_DIRECT", value_name = "ADDR")]
    direct: Option<Address>,

    /// Where to listen for clients that speak 256-byte messages [default: nowhere]
    #[arg(long, env = "CRC_CLASSIC", value_name = "ADDR")]
    classic: Option<Address>,

    /// A server to join; further ones are fallbacks, in this order
    #[arg(long, env = "CRC_PARENT", value_name = "ADDR", value_delimiter = ',')]
    #[serde(default, deserialize_with = "parents")]
    parent: Vec<Address>,

    /// The id of this server in the network, 1 to 4294967294 [default: a random one]
    #[arg(long, env = "CRC_ID", value_name = "N")]
    id: Option<Id>,

    /// The name of this server, at most 255 bytes [default: the name of this machine]
    #[arg(long, env = "CRC_NAME", value_name = "NAME")]
    name: Option<Name>,

    /// What this server says of itself, at most 65535 bytes
    #[arg(long, env = "CRC_INFO", value_name = "TEXT")]
    info: Option<Info>,

    /// Where to put the socket for `crc ctl`
    #[arg(long, env = "CRC_CONTROL", value_name = "PATH")]
    control: Option<PathBuf>,

    /// The file in which messages to the absent wait; it is made if it is missing
    /// [default: they wait in memory]
    #[arg(long, env = "CRC_MAILBOX", value_name = "PATH")]
    mailbox: Option<PathBuf>,

    /// How many messages may wait for one addressee [default: 10000]
    #[arg(long, env = "CRC_MAIL_MESSAGES", value_name = "N")]
    #[serde(alias = "mail_messages")]
    mail_messages: Option<Count>,

    /// What all that waits may take together [default: 1073741824 in a file, 67108864 in memory]
    #[arg(long, env = "CRC_MAIL_BYTES", value_name = "BYTES")]
    #[serde(alias = "mail_bytes")]
    mail_bytes: Option<Count>,

    /// How long a message waits before it is forgotten, while the server runs [default: 30]
    #[arg(long, env = "CRC_MAIL_DAYS", value_name = "DAYS")]
    #[serde(alias = "mail_days")]
    mail_days: Option<Days>,

    /// How often a classic client must say that it is alive; after three times that it is gone
    /// [default: 10]
    #[arg(long, env = "CRC_CLASSIC_INTERVAL", value_name = "SECONDS")]
    #[serde(alias = "classic_interval")]
    classic_interval: Option<Interval>,

    /// How long the users behind a lost server may stay lost before they leave [default: 5]
    #[arg(long, env = "CRC_SPLIT_GRACE", value_name = "SECONDS")]
    #[serde(alias = "split_grace")]
    split_grace: Option<Seconds>,

    /// How long a connection may take to register [default: 10]
    #[arg(long, env = "CRC_REGISTER_DEADLINE", value_name = "SECONDS")]
    #[serde(alias = "register_deadline")]
    register_deadline: Option<Seconds>,

    /// The largest frame that is taken [default: 1048576]
    #[arg(long, env = "CRC_MAX_FRAME", value_name = "BYTES")]
    #[serde(alias = "max_frame")]
    max_frame: Option<FrameBytes>,

    /// What may wait unsent for a client before it is closed [default: 262144]
    #[arg(long, env = "CRC_CLIENT_QUEUE", value_name = "BYTES")]
    #[serde(alias = "client_queue")]
    client_queue: Option<QueueBytes>,

    /// What may wait unsent for a server before it is closed [default: 8388608]
    #[arg(long, env = "CRC_SERVER_QUEUE", value_name = "BYTES")]
    #[serde(alias = "server_queue")]
    server_queue: Option<QueueBytes>,

    /// How long to look again before sleeping: keeps a core busy so much longer after each message,
    /// and answers the next one sooner [default: 0]
    #[arg(long, env = "CRC_BUSY_POLL", value_name = "MICROSECONDS")]
    #[serde(alias = "busy_poll")]
    busy_poll: Option<Micros>,

    /// How much to log: error, warn, info, debug, trace, or a filter such as crc::net=debug
    /// [default: info]
    #[arg(long, env = "CRC_LOG", value_name = "LEVEL")]
    log: Option<LogFilter>,
}

impl ServerArgs {
    /// The configuration file to read, if there is one.
    #[must_use]
    pub fn config_path(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// How the server is to run, and the filter of its log. `file` is the text of the configuration
    /// file; `hostname` and `seed` fill in what nobody chose.
    ///
    /// # Errors
    /// What is wrong in the file, with its line.
    pub fn into_settings(
        self,
        config_text: Option<&str>,
        hostname: &str,
        seed: u64,
    ) -> Result<(ServerSettings, String), String> {
        let file: ServerOptions = config_text
            .map(toml::from_str)
            .transpose()
            .map_err(|error| error.to_string())?
            .unwrap_or_default();
        let args = self.options;
        let defaults = Limits::default();
        let id = args.id.or(file.id);
        let name = args.name.or(file.name).map_or_else(|| truncate_name(hostname), |name| name.0);
        let info = args.info.or(file.info).map_or_else(String::new, |info| info.0);
        let identity = Identity {
            id: id
                .as_ref()
                .map_or_else(|| HostId::random(&mut StdRng::seed_from_u64(seed)), |id| id.0),
            is_id_configured: id.is_some(),
            name: name.into_bytes(),
            info: info.into_bytes(),
        };
        let mailbox = args.mailbox.or(file.mailbox);
        let limits = Limits {
            host_table_bytes_max: defaults.host_table_bytes_max,
            announce_batch_users_min: defaults.announce_batch_users_min,
            announce_batch_delay_min: defaults.announce_batch_delay_min,
            frame_bytes_max: args
                .max_frame
                .or(file.max_frame)
                .map_or(defaults.frame_bytes_max, |bytes| bytes.0),
            client_queue_bytes_max: args
                .client_queue
                .or(file.client_queue)
                .map_or(defaults.client_queue_bytes_max, |bytes| bytes.0),
            server_queue_bytes_max: args
                .server_queue
                .or(file.server_queue)
                .map_or(defaults.server_queue_bytes_max, |bytes| bytes.0),
            register_deadline: args
                .register_deadline
                .or(file.register_deadline)
                .map_or(defaults.register_deadline, |span| span.0),
            split_grace: args
                .split_grace
                .or(file.split_grace)
                .map_or(defaults.split_grace, |span| span.0),
            classic_alive_interval: args
                .classic_interval
                .or(file.classic_interval)
                .map_or(defaults.classic_alive_interval, |span| span.0),
            mail_messages_max: args
                .mail_messages
                .or(file.mail_messages)
                .map_or(defaults.mail_messages_max, |count| count.0),
            mail_bytes_max: args.mail_bytes.or(file.mail_bytes).map_or(
                if mailbox.is_some() { MAIL_BYTES_MAX } else { MAIL_IN_MEMORY_BYTES_MAX },
                |count| count.0,
            ),
            mail_age_max: args
                .mail_days
                .or(file.mail_days)
                .map_or(defaults.mail_age_max, |span| span.0),
        };
        let listen = args.listen.or(file.listen).unwrap_or_else(default_listen_address);
        let listeners = [
            (Wire::Crc, Some(listen)),
            (Wire::Direct, args.direct.or(file.direct)),
            (Wire::Classic, args.classic.or(file.classic)),
        ];
        let listeners = listeners.into_iter().filter_map(|(door, address)| Some((door, address?)));
        let settings = ServerSettings {
            identity,
            listeners: listeners.collect(),
            mailbox,
            parents: if args.parent.is_empty() { file.parent } else { args.parent },
            control_socket: args.control.or(file.control),
            busy_poll: args.busy_poll.or(file.busy_poll).map_or(Duration::ZERO, |span| span.0),
            limits,
            seed,
        };
        Ok((settings, args.log.or(file.log).map_or_else(|| "info".to_owned(), |log| log.0)))
    }
}

/// The parents in a file: one address, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

fn parents<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Address>, D::Error> {
    let texts = match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(text) => vec![text],
        OneOrMany::Many(texts) => texts,
    };
    texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}

fn default_listen_address() -> Address {
    Address { host: "127.0.0.1".to_owned(), port: DEFAULT_PORT }
}

/// A machine's name, cut where a longer one could not travel.
fn truncate_name(name: &str) -> String {
    name[..name.floor_char_boundary(NAME_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser as _;

    use super::super::{Cli, Program};
    use super::*;

    fn settings(flags: &str, file: Option<&str>) -> Result<(ServerSettings, String), String> {
        let words = ["crc", "server"].into_iter().chain(flags.split_whitespace());
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        let Program::Server(args) = cli.command else { panic!("not a server") };
        args.into_settings(file, "machine", 7)
    }

    fn check_settings_error(flags: &str, file: Option<&str>, expected: &[&str]) {
        let error = settings(flags, file).expect_err("an error");
        for part in expected {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    }

    #[test]
    fn defaults_match_the_documented_values() {
        let (settings, log) = settings("", None).expect("valid");
        assert_eq!(settings.listeners, [(Wire::Crc, "127.0.0.1:3600".parse().expect("valid"))]);
        assert_eq!(settings.identity.name, b"machine");
        assert!(settings.identity.id.is_registrable() && !settings.identity.is_id_configured);
        assert_eq!(settings.limits.frame_bytes_max, 1_048_576);
        assert_eq!(settings.limits.split_grace, Duration::from_secs(5));
        assert_eq!(log, "info");
    }

    #[test]
    fn flag_overrides_config_file_and_config_file_overrides_default() {
        let file = "name = 'from-file'\nid = 7\nsplit-grace = 2\nparent = ['a:1', 'b:2']\n";
        let (settings, _) = settings("--name flag --max-frame 2000", Some(file)).expect("valid");
        assert_eq!(settings.identity.name, b"flag");
        assert_eq!(settings.identity.id, HostId(7));
        assert_eq!(settings.limits.split_grace, Duration::from_secs(2));
        assert_eq!(settings.limits.frame_bytes_max, 2000);
        let parents: Vec<String> = settings.parents.iter().map(Address::to_string).collect();
        assert_eq!(parents, ["a:1", "b:2"]);
    }

    #[test]
    fn config_file_accepts_one_parent_without_a_list() {
        let file = "parent = 'a:1'\nsplit_grace = 0.5\nbusy_poll = 50";
        let (settings, _) = settings("", Some(file)).expect("valid");
        assert_eq!(settings.busy_poll, Duration::from_micros(50));
        assert_eq!(settings.parents.len(), 1);
        assert_eq!(settings.limits.split_grace, Duration::from_millis(500));
    }

    #[test]
    fn invalid_option_error_names_its_flag_or_line() {
        check_settings_error("", Some("id = 1\nlissten = 'a:1'\n"), &["line 2", "lissten"]);
        check_settings_error("", Some("id = 0\n"), &["line 1", "1 to 4294967294"]);
        check_settings_error("", Some("parent = 'nowhere'\n"), &["line 1", "host:port"]);
        check_settings_error("", Some("listen = [\n"), &["line 1"]);
        check_settings_error("--id 4294967295", None, &["--id", "1 to 4294967294"]);
        check_settings_error("--id x", None, &["--id", "is not a number"]);
        check_settings_error("--listen nowhere", None, &["--listen", "host:port"]);
        check_settings_error("--split-grace -1", None, &["-1"]);
        check_settings_error("--max-frame 1", None, &["--max-frame", "128"]);
        let long = format!("--name {}", "n".repeat(256));
        check_settings_error(&long, None, &["--name", "at most 255 bytes"]);
        check_settings_error("--busy-poll 1000001", None, &["--busy-poll", "0 to 1000000"]);
        check_settings_error("", Some("busy-poll = -1"), &["line 1", "0 to 1000000"]);
        check_settings_error("--log verbose", None, &["--log", "verbose", "debug"]);
        check_settings_error("--log info,crc=loud", None, &["crc=loud"]);
        check_settings_error("--client-queue 10000", None, &["--client-queue", "65536"]);
        check_settings_error("--nmae x", None, &["--nmae", "--name"]);
    }

    #[test]
    fn long_hostname_is_truncated_at_a_character_boundary() {
        let name = "ü".repeat(200);
        assert_eq!(truncate_name(&name).len(), 254);
    }
}
