//! The ledger on real databases: every test of [`on_both`] runs on SQLite and on PostgreSQL.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failed expectation is how a test fails"
)]

mod coordinators;

use mc_ledger::{Batch, Error, Ledger, Location};
use mc_types::{
    AttemptLog, AttemptResult, CheckpointRecord, Completion, ErrorCode, FailureReason,
    FencingToken, Holder, JobId, JobRecord, JobSpec, JobState, Meter, NodeId, Outcome, TaskSpec,
    Termination, Timestamp, Usage, cid,
};
use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    slice,
    sync::Arc,
    time::{Duration, Instant},
};

/// A new ledger, and who can open it.
struct TestLedger {
    location: Location,
    _dir: tempfile::TempDir,
}

impl TestLedger {
    fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let location = Location::Directory(dir.path().join("a dir?#%"));
        Self {
            location,
            _dir: dir,
        }
    }

    fn postgres() -> Self {
        let url = mc_postgres::shared().unwrap().database().unwrap();
        let location = Location::of(Some(&url), std::path::Path::new(""));
        let dir = tempfile::tempdir().unwrap();
        Self {
            location,
            _dir: dir,
        }
    }

    /// In the name of the node with that number.
    async fn open(&self, node: u32) -> Ledger {
        Ledger::open(&self.location, name(node)).await.unwrap()
    }
}

fn name(node: u32) -> NodeId {
    format!("12D3KooWNode{node}").parse().unwrap()
}

/// Makes two tests of one: on SQLite and on PostgreSQL.
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $test() { super::$test(super::TestLedger::sqlite()).await; })*
        }
        mod on_postgres {
            $(#[tokio::test] async fn $test() { super::$test(super::TestLedger::postgres()).await; })*
        }
    };
}
pub(crate) use on_both;

on_both!(
    every_kind_of_record_is_read_back_as_it_was_after_reopening,
    older_tokens_and_ended_jobs_are_fenced_and_nothing_of_the_transaction_stays,
    checkpoints_are_kept_of_the_newest_attempt_of_an_open_job,
    logs_are_kept_of_every_attempt_that_was_granted,
    jobs_that_ended_can_be_paged_through_and_removed,
    groups_make_durable_writes_cheap,
    schema_of_a_newer_version_is_refused,
);

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + millis)
}

fn queued(n: u64) -> JobRecord {
    let spec = JobSpec::new(TaskSpec::wasm(cid::of(cid::RAW, b"component")).with_args(["ü", ""]));
    let id = JobId::new(at(n), u128::from(n));
    JobRecord::queued(id, cid::of(cid::DAG_CBOR, b"task"), Arc::new(spec), at(n))
}

fn running(n: u64, token: u64) -> JobRecord {
    let node = "12D3KooWSomeNode".parse().unwrap();
    JobRecord {
        state: JobState::Running,
        holder: Some(Holder {
            node,
            token: FencingToken(token),
            expires: at(15_000),
        }),
        last_node: Some("12D3KooWSomeNode".parse().unwrap()),
        last_token: FencingToken(token),
        attempts: 1,
        started: Some(at(n + 1)),
        ..queued(n)
    }
}

fn ended(n: u64, token: u64, state: JobState, ending: AttemptResult) -> JobRecord {
    JobRecord {
        state,
        holder: None,
        ending: Some(ending),
        finished: Some(at(n + 2)),
        ..running(n, token)
    }
}

fn completed() -> AttemptResult {
    let empty = cid::of(cid::RAW, b"");
    let outcome = Outcome {
        task: cid::of(cid::DAG_CBOR, b"task"),
        end: Termination::Exited { code: 0 },
        stdout: empty,
        stderr: empty,
        outputs: empty,
        fuel: u64::MAX >> 2,
        dirs: Default::default(),
        meter: Meter::Wasmtime48,
    };
    let usage = Usage {
        fuel: 1,
        memory_peak_bytes: 2,
        wall_ms: 3,
    };
    AttemptResult::Completed(Box::new(Completion {
        outcome_cid: empty,
        outcome,
        usage,
    }))
}

