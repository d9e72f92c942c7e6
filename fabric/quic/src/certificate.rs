//! The certificates of libp2p: <https://github.com/libp2p/specs/blob/master/tls/tls.md>.
//!
//! Each is signed by a key of its own, and has an extension in which the key of an id vouches for that key. So a peer
//! that proves to have the certificate's key has the id, too.

use crate::Error;
use libp2p::{
    PeerId,
    identity::{Keypair, PublicKey},
};
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use rustls::{
    SignatureScheme,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime},
};
use x509_parser::{
    asn1_rs::{Oid, Tag},
    certificate::{X509Certificate, X509CertificateParser},
    nom::Parser,
    oid_registry::{
        OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_HASH_SHA256,
        OID_NIST_HASH_SHA384, OID_NIST_HASH_SHA512, OID_PKCS1_RSAENCRYPTION, OID_PKCS1_RSASSAPSS,
        OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA,
        OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ED25519,
    },
    signature_algorithm::RsaSsaPssParams,
    time::ASN1Time,
    x509::{AlgorithmIdentifier, SubjectPublicKeyInfo},
};

/// The extension's name, which IANA gave to libp2p, and the same in DER.
const EXTENSION: [u64; 9] = [1, 3, 6, 1, 4, 1, 53594, 1, 1];
const EXTENSION_DER: [u8; 10] = [0x2b, 6, 1, 4, 1, 0x83, 0xa2, 0x5a, 1, 1];
/// What is signed before the certificate's key, so that such a signature is good for nothing else.
const PREFIX: &[u8] = b"libp2p-tls-handshake:";

/// Why a certificate is not one of libp2p.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    /// There are several, and none would be the peer's.
    #[error("libp2p has exactly one certificate")]
    Several,
    /// It is not DER, or there is more than the certificate.
    #[error("this is not an X.509 certificate")]
    Encoding,
    /// It has one of the fields that certificates must not have any more.
    #[error("the certificate has a unique identifier of its issuer or subject")]
    UniqueId,
    /// Something that nobody may pass over, and that is not known here.
    #[error("the certificate has a critical extension that is not libp2p's")]
    Critical,
    /// No id vouches for it.
    #[error("the certificate lacks the extension of libp2p")]
    NoExtension,
    /// Two ids may vouch for it.
    #[error("the certificate has the extension of libp2p twice")]
    TwoExtensions,
    /// The extension is not a key and a signature.
    #[error("the extension of libp2p is malformed")]
    Extension,
    /// It is not valid yet, or not any more.
    #[error("the certificate is not valid now")]
    Validity,
    /// A hash function with less than 256 bits, a curve without a name, or what nobody uses.
    #[error("the certificate's key or signature is of no type that is accepted")]
    Algorithm,
    /// It is not signed by its own key.
    #[error("the certificate is not signed by its own key")]
    SelfSignature,
    /// The key of the id has not signed the certificate's.
    #[error("the key of the id does not vouch for the certificate")]
    IdSignature,
}

/// A certificate for the node that has this key, and the certificate's own key.
pub(crate) fn generate(
    key: &Keypair,
) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), Error> {
    let own = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let private = PrivatePkcs8KeyDer::from(own.serialize_der());
    Ok((certify(key, &own)?, private.into()))
}

/// A certificate that has the key `own`, for which `key` vouches.
pub(crate) fn certify(
    key: &Keypair,
    own: &rcgen::KeyPair,
) -> Result<CertificateDer<'static>, Error> {
    let certificate = params(key, own)?.self_signed(own).map_err(failed)?;
    Ok(certificate.der().clone())
}

fn params(key: &Keypair, own: &rcgen::KeyPair) -> Result<rcgen::CertificateParams, Error> {
    let vouched = [PREFIX, own.public_key_der().as_slice()].concat();
    let signature = key.sign(&vouched).map_err(failed)?;
    let statement = statement(&key.public().encode_protobuf(), &signature);
    let mut extension = rcgen::CustomExtension::from_oid_content(&EXTENSION, statement);
    // What does not know it cannot know whose certificate it is.
    extension.set_criticality(true);
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).map_err(failed)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.custom_extensions.push(extension);
    Ok(params)
}

fn statement(key: &[u8], signature: &[u8]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_bytes(key);
            writer.next().write_bytes(signature);
        });
    })
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Certificate(error.to_string())
}

