//! Keys of private tasks, sealed so that only one node can read them.
//!
//! An envelope is HPKE (RFC 9180) in base mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM: the
//! encapsulated key (32 bytes), then the ciphertext. The recipient's X25519 key is the Ed25519 key in its id, mapped to
//! the curve's other form (RFC 7748, §4.1). The associated data name the purpose of the envelope, so that it cannot be
//! used for another one.

use crate::{
    Error,
    identity::{Identity, peer_id},
};
use hpke::{
    Deserializable, OpModeR, OpModeS, Serializable, aead::AesGcm256, kdf::HkdfSha256,
    kem::X25519HkdfSha256, single_shot_open, single_shot_seal,
};
use libp2p::identity::PublicKey;
use mc_types::{Envelope, FencingToken, JobId, KeyId, NodeId};
use zeroize::Zeroizing;

type Kem = X25519HkdfSha256;

const INFO: &[u8] = b"mc-wasm envelope 1";
const ENCAPSULATED_BYTES: usize = 32;

/// What a key is handed over for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The submitter of a task reads its results.
    Results,
    /// A coordinator passes it on with the leases that it grants.
    Leases,
    /// A node runs the task: under this lease, and no other.
    Lease {
        /// The job.
        job: JobId,
        /// The lease's token.
        token: FencingToken,
    },
}

impl Purpose {
    fn associated(self, key: KeyId) -> Vec<u8> {
        let purpose = match self {
            Self::Results => "results".to_owned(),
            Self::Leases => "leases".to_owned(),
            Self::Lease { job, token } => format!("lease {job} {token}"),
        };
        format!("{key} {purpose}").into_bytes()
    }
}

/// Seals `secret`, the key with the id `key`, to a node.
///
/// # Errors
///
/// [`Error::NoPublicKey`] when the node's id does not contain its key.
pub fn seal(to: &NodeId, purpose: Purpose, key: KeyId, secret: &[u8]) -> Result<Envelope, Error> {
    let unknown = || Error::NoPublicKey { node: to.clone() };
    let public = public_key(to).ok_or_else(unknown)?;
    let about = purpose.associated(key);
    let sealed = single_shot_seal::<AesGcm256, HkdfSha256, Kem>(
        &OpModeS::Base,
        &public,
        INFO,
        secret,
        &about,
    );
    // A key of low order is no valid key.
    let (encapsulated, sealed) = sealed.map_err(|_| unknown())?;
    Ok(Envelope::new(
        [&encapsulated.to_bytes()[..], &sealed].concat(),
    ))
}

/// The X25519 key of a node.
fn public_key(node: &NodeId) -> Option<<Kem as hpke::Kem>::PublicKey> {
    let peer = peer_id(node)?;
    let hash = peer.as_ref();
    // The id of an Ed25519 key is the key itself, in an identity hash.
    let is_identity = hash.code() == 0;
    let key = is_identity.then(|| PublicKey::try_decode_protobuf(hash.digest()))?;
    let key = key.ok()?.try_into_ed25519().ok()?.to_bytes();
    let key = ed25519_dalek::VerifyingKey::from_bytes(&key).ok()?;
    <Kem as hpke::Kem>::PublicKey::from_bytes(key.to_montgomery().as_bytes()).ok()
}

impl Identity {
    /// The key with the id `key` that was sealed to this node; `None` when it was sealed to another node or for another
    /// purpose, or was changed.
    #[must_use]
    pub fn open(
        &self,
        envelope: &Envelope,
        purpose: Purpose,
        key: KeyId,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (encapsulated, sealed) = envelope
            .as_bytes()
            .split_first_chunk::<ENCAPSULATED_BYTES>()?;
        let encapsulated = <Kem as hpke::Kem>::EncappedKey::from_bytes(encapsulated).ok()?;
        let keypair = self.clone().into_keypair().try_into_ed25519().ok()?;
        let seed = Zeroizing::new(<[u8; 32]>::try_from(keypair.secret().as_ref()).ok()?);
        let scalar = Zeroizing::new(ed25519_dalek::SigningKey::from_bytes(&seed).to_scalar_bytes());
        let private = <Kem as hpke::Kem>::PrivateKey::from_bytes(&*scalar).ok()?;
        let about = purpose.associated(key);
        let opened = single_shot_open::<AesGcm256, HkdfSha256, Kem>(
            &OpModeR::Base,
            &private,
            &encapsulated,
            INFO,
            sealed,
            &about,
        );
        opened.ok().map(Zeroizing::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: KeyId = KeyId::new([1; 32]);
    const SECRET: &[u8] = &[7; 32];

    #[test]
    fn only_the_recipient_opens_it_and_only_for_its_purpose() {
        let (me, other) = (Identity::generate(), Identity::generate());
        let sealed = seal(&me.node_id(), Purpose::Results, KEY, SECRET).unwrap();
        assert_eq!(sealed.as_bytes().len(), 80);
        let opened = me.open(&sealed, Purpose::Results, KEY).unwrap();
        assert_eq!(*opened, SECRET);
        assert!(other.open(&sealed, Purpose::Results, KEY).is_none());
        assert!(me.open(&sealed, Purpose::Leases, KEY).is_none());
        let another = KeyId::new([2; 32]);
        assert!(me.open(&sealed, Purpose::Results, another).is_none());
        for index in 0..80 {
            let mut changed = sealed.as_bytes().to_vec();
            changed[index] ^= 1;
            let changed = Envelope::new(changed);
            assert!(
                me.open(&changed, Purpose::Results, KEY).is_none(),
                "{index}"
            );
            let cut = Envelope::new(sealed.as_bytes()[..index].to_vec());
            assert!(me.open(&cut, Purpose::Results, KEY).is_none(), "{index}");
        }
        let again = seal(&me.node_id(), Purpose::Results, KEY, SECRET).unwrap();
        assert_ne!(again, sealed);
    }

    #[test]
    fn an_envelope_of_one_lease_does_not_open_under_another() {
        let me = Identity::generate();
        let job: JobId = "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap();
        let lease = |token| Purpose::Lease {
            job,
            token: FencingToken(token),
        };
        let sealed = seal(&me.node_id(), lease(1), KEY, SECRET).unwrap();
        assert!(me.open(&sealed, lease(1), KEY).is_some());
        assert!(me.open(&sealed, lease(2), KEY).is_none());
    }

    #[test]
    fn nothing_is_sealed_to_an_id_without_a_key() {
        // The hash of an RSA key, and no PeerId at all.
        for id in [
            "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
            "12D3KooWabc",
        ] {
            let Ok(node) = id.parse::<NodeId>() else {
                continue;
            };
            assert!(seal(&node, Purpose::Results, KEY, SECRET).is_err(), "{id}");
        }
    }
}
