//! The key that makes a node itself.

use crate::Error;
use libp2p::{
    PeerId,
    identity::{KeyType, Keypair},
};
use mc_types::NodeId;
use std::{fs, io::Write, os::unix::fs::PermissionsExt, path::Path};

/// Longest key file that is read, in bytes. An ed25519 key in protobuf has 68.
const MAX_KEY_BYTES: u64 = 1024;

/// A node's key pair.
#[derive(Clone)]
pub struct Identity(Keypair);

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.node_id())
    }
}

impl Identity {
    /// A new key that is written nowhere.
    #[must_use]
    pub fn generate() -> Self {
        Self(Keypair::generate_ed25519())
    }

    /// The key in the file `path`; a new one, durably written there, if there is no such file.
    ///
    /// # Errors
    ///
    /// [`Error::ExposedKey`] when others may read it, [`Error::MalformedKey`], [`Error::KeyFile`].
    pub fn load_or_create(path: &Path) -> Result<Self, Error> {
        match fs::metadata(path) {
            Ok(metadata) => Self::load(path, &metadata),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Self::create(path),
            Err(source) => Err(Error::KeyFile {
                path: path.to_owned(),
                source,
            }),
        }
    }

    fn load(path: &Path, metadata: &fs::Metadata) -> Result<Self, Error> {
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(Error::ExposedKey {
                path: path.to_owned(),
            });
        }
        if metadata.len() > MAX_KEY_BYTES {
            return Err(Error::MalformedKey {
                path: path.to_owned(),
            });
        }
        let bytes = fs::read(path).map_err(|source| Error::KeyFile {
            path: path.to_owned(),
            source,
        })?;
        let keypair = Keypair::from_protobuf_encoding(&bytes).ok();
        // Other peers may have keys of other types; sealing to a node of ours needs this one.
        let keypair = keypair.filter(|keypair| keypair.key_type() == KeyType::Ed25519);
        keypair.map(Self).ok_or_else(|| Error::MalformedKey {
            path: path.to_owned(),
        })
    }

    /// Written under a temporary name and renamed, so that a crash leaves the whole file or none.
    fn create(path: &Path) -> Result<Self, Error> {
        let identity = Self::generate();
        let malformed = |_| Error::MalformedKey {
            path: path.to_owned(),
        };
        let bytes = identity.0.to_protobuf_encoding().map_err(malformed)?;
        let dir = path.parent().unwrap_or_else(|| Path::new("."));
        // Temporary files are made with mode 0600.
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(dir)?;
            file.write_all(&bytes)?;
            file.as_file().sync_all()?;
            file.persist_noclobber(path).map_err(|e| e.error)?;
            fs::File::open(dir)?.sync_all()
        };
        write().map_err(|source| Error::KeyFile {
            path: path.to_owned(),
            source,
        })?;
        Ok(identity)
    }

    /// The node's id.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        node_id(&self.0.public().to_peer_id())
    }

    pub(crate) fn into_keypair(self) -> Keypair {
        self.0
    }
}

/// The node id of a peer. Every PeerId is base 58 and short enough.
#[expect(
    clippy::expect_used,
    reason = "the text of a PeerId always is a node id"
)]
pub(crate) fn node_id(peer: &PeerId) -> NodeId {
    peer.to_base58().parse().expect("a PeerId is a node id")
}

/// Whether a text in the form of a node id is a valid id.
#[must_use]
pub fn is_node(node: &NodeId) -> bool {
    peer_id(node).is_some()
}

/// The peer that a node id names; `None` when the text has the right form but is no PeerId.
pub(crate) fn peer_id(node: &NodeId) -> Option<PeerId> {
    node.as_str().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_made_once_and_only_its_owner_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        let first = Identity::load_or_create(&path).unwrap().node_id();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(Identity::load_or_create(&path).unwrap().node_id(), first);
    }

    #[test]
    fn exposed_and_malformed_keys_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        Identity::load_or_create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = Identity::load_or_create(&path).unwrap_err();
        assert!(matches!(error, Error::ExposedKey { .. }), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let other = Keypair::generate_secp256k1();
        let other = other.to_protobuf_encoding().unwrap();
        for bytes in [&b"not a key"[..], &[0; 5000], &other] {
            fs::write(&path, bytes).unwrap();
            let error = Identity::load_or_create(&path).unwrap_err();
            assert!(matches!(error, Error::MalformedKey { .. }), "{error}");
        }
    }
}