/// A certificate that has the form of libp2p's. Nothing in it is true before [`Certificate::verify`] says so.
#[derive(Debug)]
pub(crate) struct Certificate<'a> {
    x509: X509Certificate<'a>,
    key: PublicKey,
    /// By that key, of the certificate's own.
    signature: Vec<u8>,
}

impl<'a> Certificate<'a> {
    /// From DER. Values of extensions that are not libp2p's are not looked at.
    pub(crate) fn read(der: &'a [u8]) -> Result<Self, Flaw> {
        let mut parser = X509CertificateParser::new().with_deep_parse_extensions(false);
        let (rest, x509) = parser.parse(der).map_err(|_| Flaw::Encoding)?;
        if !rest.is_empty() {
            return Err(Flaw::Encoding);
        }
        let tbs = &x509.tbs_certificate;
        if tbs.issuer_uid.is_some() || tbs.subject_uid.is_some() {
            return Err(Flaw::UniqueId);
        }
        let (key, signature) = read_statement(extension(&x509)?).ok_or(Flaw::Extension)?;
        Ok(Self {
            x509,
            key,
            signature,
        })
    }

    /// The id that vouches for the certificate.
    pub(crate) fn id(&self) -> PeerId {
        self.key.to_peer_id()
    }

    /// Whether it is valid at that time, signed by its own key, and by the key of the id.
    pub(crate) fn verify(&self, now: UnixTime) -> Result<(), Flaw> {
        let tbs = &self.x509.tbs_certificate;
        let now = i64::try_from(now.as_secs()).map_err(|_| Flaw::Validity)?;
        let now = ASN1Time::from_timestamp(now).map_err(|_| Flaw::Validity)?;
        if !tbs.validity.is_valid_at(now) {
            return Err(Flaw::Validity);
        }
        // One of the two is covered by the signature, and the other one is what is acted on.
        let algorithm = &self.x509.signature_algorithm;
        if tbs.signature != *algorithm {
            return Err(Flaw::Algorithm);
        }
        let key_type = KeyType::of(&tbs.subject_pki).ok_or(Flaw::Algorithm)?;
        let algorithm = key_type.in_certificates(algorithm).ok_or(Flaw::Algorithm)?;
        if !self.is_signed(algorithm, tbs.as_ref(), self.x509.signature_value.as_ref()) {
            return Err(Flaw::SelfSignature);
        }
        let vouched = [PREFIX, tbs.subject_pki.raw].concat();
        if !self.key.verify(&vouched, &self.signature) {
            return Err(Flaw::IdSignature);
        }
        Ok(())
    }

    /// Whether the certificate's key has signed this, which is part of a handshake.
    pub(crate) fn has_signed(
        &self,
        scheme: SignatureScheme,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        KeyType::of(&self.x509.tbs_certificate.subject_pki)
            .and_then(|key_type| key_type.in_handshakes(scheme))
            .is_some_and(|algorithm| self.is_signed(algorithm, message, signature))
    }

    fn is_signed(
        &self,
        algorithm: &'static dyn VerificationAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let key: &[u8] = (self.x509.tbs_certificate.subject_pki)
            .subject_public_key
            .as_ref();
        let key = UnparsedPublicKey::new(algorithm, key);
        key.verify(message, signature).is_ok()
    }
}

/// The value of libp2p's extension.
fn extension<'a>(x509: &X509Certificate<'a>) -> Result<&'a [u8], Flaw> {
    let mut found = None;
    for extension in x509.tbs_certificate.extensions() {
        if extension.oid.as_bytes() == EXTENSION_DER {
            if found.replace(extension.value).is_some() {
                return Err(Flaw::TwoExtensions);
            }
        } else if extension.critical {
            return Err(Flaw::Critical);
        }
    }
    found.ok_or(Flaw::NoExtension)
}

fn read_statement(der: &[u8]) -> Option<(PublicKey, Vec<u8>)> {
    let statement = yasna::parse_der(der, |reader| {
        reader.read_sequence(|reader| {
            let key = reader.next().read_bytes()?;
            let signature = reader.next().read_bytes()?;
            Ok((key, signature))
        })
    });
    let (key, signature) = statement.ok()?;
    let key = PublicKey::try_decode_protobuf(&key).ok()?;
    Some((key, signature))
}

/// What the key of a certificate may be.
#[derive(Debug, Clone, Copy)]
enum KeyType {
    P256,
    P384,
    Ed25519,
    /// Of 2048 bits at least, or no signature is verified.
    Rsa,
}

