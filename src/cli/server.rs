//! `crc server`: from its options and the configuration file to the settings of a server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::environment::Sources;
use super::limits::{check_ping, limits};
use super::options::ServerOptions;
use super::print;
use super::values::Range;
use crate::id::HostId;
use crate::limits::NAME_BYTES_MAX;
use crate::net::{ServerSettings, TlsFiles};
use crate::relay::{Admission, Identity};
use crate::uri::Address;
use crate::wires::{Endpoint, Wire};

/// The reason for which options are not valid together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingsError {
    /// Flags or variables.
    Usage(String),
    /// The configuration file, or options of which it sets one.
    Config(String),
}

/// `crc server`.
#[derive(Clone, Debug, Args)]
pub struct ServerArgs {
    #[command(flatten)]
    options: ServerOptions,

    /// Read options from this TOML file; its keys are these options without their dashes
    #[arg(long, env = "CRC_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Check the options, the configuration file, certificates and keys, and start nothing
    #[arg(long)]
    check_config: bool,

    /// Print every option with its value and where it comes from, and start nothing
    #[arg(long)]
    print_config: bool,

    #[arg(skip)]
    sources: Sources,
}

impl ServerArgs {
    /// Returns the path of the configuration file, if there is one.
    #[must_use]
    pub fn config_path(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// Returns whether the configuration is only checked.
    #[must_use]
    pub fn checks_config(&self) -> bool {
        self.check_config
    }

    /// Returns every option with its value and where it comes from, as a configuration file, if
    /// that was asked for. `config_text` is the text of the configuration file.
    #[must_use]
    pub fn printed_config(&self, config_text: Option<&str>) -> Option<String> {
        let file = self.config.as_deref().zip(config_text);
        self.print_config.then(|| print::print_config(&self.sources, file))
    }

    pub(super) fn set_sources(&mut self, sources: Sources) {
        self.sources = sources;
    }

    /// Returns the settings of the server and its log filter. `config_text` is the text of the
    /// configuration file; `hostname` and `seed` give the default name and the default id.
    ///
    /// # Errors
    /// What is wrong in the file, with its line, or which options contradict each other.
    pub fn into_settings(
        self,
        config_text: Option<&str>,
        hostname: &str,
        seed: u64,
    ) -> Result<(ServerSettings, String), SettingsError> {
        let file = parse_file(config_text)?;
        let file_sets_ping = file.ping_interval.is_some() || file.ping_timeout.is_some();
        let file_sets_join = file.join.is_some() && self.options.join.is_none();
        let mut options = self.options.overriding(file);
        let log_filter = options.log.take().map_or_else(|| "info".to_owned(), Into::into);
        let limits = limits(&mut options);
        check_ping(&limits).map_err(|error| match file_sets_ping {
            true => SettingsError::Config(error),
            false => SettingsError::Usage(error),
        })?;
        let join = options.join.take().map(|token| String::from(token).parse()).transpose();
        let join = join.map_err(|error| match file_sets_join {
            true => SettingsError::Config(format!("join: {error}")),
            false => SettingsError::Usage(format!("--join (CRC_JOIN): {error}")),
        })?;
        let listeners = listeners(&mut options);
        let is_id_configured = options.id.is_some();
        let random_id = || HostId::random(&mut StdRng::seed_from_u64(seed));
        let default_name = || truncate_name(hostname);
        let identity = Identity {
            id: options.id.map_or_else(random_id, Into::into),
            is_id_configured,
            name: options.name.map_or_else(default_name, Into::into).into_bytes(),
            info: options.info.map_or_else(String::new, Into::into).into_bytes(),
        };
        let settings = ServerSettings {
            identity,
            listeners,
            admission: admission(options.allow_servers),
            link_key_file: options.link_key_file,
            join,
            invitations: options.invitations,
            mailbox: options.mailbox,
            parents: options.parent.into_iter().map(Into::into).collect(),
            tls: TlsFiles {
                certificate: options.tls_cert,
                key: options.tls_key,
                authorities: options.tls_ca,
            },
            trusted_proxies: options.trusted_proxies.into_iter().map(Into::into).collect(),
            web_origins: options.web_origin.into_iter().map(Into::into).collect(),
            operator_token_file: options.operator_token_file,
            motd: options.motd,
            control_socket: options.control,
            busy_poll: options.busy_poll.map_or(Duration::ZERO, Into::into),
            limits,
            seed,
        };
        Ok((settings, log_filter))
    }

    /// Returns the keys of the options whose values `config_text` changes, beside `earlier_text`.
    /// Those that the command line or the environment sets never change.
    ///
    /// # Errors
    /// What is wrong in one of the texts, with its line.
    pub fn changes(
        &self,
        earlier_text: Option<&str>,
        config_text: Option<&str>,
    ) -> Result<Vec<String>, SettingsError> {
        let options = |text| Ok(self.options.clone().overriding(parse_file(text)?));
        Ok(options(config_text)?.differing(&options(earlier_text)?))
    }
}

/// Parses the text of a configuration file.
fn parse_file(text: Option<&str>) -> Result<ServerOptions, SettingsError> {
    let options = text.map(toml::from_str).transpose();
    Ok(options.map_err(|error| SettingsError::Config(error.to_string()))?.unwrap_or_default())
}

/// Returns who may join as a server: those at the given addresses, or those on this machine.
fn admission(allowed: Vec<Range>) -> Admission {
    if allowed.is_empty() {
        return Admission::default();
    }
    Admission { allowed: allowed.into_iter().map(Into::into).collect(), link_key: None }
}

/// Returns the listeners in the order of `--listen`, `--direct`, `--classic`; a CRC listener at the
/// default address comes first if no other is given.
fn listeners(options: &mut ServerOptions) -> Vec<Endpoint> {
    let listen = std::mem::take(&mut options.listen);
    let mut listeners: Vec<Endpoint> = listen.into_iter().map(Into::into).collect();
    if !listeners.iter().any(|endpoint| endpoint.wire == Wire::CRC) {
        let address = Address { host: "127.0.0.1".to_owned(), port: 3600 };
        listeners.insert(0, Endpoint::plain(Wire::CRC, address));
    }
    let direct = options.direct.take().map(|address| Endpoint::plain(Wire::DIRECT, address));
    let classic = options.classic.take().map(|address| Endpoint::plain(Wire::CLASSIC, address));
    listeners.extend(direct.into_iter().chain(classic));
    listeners
}

/// Truncates a host name to the bytes that a name may have, at a character boundary.
fn truncate_name(name: &str) -> String {
    name[..name.floor_char_boundary(NAME_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::{CommandFactory as _, Parser as _};

    use super::super::{Cli, Program};
    use super::*;
    use crate::limits::Limits;

    fn settings(flags: &str, file: Option<&str>) -> Result<(ServerSettings, String), String> {
        let words = ["crc", "server"].into_iter().chain(flags.split_whitespace());
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        let Program::Server(args) = cli.command else { panic!("not a server") };
        args.into_settings(file, "machine", 7).map_err(|error| match error {
            SettingsError::Usage(text) => format!("usage: {text}"),
            SettingsError::Config(text) => format!("file: {text}"),
        })
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
        let default = Endpoint::plain(Wire::CRC, "127.0.0.1:3600".parse().expect("valid"));
        assert_eq!(settings.listeners, [default]);
        assert_eq!(settings.identity.name, b"machine");
        assert!(settings.identity.id.is_registrable() && !settings.identity.is_id_configured);
        assert_eq!(settings.limits.frame_bytes_max, 1_048_576);
        assert_eq!(settings.limits.split_grace, Duration::from_secs(5));
        assert_eq!(log, "info");
    }

    #[test]
    fn help_shows_the_default_limits() {
        let limits = |flags: &str| format!("{:?}", settings(flags, None).expect("valid").0.limits);
        let command = Cli::command();
        let server = command.find_subcommand("server").expect("a subcommand");
        let mut flags = Vec::new();
        for option in server.get_arguments() {
            let help = option.get_help().map(ToString::to_string).unwrap_or_default();
            let flag = format!("--{}", option.get_long().expect("a flag"));
            let Some((_, default)) = help.trim_end_matches(']').split_once("[default: ") else {
                continue;
            };
            let cases = match default.split_once(" in a file, ") {
                Some((in_file, rest)) => {
                    let in_memory = rest.strip_suffix(" in memory").expect("the other default");
                    vec![("--mailbox x", in_file), ("", in_memory)]
                }
                None => vec![("", default)],
            };
            for (others, number) in cases.into_iter().filter(|(_, it)| it.parse::<f64>().is_ok()) {
                let with_default = limits(&format!("{others} {flag} {number}"));
                assert_eq!(with_default, limits(others), "{flag} {number}");
                flags.push(flag.clone());
            }
        }
        flags.dedup();
        let expected = "--mail-messages --mail-bytes --mail-days --room-rate --classic-interval --split-grace \
                        --ping-interval --ping-timeout --register-deadline --frame-deadline \
                        --max-unregistered --unregistered-per-address --users-per-address \
                        --servers-per-address --buffer-bytes --max-frame --client-queue --server-queue --busy-poll";
        assert_eq!(flags.join(" "), expected);
    }

    #[track_caller]
    fn check_listeners(flags: &str, file: Option<&str>, expected: &[&str]) {
        let (settings, _) = settings(flags, file).expect("valid");
        let shown: Vec<_> = settings.listeners.iter().map(Endpoint::to_string).collect();
        assert_eq!(shown, expected, "{flags} {file:?}");
    }

    #[test]
    fn listeners_keep_the_order_of_their_options() {
        let default = "crc://127.0.0.1:3600";
        check_listeners("", None, &[default]);
        check_listeners(
            "--classic a:1 --direct b:2",
            None,
            &[default, "direct://b:2", "classic://a:1"],
        );
        check_listeners("--listen direct://b:2", None, &[default, "direct://b:2"]);
        check_listeners(
            "--listen DIRECTS://b --listen crc://[fe80::1%eth0] --listen c:0 --classic a:1",
            None,
            &["directs://b:3601", "crc://[fe80::1%eth0]:3600", "crc://c:0", "classic://a:1"],
        );
        let file = "listen = ['crc://a:1', 'classic://a']\ndirect = 'b:2'";
        check_listeners("", Some(file), &["crc://a:1", "classic://a:3602", "direct://b:2"]);
        check_listeners("--listen c:3", Some(file), &["crc://c:3", "direct://b:2"]);
        check_listeners("", Some("listen = 'c:3'"), &["crc://c:3"]);
    }

    #[test]
    fn parent_is_a_crc_uri() {
        let flags = "--parent crcs://a --parent b:2 --parent [fe80::1%eth0]:3600";
        let (settings, _) = settings(flags, None).expect("valid");
        let parents: Vec<String> = settings.parents.iter().map(Endpoint::to_string).collect();
        assert_eq!(parents, ["crcs://a:3600", "crc://b:2", "crc://[fe80::1%eth0]:3600"]);
        check_settings_error(
            "--parent direct://a:1",
            None,
            &["--parent", "over crc", "crc://a:3600"],
        );
        check_settings_error("", Some("parent = 'classic://a'"), &["line 1", "not over classic"]);
    }

    #[test]
    fn flag_overrides_config_file_and_config_file_overrides_default() {
        let file = "name = 'from-file'\nid = 7\nsplit-grace = 2\nparent = ['a:1', 'b:2']\n";
        let (settings, _) = settings("--name flag --max-frame 2000", Some(file)).expect("valid");
        assert_eq!(settings.identity.name, b"flag");
        assert_eq!(settings.identity.id, HostId(7));
        assert_eq!(settings.limits.split_grace, Duration::from_secs(2));
        assert_eq!(settings.limits.frame_bytes_max, 2000);
        let parents: Vec<String> = settings.parents.iter().map(Endpoint::to_string).collect();
        assert_eq!(parents, ["crc://a:1", "crc://b:2"]);
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
        let schemes = "crc[s]://host:port, direct[s]://host:port, classic[s]://host:port, irc[s]://host:port, http[s]://host:port";
        check_settings_error("--listen mqtt://a:1", None, &["--listen", "`mqtt://`", schemes]);
        check_settings_error("--split-grace -1", None, &["-1"]);
        for seconds in ["0", "-1", "1e-9", "1e9", "NaN"] {
            let flag = format!("--ping-interval={seconds}");
            check_settings_error(&flag, None, &["--ping-interval", "seconds above 0"]);
        }
        check_settings_error("", Some("ping-timeout = 0"), &["line 1", "seconds above 0"]);
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
    fn ping_timeout_must_exceed_the_interval_wherever_they_are_set() {
        let in_file = Some("ping-interval = 2\nping_timeout = 3");
        let (settings, _) = settings("--ping-timeout 2.5", in_file).expect("valid");
        let Limits { ping_interval, ping_timeout, .. } = settings.limits;
        assert_eq!((ping_interval.as_secs_f64(), ping_timeout.as_secs_f64()), (2.0, 2.5));
        let expected = "--ping-timeout (5s) must be longer than --ping-interval (5s)";
        check_settings_error("--ping-timeout 5", None, &["usage: ", expected]);
        check_settings_error("--ping-timeout 2", in_file, &["file: ", "(2s)"]);
        check_settings_error("--ping-interval 15", None, &["usage: ", "(15s)"]);
    }

    #[test]
    fn long_hostname_is_truncated_at_a_character_boundary() {
        let name = "ü".repeat(200);
        assert_eq!(truncate_name(&name).len(), 254);
    }
}
