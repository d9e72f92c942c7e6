use super::*;
use rustls::{
    ClientConnection, ServerConnection,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use std::io::Read;

/// Passes what both say to the other until neither has anything to say.
fn shake_hands(
    client: ClientConfig,
    server: ServerConfig,
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    let name = ServerName::try_from("libp2p").unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    let mut said = Vec::new();
    while client.wants_write() || server.wants_write() {
        while client.wants_write() {
            client.write_tls(&mut said).unwrap();
        }
        server.read_tls(&mut said.as_slice()).unwrap();
        said.clear();
        server.process_new_packets()?;
        while server.wants_write() {
            server.write_tls(&mut said).unwrap();
        }
        client.read_tls(&mut said.as_slice()).unwrap();
        said.clear();
        client.process_new_packets()?;
    }
    assert!(client.reader().read(&mut [0]).is_err(), "nothing was said");
    Ok((client, server))
}

fn with_key(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Arc<SingleCertAndKey> {
    let key = provider().key_provider.load_private_key(key).unwrap();
    Arc::new(CertifiedKey::new(chain, key).into())
}

/// A server that shows these certificates.
fn showing(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> ServerConfig {
    server(provider(), with_key(chain, key)).unwrap()
}

fn ours() -> (ClientConfig, ServerConfig) {
    configs(&Keypair::generate_ed25519()).unwrap()
}

/// Of a peer that prefers ChaCha20, as those of rust-libp2p do.
fn theirs() -> (ClientConfig, ServerConfig) {
    let mut provider = Arc::unwrap_or_clone(provider());
    provider.cipher_suites = vec![
        TLS13_CHACHA20_POLY1305_SHA256,
        TLS13_AES_256_GCM_SHA384,
        TLS13_AES_128_GCM_SHA256,
    ];
    let provider = Arc::new(provider);
    let certified = certified(&Keypair::generate_ed25519(), &provider).unwrap();
    let client = client(Arc::clone(&provider), Arc::clone(&certified)).unwrap();
    (client, server(provider, certified).unwrap())
}

#[test]
fn the_side_that_dials_chooses_aes_where_the_processor_has_it() {
    for server in [ours().1, theirs().1] {
        let (client, _) = shake_hands(ours().0, server).unwrap();
        let chosen = client.negotiated_cipher_suite().unwrap();
        let aes = chosen == TLS13_AES_128_GCM_SHA256;
        assert_eq!(aes, has_aes(), "{chosen:?}");
    }
}

#[test]
fn one_that_prefers_chacha_gets_it() {
    let (client, _) = shake_hands(theirs().0, ours().1).unwrap();
    let chosen = client.negotiated_cipher_suite().unwrap();
    assert_eq!(chosen, TLS13_CHACHA20_POLY1305_SHA256);
}

/// Certificates of others may have keys of other types than ours, on either side.
#[test]
fn handshakes_are_signed_by_keys_of_any_type() {
    let rsa = include_bytes!("../../tests/it/rsa.pk8");
    let rsa = PrivatePkcs8KeyDer::from(rsa.as_slice());
    for own in [
        rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
        rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519),
        rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&rsa, &rcgen::PKCS_RSA_SHA256),
    ] {
        let own = own.unwrap();
        let key = Keypair::generate_ed25519();
        let chain = vec![certificate::certify(&key, &own).unwrap()];
        let certified = with_key(chain, PrivatePkcs8KeyDer::from(own.serialize_der()).into());
        let theirs = server(provider(), Arc::clone(&certified)).unwrap();
        shake_hands(ours().0, theirs).unwrap();
        let theirs = client(provider(), certified).unwrap();
        shake_hands(theirs, ours().1).unwrap();
    }
}

#[test]
fn one_that_does_not_say_who_it_is_is_refused() {
    let mut nobody = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier))
        .with_no_client_auth();
    nobody.alpn_protocols = vec![ALPN.to_vec()];
    let refused = shake_hands(nobody, ours().1).map(drop).unwrap_err();
    assert_eq!(refused, rustls::Error::NoCertificatesPresented);
}

#[test]
fn a_certificate_that_no_id_vouches_for_is_refused() {
    let (certificate, private) = certificate::generate(&Keypair::generate_ed25519()).unwrap();
    for (chain, what) in [
        (vec![certificate.clone(), certificate.clone()], "two"),
        (vec![flipped(&certificate, 1)], "not signed"),
        (vec![CertificateDer::from(vec![0x30, 0])], "empty"),
    ] {
        let server = showing(chain, private.clone_key());
        assert!(shake_hands(ours().0, server).is_err(), "{what}");
    }
}

#[test]
fn a_key_that_is_not_the_certificates_is_refused() {
    let (certificate, _) = certificate::generate(&Keypair::generate_ed25519()).unwrap();
    let (_, other) = certificate::generate(&Keypair::generate_ed25519()).unwrap();
    let server = showing(vec![certificate], other);
    let refused = shake_hands(ours().0, server).map(drop).unwrap_err();
    let bad = rustls::Error::InvalidCertificate(CertificateError::BadSignature);
    assert_eq!(refused, bad);
}

/// With one bit changed so many bytes before the end.
fn flipped(certificate: &CertificateDer<'_>, from_the_end: usize) -> CertificateDer<'static> {
    let mut bytes = certificate.as_ref().to_vec();
    let at = bytes.len() - from_the_end;
    bytes[at] ^= 1;
    bytes.into()
}
