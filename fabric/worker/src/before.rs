//! Attempts that ended because an earlier process was killed: their coordinators are told what they had written.

use crate::{
    accepted::Accepted,
    outbox::{Item, Report},
    scratch::Scratch,
    shared::Shared,
    streams::StoredStreams,
};
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

/// An attempt leaves a note once it has run this long. For shorter ones the file would cost more than it saves.
const NOTED_AFTER: Duration = Duration::from_millis(100);
/// The file beside what an attempt writes.
const NOTE: &str = "attempt";

/// Whose attempt it is, and by which lease.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    attempt: u32,
    /// The name that files of earlier versions have for it.
    #[serde(rename = "owed")]
    item: Item,
}

/// Returns once the guest has run long enough for a note.
pub(crate) async fn is_worth_a_note(attempt: &Accepted) {
    let mut begun = attempt.controls.begun.subscribe();
    if begun.wait_for(Option::is_some).await.is_err() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(NOTED_AFTER).await;
}

/// Leaves a note in the directory of an attempt, which is removed with the directory.
pub(crate) async fn note(attempt: &Accepted, scratch: &Scratch) {
    if attempt.key.is_some() {
        // Its key is only in memory, so the next process could not encrypt what it wrote.
        return;
    }
    let report = Report {
        of: (&attempt.known).into(),
        ending: None,
        left: None,
        wrote: None,
    };
    let lease = (&attempt.lease, attempt.grant.clone());
    let note = Note {
        attempt: attempt.lease.attempt,
        item: Item::new(&attempt.coordinators, lease, report),
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

/// Tells coordinators what attempts had written when an earlier process was killed.
pub(crate) fn resume(shared: &Arc<Shared>) {
    let Ok(entries) = fs::read_dir(&shared.options.before) else {
        return;
    };
    for entry in entries.flatten() {
        let shared_too = Arc::clone(shared);
        shared.attempts.serve("earlier attempt", async move {
            deliver(&shared_too, entry.path()).await;
        });
    }
}

async fn deliver(shared: &Shared, dir: PathBuf) {
    let item = item(shared, &dir).await;
    // The content is stored by now, or cannot be. If the directory stays, the next process looks at it again.
    let _ = tokio::fs::remove_dir_all(&dir).await;
    let Some(item) = item else {
        return;
    };
    if let Some(coordinators) = item.coordinators() {
        info!("reporting what an attempt wrote before its process was killed");
        item.remember(shared);
        item.deliver(shared, coordinators, true).await;
    }
}

/// The outbox item of an attempt, written to disk; `None` if the attempt left no note.
async fn item(shared: &Shared, dir: &Path) -> Option<Item> {
    let bytes = tokio::fs::read(dir.join(NOTE)).await.ok()?;
    let note = canonical::decode::<Note>(&bytes);
    let note = note.inspect_err(|error| warn!(dir = %dir.display(), %error, "unreadable"));
    let note = note.ok()?;
    let wrote = StoredStreams::store(&shared.parts.content, &LogFiles::within(dir), None).await;
    let wrote = wrote.inspect_err(|error| warn!(%error, "what an attempt wrote was not kept"));
    let item = note.item.killed(note.attempt, wrote.ok()?);
    item.keep(shared).await;
    Some(item)
}
