//! One value at least of everything that goes over the wire.

use bytes::Bytes;
use mc_protocol::{
    Advert, Announcement, CompletionAdvert, Grant, REVISION, Request, Response, TaskAdvert,
};
use mc_types::{
    AttemptResult, Change, CheckpointEvery, Cid, Clause, Completion, Digest, Envelope, ErrorCode,
    FailureReason, FencingToken, JobId, JobSpec, JobState, Lack, Lease, Lent, LogStream, Meter,
    NearestMiss, NodeId, Outcome, Policy, Resources, TaskSpec, Termination, Timestamp, Turn, Usage,
    Why, cid,
};
use std::{borrow::Cow, collections::BTreeMap};

/// The kind of a message and, of a second sample of one, what is special about it.
pub(crate) type Name = &'static str;

pub(crate) const TOKEN: FencingToken = FencingToken(7);

pub(crate) fn job() -> JobId {
    JobId::new(Timestamp::from_millis(1_800_000_000_000), 42)
}

pub(crate) fn node() -> NodeId {
    let id = "12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo";
    id.parse().unwrap()
}

fn other_node() -> NodeId {
    let id = "12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X";
    id.parse().unwrap()
}

fn content(name: &str) -> Cid {
    cid::of(cid::RAW, name.as_bytes())
}

fn lease() -> Lease {
    Lease {
        job: job(),
        token: TOKEN,
        attempt: 2,
        expires: Timestamp::from_millis(1_800_000_015_000),
        ttl_ms: 15_000,
    }
}

fn spec() -> JobSpec {
    let task = TaskSpec::wasm(content("component")).with_args(["--count", "3"]);
    JobSpec {
        timeout_ms: Some(30_000),
        queue_timeout_ms: Some(60_000),
        priority: 7,
        submitter: "ada".to_owned(),
        require: [("room".to_owned(), "cellar".to_owned())].into(),
        policy: Some(Policy::BestFit),
        checkpoint_every: Some(CheckpointEvery::Millis(5_000)),
        labels: [("team".to_owned(), "physics".to_owned())].into(),
        ..JobSpec::new(task)
    }
}

fn lent() -> Lent {
    let total = Resources {
        cpu_millis: 4_000,
        memory_bytes: 16 << 30,
        scratch_bytes: 100 << 30,
        output_bytes: 90 << 30,
        gpus: 1,
    };
    Lent {
        total,
        free: Resources {
            memory_bytes: 15 << 30,
            ..total
        },
        attempt_millis: Some(3_600_000),
    }
}

pub(crate) fn announcement() -> Announcement {
    Announcement {
        slots_total: 4,
        slots_free: 3,
        cpus: 8,
        memory_bytes: 16 << 30,
        lent: lent(),
        labels: [("room".to_owned(), "cellar".to_owned())].into(),
        yours: vec![job()],
        revision: REVISION,
    }
}

fn completion() -> Completion {
    Completion {
        outcome_cid: content("outcome"),
        outcome: Outcome {
            task: cid::of(cid::DAG_CBOR, b"task"),
            end: Termination::Exited { code: 3 },
            stdout: content("out"),
            stderr: content(""),
            outputs: cid::of(cid::DAG_PB, b"outputs"),
            dirs: BTreeMap::new(),
            fuel: 123_456_789,
            meter: Meter::Operators1,
        },
        usage: Usage {
            fuel: 123_456_789,
            memory_peak_bytes: 1 << 20,
            wall_ms: 250,
        },
    }
}

fn offers() -> Vec<(Name, Request)> {
    let full = Request::Offer {
        lease: lease(),
        job: Box::new(spec()),
        checkpoints: vec![content("newest"), content("older")],
        replicas: vec![other_node()],
        grant: vec![1, 2, 3],
        key: Some(Envelope::new(vec![4; 80])),
    };
    let smallest = Request::Offer {
        lease: lease(),
        job: Box::new(JobSpec::new(TaskSpec::wasm(content("component")))),
        checkpoints: Vec::new(),
        replicas: Vec::new(),
        grant: Vec::new(),
        key: None,
    };
    vec![("offer", full), ("offer-smallest", smallest)]
}

