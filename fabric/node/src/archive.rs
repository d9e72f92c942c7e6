//! The ledger as text, its examination, its move to another database, and what becomes of old jobs.

use crate::{Config, Error, data_dir::DataDir};
use futures::future::BoxFuture;
use mc_ledger::{Ledger, Location};
use mc_net::Identity;
use mc_types::{
    Cid, Completion, Ending, JobId, JobRecord, JobSpec, JobState, NodeId, Timestamp, canonical,
};
use serde::Serialize;
use std::path::Path;

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
    ending: Option<&'r Ending>,
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

/// A ledger that is looked at while no node uses the data directory.
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

    /// Hands every job to `write` as a line of JSON, oldest first; gives their number.
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

    /// Looks at every job; gives their number, and a sentence about each that cannot be as it is.
    ///
    /// # Errors
    ///
    /// That the ledger cannot be read. A row that cannot be understood ends the examination with a sentence.
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

    /// Copies every job with its checkpoints and logs to the PostgreSQL database `url`, in this node's name; gives their
    /// number. Doing it again copies what is missing.
    ///
    /// # Errors
    ///
    /// That either cannot be used, or the other has newer records of these jobs.
    pub fn migrate<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move {
            let to = Location::Postgres(url.to_owned());
            let to = Ledger::open(&to, self.ledger.owner().clone()).await?;
            let mut pages = Pages::of(&self.ledger);
            while let Some(page) = pages.next().await? {
                to.apply(&page).await?;
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
