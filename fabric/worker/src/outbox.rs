//! The outbox: how attempts ended, and the checkpoints of attempts that the worker ended because their coordinators were
//! silent. An item is sent until a coordinator acknowledges it. If the first try is not answered, the item is written to
//! disk, so that a later process can go on.

use crate::{
    Error,
    backlog::Entry,
    coordinators::Coordinators,
    kept::LeftCheckpoint,
    known::{Known, Stage},
    shared::Shared,
    streams::StoredStreams,
};
use mc_protocol::{Request, RequestError, Response};
use mc_types::{AttemptResult, Cid, FencingToken, JobId, KeyId, Lease, NodeId, canonical};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::Instant;
use tracing::{debug, info, warn};

/// The first pause before an item is sent again, and the longest: it doubles in between.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Bounds on the time within which a coordinator has to answer.
const ANSWER_MIN: Duration = Duration::from_secs(1);
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// After this time the pause is longer. A coordinator that connects gets the item at once.
const SELDOM_AFTER: Duration = Duration::from_secs(600);
const RETRY_SELDOM: Duration = Duration::from_secs(60);
/// When an item is given up that no coordinator acknowledges. The lease has expired long before.
const GIVE_UP: Duration = Duration::from_secs(24 * 3600);
/// How often a completion is published while no coordinator answers.
const MIRROR_EVERY: Duration = Duration::from_secs(6 * 3600);
/// How often a checkpoint is sent to a coordinator that cannot take it.
const OFFERS: u32 = 10;
/// The prefix of the pins that keep content which no coordinator has fetched yet.
pub const PIN_PREFIX: &str = "owed/";

/// What the coordinator of an attempt has to be told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Item {
    coordinators: Vec<NodeId>,
    job: JobId,
    token: FencingToken,
    ttl_ms: u64,
    /// The lease, as the coordinator signed it.
    #[serde(with = "serde_bytes")]
    grant: Vec<u8>,
    /// Absent in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<Origin>,
    /// Absent if the attempt has none; then its lease is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ending: Option<AttemptResult>,
    /// The checkpoint that the next attempt can go on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    left: Option<LeftCheckpoint>,
    /// The number of the attempt and what it wrote, if it has no outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wrote: Option<(u32, StoredStreams)>,
    /// Whether it ended because its process was killed. Then only what it wrote is sent: its lease has expired, or is about
    /// to, and counts as lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    killed: bool,
}

/// The task of an attempt. This node tells users about it while no coordinator does.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Origin {
    #[serde(with = "mc_types::cid::portable")]
    task: Cid,
    attempt: u32,
    /// The id of its key, if the task is private.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<KeyId>,
}

impl From<&Known> for Origin {
    fn from(known: &Known) -> Self {
        Self {
            task: known.task,
            attempt: known.attempt,
            key: known.key,
        }
    }
}

/// What an attempt leaves to be sent.
pub(crate) struct Report {
    pub(crate) of: Origin,
    pub(crate) ending: Option<AttemptResult>,
    pub(crate) left: Option<LeftCheckpoint>,
    pub(crate) wrote: Option<StoredStreams>,
}

/// What has not been acknowledged yet, in the order in which it is sent.
struct Undelivered {
    wrote: Option<(u32, StoredStreams)>,
    /// How often the checkpoint may still be sent.
    offers: u32,
}

/// What to do after an answer.
enum Next {
    /// Nothing: a coordinator has the item, or wants it no more.
    Over,
    /// Send the rest at once.
    Now,
    /// Send it again soon.
    Soon,
    /// Send it again after the pause.
    Later,
    /// The same; no coordinator has answered.
    Unanswered,
}

/// How a pause ended.
enum Pause {
    Over,
    /// One of the coordinators has connected.
    Met,
    /// This node is going down.
    Closing,
}

impl Item {
    pub(crate) fn new(
        coordinators: &Coordinators,
        (lease, grant): (&Lease, Vec<u8>),
        report: Report,
    ) -> Self {
        Self {
            coordinators: coordinators.all(),
            job: lease.job,
            token: lease.token,
            ttl_ms: lease.ttl_ms,
            grant,
            of: Some(report.of),
            ending: report.ending,
            left: report.left,
            wrote: report.wrote.map(|wrote| (lease.attempt, wrote)),
            killed: false,
        }
    }

    /// The item of the same attempt, whose process was killed after it had written this.
    pub(crate) fn killed(self, attempt: u32, wrote: StoredStreams) -> Self {
        Self {
            wrote: Some((attempt, wrote)),
            killed: true,
            ..self
        }
    }

