//! Symbolic links of strangers that lead out of what is written to disk.

use crate::output;
use mc_content::unixfs::Outside;
use mc_options::Links;
use std::path::{Path, PathBuf};

/// Links that are named; of more, their number is told.
const MAX_NAMED: usize = 20;

/// What to do about a link for which all is refused.
pub(crate) const HINT: &str =
    "to write all else: --links skip; to write the links as they are, too: --links keep";

/// What `--links` asks for.
pub(crate) const fn outside(links: Links) -> Outside {
    match links {
        Links::Refuse => Outside::Refuse,
        Links::Skip => Outside::LeaveOut,
        Links::Keep => Outside::Keep,
    }
}

/// Why links are left out.
pub(crate) const LEADS_OUT: &str = "a symbolic link that leads out of the directory";
pub(crate) const IMPOSSIBLE: &str = "a symbolic link that no disk takes";

/// Lists which links were left out, and why, even with `--quiet`.
pub(crate) fn tell(left_out: &[PathBuf], why: &str, below: Option<&Path>) {
    for link in left_out.iter().take(MAX_NAMED) {
        let link = below.map_or_else(|| link.clone(), |below| below.join(link));
        let link = link.display();
        output::error(&format!("left out {link}: {why}"));
    }
    if let Some(more) = left_out
        .len()
        .checked_sub(MAX_NAMED)
        .filter(|more| *more > 0)
    {
        output::error(&format!("left out {more} others like it"));
    }
}