fn finishes() -> Vec<(Name, Request)> {
    let message = || "no such entry".to_owned();
    let rejected = FailureReason::Rejected {
        code: Some(ErrorCode::CorruptContent),
        message: message(),
    };
    let infrastructure = FailureReason::Infrastructure {
        code: None,
        message: message(),
    };
    let other = FailureReason::Other {
        kind: "evicted".to_owned(),
        code: Some(ErrorCode::Unknown),
        message: message(),
    };
    let unplaced = FailureReason::Unplaced { message: message() };
    let endings = [
        ("finish", AttemptResult::Completed(Box::new(completion()))),
        ("finish-cancelled", AttemptResult::Cancelled),
        (
            "finish-timeout",
            AttemptResult::Failed(FailureReason::Timeout),
        ),
        (
            "finish-queue-timeout",
            AttemptResult::Failed(FailureReason::QueueTimeout),
        ),
        ("finish-unplaced", AttemptResult::Failed(unplaced)),
        ("finish-rejected", AttemptResult::Failed(rejected)),
        (
            "finish-infrastructure",
            AttemptResult::Failed(infrastructure),
        ),
        ("finish-other", AttemptResult::Failed(other)),
    ];
    let finish = |(name, ending)| {
        let request = Request::Finish {
            job: job(),
            token: TOKEN,
            ending,
        };
        (name, request)
    };
    endings.into_iter().map(finish).collect()
}

/// What workers say of their attempts.
fn of_attempts() -> Vec<(Name, Request)> {
    let (job, token) = (job(), TOKEN);
    vec![
        (
            "heartbeat",
            Request::Heartbeat {
                job,
                token,
                running: true,
                since_ms: 1_234,
            },
        ),
        (
            "release",
            Request::Release {
                job,
                token,
                reason: "the attempt goes on elsewhere".to_owned(),
            },
        ),
        (
            "checkpoint",
            Request::Checkpoint {
                job,
                token,
                cid: cid::of(cid::DAG_CBOR, b"checkpoint"),
                position: 1 << 40,
            },
        ),
        (
            "wrote",
            Request::Wrote {
                job,
                token,
                attempt: 2,
                stdout: content("out"),
                stderr: content("err"),
                grant: vec![1, 2, 3],
            },
        ),
    ]
}

/// What coordinators say to workers and to each other.
fn of_coordinators() -> Vec<(Name, Request)> {
    let (job, token) = (job(), TOKEN);
    let leave = true;
    let task = cid::of(cid::DAG_CBOR, b"task");
    let log = |stream| Request::Log {
        job,
        stream,
        offset: 65_536,
    };
    vec![
        ("stop", Request::Stop { job, token, leave }),
        ("cancel", Request::Cancel { job, token }),
        ("keep", Request::Keep { job, task }),
        ("cancel_job", Request::CancelJob { job }),
        ("stop_job", Request::StopJob { job }),
        ("migrate_job", Request::MigrateJob { job, to: node() }),
        ("why_job", Request::WhyJob { job }),
        ("log", log(LogStream::Stdout)),
        ("log-stderr", log(LogStream::Stderr)),
    ]
}

pub(crate) fn requests() -> Vec<(Name, Request)> {
    let digest = Digest::new([7; 32]);
    let mut requests = vec![
        ("announce", Request::Announce(announcement())),
        ("solicit", Request::Solicit),
        ("describe", Request::Describe),
        ("layer", Request::Layer { digest }),
    ];
    requests.extend(offers());
    requests.extend(finishes());
    requests.extend(of_attempts());
    requests.extend(of_coordinators());
    requests
}

