//! Encryption: only the holders of its key can read the content.
//!
//! A [`Key`] belongs to one file or directory. The keys of the entries below are derived from it by name, so content
//! sealed under one name does not open under another. The sealed form is
//!
//! ```text
//! nonce (12 bytes) ‖ AES-256-GCM ciphertext ‖ tag (16 bytes)
//! ```
//!
//! with associated data that name its kind and its place ([`SealContext`]). The nonce is synthetic: the first bytes of a
//! keyed BLAKE3 of the associated data and the plaintext. Equal content under one key has an equal sealed form, so
//! honest nodes get the same CIDs and an interrupted upload can resume. Different content gets the same nonce only by
//! chance (2⁻⁴⁸ after 2²⁴ pieces under one key). Plain counters could not promise that when a task runs twice.
//!
//! Sources: AES-GCM is NIST SP 800-38D; keys are derived by BLAKE3's `derive_key` with the contexts below,
//! <https://github.com/BLAKE3-team/BLAKE3-specs>, §6.2.

pub use crate::error::DoesNotOpen;

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce, Tag, aead::inout::InOutBuf};
use mc_types::KeyId;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// How many bytes sealing adds.
pub const OVERHEAD_BYTES: usize = NONCE_BYTES + TAG_BYTES;
/// Bytes of a file that are sealed together: with the overhead, one leaf of the usual size.
pub const CHUNK_BYTES: usize = SEALED_CHUNK_BYTES - OVERHEAD_BYTES;
/// Bytes of every sealed chunk of a file but its last.
pub const SEALED_CHUNK_BYTES: usize = crate::limits::CHUNK_BYTES;

const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
/// Names are padded to a multiple of this, so that their lengths reveal less.
pub const NAME_UNIT_BYTES: usize = 16;

// What keys are derived for. They are part of the format.
const FOR_ENTRIES: &str = "mc-wasm 2026-11 content, key of an entry";
const FOR_ENCRYPTION: &str = "mc-wasm 2026-11 content, AES-256-GCM";
const FOR_NONCES: &str = "mc-wasm 2026-11 content, nonces";
const FOR_IDS: &str = "mc-wasm 2026-11 content, id of a key";

/// The key of a file or directory, and so of everything below it. Dropping it overwrites its memory.
///
/// ```
/// use mc_content::seal::{DoesNotOpen, Key, SealContext};
///
/// let key = Key::generate();
/// let poem = key.below("poem").cipher();
/// let sealed = poem.seal(SealContext::Block, b"one two");
/// assert_eq!(poem.open(SealContext::Block, &sealed)?, b"one two");
/// // Nor does it open at another place, or under another name.
/// assert_eq!(poem.open(SealContext::Name, &sealed), Err(DoesNotOpen));
/// assert_eq!(key.below("song").cipher().open(SealContext::Block, &sealed), Err(DoesNotOpen));
/// # Ok::<(), DoesNotOpen>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key([u8; KEY_BYTES]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// What a piece is, and where it belongs. It opens only as that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealContext {
    /// Bytes of a file.
    Chunk {
        /// How many chunks are before it.
        index: u64,
        /// Whether the file ends with it.
        is_last: bool,
    },
    /// The name of an entry.
    Name,
    /// Where a symbolic link points.
    Target,
    /// A block whose place is told by the block that links to it.
    Block,
    /// A piece of a guest's output, from a byte on.
    Log {
        /// 1 for standard output, 2 for standard error.
        stream: u8,
        /// How many bytes are before it.
        offset: u64,
    },
}

impl SealContext {
    /// The associated data: what it is, a number, and one more.
    fn to_bytes(self) -> [u8; 10] {
        let (kind, number, more) = match self {
            Self::Chunk { index, is_last } => (0, index, u8::from(is_last)),
            Self::Name => (1, 0, 0),
            Self::Target => (2, 0, 0),
            Self::Block => (3, 0, 0),
            Self::Log { stream, offset } => (4, offset, stream),
        };
        let [a, b, c, d, e, f, g, h] = number.to_le_bytes();
        [kind, a, b, c, d, e, f, g, h, more]
    }
}

impl Key {
    /// A new key.
    #[must_use]
    pub fn generate() -> Self {
        let mut key = Self([0; KEY_BYTES]);
        rand::fill(&mut key.0);
        key
    }

