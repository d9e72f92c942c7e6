//! Blocks, and why those of a checkpoint are refused.

use mc_types::{Cid, cid};

/// A block: its CID and its bytes.
pub type Block = (Cid, Vec<u8>);

/// Encrypts bytes before they become a block, for private tasks. Equal bytes must have equal encrypted forms, so that
/// unchanged blocks are recognised.
pub type Seal<'a> = Option<&'a dyn Fn(&[u8]) -> Vec<u8>>;

/// Bytes as a raw block.
pub(super) fn leaf(bytes: &[u8], seal: Seal<'_>) -> (Cid, impl FnOnce() -> Vec<u8>) {
    let sealed = seal.map(|seal| seal(bytes));
    let cid = cid::of(cid::RAW, sealed.as_deref().unwrap_or(bytes));
    (cid, move || sealed.unwrap_or_else(|| bytes.to_vec()))
}

/// Why a checkpoint is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadCheckpoint {
    /// The header is not one.
    #[error("not a checkpoint: {0}")]
    Malformed(String),
    /// It was made by a version that this one does not understand.
    #[error("made by another version: format {format}, pass {pass}")]
    Version {
        /// Its format.
        format: u32,
        /// Its pass.
        pass: u32,
    },
    /// It is not of this task.
    #[error("it is of the task {0}")]
    OtherTask(Cid),
    /// It is not of this component.
    #[error("it is of the component {0}")]
    OtherComponent(Cid),
    /// A part is larger than the task allows.
    #[error("{what} has {bytes} bytes, more than the limit of {max}")]
    TooLarge {
        /// The part.
        what: &'static str,
        /// Its bytes.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// A block is not what the one that names it promises.
    #[error("a block is malformed: {0}")]
    Block(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_named_by_what_is_stored() {
        let seal: &dyn Fn(&[u8]) -> Vec<u8> = &|bytes| bytes.iter().map(|b| b ^ 1).collect();
        let (plain, bytes) = leaf(b"ab", None);
        assert_eq!((plain, bytes()), (cid::of(cid::RAW, b"ab"), b"ab".to_vec()));
        let (sealed, bytes) = leaf(b"ab", Some(seal));
        assert_eq!(
            (sealed, bytes()),
            (cid::of(cid::RAW, b"`c"), b"`c".to_vec())
        );
    }
}
