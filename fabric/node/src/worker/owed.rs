//! Endings that no coordinator has heard yet: kept on disk, and said again until one has, also after a restart.

use super::{Inner, Known, Stage, coordinators::Coordinators, execute::Wrote};
use crate::{completion, error::Error};
use mc_net::message::{Request, Response};
use mc_types::{Cid, Ending, FencingToken, JobId, Lease, NodeId, canonical};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::Write,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tracing::{debug, info, warn};

/// First pause before an ending is said again, and the longest: it doubles in between.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// How long an ending is said to coordinators that do not answer. The lease is long gone by then.
const GIVE_UP: Duration = Duration::from_secs(24 * 3600);
/// How often a completion is published while no coordinator has heard it.
const MIRROR_EVERY: Duration = Duration::from_secs(6 * 3600);
/// Prefix of the pins that keep results which no coordinator has fetched yet.
const PIN_PREFIX: &str = crate::pins::OWED;

/// An ending on its way to its coordinator.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Owed {
    coordinators: Vec<NodeId>,
    job: JobId,
    token: FencingToken,
    ttl_ms: u64,
    /// The lease, as the coordinator signed it.
    #[serde(with = "serde_bytes")]
    grant: Vec<u8>,
    ending: Ending,
    /// What the attempt wrote, if it came to no outcome, and which one it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wrote: Option<(u32, Wrote)>,
}

impl Owed {
    pub(super) fn new(
        coordinators: &Coordinators,
        (lease, grant): (&Lease, Vec<u8>),
        (ending, wrote): (Ending, Option<Wrote>),
    ) -> Self {
        Self {
            coordinators: coordinators.all(),
            job: lease.job,
            token: lease.token,
            ttl_ms: lease.ttl_ms,
            grant,
            ending,
            wrote: wrote.map(|wrote| (lease.attempt, wrote)),
        }
    }

    fn name(&self) -> String {
        format!("{}-{}", self.job, self.token)
    }

    /// What an ending of an earlier process says of the job.
    fn known(&self) -> Option<Known> {
        let Ending::Completed(completion) = &self.ending else {
            return None;
        };
        Some(Known {
            task: completion.outcome.task,
            coordinator: self.coordinators.first()?.clone(),
            attempt: 1,
            is_private: false,
            stage: Stage::Ended {
                ending: self.ending.clone(),
                is_recorded: false,
            },
        })
    }

    fn result(&self) -> Option<Cid> {
        match &self.ending {
            Ending::Completed(completion) => Some(completion.outcome_cid),
            _ => None,
        }
    }

