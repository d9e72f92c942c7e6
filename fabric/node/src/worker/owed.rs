//! What no coordinator has heard yet: how attempts ended, and checkpoints of those that were ended since their
//! coordinators were silent for too long. It is kept on disk, and said again until one has heard it, also after a
//! restart.

use super::{
    Inner, Known, Stage, coordinators::Coordinators, debts::Entry, execute::Wrote, kept::Left,
};
use crate::{completion, error::Error};
use mc_protocol::{Request, RequestError, Response};
use mc_types::{Cid, Ending, FencingToken, JobId, KeyId, Lease, NodeId, canonical};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
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
/// After so long it is said more seldom. A coordinator that connects is told at once.
const SELDOM_AFTER: Duration = Duration::from_secs(600);
const RETRY_SELDOM: Duration = Duration::from_secs(60);
/// How long an ending is said to coordinators that do not answer. The lease is long gone by then.
const GIVE_UP: Duration = Duration::from_secs(24 * 3600);
/// How often a completion is published while no coordinator has heard it.
const MIRROR_EVERY: Duration = Duration::from_secs(6 * 3600);
/// How often a checkpoint is offered to a coordinator that cannot take it.
const OFFERS: u32 = 10;
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
    /// Absent in what an earlier version kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<Of>,
    /// Absent if the attempt came to none, and its lease is given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ending: Option<Ending>,
    /// What another attempt can go on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    left: Option<Left>,
    /// What the attempt wrote, if it came to no outcome, and which one it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wrote: Option<(u32, Wrote)>,
    /// Whether it ended because its process was killed. Then nothing is said but what it wrote: its lease has been
    /// missed, or is about to be, and counts as lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    killed: bool,
}

/// Of which task the attempt is, to be told here for as long as no coordinator tells more of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Of {
    #[serde(with = "mc_types::cid::portable")]
    task: Cid,
    attempt: u32,
    /// Of a private task: by what its key is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<KeyId>,
}

impl From<&Known> for Of {
    fn from(known: &Known) -> Self {
        Self {
            task: known.task,
            attempt: known.attempt,
            key: known.key,
        }
    }
}

/// What is left of an attempt.
pub(super) struct What {
    pub(super) of: Of,
    pub(super) ending: Option<Ending>,
    pub(super) left: Option<Left>,
    pub(super) wrote: Option<Wrote>,
}

/// What has not been said yet, in the order in which it is.
struct Unsaid {
    wrote: Option<(u32, Wrote)>,
    /// How often the checkpoint is still offered.
    offers: u32,
}

/// What is to be done after an answer.
enum Next {
    /// Nothing: it is known, or nobody wants to know it.
    Over,
    /// The rest is said at once.
    Now,
    /// It is said again soon.
    Soon,
    /// It is said again after the pause.
    Later,
    /// The same, and nobody has heard it.
    Unheard,
}

/// How a pause ended.
enum Pause {
    Over,
    /// One of the coordinators has connected.
    Met,
    /// This node is going down.
    Closing,
}

impl Owed {
    pub(super) fn new(
        coordinators: &Coordinators,
        (lease, grant): (&Lease, Vec<u8>),
        what: What,
    ) -> Self {
        Self {
            coordinators: coordinators.all(),
            job: lease.job,
            token: lease.token,
            ttl_ms: lease.ttl_ms,
            grant,
            of: Some(what.of),
            ending: what.ending,
            left: what.left,
            wrote: what.wrote.map(|wrote| (lease.attempt, wrote)),
            killed: false,
        }
    }

    /// The same of an attempt whose process was killed, with what it had written by then.
    pub(super) fn killed(self, attempt: u32, wrote: Wrote) -> Self {
        Self {
            wrote: Some((attempt, wrote)),
            killed: true,
            ..self
        }
    }

    /// Whom it is to be said to.
    pub(super) fn coordinators(&self) -> Option<Coordinators> {
        Coordinators::restored(&self.coordinators)
    }

    fn name(&self) -> String {
        format!("{}-{}", self.job, self.token)
    }