    /// The coordinators that it is sent to.
    pub(crate) fn coordinators(&self) -> Option<Coordinators> {
        Coordinators::restored(&self.coordinators)
    }

    fn name(&self) -> String {
        format!("{}-{}", self.job, self.token)
    }

    /// What the item of an earlier process says about the job.
    fn known(&self) -> Option<Known> {
        let (task, attempt, key) = match (&self.of, &self.ending) {
            (Some(of), _) => (of.task, of.attempt, of.key),
            (None, Some(AttemptResult::Completed(completion))) => {
                (completion.outcome.task, 1, None)
            }
            (None, _) => return None,
        };
        let stage = match &self.ending {
            Some(ending) => Stage::Ended {
                ending: ending.clone(),
                is_recorded: false,
            },
            None => Stage::Left {
                was_killed: self.killed,
            },
        };
        Some(Known {
            task,
            coordinator: self.coordinators.first()?.clone(),
            attempt,
            key,
            wrote: self.wrote.map(|(_, wrote)| wrote),
            stage,
        })
    }

    /// Lets this node tell users about the attempt of an earlier process.
    pub(crate) fn remember(&self, shared: &Shared) {
        if let Some(known) = self.known() {
            shared.recent.ended(self.job, self.token, known);
        }
    }

    /// The root of its outcome or checkpoint.
    fn content(&self) -> Option<Cid> {
        match &self.ending {
            Some(AttemptResult::Completed(completion)) => Some(completion.outcome_cid),
            Some(_) => None,
            None => self.left.as_ref().map(|left| left.cid),
        }
    }

    /// Sends the item until a coordinator has recorded it or wants it no more. `is_kept` says whether it is on disk already.
    pub(crate) async fn deliver(self, shared: &Shared, coordinators: Coordinators, is_kept: bool) {
        let mut waiting = shared.backlog.add(coordinators.granting());
        if let Some(left) = &self.left {
            shared.kept.add(self.job, left.clone());
        }
        if is_kept {
            self.weigh(shared, &mut waiting).await;
        }
        let is_known = self
            .repeat(shared, &coordinators, (&mut waiting, is_kept))
            .await;
        if self.left.is_some() {
            shared.kept.remove(self.job);
        }
        if is_known {
            shared.recent.heard(self.job, self.token);
            self.forget(shared).await;
        }
    }

    /// Sends it again and again; `false` if the next process has to go on.
    async fn repeat(
        &self,
        shared: &Shared,
        coordinators: &Coordinators,
        (waiting, is_kept): (&mut Entry, bool),
    ) -> bool {
        let (mut is_kept, mut mirrored) = (is_kept, None);
        let mut undelivered = Undelivered {
            wrote: self.wrote,
            offers: self.left.as_ref().map_or(0, |_| OFFERS),
        };
        let mut pause = RETRY_MIN;
        let begun = Instant::now();
        while begun.elapsed() < GIVE_UP {
            let (asked, request) = (Instant::now(), self.request(&undelivered));
            let answer = coordinators.ask_within(self.patience(), &*shared.parts.peers, request);
            match self.take_answer(shared, answer.await, &mut undelivered) {
                Next::Over => return true,
                Next::Now => continue,
                Next::Soon => pause = RETRY_MIN,
                Next::Later => {}
                Next::Unanswered => {
                    if !std::mem::replace(&mut is_kept, true) {
                        self.keep(shared).await;
                        self.weigh(shared, waiting).await;
                    }
                    if mirrored.is_none_or(|at: Instant| at.elapsed() >= MIRROR_EVERY) {
                        mirrored = Some(Instant::now());
                        self.mirror(shared).await;
                    }
                }
            }
            // Whoever was waited for in vain is no reason to let another one wait.
            let rest = pause.saturating_sub(asked.elapsed());
            pause = match wait(shared, coordinators, rest).await {
                Pause::Over => (pause * 2).min(self.longest_pause(begun.elapsed())),
                Pause::Met => RETRY_MIN,
                // The next process goes on.
                Pause::Closing => {
                    if !is_kept {
                        self.keep(shared).await;
                    }
                    return false;
                }
            };
        }
        warn!("an ending is given up: no coordinator answered for a day");
        true
    }