async fn every_kind_of_record_is_read_back_as_it_was_after_reopening(place: TestLedger) {
    let infrastructure = FailureReason::Infrastructure {
        code: Some(ErrorCode::Storage),
        message: "the disk broke".to_owned(),
    };
    let records = [
        queued(1),
        running(2, 7),
        ended(3, 8, JobState::Succeeded, completed()),
        ended(
            4,
            9,
            JobState::Failed,
            AttemptResult::Failed(infrastructure),
        ),
        ended(5, 0, JobState::Cancelled, AttemptResult::Cancelled),
    ];
    let ledger = place.open(1).await;
    ledger.commit(Batch { jobs: &records }).await.unwrap();
    ledger.close().await;
    let ledger = place.open(1).await;
    for record in &records {
        assert_eq!(ledger.get(record.id).await.unwrap().as_ref(), Some(record));
    }
    assert_eq!(ledger.open_jobs().await.unwrap(), &records[..2]);
    assert_eq!(ledger.newest_token().await.unwrap(), FencingToken(9));
    let newest: Vec<_> = ledger
        .list(None, 2)
        .await
        .unwrap()
        .iter()
        .map(|r| r.id)
        .collect();
    assert_eq!(newest, [records[4].id, records[3].id]);
    let failed = ledger.list(Some(JobState::Failed), 10).await.unwrap();
    assert_eq!(failed, &records[3..4]);
    assert_eq!(ledger.counts().await.unwrap().values().sum::<u64>(), 5);
    assert_eq!(ledger.get(queued(99).id).await.unwrap(), None);
}

async fn older_tokens_and_ended_jobs_are_fenced_and_nothing_of_the_transaction_stays(
    place: TestLedger,
) {
    let ledger = place.open(1).await;
    let done = ended(2, 5, JobState::Succeeded, completed());
    ledger
        .commit(Batch {
            jobs: &[running(1, 7), done.clone()],
        })
        .await
        .unwrap();
    let other = ended(
        2,
        6,
        JobState::Failed,
        AttemptResult::Failed(FailureReason::Timeout),
    );
    // As of a coordinator that has lost the job and got it back, but has not read what the other one granted meanwhile.
    let by_the_same_token = JobRecord {
        last_node: Some("12D3KooWAnotherNode".parse().unwrap()),
        ..running(1, 7)
    };
    for bad in [running(1, 6), running(2, 9), by_the_same_token, other] {
        let refused = ledger
            .commit(Batch {
                jobs: &[queued(3), bad.clone()],
            })
            .await;
        assert!(
            matches!(refused, Err(Error::Fenced { job }) if job == bad.id),
            "{refused:?}"
        );
        assert_eq!(
            ledger.get(queued(3).id).await.unwrap(),
            None,
            "half a transaction"
        );
    }
    ledger.commit(Batch { jobs: &[done] }).await.unwrap();
    ledger
        .commit(Batch {
            jobs: &[running(1, 8)],
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn file_that_is_no_database_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ledger.sqlite"), vec![b'x'; 8192]).unwrap();
    let location = Location::Directory(dir.path().to_owned());
    let error = Ledger::open(&location, name(1)).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains("ledger.sqlite"));
}

/// Names the ledger of the child; its presence makes this test binary the child.
const CHILD: &str = "LEDGER_CRASH_CHILD";

#[tokio::test]
async fn child_writes_jobs_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD).map(PathBuf::from) else {
        return;
    };
    let ledger = Ledger::open(&Location::Directory(dir), name(1))
        .await
        .unwrap();
    let begin = ledger
        .list(None, 1)
        .await
        .unwrap()
        .first()
        .map_or(0, |newest| {
            newest.submitted.as_millis() - at(0).as_millis() + 1
        });
    for n in begin.. {
        ledger.commit(Batch { jobs: &[queued(n)] }).await.unwrap();
        println!("\nwritten {n}");
    }
}

