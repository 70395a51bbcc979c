//! Reloading: what a running server reads again on SIGHUP and on the command `reload`.
//!
//! The files are read while the loop waits, since an operator asks for it seldom. Everything is
//! read and checked before anything is replaced, so that an error changes nothing.

use std::path::{Path, PathBuf};

use super::settings::{
    ServerSettings, check_tls, load_admission, load_motd, load_tls, load_web_access,
};
use crate::cidr::Cidr;
use crate::node::Node;
use crate::operator::ReloadReport;
use crate::relay::Admission;
use crate::tls::TlsConfigs;
use crate::wires::WebAccess;

/// Keys of the options that a reload applies. A change of any other one takes effect at the next
/// start.
const RELOADED_KEYS: [&str; 9] = [
    "tls-cert",
    "tls-key",
    "tls-ca",
    "allow-servers",
    "link-key-file",
    "trusted-proxies",
    "web-origin",
    "operator-token-file",
    "motd",
];

/// What a reload has read, before any of it is used.
struct New {
    read: Reread,
    tls: TlsConfigs,
    admission: Admission,
    web: WebAccess,
    motd: String,
}

/// The configuration of a running server, read again.
#[derive(Clone, Debug)]
pub struct Reread {
    /// What the command line, the environment and the file now say.
    pub settings: ServerSettings,
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// Keys of the options whose values are not those of the start.
    pub changed: Vec<String>,
}

/// Reads the configuration again. The text of an error names the file and what is wrong in it.
pub type RereadConfig = Box<dyn FnMut() -> Result<Reread, String>>;

/// Reloads a server.
pub(super) struct Reloader {
    /// The settings of the start: listeners and parents stay as they were.
    started: ServerSettings,
    reread: RereadConfig,
    /// Certificates that the loop has not taken over yet.
    new_tls: Option<TlsConfigs>,
    /// Trusted proxies that the loop has not taken over yet.
    new_trusted_proxies: Option<Vec<Cidr>>,
}

impl Reloader {
    /// Creates a reloader that reads the same settings again, see [`Reloader::set_reread`].
    pub(super) fn new(started: ServerSettings) -> Self {
        let settings = started.clone();
        let reread =
            move || Ok(Reread { settings: settings.clone(), file: None, changed: Vec::new() });
        Self { started, reread: Box::new(reread), new_tls: None, new_trusted_proxies: None }
    }

    /// Replaces the way to read the configuration.
    pub(super) fn set_reread(&mut self, reread: RereadConfig) {
        self.reread = reread;
    }

    /// Reads the configuration and the files that it names, and replaces what can be replaced in a
    /// running server. `cause` is what the log names as the reason.
    ///
    /// # Errors
    /// What is wrong, and where. Then nothing is replaced.
    pub(super) fn reload(&mut self, node: &mut Node, cause: &str) -> Result<ReloadReport, String> {
        let result = self.try_reload(node);
        match &result {
            Ok(report) => {
                log::info!("{cause}: {}", report.summary());
                if let Some(warning) = report.warning() {
                    log::warn!("{warning}");
                }
            }
            Err(error) => log::error!("{cause}: {error}"),
        }
        result
    }

    fn try_reload(&mut self, node: &mut Node) -> Result<ReloadReport, String> {
        let New { read, tls, admission, web, motd } = self.read().map_err(|error| {
            format!("not reloaded, and everything stays as it was: {}", error.trim_end())
        })?;
        if let Some(fingerprint) = tls.fingerprint {
            node.set_invitation_pin(fingerprint.bytes());
        }
        self.new_tls = Some(tls);
        let Reread { settings, file, mut changed } = read;
        self.new_trusted_proxies = Some(settings.trusted_proxies.clone());
        let files = file.into_iter().chain(files_of(&settings));
        node.set_admission(admission);
        node.set_web_access(web);
        node.set_motd(motd);
        changed.retain(|key| !RELOADED_KEYS.contains(&key.as_str()));
        Ok(ReloadReport {
            reloaded: files.map(|path| path.display().to_string()).collect(),
            at_next_start: changed,
        })
    }

    fn read(&mut self) -> Result<New, String> {
        let read = (self.reread)()?;
        let settings = &read.settings;
        for path in files_of(settings) {
            check_is_file(&path)?;
        }
        let admission = load_admission(settings)?;
        let web = load_web_access(settings)?;
        let motd = load_motd(settings)?;
        let tls = load_tls(settings)?;
        // The listeners and parents of the start may need certificates that others do not.
        check_tls(&tls, &self.started)?;
        Ok(New { read, tls, admission, web, motd })
    }

    /// Returns the trusted proxies that a reload has brought, once.
    pub(super) fn take_trusted_proxies(&mut self) -> Option<Vec<Cidr>> {
        self.new_trusted_proxies.take()
    }

    /// Returns the certificates that a reload has brought, once.
    pub(super) fn take_tls(&mut self) -> Option<TlsConfigs> {
        self.new_tls.take()
    }
}

/// Returns the files that settings name and that are read again.
fn files_of(settings: &ServerSettings) -> impl Iterator<Item = PathBuf> {
    let others = [&settings.link_key_file, &settings.operator_token_file, &settings.motd];
    settings
        .tls
        .paths()
        .chain(others.into_iter().flatten().cloned())
        .collect::<Vec<_>>()
        .into_iter()
}

/// Checks that reading a path again ends: a pipe that was read at the start may never have more.
///
/// # Errors
/// The path is no regular file.
pub fn check_is_file(path: &Path) -> Result<(), String> {
    let shown = path.display();
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(_) => Err(format!("{shown} is not a regular file, and cannot be read again")),
        Err(error) => Err(format!("cannot read {shown}: {error}")),
    }
}
