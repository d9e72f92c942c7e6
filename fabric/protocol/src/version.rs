//! Which versions of the protocol a node speaks.
//!
//! There are two numbers. A *version* is part of the protocol's name, and libp2p agrees on one for each stream: a new
//! one is for what no older node could read, such as another encoding. A *revision* grows with every kind of message
//! and every field that is added, and nodes announce theirs: whoever has something new to ask can know beforehand
//! whether the other side will understand it. Most changes need a revision only.

/// The versions that this node speaks, newest first.
pub const VERSIONS: &[u32] = &[2];

/// What this node knows: it grows with each kind of message, each field and each value that is added.
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
