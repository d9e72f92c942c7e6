//! The specification of libp2p's certificates, clause by clause. In `made` are certificates that OpenSSL made, valid
//! from 2026 to 2126, for which [`HOST`] vouches, and those that the specification has for tests.

use super::*;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use std::time::Duration;

/// In 2030.
const NOW: UnixTime = at(1_893_456_000);
const HOST: &str = "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB";

const fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// The name and the bytes of a certificate that was made before.
macro_rules! made {
    ($name:literal) => {
        (
            $name,
            include_bytes!(concat!("made/", $name, ".der")).as_slice(),
        )
    };
}

fn verified(der: &[u8]) -> Result<PeerId, Flaw> {
    let certificate = Certificate::read(der)?;
    certificate.verify(NOW)?;
    Ok(certificate.id())
}

fn is(id: &str) -> Result<PeerId, Flaw> {
    Ok(id.parse().unwrap())
}

fn own() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()
}

fn rsa() -> Keypair {
    let mut rsa = include_bytes!("../../tests/it/rsa.pk8").to_vec();
    Keypair::rsa_from_pkcs8(&mut rsa).unwrap()
}

/// As [`generate`] makes one, but for one change.
fn changed(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let own = own();
    let mut params = params(&Keypair::generate_ed25519(), &own).unwrap();
    change(&mut params);
    params.self_signed(&own).unwrap().der().to_vec()
}

/// With this in the extension, by the certificate's own key.
fn stating(statement: impl FnOnce(&KeyPair) -> Vec<u8>) -> Result<PeerId, Flaw> {
    let own = own();
    let mut params = params(&Keypair::generate_ed25519(), &own).unwrap();
    let statement = statement(&own);
    params.custom_extensions = vec![CustomExtension::from_oid_content(&EXTENSION, statement)];
    verified(params.self_signed(&own).unwrap().der())
}

#[test]
fn keys_of_any_type_vouch_for_certificates() {
    for key in [
        Keypair::generate_ed25519(),
        Keypair::generate_secp256k1(),
        Keypair::generate_ecdsa(),
        rsa(),
    ] {
        let (certificate, _) = generate(&key).unwrap();
        assert_eq!(verified(&certificate), Ok(key.public().to_peer_id()));
    }
}

#[test]
fn those_of_the_specification_are_accepted_and_refused_as_it_says() {
    for ((name, der), id) in [
        (
            made!("specification-ed25519"),
            "12D3KooWJRSrypvnpHgc6ZAgyCni4KcSmbV7uGRaMw5LgMKT18fq",
        ),
        (
            made!("specification-ecdsa"),
            "QmZcrvr3r4S3QvwFdae3c2EWTfo792Y14UpzCZurhmiWeX",
        ),
        (
            made!("specification-secp256k1"),
            "16Uiu2HAm2dSCBFxuge46aEt7U1oejtYuBUZXxASHqmcfVmk4gsbx",
        ),
    ] {
        assert_eq!(verified(der), is(id), "{name}");
    }
    let (name, der) = made!("specification-broken");
    assert_eq!(verified(der), Err(Flaw::IdSignature), "{name}");
}

#[test]
fn certificates_are_signed_with_hashes_of_256_bits_and_more() {
    for (name, der) in [
        made!("p256"),
        made!("p384"),
        made!("ed25519"),
        made!("rsa-sha256"),
        made!("rsa-sha384"),
        made!("rsa-sha512"),
        made!("rsa-pss-sha256"),
        made!("rsa-pss-sha384"),
        made!("rsa-pss-sha512"),
    ] {
        assert_eq!(verified(der), is(HOST), "{name}");
    }
}

/// Hashes that are too short, curves without names, and what the handshakes of TLS 1.3 do not have or ring cannot verify.
#[test]
fn keys_and_signatures_of_other_types_are_refused() {
    for (name, der) in [
        made!("p256-sha1"),
        made!("rsa-sha1"),
        made!("rsa-pss-sha1"),
        made!("p256-explicit"),
        made!("p256-not-an-oid"),
        made!("p256-sha384"),
        made!("p384-sha256"),
        made!("p521"),
        made!("secp256k1"),
        made!("ed448"),
    ] {
        assert_eq!(verified(der), Err(Flaw::Algorithm), "{name}");
    }
}

#[test]
fn rsa_keys_have_2048_bits_at_least() {
    let (_, der) = made!("rsa-1024");
    assert_eq!(verified(der), Err(Flaw::SelfSignature));
}

#[test]
fn the_signature_is_of_the_type_that_the_signed_part_names() {
    let (_, der) = made!("two-algorithms");
    assert_eq!(verified(der), Err(Flaw::Algorithm));
}

#[test]
fn unique_ids_are_refused() {
    for (name, der) in [made!("issuer-id"), made!("subject-id")] {
        assert_eq!(verified(der), Err(Flaw::UniqueId), "{name}");
    }
}

#[test]
fn certificates_are_valid_in_their_time_only() {
    let der = changed(|params| {
        params.not_before = rcgen::date_time_ymd(2030, 1, 1);
        params.not_after = rcgen::date_time_ymd(2031, 1, 1);
    });
    let certificate = Certificate::read(&der).unwrap();
    let year = 365 * 24 * 60 * 60;
    for (seconds, valid) in [
        (1_893_456_000 - 1, Err(Flaw::Validity)),
        (1_893_456_000, Ok(())),
        (1_893_456_000 + year - 1, Ok(())),
        (1_893_456_000 + year + 1, Err(Flaw::Validity)),
        (u64::MAX, Err(Flaw::Validity)),
    ] {
        assert_eq!(certificate.verify(at(seconds)), valid, "{seconds}");
    }
}

