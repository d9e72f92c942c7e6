//! Exports, verifies and migrates the ledger, and archives old jobs.

use crate::{Error, data_dir::DataDir};
use async_trait::async_trait;
use futures::future::BoxFuture;
use mc_config::Config;
use mc_coordinator::Failure;
use mc_ledger::{Batch, Ledger, Location};
use mc_net::Identity;
use mc_types::{
    AttemptResult, Cid, Completion, JobId, JobRecord, JobSpec, JobState, NodeId, Timestamp,
    canonical,
};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Jobs that are read at a time.
const PAGE: u32 = 256;

/// A job as it is exported: one JSON object to a line.
#[derive(Debug, Serialize)]
pub struct Exported<'r> {
    id: JobId,
    #[serde(with = "mc_types::cid::portable")]
    task_cid: Cid,
    state: JobState,
    spec: &'r JobSpec,
    attempts: u32,
    last_token: u64,
    node: Option<&'r NodeId>,
    submitted_ms: u64,
    started_ms: Option<u64>,
    finished_ms: Option<u64>,
    ending: Option<&'r AttemptResult>,
}

impl<'r> From<&'r JobRecord> for Exported<'r> {
    fn from(record: &'r JobRecord) -> Self {
        Self {
            id: record.id,
            task_cid: record.task_cid,
            state: record.state,
            spec: &record.spec,
            attempts: record.attempts,
            last_token: record.last_token.0,
            node: record.last_node.as_ref(),
            submitted_ms: record.submitted.as_millis(),
            started_ms: record.started.map(Timestamp::as_millis),
            finished_ms: record.finished.map(Timestamp::as_millis),
            ending: record.ending.as_ref(),
        }
    }
}

/// A job as a line of JSON.
pub(crate) fn line(record: &JobRecord) -> String {
    let mut line = serde_json::to_string(&Exported::from(record)).unwrap_or_default();
    line.push('\n');
    line
}

/// A ledger that is read while no node uses the data directory.
#[derive(Debug)]
pub struct Archive {
    ledger: Ledger,
    _dir: DataDir,
}

impl Archive {
    /// Opens the ledger of a configuration.
    ///
    /// # Errors
    ///
    /// [`Error::DataDirLocked`] while a node runs, or why the ledger cannot be read.
    pub fn open<'a>(config: &'a Config) -> BoxFuture<'a, Result<Self, Error>> {
        Box::pin(async move {
            let dir = DataDir::open(&config.data_dir)?;
            let identity = Identity::load_or_create(&dir.identity())?;
            let location = Location::of(config.ledger.url.as_deref(), &dir.ledger());
            let ledger = Ledger::open(&location, identity.node_id()).await?;
            Ok(Self { ledger, _dir: dir })
        })
    }

    /// Passes every job to `write` as a line of JSON, oldest first; returns their number.
    ///
    /// # Errors
    ///
    /// That a row is corrupt, or `write` failed.
    pub async fn export<E: From<Error>>(
        &self,
        mut write: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<u64, E> {
        let mut pages = Pages::of(&self.ledger);
        while let Some(page) = pages.next().await.map_err(Error::from)? {
            for record in &page {
                write(&line(record))?;
            }
        }
        Ok(pages.jobs)
    }

    /// Checks every job; returns their number, and a sentence about each inconsistent one.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read. A row that cannot be parsed ends the check with a sentence.
    pub fn verify<'a>(&'a self) -> BoxFuture<'a, Result<(u64, Vec<String>), Error>> {
        Box::pin(async move {
            let mut faults = Vec::new();
            let mut pages = Pages::of(&self.ledger);
            loop {
                let page = match pages.next().await {
                    Ok(Some(page)) => page,
                    Ok(None) => break,
                    Err(error @ mc_ledger::Error::CorruptRow { .. }) => {
                        faults.push(error.to_string());
                        break;
                    }
                    Err(error) => return Err(error.into()),
                };
                for record in &page {
                    faults.extend(fault(record).map(|fault| format!("job {}: {fault}", record.id)));
                }
            }
            Ok((pages.jobs, faults))
        })
    }

    /// Copies every job with its checkpoints and logs to the PostgreSQL database `url`, in this node's name; returns
    /// their number. Repeating it copies what is missing.
    ///
    /// # Errors
    ///
    /// When either cannot be used, or the other has newer records of these jobs.
    pub fn migrate<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move {
            let to = Location::Postgres(url.to_owned());
            let to = Ledger::open(&to, self.ledger.owner().clone()).await?;
            let mut pages = Pages::of(&self.ledger);
            while let Some(page) = pages.next().await? {
                to.commit(Batch { jobs: &page }).await?;
                for record in &page {
                    for log in self.ledger.logs(record.id).await? {
                        to.add_log(record.id, &log).await?;
                    }
                }
                for record in page.iter().filter(|record| record.ending.is_none()) {
                    for checkpoint in self.ledger.checkpoints(record.id).await? {
                        to.add_checkpoint(record.id, &checkpoint).await?;
                    }
                }
            }
            to.close().await;
            Ok(pages.jobs)
        })
    }

    /// Closes the ledger.
    pub fn close(self) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            self.ledger.close().await;
        })
    }
}