impl KeyType {
    fn of(key: &SubjectPublicKeyInfo<'_>) -> Option<Self> {
        let algorithm = &key.algorithm.algorithm;
        if *algorithm == OID_PKCS1_RSAENCRYPTION {
            return Some(Self::Rsa);
        }
        if *algorithm == OID_SIG_ED25519 {
            return Some(Self::Ed25519);
        }
        if *algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY {
            return None;
        }
        // It has a name, or it is not accepted: parameters of one's own could be weak.
        let curve = key.algorithm.parameters.as_ref()?;
        curve.tag().assert_eq(Tag::Oid).ok()?;
        let curve = curve.as_oid().ok()?;
        if curve == OID_EC_P256 {
            Some(Self::P256)
        } else if curve == OID_NIST_EC_P384 {
            Some(Self::P384)
        } else {
            None
        }
    }

    /// How it signs its certificate: with hashes of at least 256 bits.
    fn in_certificates(
        self,
        algorithm: &AlgorithmIdentifier<'_>,
    ) -> Option<&'static dyn VerificationAlgorithm> {
        let is = |oid: &Oid<'_>| algorithm.algorithm == *oid;
        match self {
            Self::P256 if is(&OID_SIG_ECDSA_WITH_SHA256) => {
                Some(&signature::ECDSA_P256_SHA256_ASN1)
            }
            Self::P384 if is(&OID_SIG_ECDSA_WITH_SHA384) => {
                Some(&signature::ECDSA_P384_SHA384_ASN1)
            }
            Self::Ed25519 if is(&OID_SIG_ED25519) => Some(&signature::ED25519),
            Self::Rsa if is(&OID_PKCS1_SHA256WITHRSA) => {
                Some(&signature::RSA_PKCS1_2048_8192_SHA256)
            }
            Self::Rsa if is(&OID_PKCS1_SHA384WITHRSA) => {
                Some(&signature::RSA_PKCS1_2048_8192_SHA384)
            }
            Self::Rsa if is(&OID_PKCS1_SHA512WITHRSA) => {
                Some(&signature::RSA_PKCS1_2048_8192_SHA512)
            }
            Self::Rsa if is(&OID_PKCS1_RSASSAPSS) => rsa_pss(algorithm),
            _ => None,
        }
    }

    /// How it signs handshakes of TLS 1.3 (RFC 8446 §4.2.3), in which RSA is always PSS.
    fn in_handshakes(self, scheme: SignatureScheme) -> Option<&'static dyn VerificationAlgorithm> {
        match (self, scheme) {
            (Self::P256, SignatureScheme::ECDSA_NISTP256_SHA256) => {
                Some(&signature::ECDSA_P256_SHA256_ASN1)
            }
            (Self::P384, SignatureScheme::ECDSA_NISTP384_SHA384) => {
                Some(&signature::ECDSA_P384_SHA384_ASN1)
            }
            (Self::Ed25519, SignatureScheme::ED25519) => Some(&signature::ED25519),
            (Self::Rsa, SignatureScheme::RSA_PSS_SHA256) => {
                Some(&signature::RSA_PSS_2048_8192_SHA256)
            }
            (Self::Rsa, SignatureScheme::RSA_PSS_SHA384) => {
                Some(&signature::RSA_PSS_2048_8192_SHA384)
            }
            (Self::Rsa, SignatureScheme::RSA_PSS_SHA512) => {
                Some(&signature::RSA_PSS_2048_8192_SHA512)
            }
            _ => None,
        }
    }
}

/// By the hash function that is named; SHA-1, if none is. The mask must have the same one, and the salt its length.
fn rsa_pss(algorithm: &AlgorithmIdentifier<'_>) -> Option<&'static dyn VerificationAlgorithm> {
    let parameters = RsaSsaPssParams::try_from(algorithm.parameters.as_ref()?).ok()?;
    let hash = &parameters.hash_algorithm()?.algorithm;
    if *hash == OID_NIST_HASH_SHA256 {
        Some(&signature::RSA_PSS_2048_8192_SHA256)
    } else if *hash == OID_NIST_HASH_SHA384 {
        Some(&signature::RSA_PSS_2048_8192_SHA384)
    } else if *hash == OID_NIST_HASH_SHA512 {
        Some(&signature::RSA_PSS_2048_8192_SHA512)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
