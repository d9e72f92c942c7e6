//! Which versions of the protocol a node speaks.
//!
//! There are two numbers. A *version* is part of the protocol's name, and libp2p agrees on one for each stream. A
//! change that no older node could read, such as another encoding, needs a new version. A *revision* grows with every
//! new kind of message and every new field. Nodes announce their revision, so a caller knows beforehand whether the
//! other side will understand a new request. Most changes need only a new revision.

/// The versions that this node speaks, newest first.
pub const VERSIONS: &[u32] = &[2];

/// What this node knows. It grows with each new kind of message, field and value.
///
/// | revision | what came |
/// |---|---|
/// | 1 | the messages of version 2 |
pub const REVISION: u32 = 1;

/// The names of the protocol on `network`, in the order in which they are tried.
pub fn protocols(network: &str) -> impl Iterator<Item = String> {
    VERSIONS
        .iter()
        .map(move |version| format!("/mc/{network}/work/{version}"))
}
