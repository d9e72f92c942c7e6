//! Where symbolic links lead, in a tree as it was written.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The symbolic links below `root` that lead out of it, by themselves or through others; paths below `root`.
///
/// # Errors
///
/// What keeps the tree from being read.
pub(super) fn leading_out(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if !fs::symlink_metadata(root)?.is_dir() {
        return Ok(found);
    }
    let mut at = PathBuf::new();
    // As many listings as the tree is deep are open at a time.
    let mut listings = vec![fs::read_dir(root)?];
    while let Some(listing) = listings.last_mut() {
        let Some(entry) = listing.next().transpose()? else {
            listings.pop();
            at.pop();
            continue;
        };
        let kind = entry.file_type()?;
        let path = at.join(entry.file_name());
        if kind.is_dir() {
            listings.push(fs::read_dir(entry.path())?);
            at = path;
        } else if kind.is_symlink() && leads_out(root, &path)? {
            found.push(path);
        }
    }
    Ok(found)
}

/// Whether the link at `link` below `root` leads out of it.
fn leads_out(root: &Path, link: &Path) -> io::Result<bool> {
    let points = fs::read_link(root.join(link))?;
    let parent = link.parent().unwrap_or(link);
    mc_directories::leads_out(parent, &points, |at| target(&root.join(at)))
}

/// Where the link at `path` points; `None` if there is no link.
fn target(path: &Path) -> io::Result<Option<PathBuf>> {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
    match fs::read_link(path) {
        Ok(target) => Ok(Some(target)),
        Err(error)
            if matches!(
                error.kind(),
                // `InvalidInput` is what is no link.
                InvalidInput | NotFound | NotADirectory | InvalidFilename
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
