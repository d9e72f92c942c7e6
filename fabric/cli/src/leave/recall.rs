//! Finds by content which entries of the user's directories are still as a job was given them: for a command that did
//! not see the directories at submission.

use super::{Changed, content::Content};
use crate::failure::Failure;
use mc_content::{
    BlockSource,
    unixfs::{Entity, Found},
};
use mc_directories::Fingerprint;
use mc_execution::world::Seen;
use mc_wasi::At;
use std::path::Path;

/// Finds what has not been changed since. This blocks: it is not for a thread of the runtime.
pub(crate) fn recall<S: BlockSource>(source: &S, dirs: &[Changed]) -> Result<Seen, Failure> {
    let mut recalling = Recalling {
        content: Content::new(source),
        seen: Seen::default(),
    };
    for dir in dirs {
        recalling.directory(&At::mount(dir.mount), &dir.host, &dir.given)?;
    }
    Ok(recalling.seen)
}

struct Recalling<'a, S> {
    content: Content<'a, S>,
    seen: Seen,
}

impl<S: BlockSource> Recalling<'_, S> {
    fn directory(&mut self, at: &At, host: &Path, given: &Entity) -> Result<(), Failure> {
        let Found::Directory(listing) = self.content.find(given)? else {
            return Ok(());
        };
        for name in listing.names() {
            let (at, host) = (at.child(name), host.join(name));
            let (Some(given), Ok(before)) = (listing.get(name), host.symlink_metadata()) else {
                continue;
            };
            if !self.content.is_at(&host, &given)? {
                continue;
            }
            let after = Fingerprint::of(&host).ok().flatten();
            if !after.is_some_and(|after| after.is_unchanged(&Fingerprint::from(&before))) {
                continue;
            }
            self.seen.note(&at, &before);
            if before.is_dir() {
                self.directory(&at, &host, &given)?;
            }
        }
        Ok(())
    }
}