    /// What is sent next. What the attempt wrote comes first, so that it can be read when the job has ended. A checkpoint
    /// comes before the release of the lease.
    fn request(&self, undelivered: &Undelivered) -> Request {
        let (job, token) = (self.job, self.token);
        if let Some((attempt, wrote)) = undelivered.wrote {
            return wrote.request((job, token, attempt), self.grant.clone());
        }
        match (&self.ending, &self.left) {
            (Some(ending), _) => Request::Finish {
                job,
                token,
                ending: ending.clone(),
            },
            (None, Some(left)) if undelivered.offers > 0 => Request::Checkpoint {
                job,
                token,
                cid: left.cid,
                position: left.position,
            },
            (None, _) => Request::Release {
                job,
                token,
                reason: "its coordinators were silent for too long".to_owned(),
            },
        }
    }

    /// Takes note of an answer, and says what to do next.
    fn take_answer(
        &self,
        shared: &Shared,
        answer: Result<Response, RequestError>,
        undelivered: &mut Undelivered,
    ) -> Next {
        match answer {
            // The coordinator has the streams, or cannot keep them.
            Ok(
                Response::Recorded | Response::Stale | Response::Cancelled | Response::Error { .. },
            )
            | Err(RequestError::Unsupported { .. })
                if undelivered.wrote.is_some() =>
            {
                undelivered.wrote = None;
                if self.killed { Next::Over } else { Next::Now }
            }
            Ok(Response::Recorded) if self.ending.is_none() && undelivered.offers > 0 => {
                // It has the checkpoint: now the lease is released.
                undelivered.offers = 0;
                Next::Now
            }
            Ok(Response::Ok | Response::Recorded) if self.ending.is_none() => Next::Over,
            Ok(Response::Recorded) => {
                shared.recent.recorded(self.job, self.token);
                shared.counts.recorded.fetch_add(1, Ordering::Relaxed);
                Next::Over
            }
            Ok(Response::Stale | Response::Cancelled) => {
                shared.recent.refused(self.job, self.token);
                shared.counts.refused.fetch_add(1, Ordering::Relaxed);
                info!("finish refused: the lease is another's");
                Next::Over
            }
            Ok(Response::Pending) => Next::Soon,
            Ok(Response::Elsewhere) => Next::Later,
            Ok(other) => {
                // Anybody may answer so as often as it likes, and must not fill a log.
                debug!(?other, "unexpected answer to a finish");
                undelivered.offers = undelivered.offers.saturating_sub(1);
                Next::Later
            }
            Err(error) => {
                debug!(%error, "finish not answered");
                let is_there = matches!(
                    error,
                    RequestError::Unsupported { .. } | RequestError::UnsupportedAnswer { .. }
                );
                // It runs another version, which may not know checkpoints.
                undelivered.offers = undelivered.offers.saturating_sub(is_there.into());
                Next::Unanswered
            }
        }
    }

    /// How long a coordinator may take to answer. It may stand still, and another one have taken the job over: that one
    /// grants the job again unless it is told within a term.
    fn patience(&self) -> Duration {
        let part = Duration::from_millis(self.ttl_ms / 5).saturating_mul(2);
        part.clamp(ANSWER_MIN, ANSWER_MAX)
    }

    /// The longest pause by now. At first, a coordinator that comes back gets the item within a term.
    fn longest_pause(&self, elapsed: Duration) -> Duration {
        if elapsed >= SELDOM_AFTER {
            return RETRY_SELDOM;
        }
        Duration::from_millis(self.ttl_ms / 3).clamp(RETRY_MIN, RETRY_MAX)
    }

    /// The content that must stay until a coordinator has fetched it, with the names of its pins.
    fn pins(&self) -> Vec<(String, Cid)> {
        let name = format!("{PIN_PREFIX}{}", self.name());
        let wrote = self.wrote.iter().flat_map(|(_, wrote)| {
            [
                (format!("{name}/stdout"), wrote.stdout),
                (format!("{name}/stderr"), wrote.stderr),
            ]
        });
        let content = self.content().map(|content| (name.clone(), content));
        content.into_iter().chain(wrote).collect()
    }

    /// Writes the item to disk and pins its content, so that both survive a restart.
    pub(crate) async fn keep(&self, shared: &Shared) {
        let kept = async {
            for (pin, root) in self.pins() {
                shared.parts.content.pin(&pin, root).await?;
            }
            let (dir, name) = (shared.options.outbox.clone(), self.name());
            let (_, bytes) = canonical::encode(self)?;
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
            warn!(error = %mc_types::with_causes(&error), "an ending that no coordinator has heard would not survive a restart");
        }
    }

