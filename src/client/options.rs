//! The options of `crc client`, checked against the limits of the chosen wire before connecting.
//!
//! Names and ids that were not given are chosen later, from the account's name or at random.

use std::fmt;
use std::path::PathBuf;

use rand::Rng;

use super::server_uri::ServerUri;
use crate::id::HostId;
use crate::limits::{INFO_BYTES_MAX, NAME_BYTES_MAX};
use crate::relay::Identity;
use crate::tls::Fingerprint;
use crate::wires::Wire;
use crate::wires::classic::codec::{NAME_BYTES, Name};

/// Validated options: each fits the wire of the server's URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub(super) server: ServerUri,
    pub(super) user: RequestedUser,
    pub(super) json: bool,
    pub(super) trust: Option<Trust>,
}

/// What the certificate of the server is verified by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The authorities in a PEM file.
    Authorities(PathBuf),
    /// The fingerprint of the certificate.
    Pin(Fingerprint),
}

/// The requested identity on each wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RequestedUser {
    Crc { name: Option<String>, id: Option<HostId>, info: String },
    Direct { id: Option<i64> },
    Classic { name: Option<Name> },
}

/// An option that the wire cannot carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// The option as it is typed.
    pub option: &'static str,
    /// The value.
    pub value: String,
    /// The error and the remedy.
    pub why: String,
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { option, value, why } = self;
        write!(f, "invalid value '{value}' for '{option}': {why}")
    }
}

impl std::error::Error for OptionError {}

impl Options {
    /// Validates the given options. Those that the wire of `server` does not have are ignored,
    /// except an id on the classic wire.
    ///
    /// # Errors
    /// The first option that does not fit the wire.
    pub fn new(
        server: ServerUri,
        name: Option<String>,
        id: Option<i64>,
        info: Option<String>,
        json: bool,
    ) -> Result<Self, OptionError> {
        let user = match server.wire {
            wire if wire == Wire::CRC => RequestedUser::Crc {
                name: name
                    .map(|name| check_len(NAME_BYTES_MAX, "--name <NAME>", "a name", name))
                    .transpose()?,
                id: id.map(check_crc_id).transpose()?,
                info: check_len(
                    INFO_BYTES_MAX,
                    "--info <TEXT>",
                    "an info",
                    info.unwrap_or_default(),
                )?,
            },
            wire if wire == Wire::DIRECT => {
                RequestedUser::Direct { id: id.map(check_direct_id).transpose()? }
            }
            wire if wire == Wire::CLASSIC => match id {
                Some(id) => {
                    let why = "classic:// knows users by name only: leave it out, and choose a name \
                               with --name";
                    return Err(id_error(id, why.to_owned()));
                }
                None => RequestedUser::Classic { name: name.map(check_classic_name).transpose()? },
            },
            wire => {
                let hint = match wire {
                    wire if wire == Wire::HTTP => "; open it in a browser",
                    wire if wire == Wire::IRC => "; connect with an IRC client",
                    _ => "",
                };
                let why = format!("the client does not speak {wire}://{hint}");
                return Err(OptionError { option: "[URL]", value: server.to_string(), why });
            }
        };
        Ok(Self { server, user, json, trust: None })
    }

    /// Sets what the certificate of the server is verified by.
    ///
    /// # Errors
    /// The scheme of the server is one with TLS, and there is nothing to verify it by.
    pub fn with_trust(mut self, trust: Option<Trust>) -> Result<Self, OptionError> {
        if self.server.is_tls && trust.is_none() {
            let why = "its certificate has to be verified: by --tls-ca FILE, the certificate of the \
                       authority that signed it, or by --tls-pin SHA256, its fingerprint";
            let value = self.server.to_string();
            return Err(OptionError { option: "[URL]", value, why: why.to_owned() });
        }
        self.trust = trust;
        Ok(self)
    }
}

fn check_crc_id(number: i64) -> Result<HostId, OptionError> {
    let id = u32::try_from(number).map(HostId).ok().filter(|id| id.is_registrable());
    id.ok_or_else(|| {
        id_error(number, format!("{number} is not an id: they go from 1 to {}", u32::MAX - 1))
    })
}

fn check_direct_id(number: i64) -> Result<i64, OptionError> {
    Some(number).filter(|number| *number > 0).ok_or_else(|| {
        id_error(number, format!("{number} is not an id: they go from 1 to {}", i64::MAX))
    })
}

fn check_classic_name(text: String) -> Result<Name, OptionError> {
    let why = match Name::new(text.as_bytes()) {
        None => format!(
            "a name has at most {NAME_BYTES} bytes on classic://, this one has {}",
            text.len()
        ),
        Some(_) if text.is_empty() => "a name has at least one byte on classic://".to_owned(),
        Some(_) if !text.chars().all(is_classic_name_char) => {
            "a name has no spaces, control characters or ~ on classic://".to_owned()
        }
        Some(Name::ALL) => "it means everyone on classic://: choose another".to_owned(),
        Some(Name::SERVER) => "it is the server's on classic://: choose another".to_owned(),
        Some(name) => return Ok(name),
    };
    Err(OptionError { option: "--name <NAME>", value: text, why })
}

fn is_classic_name_char(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && c != '~'
}

fn id_error(number: i64, why: String) -> OptionError {
    OptionError { option: "--id <N>", value: number.to_string(), why }
}

fn check_len(
    bytes_max: usize,
    option: &'static str,
    subject: &str,
    text: String,
) -> Result<String, OptionError> {
    match text.len() {
        len if len > bytes_max => {
            let why = format!("{subject} has at most {bytes_max} bytes, this one has {len}");
            Err(OptionError { option, value: text, why })
        }
        _ => Ok(text),
    }
}