#[tokio::test]
async fn acknowledged_jobs_survive_kills_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..5u32 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "child_writes_jobs_until_it_is_killed",
                "--nocapture",
            ])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut until = None;
        for line in lines.map_while(Result::ok) {
            if let Some(n) = line.strip_prefix("written ") {
                acknowledged.push(n.parse::<u64>().unwrap());
                let pause = Duration::from_millis(20) + Duration::from_millis(83) * round;
                if Instant::now() >= *until.get_or_insert_with(|| Instant::now() + pause) {
                    // What it says until it is gone was acknowledged too.
                    let _ = child.kill();
                }
            }
        }
        child.wait().unwrap();
    }
    println!("{} jobs were acknowledged", acknowledged.len());
    assert!(acknowledged.len() > 5);
    let location = Location::Directory(dir.path().to_owned());
    let ledger = Ledger::open(&location, name(1)).await.unwrap();
    for n in acknowledged {
        assert_eq!(ledger.get(queued(n).id).await.unwrap(), Some(queued(n)));
    }
}

async fn groups_make_durable_writes_cheap(place: TestLedger) {
    let ledger = place.open(1).await;
    for size in [1u64, 64] {
        let begun = Instant::now();
        for group in 0..20 {
            let first = (size << 20) + group * size;
            let records: Vec<_> = (first..first + size).map(queued).collect();
            ledger.commit(Batch { jobs: &records }).await.unwrap();
        }
        println!(
            "20 transactions of {size} records took {:?}",
            begun.elapsed()
        );
    }
    assert_eq!(ledger.open_jobs().await.unwrap().len(), 20 + 20 * 64);
}

async fn checkpoints_are_kept_of_the_newest_attempt_of_an_open_job(place: TestLedger) {
    let ledger = place.open(1).await;
    let job = running(1, 7);
    ledger
        .commit(Batch {
            jobs: slice::from_ref(&job),
        })
        .await
        .unwrap();
    let checkpoint = |position, token| CheckpointRecord {
        cid: cid::of(cid::DAG_CBOR, b"checkpoint"),
        position,
        token: FencingToken(token),
        node: name(9),
        taken: at(5),
    };
    for (token, kept) in [(6, false), (7, true), (8, false)] {
        let checkpoint = checkpoint(token * 10, token);
        let added = ledger.add_checkpoint(job.id, &checkpoint);
        assert_eq!(added.await.unwrap(), kept, "token {token}");
    }
    assert!(
        ledger
            .add_checkpoint(job.id, &checkpoint(90, 7))
            .await
            .unwrap()
    );
    let kept = ledger.checkpoints(job.id).await.unwrap();
    assert_eq!(kept, [checkpoint(90, 7), checkpoint(70, 7)]);
    assert_eq!(ledger.jobs_with_checkpoints().await.unwrap(), [job.id]);
    ledger.remove_checkpoint(job.id, 70).await.unwrap();
    let done = ended(1, 7, JobState::Succeeded, completed());
    ledger.commit(Batch { jobs: &[done] }).await.unwrap();
    assert!(
        !ledger
            .add_checkpoint(job.id, &checkpoint(99, 7))
            .await
            .unwrap()
    );
    assert_eq!(ledger.checkpoints(job.id).await.unwrap().len(), 1);
}