    /// Says the ending until a coordinator has it in its ledger or wants it no more. `is_kept` says whether
    /// it is on disk already.
    pub(super) async fn say(self, inner: &Inner, coordinators: Coordinators, is_kept: bool) {
        let mut is_kept = is_kept;
        let mut mirrored = None;
        let mut pause = RETRY_MIN;
        // A coordinator that has come back waits for this no longer than a term.
        let longest = Duration::from_millis(self.ttl_ms / 3).clamp(RETRY_MIN, RETRY_MAX);
        let until = tokio::time::Instant::now() + GIVE_UP;
        let mut wrote = self.wrote;
        loop {
            match coordinators.ask(&inner.peers, self.request(wrote)).await {
                // It is kept, or cannot be.
                Ok(
                    Response::Recorded
                    | Response::Stale
                    | Response::Cancelled
                    | Response::Error { .. },
                ) if wrote.is_some() => {
                    wrote = None;
                    continue;
                }
                Ok(Response::Recorded) => {
                    inner.recent.recorded(self.job, self.token);
                    inner.counts.recorded.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Ok(Response::Stale | Response::Cancelled) => {
                    inner.recent.refused(self.job, self.token);
                    inner.counts.refused.fetch_add(1, Ordering::Relaxed);
                    info!("finish refused: the lease is another's");
                    break;
                }
                Ok(Response::Pending) => pause = RETRY_MIN,
                Ok(Response::Elsewhere) => {}
                Ok(other) => warn!(?other, "unexpected answer to a finish"),
                Err(error) => {
                    debug!(%error, "finish not answered");
                    if !std::mem::replace(&mut is_kept, true) {
                        self.keep(inner).await;
                    }
                    if mirrored.is_none_or(|at: Instant| at.elapsed() >= MIRROR_EVERY) {
                        mirrored = Some(Instant::now());
                        self.mirror(inner).await;
                    }
                }
            }
            if tokio::time::Instant::now() >= until {
                warn!("finish given up: no coordinator answered for a day");
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // What is on disk is said again by the next process.
                () = inner.closing.cancelled() => return,
            }
            pause = (pause * 2).min(longest);
        }
        if is_kept {
            self.forget(inner).await;
        }
    }

    /// What is to be said next: what the attempt wrote comes first, so that it is there when the job has ended.
    fn request(&self, wrote: Option<(u32, Wrote)>) -> Request {
        if let Some((attempt, wrote)) = wrote {
            return wrote.request((self.job, self.token, attempt), self.grant.clone());
        }
        Request::Finish {
            job: self.job,
            token: self.token,
            ending: self.ending.clone(),
        }
    }

    /// What has to be there for as long as no coordinator has fetched it, by the names of its pins.
    fn pins(&self) -> Vec<(String, Cid)> {
        let name = format!("{PIN_PREFIX}{}", self.name());
        let wrote = self.wrote.iter().flat_map(|(_, wrote)| {
            [
                (format!("{name}/stdout"), wrote.stdout),
                (format!("{name}/stderr"), wrote.stderr),
            ]
        });
        let result = self.result().map(|result| (name.clone(), result));
        result.into_iter().chain(wrote).collect()
    }

    /// Keeps the ending and its result over a restart.
    async fn keep(&self, inner: &Inner) {
        let kept = async {
            for (pin, root) in self.pins() {
                inner.content.store().pin(&pin, root).await?;
            }
            let (dir, name) = (inner.options.owed.clone(), self.name());
            let (_, bytes) =
                canonical::encode(self).map_err(|e| Error::InvalidJob(e.to_string()))?;
            let path = dir.join(&name);
            let write = move || -> std::io::Result<()> {
                let mut file = tempfile::NamedTempFile::new_in(&dir)?;
                file.write_all(&bytes)?;
                file.as_file().sync_all()?;
                file.persist(dir.join(name)).map_err(|e| e.error)?;
                fs::File::open(&dir)?.sync_all()
            };
            let written = tokio::task::spawn_blocking(write).await;
            let written = written.unwrap_or_else(|e| Err(std::io::Error::other(e)));
            written.map_err(|source| Error::Io { path, source })
        };
        if let Err(error) = kept.await {
            warn!(%error, "an ending that no coordinator has heard would not survive a restart");
        }
    }

    /// Says in the DHT what the job came to, for those who ask while its coordinator is away.
    async fn mirror(&self, inner: &Inner) {
        let Ending::Completed(completion) = &self.ending else {
            return;
        };
        let said = completion::publish(
            inner.content.net(),
            self.job,
            (self.token, self.grant.clone()),
            completion,
        );
        if let Err(refusal) = said.await {
            debug!(%refusal, "a completion was not published");
        }
    }

    async fn forget(&self, inner: &Inner) {
        // What stays is said once more after a restart, and refused.
        let _ = tokio::fs::remove_file(inner.options.owed.join(self.name())).await;
        for (pin, _) in self.pins() {
            if let Err(error) = inner.content.store().unpin(&pin).await {
                debug!(%error, "a result is kept for longer than needed");
            }
        }
    }
}

/// Goes on saying what an earlier process could not.
pub(super) fn resume(inner: &Arc<Inner>) {
    for owed in read_all(&inner.options.owed) {
        let Some(coordinators) = Coordinators::restored(&owed.coordinators) else {
            continue;
        };
        info!(job = %owed.job, token = %owed.token, "an ending of an earlier process is said again");
        if let Some(known) = owed.known() {
            inner.recent.ended(owed.job, owed.token, known);
        }
        let inner_too = Arc::clone(inner);
        inner.attempts.spawn(async move {
            owed.say(&inner_too, coordinators, true).await;
        });
    }
}

fn read_all(dir: &PathBuf) -> Vec<Owed> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).ok()?;
        let owed = canonical::decode::<Owed>(&bytes);
        owed.inspect_err(|error| warn!(path = %path.display(), %error, "unreadable"))
            .ok()
    };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.filter_map(read).collect()
}