/// All jobs of a ledger, oldest first.
struct Pages<'l> {
    ledger: &'l Ledger,
    after: Option<JobId>,
    /// Those that were read.
    jobs: u64,
}

impl<'l> Pages<'l> {
    const fn of(ledger: &'l Ledger) -> Self {
        Self {
            ledger,
            after: None,
            jobs: 0,
        }
    }

    /// Some more of them; `None` after the last.
    async fn next(&mut self) -> Result<Option<Vec<JobRecord>>, mc_ledger::Error> {
        let page = self.ledger.page(self.after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(None);
        };
        self.after = Some(last.id);
        self.jobs += u64::try_from(page.len()).unwrap_or(u64::MAX);
        Ok(Some(page))
    }
}

/// What cannot be about a job, if anything.
fn fault(record: &JobRecord) -> Option<String> {
    let encoded = canonical::encode(&record.spec.task);
    if encoded.is_ok_and(|(cid, _)| cid != record.task_cid) {
        return Some("its task has another CID than it says".to_owned());
    }
    if let Err(error) = record.spec.validate() {
        return Some(error.to_string());
    }
    if record.state.is_terminal() != record.ending.is_some() {
        return Some(format!(
            "it is {}, but that is not how it ended",
            record.state
        ));
    }
    record
        .completion()
        .and_then(|completion| false_completion(record, completion))
}

fn false_completion(record: &JobRecord, completion: &Completion) -> Option<String> {
    if completion.outcome.task != record.task_cid {
        return Some("its outcome is that of another task".to_owned());
    }
    let encoded = canonical::encode(&completion.outcome);
    let is_false = encoded.is_ok_and(|(cid, _)| cid != completion.outcome_cid);
    is_false.then(|| "its outcome has another CID than it says".to_owned())
}

/// The file to which old jobs are written before the coordinator forgets them.
#[derive(Debug)]
pub(crate) struct OldJobs(pub(crate) PathBuf);

#[async_trait]
impl mc_coordinator::Archive for OldJobs {
    async fn append(&self, jobs: Vec<JobRecord>) -> Result<(), Failure> {
        let path = self.0.clone();
        let write = move || append(&path, &jobs);
        let written = tokio::task::spawn_blocking(write).await;
        let written = written.unwrap_or_else(|e| Err(std::io::Error::other(e)));
        written.map_err(|source| {
            let path = self.0.clone();
            let error = Error::Io { path, source };
            Failure::new(error.code(), error)
        })
    }
}

