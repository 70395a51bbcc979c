//! The settings of a server, and what they need of certificates.

use std::path::PathBuf;
use std::time::Duration;

use crate::limits::Limits;
use crate::relay::{Admission, Identity};
use crate::tls::{TlsConfigs, TlsFiles};
use crate::wires::Endpoint;

/// Settings of a server.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Its id, name and info.
    pub identity: Identity,
    /// Where it listens.
    pub listeners: Vec<Endpoint>,
    /// The servers to join, in order of preference.
    pub parents: Vec<Endpoint>,
    /// Who may join as a server.
    pub admission: Admission,
    /// Its certificate, and those of the authorities that it trusts.
    pub tls: TlsFiles,
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