/// Returns the identity on the CRC wire. `account` is the user's name on this machine.
pub(super) fn build_identity(
    name: Option<String>,
    id: Option<HostId>,
    info: String,
    account: Option<String>,
    rng: &mut impl Rng,
) -> Identity {
    let is_id_configured = id.is_some();
    let id = id.unwrap_or_else(|| HostId::random(rng));
    let account = account.filter(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX);
    let name = name.or(account).unwrap_or_else(|| format!("user-{id}"));
    Identity { id, is_id_configured, name: name.into_bytes(), info: info.into_bytes() }
}

/// Returns the default name on the classic wire: `account`, the user's name on this machine,
/// truncated to fit, or a random name.
pub(super) fn default_classic_name(account: Option<String>, rng: &mut impl Rng) -> Name {
    let truncated = account.map(|name| name[..name.floor_char_boundary(NAME_BYTES)].to_owned());
    let name = truncated.and_then(|name| check_classic_name(name).ok());
    name.unwrap_or_else(|| {
        let name = format!("user{:04}", rng.next_u32() % 10_000);
        Name::new(name.as_bytes()).expect("eight bytes")
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::wires::{CLIENT_WIRES, WireSpec};

    /// Parses options for `scheme`. A `name` or `id` of `-` is omitted.
    fn parse_options(scheme: &str, name: &str, id: &str) -> Result<Options, String> {
        let url = format!("{scheme}://localhost").parse().expect("a URL");
        let optional = |text: &str| Some(text.to_owned()).filter(|text| text != "-");
        let id = optional(id).map(|id| id.parse().expect("a number"));
        let options = Options::new(url, optional(name), id, None, false);
        options.map_err(|error| error.to_string())
    }

    #[track_caller]
    fn check(scheme: &str, name: &str, id: &str, expected: RequestedUser) {
        assert_eq!(parse_options(scheme, name, id).map(|options| options.user), Ok(expected));
    }

    #[track_caller]
    fn check_error(scheme: &str, name: &str, id: &str, parts: &[&str]) {
        let error = parse_options(scheme, name, id).expect_err("an error");
        for part in parts {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    }

    #[test]
    fn client_speaks_its_wires_and_no_other() {
        for wire in CLIENT_WIRES {
            assert!(parse_options(wire.name(), "-", "-").is_ok(), "{wire}");
        }
        static LINE: WireSpec = WireSpec {
            name: "line",
            default_port: 3609,
            default_tls_port: 3609,
            sends_mail: false,
            open: || Wire::CRC.open_session(),
        };
        let server = ServerUri { wire: Wire::new(&LINE), ..ServerUri::default() };
        let error = Options::new(server, None, None, None, false).expect_err("another wire");
        assert_eq!(
            error.to_string(),
            "invalid value 'line://127.0.0.1:3600' for '[URL]': the client does not speak line://"
        );
        let error = parse_options("http", "-", "-").expect_err("another wire");
        assert!(error.ends_with("does not speak http://; open it in a browser"), "{error}");
    }

    #[test]
    fn id_is_checked_against_the_range_of_its_wire() {
        let crc = |id| RequestedUser::Crc { name: None, id, info: String::new() };
        check("crc", "-", "-", crc(None));
        check("crc", "-", "4294967294", crc(Some(HostId(4_294_967_294))));
        for id in ["0", "-1", "4294967295", "9223372036854775807"] {
            let part = format!("invalid value '{id}' for '--id <N>': {id} is not an id");
            check_error("crc", "-", id, &[&part, "they go from 1 to 4294967294"]);
        }
        check("direct", "-", "-", RequestedUser::Direct { id: None });
        check("direct", "any", "9223372036854775807", RequestedUser::Direct { id: Some(i64::MAX) });
        for id in ["0", "-1"] {
            check_error("direct", "-", id, &["--id", "they go from 1 to 9223372036854775807"]);
        }
        check_error("classic", "alice", "3", &["'3'", "--id", "knows users by name only"]);
    }

    #[test]
    fn name_is_checked_against_the_limits_of_its_wire() {
        let long = "n".repeat(256);
        check_error("crc", &long, "-", &["--name", "at most 255 bytes", "this one has 256"]);
        for name in ["a", "12345678", "-SERVER", "all", "jürgen", "3"] {
            let expected = Name::new(name.as_bytes());
            check("classic", name, "-", RequestedUser::Classic { name: expected });
        }
        check("classic", "-", "-", RequestedUser::Classic { name: None });
        check_error("classic", "123456789", "-", &["--name", "at most 8 bytes", "has 9"]);
        check_error("classic", "jürgens!", "-", &["has 9"]);
        check_error("classic", "", "-", &["at least one byte"]);
        check_error("classic", "ALL", "-", &["'ALL'", "means everyone"]);
        check_error("classic", "-SERVER-", "-", &["is the server's"]);
        for name in ["a b", " a", "ALL ", "a\0", "a\x1b", "a~1"] {
            check_error("classic", name, "-", &["no spaces, control characters or ~"]);
        }
    }

    #[test]
    fn default_classic_name_is_valid_on_the_wire() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut name = |account: Option<&str>| {
            let name = default_classic_name(account.map(str::to_owned), &mut rng);
            String::from_utf8(name.unpadded().to_vec()).expect("UTF-8")
        };
        assert_eq!(name(Some("alice")), "alice");
        assert_eq!(name(Some("bartholomew")), "bartholo");
        assert_eq!(name(Some("müllerü")), "müller", "cut between characters");
        for account in [None, Some(""), Some("a b"), Some("ALL"), Some("x~")] {
            let name = name(account);
            assert!(name.starts_with("user") && name.len() == 8, "{name}");
        }
    }
}
