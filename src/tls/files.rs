//! Certificates and keys, from PEM files to what the library takes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::error_text;
use super::fingerprint::Fingerprint;

/// The files of `--tls-cert`, `--tls-key` and `--tls-ca`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate of this server with those that signed it, in PEM.
    pub certificate: Option<PathBuf>,
    /// The private key of the certificate, in PEM.
    pub key: Option<PathBuf>,
    /// The certificates of the authorities that sign those of other servers, in PEM.
    pub authorities: Option<PathBuf>,
}

impl TlsFiles {
    /// Returns the paths of all of them.
    pub(crate) fn paths(&self) -> impl Iterator<Item = PathBuf> {
        let Self { certificate, key, authorities } = self.clone();
        [certificate, key, authorities].into_iter().flatten()
    }
}

/// What connections of either direction need.
#[derive(Clone, Default)]
pub struct TlsConfigs {
    /// For accepted connections; `None` without a certificate.
    pub accept: Option<Arc<ServerConfig>>,
    /// For dialled connections; `None` without authorities.
    pub connect: Option<Arc<ClientConfig>>,
    /// The fingerprint of the certificate for accepted connections.
    pub fingerprint: Option<Fingerprint>,
}

impl TlsConfigs {
    /// Reads the files.
    ///
    /// # Errors
    /// The text names the option, the file and what is wrong with it.
    pub fn load(files: &TlsFiles) -> Result<Self, String> {
        let identity = match (&files.certificate, &files.key) {
            (Some(certificate), Some(key)) => Some((read_chain(certificate)?, read_key(key)?)),
            (None, None) => None,
            (Some(_), None) => return Err("--tls-cert needs --tls-key, the file of its key".into()),
            (None, Some(_)) => {
                return Err("--tls-key needs --tls-cert, the file of its certificate".into());
            }
        };
        let authorities = files.authorities.as_deref().map(read_authorities).transpose()?;
        let accept =
            identity.as_ref().map(|identity| accept_config(files, identity, authorities.as_ref()));
        let first = identity.as_ref().and_then(|(chain, _)| chain.first());
        let fingerprint = first.map(|certificate| Fingerprint::of(certificate));
        let connect = authorities.map(|roots| connect_config(files, identity, roots));
        Ok(Self { accept: accept.transpose()?, connect: connect.transpose()?, fingerprint })
    }
}

/// A certificate with those that signed it, and its key.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn accept_config(
    files: &TlsFiles,
    (chain, key): &Identity,
    authorities: Option<&Arc<RootCertStore>>,
) -> Result<Arc<ServerConfig>, String> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error_text(&error))?;
    let builder = match authorities {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider())
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| format!("--tls-ca: {error}"))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(chain.clone(), key.clone_key())
        .map_err(|error| identity_error(files, &error))?;
    // Connections stay for long, so that sessions are not kept for the next one.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn connect_config(
    files: &TlsFiles,
    identity: Option<Identity>,
    roots: Arc<RootCertStore>,
) -> Result<Arc<ClientConfig>, String> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error_text(&error))?
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| identity_error(files, &error))?,
    };
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

fn identity_error(files: &TlsFiles, error: &rustls::Error) -> String {
    let [certificate, key] = [&files.certificate, &files.key]
        .map(|path| path.as_deref().unwrap_or(Path::new("")).display().to_string());
    match error {
        rustls::Error::InconsistentKeys(_) => format!(
            "the key of --tls-key {key} is not that of the certificate of --tls-cert {certificate}"
        ),
        other => format!("--tls-cert {certificate}, --tls-key {key}: {other}"),
    }
}

/// Reads a certificate and those that signed it.
fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    read_certificates("--tls-cert", path)
}

pub(super) fn read_authorities(path: &Path) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates("--tls-ca", path)? {
        roots.add(certificate).map_err(|error| format!("--tls-ca {}: {error}", path.display()))?;
    }
    Ok(Arc::new(roots))
}

fn read_certificates(option: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let fail = |problem: &dyn std::fmt::Display| format!("{option} {}: {problem}", path.display());
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| fail(&error))?.collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            Err(fail(&"has no certificate in PEM (-----BEGIN CERTIFICATE-----)"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(fail(&error)),
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| format!("--tls-key {}: {error}", path.display()))
}
