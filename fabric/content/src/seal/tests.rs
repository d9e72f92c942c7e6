use super::*;

const FIRST: SealContext = SealContext::Chunk {
    index: 0,
    is_last: false,
};

#[test]
fn what_is_sealed_opens_with_its_key_in_its_place_only() {
    let key = Key::from_bytes(&[7; 32]).unwrap();
    let sealed = key.cipher().seal(FIRST, b"secret");
    assert_eq!(sealed.len(), 6 + OVERHEAD_BYTES);
    assert_eq!(key.cipher().open(FIRST, &sealed).unwrap(), b"secret");
    let others = [
        SealContext::Chunk {
            index: 1,
            is_last: false,
        },
        SealContext::Chunk {
            index: 0,
            is_last: true,
        },
        SealContext::Name,
        SealContext::Block,
        SealContext::Log {
            stream: 0,
            offset: 0,
        },
    ];
    for other in others {
        assert_eq!(key.cipher().open(other, &sealed), Err(DoesNotOpen));
    }
    let other = key.below("entry").cipher();
    assert_eq!(other.open(FIRST, &sealed), Err(DoesNotOpen));
    for index in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[index] ^= 1;
        assert_eq!(key.cipher().open(FIRST, &changed), Err(DoesNotOpen));
        let cut = &sealed[..index];
        assert_eq!(key.cipher().open(FIRST, cut), Err(DoesNotOpen));
    }
}

#[test]
fn nonces_differ_with_content_and_place() {
    let cipher = Key::generate().cipher();
    let nonce = |place, plain: &[u8]| cipher.seal(place, plain)[..NONCE_BYTES].to_vec();
    assert_eq!(nonce(FIRST, b"a"), nonce(FIRST, b"a"));
    assert_ne!(nonce(FIRST, b"a"), nonce(FIRST, b"b"));
    assert_ne!(nonce(FIRST, b"a"), nonce(SealContext::Block, b"a"));
    let other = Key::generate().cipher();
    assert_ne!(nonce(FIRST, b"a"), other.seal(FIRST, b"a")[..NONCE_BYTES]);
}

/// The format must not change: what was sealed with an earlier version has to open. These are what Python's
/// blake3 and cryptography come to.
#[test]
fn the_format_is_what_it_was() {
    let key = Key::from_bytes(&[1; 32]).unwrap();
    let sealed = key.below("in").below("name").cipher().seal(FIRST, b"x");
    let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "088d1fcf35fa7c950ee4b331ecefc6733903da04a2b7a9d0793c4458b1"
    );
    assert_eq!(
        key.id().to_string(),
        "e9a70efaf271488273439aa07f23893c2a02f5e1abb0ff291db9ef94efe6a948"
    );
}

#[test]
fn names_are_found_by_their_sealed_form_and_hide_their_lengths() {
    let key = Key::generate();
    for name in ["a", "sixteen bytes wide", "ä", &"n".repeat(255)] {
        let sealed = key.seal_name(name);
        assert_eq!(sealed, key.seal_name(name));
        assert_eq!(key.open_name(&sealed).unwrap(), name);
        assert!(key.below("x").open_name(&sealed).is_err());
    }
    assert_eq!(key.seal_name("a").len(), key.seal_name("ab").len());
    for bad in ["", "a", "not base64!", "AAAA"] {
        assert!(key.open_name(bad).is_err(), "{bad}");
    }
}

#[test]
fn secrets_are_not_printed() {
    let key = Key::from_bytes(&[0xAB; 32]).unwrap();
    let text = format!("{key:?} {:?}", key.cipher());
    assert!(
        !text.contains("171") && !text.to_lowercase().contains("ab, ab"),
        "{text}"
    );
}

#[test]
fn lengths_follow_from_sealed_lengths() {
    assert_eq!(plain_bytes(0), None);
    assert_eq!(plain_bytes(27), None);
    assert_eq!(plain_bytes(28), Some(0));
    let full = SEALED_CHUNK_BYTES as u64;
    assert_eq!(plain_bytes(full), Some(CHUNK_BYTES as u64));
    assert_eq!(plain_bytes(full + 27), Some(full + 27 - 56));
    assert_eq!(plain_bytes(2 * full), Some(2 * CHUNK_BYTES as u64));
}