    /// The key that was told; `None` when it has another length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The secret itself.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// The id of the key, for those who do not have it. No two keys have the same id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId::new(*self.derived(FOR_IDS, b""))
    }

    /// The key of the entry `name`.
    #[must_use]
    pub fn below(&self, name: &str) -> Self {
        Self(*self.derived(FOR_ENTRIES, name.as_bytes()))
    }

    fn derived(&self, context: &str, more: &[u8]) -> Zeroizing<[u8; KEY_BYTES]> {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        hasher.update(&self.0).update(more);
        let mut hash = hasher.finalize();
        let derived = Zeroizing::new(*hash.as_bytes());
        hash.zeroize();
        hasher.zeroize();
        derived
    }

    /// What seals and opens with this key.
    #[must_use]
    pub fn cipher(&self) -> Cipher {
        let key = self.derived(FOR_ENCRYPTION, b"");
        Cipher {
            aes: Aes256Gcm::new((&*key).into()),
            nonces: self.derived(FOR_NONCES, b""),
        }
    }

    /// Seals the name of an entry, as text. One name has one sealed form, by which it can be found.
    #[must_use]
    pub(crate) fn seal_name(&self, name: &str) -> String {
        let mut padded = name.as_bytes().to_vec();
        padded.resize(padded.len().next_multiple_of(NAME_UNIT_BYTES), 0);
        let sealed = self.cipher().seal(SealContext::Name, &padded);
        mc_types::base64url::encode(&sealed)
    }

    /// The name of an entry.
    pub(crate) fn open_name(&self, sealed: &str) -> Result<String, DoesNotOpen> {
        let sealed = mc_types::base64url::decode(sealed).ok_or(DoesNotOpen)?;
        let padded = self.cipher().open(SealContext::Name, &sealed)?;
        let name = String::from_utf8(padded).map_err(|_| DoesNotOpen)?;
        Ok(name.trim_end_matches('\0').to_owned())
    }
}

/// A key that is ready to be used.
pub struct Cipher {
    aes: Aes256Gcm,
    nonces: Zeroizing<[u8; KEY_BYTES]>,
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher(…)")
    }
}

impl Cipher {
    /// Seals `plain` for a place.
    #[must_use]
    pub fn seal(&self, place: SealContext, plain: &[u8]) -> Vec<u8> {
        let about = place.to_bytes();
        let mut hasher = blake3::Hasher::new_keyed(&self.nonces);
        let hash = hasher.update(&about).update(plain).finalize();
        hasher.zeroize();
        let mut nonce = Nonce::default();
        for (to, from) in nonce.iter_mut().zip(hash.as_bytes()) {
            *to = *from;
        }
        let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD_BYTES);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let body = sealed.get_mut(NONCE_BYTES..).unwrap_or_default();
        let tag = self
            .aes
            .encrypt_inout_detached(&nonce, &about, InOutBuf::from(body));
        match tag {
            Ok(tag) => {
                sealed.extend_from_slice(&tag);
                sealed
            }
            // AES-GCM refuses only more than 64 GiB, and nothing here is nearly as long. If it did refuse, bytes that
            // open nowhere would be better than bytes that are not encrypted.
            Err(_) => Vec::new(),
        }
    }

    /// What was sealed for a place.
    ///
    /// # Errors
    ///
    /// [`DoesNotOpen`].
    pub fn open(&self, place: SealContext, sealed: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
        let (nonce, rest) = sealed
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(DoesNotOpen)?;
        let (body, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(DoesNotOpen)?;
        let mut plain = body.to_vec();
        let (nonce, tag): (&Nonce<_>, &Tag) = (nonce.into(), tag.into());
        let opened = self.aes.decrypt_inout_detached(
            nonce,
            &place.to_bytes(),
            plain.as_mut_slice().into(),
            tag,
        );
        opened.map(|()| plain).map_err(|_| DoesNotOpen)
    }
}

/// The length of the file whose sealed form has `sealed` bytes and begins with a chunk; `None` when there is no such
/// file.
pub(crate) fn plain_bytes(sealed: u64) -> Option<u64> {
    let chunks = chunks(sealed);
    let overhead = chunks.checked_mul(OVERHEAD_BYTES as u64)?;
    sealed.checked_sub(overhead).filter(|_| chunks > 0)
}

/// How many chunks `sealed` bytes are.
pub(crate) const fn chunks(sealed: u64) -> u64 {
    sealed.div_ceil(SEALED_CHUNK_BYTES as u64)
}

#[cfg(test)]
mod tests;
