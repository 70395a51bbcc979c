//! TLS on the connections of servers and clients: certificates and keys from files, and the byte
//! stream.
//!
//! Handshakes are a part of reading: nothing here waits. The library is rustls with ring.

mod authority;
mod files;
mod fingerprint;
mod stream;
mod trust;

pub use self::authority::{CertificateFiles, make_certificates};
pub use self::files::{TlsConfigs, TlsFiles};
pub use self::fingerprint::Fingerprint;
pub(crate) use self::stream::Read;
pub use self::stream::TlsStream;
pub use self::trust::ClientTrust;

/// Returns what an error of the library means, and what to do about it.
fn error_text(error: &rustls::Error) -> String {
    use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
    match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "not TLS: plain bytes on a TLS connection; use the same scheme, with a final s or \
             without, at both ends"
                .to_owned()
        }
        Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => {
            "the certificate of the other end is not signed by an authority in --tls-ca".to_owned()
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "the certificate of the other end is for another host name; dial one of its names"
            .to_owned(),
        Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => "the certificate of the other end has expired; make a new one there".to_owned(),
        Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => {
            "the certificate of the server is not the one of --tls-pin or of the invitation"
                .to_owned()
        }
        Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError,
        ) => {
            "the other end does not accept the certificate (--tls-ca or --tls-pin there)".to_owned()
        }
        other => format!("TLS: {other}"),
    }
}