/// Appends jobs to the file `path`, durably.
pub(crate) fn append(path: &Path, records: &[JobRecord]) -> std::io::Result<()> {
    use std::io::Write;
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?;
    let lines: String = records.iter().map(line).collect();
    file.write_all(lines.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_config::Sources;
    use mc_types::{FailureReason, Meter, Outcome, TaskSpec, Termination, Usage, cid};
    use std::{collections::BTreeMap, sync::Arc};

    fn queued(n: u64) -> JobRecord {
        let spec = JobSpec::new(TaskSpec::wasm(cid::of(cid::RAW, b"component")));
        let (task, _) = canonical::encode(&spec.task).unwrap();
        let at = Timestamp::from_millis(1_790_000_000_000 + n);
        JobRecord::queued(JobId::new(at, u128::from(n)), task, Arc::new(spec), at)
    }

    fn succeeded() -> JobRecord {
        let job = queued(1);
        let content = cid::of(cid::RAW, b"content");
        let outcome = Outcome {
            task: job.task_cid,
            end: Termination::Exited { code: 0 },
            stdout: content,
            stderr: content,
            outputs: content,
            dirs: BTreeMap::new(),
            fuel: 5,
            meter: Meter::Wasmtime48,
        };
        let (outcome_cid, _) = canonical::encode(&outcome).unwrap();
        JobRecord {
            state: JobState::Succeeded,
            ending: Some(AttemptResult::Completed(Box::new(Completion {
                outcome_cid,
                outcome,
                usage: Usage::default(),
            }))),
            ..job
        }
    }

    /// A job whose outcome was changed afterwards.
    fn forged(change: impl FnOnce(&mut Completion)) -> JobRecord {
        let mut job = succeeded();
        if let Some(AttemptResult::Completed(completion)) = &mut job.ending {
            change(completion);
        }
        job
    }

    #[test]
    fn jobs_that_cannot_be_as_they_are_written_are_found() {
        assert_eq!(fault(&queued(1)), None);
        assert_eq!(fault(&succeeded()), None);
        let another_task = JobRecord {
            task_cid: cid::of(cid::DAG_CBOR, b"another"),
            ..queued(1)
        };
        let never_ended = JobRecord {
            state: JobState::Failed,
            ..queued(1)
        };
        let mut spec = JobSpec::clone(&queued(1).spec);
        spec.priority = 99;
        let no_priority = JobRecord {
            spec: Arc::new(spec),
            ..queued(1)
        };
        for (job, said) in [
            (another_task, "its task has another CID"),
            (never_ended, "it is failed, but"),
            (no_priority, "priority is 99"),
            (
                forged(|it| it.outcome.task = Cid::default()),
                "that of another task",
            ),
            (
                forged(|it| it.outcome.fuel += 1),
                "its outcome has another CID",
            ),
        ] {
            let fault = fault(&job).unwrap();
            assert!(fault.contains(said), "{fault}");
        }
        let timeout = JobRecord {
            state: JobState::Failed,
            ending: Some(AttemptResult::Failed(FailureReason::Timeout)),
            ..queued(1)
        };
        assert_eq!(fault(&timeout), None);
    }

    #[test]
    fn a_job_is_one_line_of_json() {
        let job = queued(1);
        let line = line(&job);
        assert_eq!(line.find('\n'), Some(line.len() - 1));
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["id"], job.id.to_string());
        assert_eq!(json["task_cid"], job.task_cid.to_string());
        assert_eq!(json["state"], "queued");
        assert_eq!(json["submitted_ms"], job.submitted.as_millis());
        assert!(json["finished_ms"].is_null());
    }

    #[test]
    fn old_jobs_are_appended_to_a_file_that_is_made_where_it_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("old/jobs.jsonl");
        append(&path, &[queued(1), queued(2)]).unwrap();
        append(&path, &[queued(3)]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let expected: String = [1, 2, 3].map(|n| line(&queued(n))).concat();
        assert_eq!(text, expected);
        append(Path::new("/dev/null/jobs"), &[queued(1)]).unwrap_err();
    }

    #[tokio::test]
    async fn all_jobs_are_exported_in_order_while_no_node_runs() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::load(Sources {
            environment: [("HOME".to_owned(), dir.path().display().to_string())].into(),
            ..Sources::default()
        });
        let config = config.unwrap();
        let archive = Archive::open(&config).await.unwrap();
        let locked = Archive::open(&config).await.unwrap_err();
        assert!(matches!(locked, Error::DataDirLocked { .. }), "{locked}");
        // More than are read at a time.
        let jobs: Vec<_> = (1..=300).map(queued).collect();
        archive.ledger.commit(Batch { jobs: &jobs }).await.unwrap();
        let mut lines = Vec::new();
        let count = archive.export(|line| {
            lines.push(line.to_owned());
            Ok::<_, Error>(())
        });
        assert_eq!(count.await.unwrap(), 300);
        assert_eq!(lines, jobs.iter().map(line).collect::<Vec<_>>());
        assert_eq!(archive.verify().await.unwrap(), (300, Vec::new()));
        archive.close().await;
    }
}
