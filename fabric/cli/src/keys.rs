//! Keys of encrypted content: in files of the user's, and of private jobs.

use crate::{client::NodeClient, connect, failure::Failure};
use mc_api::JobView;
use mc_content::{BlockSource, Key, TaskKey};
use mc_node::private::Submitter;
use mc_options::{Global, Opened};
use mc_types::{ErrorCode, TaskSpec, base64url, canonical};
use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    time::Duration,
};
use zeroize::Zeroizing;

/// Longest key file that is read, in bytes. A key has 43, and a line break.
const MAX_FILE_BYTES: u64 = 1024;
/// How long to look for a task of another coordinator's job. Nodes with its results usually have the task, too; if none
/// has it, the user need not wait.
const TASK_WITHIN: Duration = Duration::from_secs(1);

/// The key in the file `path`.
pub(crate) fn read(path: &Path) -> Result<Key, Failure> {
    let metadata = fs::metadata(path).map_err(|e| Failure::path(path, &e))?;
    let refuse = |reason: &str| {
        let message = format!("the key file {} {reason}", path.display());
        Err(Failure::new(ErrorCode::WrongKey, message))
    };
    if metadata.is_dir() {
        return refuse("is a directory");
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        let hint = format!("chmod 600 {}", path.display());
        return refuse("can be read by others").map_err(|failure: Failure| failure.with_hint(hint));
    }
    if metadata.len() > MAX_FILE_BYTES {
        return refuse("does not hold a key");
    }
    let text = fs::read_to_string(path).map_err(|e| Failure::path(path, &e))?;
    let text = Zeroizing::new(text);
    let bytes = base64url::decode(text.trim()).map(Zeroizing::new);
    let key = bytes.and_then(|bytes| Key::from_bytes(&bytes));
    key.map_or_else(|| refuse("does not hold a key"), Ok)
}

/// The key that content opens with, if one is given.
pub(crate) fn opened(opened: &Opened) -> Result<Option<Key>, Failure> {
    opened.key_file.as_deref().map(read).transpose()
}

/// The key in the file `path`; a new one, written there, if there is no such file.
pub(crate) fn read_or_create(path: &Path) -> Result<Key, Failure> {
    let mut options = fs::OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => read(path),
        Err(e) => Err(Failure::path(path, &e)),
        Ok(mut file) => {
            let key = Key::generate();
            let text = Zeroizing::new(base64url::encode(key.as_bytes()));
            let written = writeln!(file, "{}", *text).and_then(|()| file.sync_all());
            written.map_err(|e| Failure::path(path, &e))?;
            Ok(key)
        }
    }
}

/// Whoever uses the data directory.
pub(crate) fn submitter(global: &Global) -> Result<Submitter, Failure> {
    Ok(Submitter::load(
        &connect::configuration(global)?.config.data_dir,
    )?)
}

/// The key of a job; `None` if it is not private.
pub(crate) async fn of_job(
    global: &Global,
    client: &NodeClient,
    job: &JobView,
) -> Result<Option<TaskKey>, Failure> {
    let refuse = |message: &str, hint: &str| {
        let failure = Failure::new(ErrorCode::WrongKey, message);
        Err(failure.with_hint(hint))
    };
    let (Some(id), Some(sealed)) = (job.key, &job.sealed_key) else {
        return match job.key.is_some() || is_private(client, job).await {
            false => Ok(None),
            true => refuse(
                "the job is private: what it wrote is encrypted, and this node was not given its key",
                "ask the node that it was submitted to: --node URL",
            ),
        };
    };
    match submitter(global)?.open(sealed, id) {
        Some(key) => Ok(Some(key)),
        None => refuse(
            "the job is private, and was submitted by somebody else",
            "use the data directory that it was submitted with: --data-dir",
        ),
    }
}

/// Whether a job is private that the node knows only from others: the node marks such jobs, and the task tells.
async fn is_private(client: &NodeClient, job: &JobView) -> bool {
    if job.message.is_none() {
        return false;
    }
    let task = client.blocks(Some(TASK_WITHIN)).get(&job.task_cid).await;
    let task = task.ok().and_then(|task| canonical::decode(&task).ok());
    task.is_some_and(|task: TaskSpec| task.private.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert_eq!(read(&path).unwrap_err().code(), ErrorCode::Path);
        let key = read_or_create(&path).unwrap();
        assert!(read_or_create(&path).unwrap() == key && read(&path).unwrap() == key);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(read(&path).unwrap_err().code(), ErrorCode::WrongKey);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(
            read(dir.path())
                .unwrap_err()
                .message()
                .contains("directory")
        );
        for bad in [String::new(), "short".to_owned(), "A".repeat(5000)] {
            fs::write(&path, bad).unwrap();
            assert_eq!(read(&path).unwrap_err().code(), ErrorCode::WrongKey);
        }
    }
}
