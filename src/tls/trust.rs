//! How a client decides that a server is the one that it means.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use super::error_text;
use super::files::{provider, read_authorities};
use super::fingerprint::Fingerprint;

/// What a client verifies the certificate of a server by.
pub struct ClientTrust(Arc<ClientConfig>);

impl ClientTrust {
    /// Trusts certificates that an authority in the PEM file has signed for the server's name.
    ///
    /// # Errors
    /// The file cannot be read, or has no certificate.
    pub fn authorities(path: &Path) -> Result<Self, String> {
        let roots = read_authorities(path)?;
        let config = builder()?.with_root_certificates(roots).with_no_client_auth();
        Ok(Self::new(config))
    }

    /// Trusts the one certificate with this fingerprint, for whatever name.
    ///
    /// # Errors
    /// The library lacks the algorithms of TLS.
    pub fn pin(fingerprint: Fingerprint) -> Result<Self, String> {
        let verifier = Arc::new(PinVerifier { fingerprint, provider: provider() });
        let builder = builder()?.dangerous().with_custom_certificate_verifier(verifier);
        Ok(Self::new(builder.with_no_client_auth()))
    }

    fn new(mut config: ClientConfig) -> Self {
        config.resumption = Resumption::disabled();
        Self(Arc::new(config))
    }

    /// Returns the configuration of the library.
    pub(crate) fn into_config(self) -> Arc<ClientConfig> {
        self.0
    }

    /// Starts the handshake with the server at `host`, a name or an IP address.
    ///
    /// # Errors
    /// The host is neither.
    pub fn connect(&self, host: &str) -> Result<super::TlsStream, String> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("{host} is not a host name that a certificate can be for"))?;
        super::TlsStream::connect(&self.0, name).map_err(|error| error.to_string())
    }
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, String> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error_text(&error))
}

/// Accepts one certificate.
#[derive(Debug)]
struct PinVerifier {
    fingerprint: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if Fingerprint::of(certificate) == self.fingerprint {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