    /// Counts the bytes that are kept for it.
    async fn weigh(&self, shared: &Shared, waiting: &mut Entry) {
        let mut sum = 0_u64;
        for (_, root) in self.pins() {
            match shared.parts.content.stored_bytes(root).await {
                Ok(bytes) => sum = sum.saturating_add(bytes),
                Err(error) => {
                    debug!(error = %mc_types::with_causes(&error), "what is kept for an ending is not counted")
                }
            }
        }
        waiting.weighs(sum);
    }

    /// Publishes the outcome in the DHT, for those who ask while the coordinator is away.
    async fn mirror(&self, shared: &Shared) {
        let Some(AttemptResult::Completed(completion)) = &self.ending else {
            return;
        };
        let lease = (self.token, self.grant.clone());
        let completions = &shared.parts.completions;
        let said = completions.publish(self.job, lease, completion);
        if let Err(error) = said.await {
            debug!(%error, "nobody learns of it from the DHT");
        }
    }

    async fn forget(&self, shared: &Shared) {
        // A file that stays is sent once more after a restart, and refused as stale.
        let _ = tokio::fs::remove_file(shared.options.outbox.join(self.name())).await;
        for (pin, _) in self.pins() {
            if let Err(error) = shared.parts.content.unpin(&pin).await {
                debug!(%error, "a result is kept for longer than needed");
            }
        }
    }
}

/// Waits, but not longer than until one of the coordinators connects.
async fn wait(shared: &Shared, coordinators: &Coordinators, pause: Duration) -> Pause {
    let mut met = shared.met.subscribe();
    let over = tokio::time::sleep(pause);
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = &mut over => return Pause::Over,
            () = shared.closing.cancelled() => return Pause::Closing,
            node = met.recv() => match node {
                Ok(node) if !coordinators.contains(&node) => {}
                // One of them may be among those that this receiver missed.
                _ => return Pause::Met,
            },
        }
    }
}

/// Goes on sending what an earlier process could not. Gives the attempts that had ended by themselves.
pub(crate) fn resume(shared: &Arc<Shared>) -> BTreeSet<(JobId, FencingToken)> {
    let mut undelivered = BTreeSet::new();
    for item in read_all(&shared.options.outbox) {
        let Some(coordinators) = item.coordinators() else {
            continue;
        };
        info!(job = %item.job, token = %item.token, "an ending of an earlier process is sent again");
        item.remember(shared);
        if !item.killed {
            undelivered.insert((item.job, item.token));
        }
        let shared_too = Arc::clone(shared);
        shared.attempts.serve("ending", async move {
            item.deliver(&shared_too, coordinators, true).await;
        });
    }
    undelivered
}

fn read_all(dir: &Path) -> Vec<Item> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).ok()?;
        let item = canonical::decode::<Item>(&bytes);
        item.inspect_err(|error| warn!(path = %path.display(), %error, "unreadable"))
            .ok()
    };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::Timestamp;

    /// As it was before attempts could leave checkpoints.
    #[derive(Serialize)]
    struct Earlier {
        coordinators: Vec<NodeId>,
        job: JobId,
        token: FencingToken,
        ttl_ms: u64,
        #[serde(with = "serde_bytes")]
        grant: Vec<u8>,
        ending: AttemptResult,
    }

    #[test]
    fn what_an_earlier_version_kept_is_read() {
        let earlier = Earlier {
            coordinators: vec!["12D3KooWa".parse().unwrap()],
            job: JobId::new(Timestamp::from_millis(1), 1),
            token: FencingToken(3),
            ttl_ms: 15_000,
            grant: vec![1],
            ending: AttemptResult::Cancelled,
        };
        let (_, bytes) = canonical::encode(&earlier).unwrap();
        let item: Item = canonical::decode(&bytes).unwrap();
        assert_eq!(item.ending, Some(AttemptResult::Cancelled));
        assert!(item.left.is_none() && !item.killed);
    }

    #[test]
    fn an_ending_is_said_within_a_term_at_first_and_seldom_later() {
        let item = Item {
            coordinators: Vec::new(),
            job: JobId::new(Timestamp::from_millis(1), 1),
            token: FencingToken(3),
            ttl_ms: 3_000,
            grant: Vec::new(),
            of: None,
            ending: Some(AttemptResult::Cancelled),
            left: None,
            wrote: None,
            killed: false,
        };
        let pause = |after| item.longest_pause(Duration::from_secs(after));
        assert_eq!(pause(1), Duration::from_secs(1));
        assert_eq!(pause(3_600), RETRY_SELDOM);
        assert!(item.patience() + pause(1) < Duration::from_secs(3));
    }
}