/// A job that waits, with every clause and every change but those of [`why_files`].
pub(crate) fn why() -> Why {
    let clauses = [
        Clause::Lends,
        Clause::Target {
            node: Cow::Owned(node()),
        },
        Clause::Memory {
            bytes: 8 << 30,
            files: 0,
        },
        Clause::Scratch { bytes: 9 << 30 },
        Clause::Output { bytes: 7 << 30 },
        Clause::AttemptTime { millis: 60_000 },
        Clause::FreeMemory {
            bytes: 6 << 30,
            files: 0,
        },
        Clause::Label {
            name: "room".into(),
            value: "cellar".into(),
        },
        Clause::Heard,
        Clause::Trusted,
        Clause::FreeSlot,
        Clause::Unknown,
    ];
    let lack = |clause| Lack {
        clause,
        nodes: 3,
        alone: 1,
        able: 2,
    };
    let changes = vec![
        Change::Memory { bytes: 4 << 30 },
        Change::Scratch { bytes: 3 << 30 },
        Change::Output { bytes: 2 << 30 },
        Change::AttemptTime { millis: 30_000 },
        Change::Label {
            name: "room".to_owned(),
            value: "cellar".to_owned(),
            instead: Some("attic".to_owned()),
        },
        Change::Target { node: node() },
        Change::Unknown,
    ];
    Why {
        job: job(),
        state: JobState::Queued,
        node: Some(node()),
        moving_to: Some(other_node()),
        pause_ms: 1_000,
        nodes: 5,
        able: 2,
        ready: 1,
        lacks: clauses.into_iter().map(lack).collect(),
        nearest: Some(NearestMiss { nodes: 2, changes }),
        turn: Some(Turn {
            higher: 1,
            others: 2,
            own: 3,
            more: false,
            first: Some(job()),
        }),
    }
}

/// A job that waits for memory, a part of which is for its files.
fn why_files() -> Why {
    let (bytes, files) = (2_557_541_824, 3_000_000);
    let lacks = [
        Clause::Memory { bytes, files },
        Clause::FreeMemory { bytes, files },
    ];
    let lack = |clause| Lack {
        clause,
        nodes: 3,
        alone: 1,
        able: 2,
    };
    Why {
        lacks: lacks.into_iter().map(lack).collect(),
        nearest: Some(NearestMiss {
            nodes: 2,
            changes: vec![Change::Files { files: 2_197_000 }],
        }),
        ..why()
    }
}

pub(crate) fn responses() -> Vec<(Name, Response)> {
    let root = Some(cid::of(cid::DAG_PB, b"layer"));
    let bytes = Bytes::from_static(b"what was written");
    let kind = "suspend".to_owned();
    let renewed = Response::Renewed {
        ttl_ms: 15_000,
        replicas: vec![node(), other_node()],
    };
    vec![
        ("ok", Response::Ok),
        ("wanted", Response::Wanted),
        ("described", Response::Described(announcement())),
        ("accepted", Response::Accepted),
        (
            "refused",
            Response::refused(ErrorCode::Overloaded, "no slot is free"),
        ),
        ("renewed", renewed),
        ("stale", Response::Stale),
        ("cancelled", Response::Cancelled),
        ("recorded", Response::Recorded),
        ("elsewhere", Response::Elsewhere),
        ("pending", Response::Pending),
        ("why", Response::Why(Box::new(why()))),
        ("why-files", Response::Why(Box::new(why_files()))),
        ("log", Response::Log { bytes }),
        ("layer", Response::Layer { root }),
        ("layer-none", Response::Layer { root: None }),
        (
            "error",
            Response::error(ErrorCode::Ledger, "it cannot be read"),
        ),
        ("unsupported", Response::Unsupported { kind }),
    ]
}

pub(crate) fn advert() -> Advert {
    Advert {
        lends: announcement(),
    }
}

pub(crate) fn task_advert() -> TaskAdvert {
    TaskAdvert {
        state: JobState::Succeeded,
        task: cid::of(cid::DAG_CBOR, b"task"),
        node: Some(node()),
        attempts: 2,
        submitted: Timestamp::from_millis(1_800_000_000_000),
        started: Some(Timestamp::from_millis(1_800_000_001_000)),
        finished: Some(Timestamp::from_millis(1_800_000_002_000)),
        outcome: Some(cid::of(cid::DAG_CBOR, b"outcome")),
    }
}

pub(crate) fn completion_advert() -> CompletionAdvert {
    CompletionAdvert {
        outcome: cid::of(cid::DAG_CBOR, b"outcome"),
    }
}

pub(crate) fn grant() -> Grant {
    Grant {
        job: job(),
        token: TOKEN,
        worker: node(),
    }
}
