//! Makes a small authority, and the certificate of a server that it signs.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::Fingerprint;
use super::files::{provider, read_authorities};

/// Name of every authority that is made here.
const AUTHORITY_NAME: &str = "crc authority";

/// Time for which certificates are valid, in years: servers run for long, and nothing warns before
/// their certificates expire.
const YEARS_VALID: i32 = 10;

/// What [`make_certificates`] has done.
#[derive(Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The files that were made, in order.
    pub made: Vec<PathBuf>,
    /// The files that were there.
    pub kept: Vec<PathBuf>,
    /// The fingerprint of the server's certificate.
    pub fingerprint: String,
}

/// Makes what is missing in `dir` of `ca.pem`, `ca.key`, `server.pem` and `server.key`. The
/// certificate of the server is for `hosts`, names and IP addresses. Keys can be read by the owner
/// alone. `today` is a year, a month and a day.
///
/// # Errors
/// The text names the file, what is wrong, and what to do. No file that was there is changed.
pub fn make_certificates(
    dir: &Path,
    hosts: &[String],
    today: (i32, u8, u8),
) -> Result<CertificateFiles, String> {
    fs::create_dir_all(dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
    let [ca_pem, ca_key, server_pem, server_key] =
        ["ca.pem", "ca.key", "server.pem", "server.key"].map(|name| dir.join(name));
    let mut files = CertificateFiles { made: vec![], kept: vec![], fingerprint: String::new() };
    let authority_key = if ca_pem.exists() {
        files.kept.push(ca_pem.clone());
        ca_key.exists().then(|| read_key(&ca_key)).transpose()?
    } else {
        let key = files.key_at(&ca_key)?;
        let certificate = authority_params(today)
            .self_signed(&key)
            .map_err(|error| format!("cannot sign {}: {error}", ca_pem.display()))?;
        files.write(&ca_pem, &certificate.pem(), 0o644)?;
        Some(key)
    };
    if server_pem.exists() {
        files.kept.push(server_pem.clone());
        if !server_key.exists() {
            return Err(format!(
                "{} is missing, and is the key of {}; bring it back, or remove that file to make both",
                server_key.display(),
                server_pem.display()
            ));
        }
    } else {
        let authority_key = authority_key.ok_or_else(|| {
            format!(
                "{} is missing: nothing can be signed without it; run this where the authority \
                 was made",
                ca_key.display()
            )
        })?;
        let key = files.key_at(&server_key)?;
        let issuer = Issuer::new(authority_params(today), authority_key);
        let certificate = server_params(hosts, today)
            .and_then(|params| params.signed_by(&key, &issuer))
            .map_err(|error| format!("cannot sign {}: {error}", server_pem.display()))?;
        check_signature(&certificate, &ca_pem, &hosts[0])?;
        files.write(&server_pem, &certificate.pem(), 0o644)?;
    }
    let certificate = CertificateDer::from_pem_file(&server_pem)
        .map_err(|error| format!("{}: {error}", server_pem.display()))?;
    files.fingerprint = Fingerprint::of(&certificate).to_string();
    Ok(files)
}

/// Returns parameters with the days of validity.
fn dated_params((year, month, day): (i32, u8, u8)) -> CertificateParams {
    // 29 February is not in every year.
    let last_day = if month == 2 { day.min(28) } else { day };
    let mut params = CertificateParams::default();
    params.not_before = rcgen::date_time_ymd(year, month, day);
    params.not_after = rcgen::date_time_ymd(year + YEARS_VALID, month, last_day);
    params
}

fn authority_params(today: (i32, u8, u8)) -> CertificateParams {
    let mut params = dated_params(today);
    params.distinguished_name = common_name(AUTHORITY_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Returns the parameters of a server's certificate. With it, the server also shows to its parent
/// who it is.
fn server_params(
    hosts: &[String],
    today: (i32, u8, u8),
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = dated_params(today);
    params.subject_alt_names = CertificateParams::new(hosts)?.subject_alt_names;
    params.distinguished_name = common_name(&hosts[0]);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::CommonName, name);
    distinguished_name
}

/// Checks that clients that trust `ca_pem` accept the certificate: a file that was not made here
/// may have another name or key.
fn check_signature(certificate: &Certificate, ca_pem: &Path, host: &str) -> Result<(), String> {
    let roots = read_authorities(ca_pem)?;
    let mismatch = |error: &dyn std::fmt::Display| {
        format!(
            "{} is not an authority that this program has made with the key beside it ({error}); \
             choose another directory",
            ca_pem.display()
        )
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(
        Arc::<RootCertStore>::clone(&roots),
        provider(),
    )
    .build()
    .map_err(|error| mismatch(&error))?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| mismatch(&error))?;
    verifier
        .verify_server_cert(certificate.der(), &[], &name, &[], UnixTime::now())
        .map(drop)
        .map_err(|error| mismatch(&error))
}

impl CertificateFiles {
    /// Reads the key in a file, or makes one there.
    fn key_at(&mut self, path: &Path) -> Result<KeyPair, String> {
        if path.exists() {
            self.kept.push(path.to_owned());
            return read_key(path);
        }
        let key = KeyPair::generate().map_err(|error| format!("cannot make a key: {error}"))?;
        self.write(path, &key.serialize_pem(), 0o600)?;
        Ok(key)
    }

    /// Writes a file that does not exist.
    fn write(&mut self, path: &Path, text: &str, mode: u32) -> Result<(), String> {
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
        file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .map_err(|error| match error.kind() {
                ErrorKind::PermissionDenied => {
                    format!("cannot write {}: {error}; choose another directory", path.display())
                }
                _ => format!("cannot write {}: {error}", path.display()),
            })?;
        self.made.push(path.to_owned());
        Ok(())
    }
}

fn read_key(path: &Path) -> Result<KeyPair, String> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    KeyPair::from_pem(&text).map_err(|error| format!("{} is not a key: {error}", path.display()))
}