    /// What an ending of an earlier process says of the job.
    fn known(&self) -> Option<Known> {
        let (task, attempt, key) = match (&self.of, &self.ending) {
            (Some(of), _) => (of.task, of.attempt, of.key),
            (None, Some(Ending::Completed(completion))) => (completion.outcome.task, 1, None),
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

    /// Tells here of the attempt of an earlier process.
    pub(super) fn remember(&self, inner: &Inner) {
        if let Some(known) = self.known() {
            inner.recent.ended(self.job, self.token, known);
        }
    }

    /// The root of what it came to.
    fn content(&self) -> Option<Cid> {
        match &self.ending {
            Some(Ending::Completed(completion)) => Some(completion.outcome_cid),
            Some(_) => None,
            None => self.left.as_ref().map(|left| left.cid),
        }
    }

    /// Says it until a coordinator has it in its ledger or wants it no more. `is_kept` says whether it is on
    /// disk already.
    pub(super) async fn say(self, inner: &Inner, coordinators: Coordinators, is_kept: bool) {
        let mut debt = inner.debts.add(coordinators.granting());
        if let Some(left) = &self.left {
            inner.kept.add(self.job, left.clone());
        }
        if is_kept {
            self.weigh(inner, &mut debt).await;
        }
        let is_known = self
            .repeat(inner, &coordinators, (&mut debt, is_kept))
            .await;
        if self.left.is_some() {
            inner.kept.remove(self.job);
        }
        if is_known {
            inner.recent.heard(self.job, self.token);
            self.forget(inner).await;
        }
    }

    /// Says it again and again; `false` if it has to be said by the next process.
    async fn repeat(
        &self,
        inner: &Inner,
        coordinators: &Coordinators,
        (debt, is_kept): (&mut Entry, bool),
    ) -> bool {
        let (mut is_kept, mut mirrored) = (is_kept, None);
        let mut unsaid = Unsaid {
            wrote: self.wrote,
            offers: self.left.as_ref().map_or(0, |_| OFFERS),
        };
        let mut pause = RETRY_MIN;
        let begun = Instant::now();
        while begun.elapsed() < GIVE_UP {
            let answer = coordinators.ask(&inner.peers, self.request(&unsaid));
            match self.heard(inner, answer.await, &mut unsaid) {
                Next::Over => return true,
                Next::Now => continue,
                Next::Soon => pause = RETRY_MIN,
                Next::Later => {}
                Next::Unheard => {
                    if !std::mem::replace(&mut is_kept, true) {
                        self.keep(inner).await;
                        self.weigh(inner, debt).await;
                    }
                    if mirrored.is_none_or(|at: Instant| at.elapsed() >= MIRROR_EVERY) {
                        mirrored = Some(Instant::now());
                        self.mirror(inner).await;
                    }
                }
            }
            pause = match wait(inner, coordinators, pause).await {
                Pause::Over => (pause * 2).min(self.longest_pause(begun.elapsed())),
                Pause::Met => RETRY_MIN,
                // What is on disk is said again by the next process.
                Pause::Closing => return false,
            };
        }
        warn!("an ending is given up: no coordinator answered for a day");
        true
    }

    /// What is said next: what the attempt wrote comes first, so that it is there when the job has ended; a
    /// checkpoint comes before the lease is given back.
    fn request(&self, unsaid: &Unsaid) -> Request {
        let (job, token) = (self.job, self.token);
        if let Some((attempt, wrote)) = unsaid.wrote {
            return wrote.request((job, token, attempt), self.grant.clone());
        }
        match (&self.ending, &self.left) {
            (Some(ending), _) => Request::Finish {
                job,
                token,
                ending: ending.clone(),
            },
            (None, Some(left)) if unsaid.offers > 0 => Request::Checkpoint {
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

    /// What has come of an answer.
    fn heard(
        &self,
        inner: &Inner,
        answer: Result<Response, RequestError>,
        unsaid: &mut Unsaid,
    ) -> Next {
        match answer {
            // It is kept, or cannot be.
            Ok(
                Response::Recorded | Response::Stale | Response::Cancelled | Response::Error { .. },
            )
            | Err(RequestError::Unsupported { .. })
                if unsaid.wrote.is_some() =>
            {
                unsaid.wrote = None;
                if self.killed { Next::Over } else { Next::Now }
            }
            Ok(Response::Recorded) if self.ending.is_none() && unsaid.offers > 0 => {
                // It has the checkpoint: now the lease is given back.
                unsaid.offers = 0;
                Next::Now
            }
            Ok(Response::Ok | Response::Recorded) if self.ending.is_none() => Next::Over,
            Ok(Response::Recorded) => {
                inner.recent.recorded(self.job, self.token);
                inner.counts.recorded.fetch_add(1, Ordering::Relaxed);
                Next::Over
            }
            Ok(Response::Stale | Response::Cancelled) => {
                inner.recent.refused(self.job, self.token);
                inner.counts.refused.fetch_add(1, Ordering::Relaxed);
                info!("finish refused: the lease is another's");
                Next::Over
            }
            Ok(Response::Pending) => Next::Soon,
            Ok(Response::Elsewhere) => Next::Later,
            Ok(other) => {
                // Whoever answers like this may do so as often as it likes: it fills no log.
                debug!(?other, "unexpected answer to a finish");
                unsaid.offers = unsaid.offers.saturating_sub(1);
                Next::Later
            }
            Err(error) => {
                debug!(%error, "finish not answered");
                let is_there = matches!(
                    error,
                    RequestError::Unsupported { .. } | RequestError::UnsupportedAnswer { .. }
                );
                // It is of another version, and may not want a checkpoint.
                unsaid.offers = unsaid.offers.saturating_sub(is_there.into());
                Next::Unheard
            }
        }
    }

    /// A coordinator that has come back waits for this no longer than a term, if it is not heard of before.
    fn longest_pause(&self, elapsed: Duration) -> Duration {
        if elapsed >= SELDOM_AFTER {
            return RETRY_SELDOM;
        }
        Duration::from_millis(self.ttl_ms / 3).clamp(RETRY_MIN, RETRY_MAX)
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
        let content = self.content().map(|content| (name.clone(), content));
        content.into_iter().chain(wrote).collect()
    }

    /// Keeps the ending and its content over a restart.
    pub(super) async fn keep(&self, inner: &Inner) {
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

    /// Counts what is kept for it.
    async fn weigh(&self, inner: &Inner, debt: &mut Entry) {
        let mut sum = 0_u64;
        for (_, root) in self.pins() {
            match mc_content::stored_bytes(inner.content.store(), root).await {
                Ok(bytes) => sum = sum.saturating_add(bytes),
                Err(error) => debug!(%error, "what is kept for an ending is not counted"),
            }
        }
        debt.weighs(sum);
    }

    /// Says in the DHT what the job came to, for those who ask while its coordinator is away.
    async fn mirror(&self, inner: &Inner) {
        let Some(Ending::Completed(completion)) = &self.ending else {
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

/// Waits, unless one of the coordinators connects.
async fn wait(inner: &Inner, coordinators: &Coordinators, pause: Duration) -> Pause {
    let mut met = inner.met.subscribe();
    let over = tokio::time::sleep(pause);
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = &mut over => return Pause::Over,
            () = inner.closing.cancelled() => return Pause::Closing,
            node = met.recv() => match node {
                Ok(node) if !coordinators.contains(&node) => {}
                // It may have been among those that were missed.
                _ => return Pause::Met,
            },
        }
    }
}

/// Goes on saying what an earlier process could not. Gives the attempts that came to an end of their own.
pub(super) fn resume(inner: &Arc<Inner>) -> BTreeSet<(JobId, FencingToken)> {
    let mut unsaid = BTreeSet::new();
    for owed in read_all(&inner.options.owed) {
        let Some(coordinators) = owed.coordinators() else {
            continue;
        };
        info!(job = %owed.job, token = %owed.token, "an ending of an earlier process is said again");
        owed.remember(inner);
        if !owed.killed {
            unsaid.insert((owed.job, owed.token));
        }
        let inner_too = Arc::clone(inner);
        inner.attempts.serve("ending", async move {
            owed.say(&inner_too, coordinators, true).await;
        });
    }
    unsaid
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
        ending: Ending,
    }

    #[test]
    fn what_an_earlier_version_kept_is_read() {
        let earlier = Earlier {
            coordinators: vec!["12D3KooWa".parse().unwrap()],
            job: JobId::new(Timestamp::from_millis(1), 1),
            token: FencingToken(3),
            ttl_ms: 15_000,
            grant: vec![1],
            ending: Ending::Cancelled,
        };
        let (_, bytes) = canonical::encode(&earlier).unwrap();
        let owed: Owed = canonical::decode(&bytes).unwrap();
        assert_eq!(owed.ending, Some(Ending::Cancelled));
        assert!(owed.left.is_none() && !owed.killed);
    }

    #[test]
    fn an_ending_is_said_within_a_term_at_first_and_seldom_later() {
        let owed = Owed {
            coordinators: Vec::new(),
            job: JobId::new(Timestamp::from_millis(1), 1),
            token: FencingToken(3),
            ttl_ms: 3_000,
            grant: Vec::new(),
            of: None,
            ending: Some(Ending::Cancelled),
            left: None,
            wrote: None,
            killed: false,
        };
        let pause = |after| owed.longest_pause(Duration::from_secs(after));
        assert_eq!(pause(1), Duration::from_secs(1));
        assert_eq!(pause(3_600), RETRY_SELDOM);
    }
}
