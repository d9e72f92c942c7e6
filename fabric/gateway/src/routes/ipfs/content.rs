//! What was asked for.

use super::request::Wanted;
use crate::backend::Blocks;
use mc_types::Cid;

/// Something that was asked for.
pub(super) struct Content {
    pub(super) blocks: Blocks,
    pub(super) root: Cid,
    /// The names below the root.
    pub(super) names: String,
    /// All of the path.
    pub(super) path: String,
    /// The exact address of this answer, if the client used another one.
    pub(super) location: Option<String>,
    pub(super) wanted: Wanted,
    pub(super) is_head: bool,
}
