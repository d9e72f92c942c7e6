//! TLS 1.3 as libp2p uses it: both sides show a certificate that they signed themselves, in which the
//! key of their id vouches for the key of the certificate.

use crate::{
    Error,
    certificate::{self, Certificate, Flaw},
};
use libp2p::{PeerId, identity::Keypair};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, OtherError,
    ServerConfig, SignatureScheme, SupportedCipherSuite,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{
        CryptoProvider,
        ring::{
            self,
            cipher_suite::{
                TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
            },
        },
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
    version::TLS13,
};
use std::sync::Arc;

/// The name of what is spoken above TLS.
const ALPN: &[u8] = b"libp2p";

/// The ciphers, the preferred one first: the side that dials decides.
fn cipher_suites() -> Vec<SupportedCipherSuite> {
    let aes = [TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384];
    let chacha = [TLS13_CHACHA20_POLY1305_SHA256];
    if has_aes() {
        [&aes[..], &chacha].concat()
    } else {
        [&chacha[..], &aes].concat()
    }
}

/// Whether the processor has instructions for AES-GCM. Without them it is slower than ChaCha20.
fn has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    let has = std::arch::is_x86_feature_detected!("aes")
        && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    let has = std::arch::is_aarch64_feature_detected!("aes")
        && std::arch::is_aarch64_feature_detected!("pmull");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let has = false;
    has
}

fn provider() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    provider.cipher_suites = cipher_suites();
    Arc::new(provider)
}

/// A certificate for this run of the node, with its key.
fn certified(key: &Keypair, provider: &CryptoProvider) -> Result<Arc<SingleCertAndKey>, Error> {
    let (certificate, private) = certificate::generate(key)?;
    let private = provider
        .key_provider
        .load_private_key(private)
        .map_err(|e| Error::Certificate(e.to_string()))?;
    Ok(Arc::new(
        CertifiedKey::new(vec![certificate], private).into(),
    ))
}

/// For both directions. The secrets of connections are never written anywhere, even if the environment asks for it.
pub(crate) fn configs(key: &Keypair) -> Result<(ClientConfig, ServerConfig), Error> {
    let failed = |e: rustls::Error| Error::Certificate(e.to_string());
    let provider = provider();
    let certified = certified(key, &provider)?;
    let client = client(Arc::clone(&provider), Arc::clone(&certified)).map_err(failed)?;
    let server = server(provider, certified).map_err(failed)?;
    Ok((client, server))
}

/// Sessions are not resumed: all peers have the same server name, by which they would be found.
fn client(
    provider: Arc<CryptoProvider>,
    certified: Arc<SingleCertAndKey>,
) -> Result<ClientConfig, rustls::Error> {
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier))
        .with_client_cert_resolver(certified);
    client.alpn_protocols = vec![ALPN.to_vec()];
    client.enable_sni = false;
    client.resumption = Resumption::disabled();
    Ok(client)
}

fn server(
    provider: Arc<CryptoProvider>,
    certified: Arc<SingleCertAndKey>,
) -> Result<ServerConfig, rustls::Error> {
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(Verifier))
        .with_cert_resolver(certified);
    server.alpn_protocols = vec![ALPN.to_vec()];
    server.send_tls13_tickets = 0;
    Ok(server)
}

/// Who is at the other end of a connection whose handshake is done.
pub(crate) fn peer(connection: &quinn::Connection) -> Result<PeerId, Error> {
    let identity = connection.peer_identity().ok_or(Error::Unidentified)?;
    let chain: Box<Vec<CertificateDer<'static>>> =
        identity.downcast().map_err(|_| Error::Unidentified)?;
    let certificate = chain.first().ok_or(Error::Unidentified)?;
    // The handshake is done, so that it has been verified.
    let certificate = Certificate::read(certificate).map_err(|_| Error::Unidentified)?;
    Ok(certificate.id())
}

/// Accepts exactly one certificate, signed by itself and by the key of the id in it. Which id that is, is for the caller
/// to look at.
#[derive(Debug)]
struct Verifier;

impl Verifier {
    fn verify(
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Flaw> {
        if !others.is_empty() {
            return Err(Flaw::Several);
        }
        Certificate::read(certificate)?.verify(now)
    }
}

impl From<Flaw> for rustls::Error {
    fn from(flaw: Flaw) -> Self {
        CertificateError::Other(OtherError(Arc::new(flaw))).into()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Self::verify(certificate, others, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let reason = "libp2p has TLS 1.3 only";
        Err(rustls::Error::General(reason.to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // That the certificate is good was looked at when it came.
        let certificate = Certificate::read(certificate)?;
        if !certificate.has_signed(signed.scheme, message, signed.signature()) {
            return Err(CertificateError::BadSignature.into());
        }
        Ok(HandshakeSignatureValid::assertion())
    }

    /// What is accepted, as libp2p prefers it: RSA last. The schemes that no handshake has are for certificates.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ED25519,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PKCS1_SHA512,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA256,
        ]
    }
}

/// A client shows the same as a server.
impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Self::verify(certificate, others, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        ServerCertVerifier::verify_tls12_signature(self, message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        ServerCertVerifier::verify_tls13_signature(self, message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ServerCertVerifier::supported_verify_schemes(self)
    }
}

#[cfg(test)]
mod tests;