async fn jobs_that_ended_can_be_paged_through_and_removed(place: TestLedger) {
    let ledger = place.open(1).await;
    let mut records: Vec<_> = (1..=5)
        .map(|n| ended(n, n, JobState::Succeeded, completed()))
        .collect();
    records.push(running(6, 6));
    ledger.commit(Batch { jobs: &records }).await.unwrap();
    let ids = |records: &[JobRecord]| records.iter().map(|r| r.id).collect::<Vec<_>>();
    let first = ledger.page(None, 4).await.unwrap();
    assert_eq!(ids(&first), ids(&records[..4]));
    let rest = ledger.page(Some(first[3].id), 4).await.unwrap();
    assert_eq!(ids(&rest), ids(&records[4..]));
    let old = ledger.ended_before(at(5), 10).await.unwrap();
    assert_eq!(ids(&old), ids(&records[..2]), "they ended at 3 and 4");
    ledger.remove_ended(&ids(&records)).await.unwrap();
    let left = ledger.page(None, 10).await.unwrap();
    assert_eq!(left, records[5..], "an open job is not removed");
}

async fn schema_of_a_newer_version_is_refused(place: TestLedger) {
    place.open(1).await.close().await;
    sqlx::any::install_default_drivers();
    let url = match &place.location {
        Location::Postgres(url) => url.clone(),
        Location::Directory(_) => {
            let path = place._dir.path().join("a dir?#%/ledger.sqlite");
            format!(
                "sqlite://{}",
                path.display()
                    .to_string()
                    .replace('%', "%25")
                    .replace('?', "%3F")
            )
        }
    };
    let database = sqlx::AnyPool::connect(&url).await.unwrap();
    let migration = "INSERT INTO _sqlx_migrations \
                     (version, description, success, checksum, execution_time) \
                     VALUES (9999, 'of the future', true, '\\x00', 0)";
    sqlx::query(migration).execute(&database).await.unwrap();
    let error = Ledger::open(&place.location, name(1)).await.unwrap_err();
    assert!(matches!(error, Error::NewerSchema { .. }), "{error:?}");
}

#[tokio::test]
async fn server_that_is_not_there_is_named_as_the_reason() {
    let location = Location::Postgres("postgres://mc@127.0.0.1:1/none".to_owned());
    let error = Ledger::open(&location, name(1)).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    let url = mc_postgres::shared().unwrap().database().unwrap();
    let location = Location::Postgres(format!("{url}x"));
    let error = Ledger::open(&location, name(1)).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
}

async fn logs_are_kept_of_every_attempt_that_was_granted(place: TestLedger) {
    let ledger = place.open(1).await;
    let job = running(1, 7);
    ledger
        .commit(Batch {
            jobs: slice::from_ref(&job),
        })
        .await
        .unwrap();
    let log = |token, attempt| AttemptLog {
        attempt,
        token: FencingToken(token),
        node: name(9),
        stdout: cid::of(cid::RAW, b"out"),
        stderr: cid::of(cid::RAW, b"err"),
        kept: at(5),
    };
    for (token, kept) in [(7, true), (3, true), (3, false), (8, false)] {
        let log = log(token, 1);
        let added = ledger.add_log(job.id, &log).await.unwrap();
        assert_eq!(added, kept, "token {token}");
    }
    // The end of the job is no end of its logs.
    let done = ended(1, 7, JobState::Succeeded, completed());
    ledger.commit(Batch { jobs: &[done] }).await.unwrap();
    assert!(ledger.add_log(job.id, &log(5, 2)).await.unwrap());
    let tokens = ledger.logs(job.id).await.unwrap();
    let tokens: Vec<_> = tokens.iter().map(|log| log.token.0).collect();
    assert_eq!(tokens, [7, 5, 3]);
    // Nobody fills the ledger.
    let more = ended(2, 1000, JobState::Succeeded, completed());
    ledger
        .commit(Batch {
            jobs: slice::from_ref(&more),
        })
        .await
        .unwrap();
    let mut kept = 0;
    for token in 1..=200 {
        let added = ledger.add_log(more.id, &log(token, 1)).await.unwrap();
        kept += usize::from(added);
    }
    assert_eq!(kept, 128);
    ledger.remove_ended(&[job.id, more.id]).await.unwrap();
    assert!(ledger.logs(more.id).await.unwrap().is_empty());
}
