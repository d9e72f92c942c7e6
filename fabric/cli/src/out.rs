//! Places that a command will write to: one that it cannot is refused before anything is built, fetched or run.

use crate::failure::Failure;
use mc_types::ErrorCode;
use std::{
    fs::{File, Permissions},
    io::{self, BufWriter, Error, ErrorKind, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};
use tempfile::{Builder, NamedTempFile};

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
    staged(path, Permissions::from_mode(0o666))
}

/// A file beside `path` with these permissions, but for what the umask takes away.
fn staged(path: &Path, permissions: Permissions) -> io::Result<NamedTempFile> {
    Builder::new()
        .permissions(permissions)
        .tempfile_in(directory(path))
}

/// Where `path` is to be made.
fn directory(path: &Path) -> &Path {
    path.parent().map_or_else(|| Path::new("/"), or_here)
}

fn can_be_made(path: &Path) -> Result<(), Failure> {
    writable(directory(path), path)
}

/// Writes a file; one that is there already stays as it is until all of the new one is on disk. What is no file (a pipe,
/// say, or a link that leads nowhere) is written to as it is.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Error>,
) -> Result<(), Error> {
    let (place, existing) = match path.metadata() {
        Ok(metadata) if metadata.is_file() => {
            // One that may not be written to is not replaced either.
            File::options().write(true).open(path)?;
            (path.canonicalize()?, Some(metadata.permissions()))
        }
        Err(e) if e.kind() == ErrorKind::NotFound && path.symlink_metadata().is_err() => {
            (path.to_owned(), None)
        }
        _ => {
            let mut file = BufWriter::new(File::create(path)?);
            write(&mut file)?;
            return file.flush();
        }
    };
    let staged = match existing {
        None => beside(&place)?,
        Some(existing) => {
            let staged = staged(&place, existing.clone())?;
            // Whatever the umask is.
            staged.as_file().set_permissions(existing)?;
            staged
        }
    };
    let mut file = BufWriter::new(staged.as_file());
    write(&mut file)?;
    file.flush()?;
    drop(file);
    staged.as_file().sync_all()?;
    staged.persist(&place).map_err(|e| e.error)?;
    Ok(())
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
    fn a_file_stays_as_it_was_until_another_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "before").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o646)).unwrap();
        let broken = replace(&path, |file| {
            file.write_all(b"half")?;
            Err(Error::from(ErrorKind::StorageFull))
        });
        assert_eq!(broken.unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(std::fs::read(&path).unwrap(), b"before");
        // Links lead to it as before.
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("file", &link).unwrap();
        replace(&link, |file| file.write_all(b"after")).unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(std::fs::read(&path).unwrap(), b"after");
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o646);
        replace(&dir.path().join("new"), |file| file.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
        let device = Path::new("/dev/null");
        replace(device, |file| file.write_all(b"nothing")).unwrap();
        assert!(!device.metadata().unwrap().is_file());
    }
}
