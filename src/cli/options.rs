//! Every option of `crc server`, stated once: flag, environment variable, key of the configuration
//! file, type and help text. The defaults of limits come from [`Limits`].

use std::path::PathBuf;

use clap::{Arg, Args};
use serde::Deserialize;
use serde::de::Error as _;

use super::values::{
    BufferBytes, Connections, Count, DAY_SECONDS, Days, FrameBytes, Id, Info, Interval, JoinToken,
    ListenUri, LogFilter, Micros, Name, ParentUri, PingSeconds, QueueBytes, Range, RoomRate,
    Seconds, WebOriginUri,
};
use crate::limits::{Limits, MAIL_IN_MEMORY_BYTES_MAX};
use crate::uri::Address;

/// An option that another source can fill in while it is not set.
trait Overridable {
    /// Returns `self` if it is set, else `fallback`.
    fn or(self, fallback: Self) -> Self;
}

impl<T> Overridable for Option<T> {
    fn or(self, fallback: Self) -> Self {
        Option::or(self, fallback)
    }
}

impl<T> Overridable for Vec<T> {
    fn or(self, fallback: Self) -> Self {
        if self.is_empty() { fallback } else { self }
    }
}

/// Defines the struct of options with `overriding` and `differing`, which cover every field.
macro_rules! options {
    ($(#[$meta:meta])* struct $name:ident {
        $($(#[$field_meta:meta])* $field:ident: $type:ty,)*
    }) => {
        $(#[$meta])*
        pub(super) struct $name {
            $($(#[$field_meta])* pub(super) $field: $type,)*
        }

        impl $name {
            /// Returns these options, with `fallback` for those that are not set.
            pub(super) fn overriding(self, fallback: Self) -> Self {
                Self { $($field: Overridable::or(self.$field, fallback.$field),)* }
            }

            /// Returns the keys of the options whose values are not those of `other`.
            pub(super) fn differing(&self, other: &Self) -> Vec<String> {
                let mut keys = Vec::new();
                $(if self.$field != other.$field {
                    keys.push(stringify!($field).replace('_', "-"));
                })*
                keys
            }
        }
    };
}

options! {
    /// The options of a server. The command line, the environment and the file set the same ones.
    #[derive(Clone, Debug, Default, PartialEq, Args, Deserialize)]
    #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
    #[command(mut_args(show_default_limit))]
    struct ServerOptions {
        /// Where to listen, once or more: crc://host:port, direct://host:port (protobuf messages),
        /// classic://host:port (256-byte messages), irc://host:port (IRC) or http://host:port
        /// (browsers), with TLS as crcs://, directs://, classics://, ircs:// and https://;
        /// host:port is crc:// [default: crc://127.0.0.1:3600 if no other crc:// is given]
        #[arg(long, env = "CRC_LISTEN", value_name = "URI", value_delimiter = ',')]
        #[serde(deserialize_with = "one_or_many")]
        listen: Vec<ListenUri>,

        /// Short for --listen direct://ADDR
        #[arg(long, env = "CRC_DIRECT", value_name = "ADDR")]
        direct: Option<Address>,

        /// Short for --listen classic://ADDR
        #[arg(long, env = "CRC_CLASSIC", value_name = "ADDR")]
        classic: Option<Address>,

        /// A server to join, crc://host:port, crcs://host:port (TLS) or host:port; further ones are
        /// fallbacks, in this order
        #[arg(long, env = "CRC_PARENT", value_name = "URI", value_delimiter = ',')]
        #[serde(deserialize_with = "one_or_many")]
        parent: Vec<ParentUri>,

        /// The addresses from which other servers may join this one, once or more, such as
        /// 192.168.0.0/16; others may be clients only [default: this machine]
        #[arg(long, env = "CRC_ALLOW_SERVERS", value_name = "CIDR", value_delimiter = ',')]
        #[serde(alias = "allow_servers", deserialize_with = "one_or_many")]
        allow_servers: Vec<Range>,

        /// The file with a secret that the servers of a network share, at least 16 bytes: whoever
        /// proves it may join from any address
        #[arg(long, env = "CRC_LINK_KEY_FILE", value_name = "FILE")]
        #[serde(alias = "link_key_file")]
        link_key_file: Option<PathBuf>,

        /// The invitation of another server, which this one joins: the line that `crc ctl invite`
        /// prints there
        #[arg(long, env = "CRC_JOIN", value_name = "TOKEN", hide_env_values = true)]
        join: Option<JoinToken>,

        /// The file that keeps the invitations that were used, so that the servers which joined by
        /// them come back after a restart of this one; created if missing [default: in memory]
        #[arg(long, env = "CRC_INVITATIONS", value_name = "FILE")]
        invitations: Option<PathBuf>,

        /// The certificate of this server for TLS, with those that signed it, in PEM
        #[arg(long, env = "CRC_TLS_CERT", value_name = "FILE")]
        #[serde(alias = "tls_cert")]
        tls_cert: Option<PathBuf>,

        /// The private key of the certificate, in PEM
        #[arg(long, env = "CRC_TLS_KEY", value_name = "FILE")]
        #[serde(alias = "tls_key")]
        tls_key: Option<PathBuf>,

        /// The certificates of the authorities that sign those of the other servers, in PEM
        #[arg(long, env = "CRC_TLS_CA", value_name = "FILE")]
        #[serde(alias = "tls_ca")]
        tls_ca: Option<PathBuf>,

        /// Proxies that begin each connection with a PROXY header (version 2), as addresses or
        /// ranges such as 10.0.0.0/8; the address in it counts for limits, lists and logs
        #[arg(long, env = "CRC_TRUSTED_PROXIES", value_name = "CIDR", value_delimiter = ',')]
        #[serde(alias = "trusted_proxies", deserialize_with = "one_or_many")]
        trusted_proxies: Vec<Range>,

        /// The origins under which browsers reach the pages of this server through a proxy or by a
        /// name, such as https://chat.example.org; pages of other origins may not chat
        #[arg(long, env = "CRC_WEB_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
        #[serde(alias = "web_origin", deserialize_with = "one_or_many")]
        web_origin: Vec<WebOriginUri>,

        /// The file with the secret of the operator, at least 16 bytes: whoever shows it may use
        /// /operator and /metrics on the http:// listeners [default: nobody]
        #[arg(long, env = "CRC_OPERATOR_TOKEN_FILE", value_name = "FILE")]
        #[serde(alias = "operator_token_file")]
        operator_token_file: Option<PathBuf>,

        /// The file with the message of the day, at most 16384 bytes: IRC clients are sent it when
        /// they connect [default: none]
        #[arg(long, env = "CRC_MOTD", value_name = "FILE")]
        motd: Option<PathBuf>,

        /// The id of this server in the network, 1 to 4294967294 [default: random]
        #[arg(long, env = "CRC_ID", value_name = "N")]
        id: Option<Id>,

        /// The name of this server, at most 255 bytes [default: the name of this machine]
        #[arg(long, env = "CRC_NAME", value_name = "NAME")]
        name: Option<Name>,

        /// A text about this server, at most 65535 bytes
        #[arg(long, env = "CRC_INFO", value_name = "TEXT")]
        info: Option<Info>,

        /// Path of the control socket for `crc ctl`, at most 107 bytes
        #[arg(long, env = "CRC_CONTROL", value_name = "PATH")]
        control: Option<PathBuf>,

        /// The file that keeps messages to absent users; created if missing
        /// [default: in memory]
        #[arg(long, env = "CRC_MAILBOX", value_name = "PATH")]
        mailbox: Option<PathBuf>,

        /// Maximum number of messages kept for one user
        #[arg(long, env = "CRC_MAIL_MESSAGES", value_name = "N")]
        #[serde(alias = "mail_messages")]
        mail_messages: Option<Count>,

        /// Maximum size of all kept messages together, in bytes
        #[arg(long, env = "CRC_MAIL_BYTES", value_name = "BYTES")]
        #[serde(alias = "mail_bytes")]
        mail_bytes: Option<Count>,

        /// How long a message is kept, in days of server run time
        #[arg(long, env = "CRC_MAIL_DAYS", value_name = "DAYS")]
        #[serde(alias = "mail_days")]
        mail_days: Option<Days>,

        /// How many messages a user may send to a room in a second, after 2,000 at once
        #[arg(long, env = "CRC_ROOM_RATE", value_name = "N")]
        #[serde(alias = "room_rate")]
        room_rate: Option<RoomRate>,

        /// How often a classic client must send `Alive`; it is removed after three intervals
        /// without one
        #[arg(long, env = "CRC_CLASSIC_INTERVAL", value_name = "SECONDS")]
        #[serde(alias = "classic_interval")]
        classic_interval: Option<Interval>,

        /// How long the users behind a lost server may be away before they quit
        #[arg(long, env = "CRC_SPLIT_GRACE", value_name = "SECONDS")]
        #[serde(alias = "split_grace")]
        split_grace: Option<Seconds>,

        /// Time after which a silent server is asked whether it is alive
        #[arg(long, env = "CRC_PING_INTERVAL", value_name = "SECONDS")]
        #[serde(alias = "ping_interval")]
        ping_interval: Option<PingSeconds>,

        /// Time after which the link to a silent server is closed; longer than the interval
        #[arg(long, env = "CRC_PING_TIMEOUT", value_name = "SECONDS")]
        #[serde(alias = "ping_timeout")]
        ping_timeout: Option<PingSeconds>,

        /// How long a new connection may take to register
        #[arg(long, env = "CRC_REGISTER_DEADLINE", value_name = "SECONDS")]
        #[serde(alias = "register_deadline")]
        register_deadline: Option<Seconds>,

        /// How long a frame may take from its first byte to its last
        #[arg(long, env = "CRC_FRAME_DEADLINE", value_name = "SECONDS")]
        #[serde(alias = "frame_deadline")]
        frame_deadline: Option<Seconds>,

        /// Maximum number of connections that have not registered; beyond it, the oldest is closed
        #[arg(long, env = "CRC_MAX_UNREGISTERED", value_name = "N")]
        #[serde(alias = "max_unregistered")]
        max_unregistered: Option<Connections>,

        /// Maximum number of connections from one address that have not registered
        #[arg(long, env = "CRC_UNREGISTERED_PER_ADDRESS", value_name = "N")]
        #[serde(alias = "unregistered_per_address")]
        unregistered_per_address: Option<Connections>,

        /// Maximum number of users from one address, other than loopback
        #[arg(long, env = "CRC_USERS_PER_ADDRESS", value_name = "N")]
        #[serde(alias = "users_per_address")]
        users_per_address: Option<Connections>,

        /// Maximum number of servers from one address, other than loopback
        #[arg(long, env = "CRC_SERVERS_PER_ADDRESS", value_name = "N")]
        #[serde(alias = "servers_per_address")]
        servers_per_address: Option<Connections>,

        /// Maximum size of all send queues and incomplete input together, in bytes; beyond it, the
        /// connection that holds the most is closed
        #[arg(long, env = "CRC_BUFFER_BYTES", value_name = "BYTES")]
        #[serde(alias = "buffer_bytes")]
        buffer_bytes: Option<BufferBytes>,

        /// Maximum size of a frame, in bytes
        #[arg(long, env = "CRC_MAX_FRAME", value_name = "BYTES")]
        #[serde(alias = "max_frame")]
        max_frame: Option<FrameBytes>,

        /// Maximum size of the send queue of a client, in bytes; a client beyond it is closed
        #[arg(long, env = "CRC_CLIENT_QUEUE", value_name = "BYTES")]
        #[serde(alias = "client_queue")]
        client_queue: Option<QueueBytes>,

        /// Maximum size of the send queue of a server, in bytes; a server beyond it is closed
        #[arg(long, env = "CRC_SERVER_QUEUE", value_name = "BYTES")]
        #[serde(alias = "server_queue")]
        server_queue: Option<QueueBytes>,

        /// How long to poll for events before sleeping, in microseconds: lowers latency, and keeps
        /// a core busy for that long after each message [default: 0]
        #[arg(long, env = "CRC_BUSY_POLL", value_name = "MICROSECONDS")]
        #[serde(alias = "busy_poll")]
        busy_poll: Option<Micros>,

        /// Log level: error, warn, info, debug or trace, or a filter such as crc::net=debug
        /// [default: info]
        #[arg(long, env = "CRC_LOG", value_name = "LEVEL")]
        log: Option<LogFilter>,
    }
}

/// Appends the default to the help of an option that sets one of the [`Limits`].
fn show_default_limit(option: Arg) -> Arg {
    let Some(default) = default_limit(option.get_id().as_str()) else {
        return option;
    };
    let help = option.get_help().map(ToString::to_string).unwrap_or_default();
    option.help(format!("{help} [default: {default}]"))
}

/// Returns the default of an option that sets one of the [`Limits`].
pub(super) fn default_limit(option: &str) -> Option<String> {
    let limits = Limits::default();
    Some(match option {
        "mail_messages" => limits.mail_messages_max.to_string(),
        "mail_bytes" => {
            format!("{} in a file, {MAIL_IN_MEMORY_BYTES_MAX} in memory", limits.mail_bytes_max)
        }
        "mail_days" => (limits.mail_age_max.as_secs_f64() / DAY_SECONDS).to_string(),
        "room_rate" => limits.room_rate.to_string(),
        "classic_interval" => limits.classic_alive_interval.as_secs_f64().to_string(),
        "split_grace" => limits.split_grace.as_secs_f64().to_string(),
        "ping_interval" => limits.ping_interval.as_secs_f64().to_string(),
        "ping_timeout" => limits.ping_timeout.as_secs_f64().to_string(),
        "register_deadline" => limits.register_deadline.as_secs_f64().to_string(),
        "frame_deadline" => limits.connections.frame_deadline.as_secs_f64().to_string(),
        "max_unregistered" => limits.connections.unregistered_max.to_string(),
        "unregistered_per_address" => limits.connections.unregistered_per_address_max.to_string(),
        "users_per_address" => limits.connections.users_per_address_max.to_string(),
        "servers_per_address" => limits.connections.servers_per_address_max.to_string(),
        "buffer_bytes" => limits.connections.buffer_bytes_max.to_string(),
        "max_frame" => limits.frame_bytes_max.to_string(),
        "client_queue" => limits.client_queue_bytes_max.to_string(),
        "server_queue" => limits.server_queue_bytes_max.to_string(),
        _ => return None,
    })
}

/// Deserializes a list, or a single string as a list of one.
fn one_or_many<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: TryFrom<String, Error = String>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }

    let texts = match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(text) => vec![text],
        OneOrMany::Many(texts) => texts,
    };
    texts.into_iter().map(|text| T::try_from(text).map_err(D::Error::custom)).collect()
}
