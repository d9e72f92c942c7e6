//! Places that a command will write to: one that it cannot is refused before anything is built, fetched or run.

use crate::failure::Failure;
use mc_types::ErrorCode;
use std::{
    fs::{File, Permissions},
    io::{self, BufWriter, Error, ErrorKind, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};
use tempfile::NamedTempFile;

/// Refuses a place for files or directories that is there already, unless it is an empty directory.
pub(crate) fn place(path: &Path) -> Result<(), Failure> {
    match std::fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => writable(path, path),
            Some(_) => Err(taken(path, "is not empty")),
        },
        Err(e) if e.kind() == ErrorKind::NotFound => {
            if path.symlink_metadata().is_ok() {
                return Err(taken(path, "is a symbolic link that leads nowhere"));
            }
            // What is missing above it is made.
            let mut above = path.ancestors().skip(1).map(or_here);
            let existing = above.find(|dir| dir.exists());
            existing.map_or(Ok(()), |dir| writable(dir, path))
        }
        Err(e) if e.kind() == ErrorKind::NotADirectory && path.exists() => {
            Err(taken(path, "is no directory"))
        }
        Err(e) => Err(Failure::path(path, &e)),
    }
}

/// Refuses a file that is there already, or cannot be made.
pub(crate) fn new_file(path: &Path) -> Result<(), Failure> {
    if path.symlink_metadata().is_ok() {
        let exists = Error::from(ErrorKind::AlreadyExists);
        return Err(Failure::path(path, &exists));
    }
    can_be_made(path)
}

/// Refuses a file that cannot be made or replaced.
pub(crate) fn file(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        let directory = Error::from(ErrorKind::IsADirectory);
        return Err(Failure::path(path, &directory));
    }
    can_be_made(path)
}

/// A file beside `path`, which it is to become. As with others, the user's own mask says who may read it.
pub(crate) fn beside(path: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(path.parent().map_or_else(|| Path::new("/"), or_here))
}

/// Writes a file, which replaces the one that may be there once all of it is written.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    // A link stays one, and a pipe or a device what it is.
    let real = path.canonicalize();
    let path = real.as_deref().unwrap_or(path);
    if path.metadata().is_ok_and(|there| !there.is_file()) {
        let mut file = BufWriter::new(File::create(path)?);
        write(&mut file)?;
        return file.flush();
    }
    let mut file = beside(path)?;
    let mut writer = BufWriter::new(&mut file);
    write(&mut writer)?;
    writer.flush()?;
    drop(writer);
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|failed| failed.error)
}

fn can_be_made(path: &Path) -> Result<(), Failure> {
    writable(path.parent().map_or_else(|| Path::new("/"), or_here), path)
}

/// The directory that an empty path stands for.
fn or_here(dir: &Path) -> &Path {
    if dir.as_os_str().is_empty() {
        return Path::new(".");
    }
    dir
}

/// Whether something can be made in `dir`, for the sake of `path`.
fn writable(dir: &Path, path: &Path) -> Result<(), Failure> {
    // Permissions alone do not tell: a file system may be read-only, or full.
    match tempfile::tempfile_in(dir) {
        Ok(_) => Ok(()),
        Err(error) if dir == path => Err(Failure::path(path, &error)),
        Err(error) => Err(Failure::path(dir, &error).about(&path.display().to_string())),
    }
}

fn taken(path: &Path, how: &str) -> Failure {
    let message = format!("{} {how}", path.display());
    Failure::new(ErrorCode::Path, message)
        .with_hint("name a directory that is empty, or is not there yet")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_are_taken_or_cannot_be_made_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("empty")).unwrap();
        std::fs::create_dir(at("full")).unwrap();
        std::fs::write(at("full/file"), b"").unwrap();
        std::os::unix::fs::symlink("nowhere", at("link")).unwrap();
        for good in ["empty", "new", "new/below/it"] {
            place(&at(good)).unwrap();
        }
        for bad in ["full", "full/file", "full/file/below", "link"] {
            let failure = place(&at(bad)).unwrap_err();
            assert_eq!(failure.code(), ErrorCode::Path, "{bad}");
        }
        new_file(&at("new")).unwrap();
        for bad in [
            "full/file",
            "empty",
            "missing/new",
            "full/file/below",
            "link",
        ] {
            new_file(&at(bad)).unwrap_err();
        }
        file(&at("full/file")).unwrap();
        for bad in ["empty", "missing/new", "full/file/below"] {
            file(&at(bad)).unwrap_err();
        }
        for relative in ["new", "./new"] {
            place(Path::new(relative)).unwrap();
            new_file(Path::new(relative)).unwrap();
        }
    }

    #[test]
    fn a_file_is_replaced_by_a_whole_one_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        std::os::unix::fs::symlink("file", &link).unwrap();
        replace(&file, |to| to.write_all(b"one")).unwrap();
        let failed = replace(&file, |to| {
            to.write_all(b"half")?;
            Err(ErrorKind::StorageFull.into())
        });
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(std::fs::read(&file).unwrap(), b"one");
        replace(&link, |to| to.write_all(b"two")).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"two");
        assert!(link.is_symlink());
        replace(Path::new("/dev/null"), |to| to.write_all(b"x")).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
        let usual = dir.path().join("usual");
        std::fs::write(&usual, "").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
        assert_eq!(mode(&file), mode(&usual));
    }
}
