//! The ledger on a real file.

#![expect(
    clippy::unwrap_used,
    reason = "a failed expectation is how a test fails"
)]

use mc_ledger::{Error, Ledger};
use mc_types::{
    Completion, End, Ending, FailureReason, FencingToken, Holder, JobId, JobRecord, JobSpec,
    JobState, Meter, Outcome, TaskSpec, Timestamp, Usage, cid,
};
use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

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

fn ended(n: u64, token: u64, state: JobState, ending: Ending) -> JobRecord {
    JobRecord {
        state,
        holder: None,
        ending: Some(ending),
        finished: Some(at(n + 2)),
        ..running(n, token)
    }
}

fn completed() -> Ending {
    let empty = cid::of(cid::RAW, b"");
    let outcome = Outcome {
        task: cid::of(cid::DAG_CBOR, b"task"),
        end: End::Exited { code: 0 },
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
    Ending::Completed(Box::new(Completion {
        outcome_cid: empty,
        outcome,
        usage,
    }))
}

#[tokio::test]
async fn every_kind_of_record_is_read_back_as_it_was_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let infrastructure = FailureReason::Infrastructure {
        message: "the disk broke".to_owned(),
    };
    let records = [
        queued(1),
        running(2, 7),
        ended(3, 8, JobState::Succeeded, completed()),
        ended(4, 9, JobState::Failed, Ending::Failed(infrastructure)),
        ended(5, 0, JobState::Cancelled, Ending::Cancelled),
    ];
    let ledger = Ledger::open(dir.path()).await.unwrap();
    ledger.apply(&records).await.unwrap();
    ledger.close().await;
    let ledger = Ledger::open(dir.path()).await.unwrap();
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

#[tokio::test]
async fn older_tokens_and_ended_jobs_are_fenced_and_nothing_of_the_transaction_stays() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path()).await.unwrap();
    let done = ended(2, 5, JobState::Succeeded, completed());
    ledger.apply(&[running(1, 7), done.clone()]).await.unwrap();
    let other = ended(
        2,
        6,
        JobState::Failed,
        Ending::Failed(FailureReason::Timeout),
    );
    for bad in [running(1, 6), running(2, 9), other] {
        let refused = ledger.apply(&[queued(3), bad.clone()]).await;
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
    ledger.apply(&[done]).await.unwrap();
    ledger.apply(&[running(1, 8)]).await.unwrap();
}

#[tokio::test]
async fn file_that_is_no_database_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ledger.sqlite"), vec![b'x'; 8192]).unwrap();
    let error = Ledger::open(dir.path()).await.unwrap_err();
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
    let ledger = Ledger::open(&dir).await.unwrap();
    let begin = ledger
        .list(None, 1)
        .await
        .unwrap()
        .first()
        .map_or(0, |newest| {
            newest.submitted.as_millis() - at(0).as_millis() + 1
        });
    for n in begin.. {
        ledger.apply(&[queued(n)]).await.unwrap();
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
    let ledger = Ledger::open(dir.path()).await.unwrap();
    for n in acknowledged {
        assert_eq!(ledger.get(queued(n).id).await.unwrap(), Some(queued(n)));
    }
}

#[tokio::test]
async fn groups_make_durable_writes_cheap() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path()).await.unwrap();
    for size in [1u64, 64] {
        let begun = Instant::now();
        for group in 0..20 {
            let first = (size << 20) + group * size;
            let records: Vec<_> = (first..first + size).map(queued).collect();
            ledger.apply(&records).await.unwrap();
        }
        println!(
            "20 transactions of {size} records took {:?}",
            begun.elapsed()
        );
    }
    assert_eq!(ledger.open_jobs().await.unwrap().len(), 20 + 20 * 64);
}
