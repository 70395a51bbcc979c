//! The settings of a server, and what they need of certificates.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cidr::Cidr;
use crate::limits::{Limits, MOTD_BYTES_MAX, OPERATOR_TOKEN_BYTES_MAX, OPERATOR_TOKEN_BYTES_MIN};
use crate::relay::{Admission, Identity, LinkKey, Token};
use crate::tls::{TlsConfigs, TlsFiles};
use crate::wires::{Endpoint, OperatorToken, WebAccess, WebOrigin};

/// Settings of a server.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Its id, name and info.
    pub identity: Identity,
    /// Where it listens.
    pub listeners: Vec<Endpoint>,
    /// The servers to join, in order of preference.
    pub parents: Vec<Endpoint>,
    /// Who may join as a server, apart from the link key.
    pub admission: Admission,
    /// The file with the link key.
    pub link_key_file: Option<PathBuf>,
    /// The invitation of a server, which is the first of the parents.
    pub join: Option<Token>,
    /// The file that keeps the invitations that have been used; `None` keeps them in memory.
    pub invitations: Option<PathBuf>,
    /// Its certificate, and those of the authorities that it trusts.
    pub tls: TlsFiles,
    /// Proxies that say whose connections they pass on.
    pub trusted_proxies: Vec<Cidr>,
    /// Origins whose pages may chat, beside the one of the server itself.
    pub web_origins: Vec<WebOrigin>,
    /// The file with the operator's token.
    pub operator_token_file: Option<PathBuf>,
    /// The file with the message of the day.
    pub motd: Option<PathBuf>,
    /// The file that keeps mail; `None` keeps it in memory.
    pub mailbox: Option<PathBuf>,
    /// The path of the control socket.
    pub control_socket: Option<PathBuf>,
    /// How long to poll for events before sleeping; zero turns it off. Keeps a core busy for that
    /// long after each message, and lowers the latency of the next one.
    pub busy_poll: Duration,
    /// Its limits.
    pub limits: Limits,
    /// The seed of its random choices.
    pub seed: u64,
}

/// Reads the link key, and returns who may join with it.
pub(super) fn load_admission(settings: &ServerSettings) -> Result<Admission, String> {
    let link_key = settings.link_key_file.as_deref().map(read_link_key).transpose()?;
    Ok(Admission { link_key, ..settings.admission.clone() })
}

/// Checks that not every user of the machine may use a file with a secret, as `ssh` and PostgreSQL
/// do. Its group may have access.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check_private(path: &Path) -> Result<(), String> {
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o007 == 0 {
        return Ok(());
    }
    Err(format!(
        "every user of this machine may use it (mode {mode:04o}); keep it to its owner: chmod 600 \
         {}",
        path.display()
    ))
}

/// Reads a link key.
fn read_link_key(path: &Path) -> Result<LinkKey, String> {
    let fail =
        |problem: &dyn std::fmt::Display| format!("--link-key-file {}: {problem}", path.display());
    check_private(path).map_err(|problem| fail(&problem))?;
    let text = fs::read(path).map_err(|error| fail(&error))?;
    LinkKey::parse(&text).map_err(|error| fail(&error))
}

/// Reads the operator's token, and returns which requests of browsers are answered.
pub(super) fn load_web_access(settings: &ServerSettings) -> Result<WebAccess, String> {
    let token = settings.operator_token_file.as_deref().map(read_operator_token).transpose()?;
    Ok(WebAccess { origins: settings.web_origins.clone(), operator_token: token })
}

/// Reads the message of the day; empty if there is none.
pub(super) fn load_motd(settings: &ServerSettings) -> Result<String, String> {
    let Some(path) = &settings.motd else { return Ok(String::new()) };
    let fail = |problem: &dyn std::fmt::Display| format!("--motd {}: {problem}", path.display());
    let text = fs::read_to_string(path).map_err(|error| fail(&error))?;
    if text.len() > MOTD_BYTES_MAX {
        let len = text.len();
        return Err(fail(&format!(
            "the message of the day has {len} bytes; shorten it to {MOTD_BYTES_MAX}"
        )));
    }
    Ok(text)
}

/// Reads the operator's token.
fn read_operator_token(path: &Path) -> Result<OperatorToken, String> {
    let fail = |problem: &dyn std::fmt::Display| {
        format!("--operator-token-file {}: {problem}", path.display())
    };
    check_private(path).map_err(|problem| fail(&problem))?;
    let text = fs::read(path).map_err(|error| fail(&error))?;
    let token = text.trim_ascii();
    let range = OPERATOR_TOKEN_BYTES_MIN..=OPERATOR_TOKEN_BYTES_MAX;
    if !range.contains(&token.len()) || !token.iter().all(u8::is_ascii_graphic) {
        let (min, max) = (range.start(), range.end());
        return Err(fail(&format!(
            "the token must have {min} to {max} printable ASCII characters; make one: openssl \
             rand -hex 32"
        )));
    }
    Ok(OperatorToken::new(token))
}

/// Reads the certificates, and checks that there are those that listeners and parents need.
pub(super) fn load_tls(settings: &ServerSettings) -> Result<TlsConfigs, String> {
    let tls = TlsConfigs::load(&settings.tls)?;
    check_tls(&tls, settings)?;
    Ok(tls)
}

/// Checks that there are the certificates that listeners and parents need.
pub(super) fn check_tls(tls: &TlsConfigs, settings: &ServerSettings) -> Result<(), String> {
    let endpoint =
        |endpoints: &[Endpoint]| endpoints.iter().find(|it| it.is_tls).map(Endpoint::to_string);
    match (endpoint(&settings.listeners), endpoint(&settings.parents)) {
        (Some(listener), _) if tls.accept.is_none() => Err(format!(
            "the listener {listener} needs a certificate: --tls-cert FILE and --tls-key FILE; \
             `crc cert --dir DIR` makes both"
        )),
        (_, Some(parent)) if tls.connect.is_none() => Err(format!(
            "the parent {parent} needs --tls-ca FILE: the certificate of the authority that \
             signed the parent's"
        )),
        _ => Ok(()),
    }
}