#[test]
fn certificates_are_signed_by_their_own_keys() {
    let (own, other) = (own(), own());
    let key = Keypair::generate_ed25519();
    let issuer = params(&key, &other).unwrap().self_signed(&other).unwrap();
    let signed = params(&key, &own).unwrap();
    let signed = signed.signed_by(&own, &issuer, &other).unwrap();
    assert_eq!(verified(signed.der()), Err(Flaw::SelfSignature));
}

#[test]
fn there_is_one_extension_of_libp2p() {
    let none = changed(|params| params.custom_extensions.clear());
    assert_eq!(verified(&none), Err(Flaw::NoExtension));
    let two = changed(|params| {
        let again = params.custom_extensions[0].clone();
        params.custom_extensions.push(again);
    });
    assert_eq!(verified(&two), Err(Flaw::TwoExtensions));
    let not_critical = changed(|params| params.custom_extensions[0].set_criticality(false));
    assert!(verified(&not_critical).is_ok());
}

#[test]
fn other_extensions_are_passed_over_unless_they_are_critical() {
    for (critical, flaw) in [(false, None), (true, Some(Flaw::Critical))] {
        for position in [0, 1] {
            let der = changed(|params| {
                let content = b"whatever this is".to_vec();
                let mut other = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1], content);
                other.set_criticality(critical);
                params.custom_extensions.insert(position, other);
            });
            assert_eq!(verified(&der).err(), flaw);
        }
    }
    let usage = changed(|params| {
        params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    });
    assert_eq!(verified(&usage), Err(Flaw::Critical));
}

#[test]
fn the_extension_is_a_key_and_a_signature() {
    let key = Keypair::generate_ed25519();
    let public = key.public().encode_protobuf();
    let good = |own: &KeyPair| {
        let vouched = [PREFIX, own.public_key_der().as_slice()].concat();
        statement(&public, &key.sign(&vouched).unwrap())
    };
    assert_eq!(stating(good), Ok(key.public().to_peer_id()));
    let more = |own: &KeyPair| [good(own).as_slice(), &[5, 0]].concat();
    let more_within = |own: &KeyPair| {
        let mut statement = more(own);
        statement[1] += 2;
        statement
    };
    let cut_off = |own: &KeyPair| {
        let mut statement = good(own);
        statement.pop();
        statement
    };
    let none = |_: &KeyPair| Vec::new();
    let no_key = |_: &KeyPair| statement(&[0xff; 36], &[0; 64]);
    for flawed in [
        stating(more),
        stating(more_within),
        stating(cut_off),
        stating(none),
        stating(no_key),
    ] {
        assert_eq!(flawed, Err(Flaw::Extension));
    }
}

#[test]
fn the_key_of_the_id_has_signed_the_key_of_the_certificate() {
    let (key, other) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let vouching = |signing: &Keypair, vouched: &[&[u8]]| {
        let signature = signing.sign(&vouched.concat()).unwrap();
        statement(&key.public().encode_protobuf(), &signature)
    };
    for flawed in [
        // For another certificate's key.
        stating(|_| vouching(&key, &[PREFIX, &own().public_key_der()])),
        // Another id.
        stating(|own| vouching(&other, &[PREFIX, &own.public_key_der()])),
        // Something else than what is signed for certificates.
        stating(|own| vouching(&key, &[&own.public_key_der()])),
        // The key without its type.
        stating(|own| vouching(&key, &[PREFIX, own.public_key_raw()])),
    ] {
        assert_eq!(flawed, Err(Flaw::IdSignature));
    }
}

#[test]
fn it_is_all_that_was_sent() {
    let (certificate, _) = generate(&Keypair::generate_ed25519()).unwrap();
    let more = [&certificate[..], &[0]].concat();
    assert_eq!(verified(&more), Err(Flaw::Encoding));
    for length in 0..certificate.len() {
        assert!(verified(&certificate[..length]).is_err(), "{length}");
    }
}

#[test]
fn every_bit_of_what_is_signed_counts() {
    let (certificate, _) = generate(&Keypair::generate_ed25519()).unwrap();
    let parts = yasna::parse_der(&certificate, |reader| {
        reader.collect_sequence_of(|reader| reader.read_der())
    });
    let signed = parts.unwrap()[0].len();
    // Behind the tag of the whole, and its length in three bytes.
    for bit in 0..signed * 8 {
        let mut der = certificate.to_vec();
        der[4 + bit / 8] ^= 1 << (bit % 8);
        assert!(verified(&der).is_err(), "{bit}");
    }
}

/// What a key signs in another way than TLS 1.3 does may have been signed for something else.
#[test]
fn handshakes_are_signed_as_tls_has_it() {
    let rsa_key = rsa();
    let own = include_bytes!("../../tests/it/rsa.pk8").as_slice();
    let own = PrivatePkcs8KeyDer::from(own);
    let own = KeyPair::from_pkcs8_der_and_sign_algo(&own, &rcgen::PKCS_RSA_SHA256).unwrap();
    let der = certify(&Keypair::generate_ed25519(), &own).unwrap();
    let certificate = Certificate::read(&der).unwrap();
    let signature = rsa_key.sign(b"a handshake").unwrap();
    for scheme in [
        SignatureScheme::RSA_PKCS1_SHA256,
        SignatureScheme::RSA_PSS_SHA256,
        SignatureScheme::ED25519,
    ] {
        let signed = certificate.has_signed(scheme, b"a handshake", &signature);
        assert!(!signed, "{scheme:?}");
    }
}
