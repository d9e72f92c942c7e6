//! Attempts that an earlier process was killed with: what they had written is said to their coordinators.

use super::{
    Inner,
    attempt::Attempt,
    execute,
    owed::{Owed, What},
};
use crate::data_dir::Scratch;
use mc_execution::LogFiles;
use mc_types::canonical;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tracing::{debug, info, warn};

/// Of attempts that take less than this nothing is noted: a file for each would cost more than what is lost with it.
const NOTED_AFTER: Duration = Duration::from_millis(100);
/// The file beside what an attempt writes.
const NOTE: &str = "attempt";

/// Whose attempt it is, and by which lease.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    attempt: u32,
    owed: Owed,
}

/// Ends once the guest has run for so long that a note is worth it.
pub(super) async fn is_worth_a_note(attempt: &Attempt) {
    let mut begun = attempt.controls.begun.subscribe();
    if begun.wait_for(Option::is_some).await.is_err() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(NOTED_AFTER).await;
}

/// Leaves a note in the directory of an attempt. It goes with the directory.
pub(super) async fn note(attempt: &Attempt, scratch: &Scratch) {
    if attempt.key.is_some() {
        // Its key is in memory alone, so that nobody could encrypt what it wrote.
        return;
    }
    let what = What {
        of: (&attempt.known).into(),
        ending: None,
        left: None,
        wrote: None,
    };
    let lease = (&attempt.lease, attempt.grant.clone());
    let note = Note {
        attempt: attempt.lease.attempt,
        owed: Owed::new(&attempt.coordinators, lease, what),
    };
    let written = async {
        scratch.create().map_err(|e| e.to_string())?;
        let (_, bytes) = canonical::encode(&note).map_err(|e| e.to_string())?;
        let path = scratch.path().join(NOTE);
        let written = tokio::fs::write(path, bytes).await;
        written.map_err(|e| e.to_string())
    };
    if let Err(error) = written.await {
        debug!(%error, "what the attempt writes is lost if this process is killed");
    }
}

/// Says what attempts had written that an earlier process was killed with.
pub(super) fn resume(inner: &Arc<Inner>) {
    let Ok(entries) = fs::read_dir(&inner.options.before) else {
        return;
    };
    for entry in entries.flatten() {
        let inner_too = Arc::clone(inner);
        inner.attempts.serve("earlier attempt", async move {
            say(&inner_too, entry.path()).await;
        });
    }
}

async fn say(inner: &Inner, dir: PathBuf) {
    let owed = owed(inner, &dir).await;
    // It is kept elsewhere by now, or cannot be. What stays is looked at once more after a restart.
    let _ = tokio::fs::remove_dir_all(&dir).await;
    let Some(owed) = owed else {
        return;
    };
    if let Some(coordinators) = owed.coordinators() {
        info!("what an attempt wrote that was killed with its process is said");
        owed.remember(inner);
        owed.say(inner, coordinators, true).await;
    }
}

/// What is to be said of an attempt, on disk; nothing of one that left no note.
async fn owed(inner: &Inner, dir: &Path) -> Option<Owed> {
    let bytes = tokio::fs::read(dir.join(NOTE)).await.ok()?;
    let note = canonical::decode::<Note>(&bytes);
    let note = note.inspect_err(|error| warn!(dir = %dir.display(), %error, "unreadable"));
    let note = note.ok()?;
    let wrote = execute::wrote_before(inner, &LogFiles::within(dir)).await;
    let wrote = wrote.inspect_err(|error| warn!(%error, "what an attempt wrote was not kept"));
    let owed = note.owed.killed(note.attempt, wrote.ok()?);
    owed.keep(inner).await;
    Some(owed)
}
