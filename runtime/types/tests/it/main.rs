//! Golden encodings: the CID of a task, an outcome or a job must never change by accident.
//!
//! Each value below is written out in full, so that a changed default cannot hide. To add a value,
//! add it here and run the tests with `MC_BLESS=1` once; never re-bless an existing file.

#![expect(
    clippy::unwrap_used,
    reason = "a failed expectation is how a test fails"
)]

use mc_types::{
    Cid, Determinism, Envelope, JobSpec, KeyId, Limits, Meter, NodeId, Outcome, Private, SealedKey,
    TaskKind, TaskSpec, Termination, TrapKind, canonical, cid,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fmt::Debug, path::Path};

fn component() -> Cid {
    cid::of(cid::RAW, b"component")
}

fn smallest_task() -> TaskSpec {
    TaskSpec {
        kind: TaskKind::Wasm {
            component: component(),
        },
        argv0: None,
        args: vec![],
        env: BTreeMap::new(),
        inputs: BTreeMap::new(),
        stdin: None,
        dirs: BTreeMap::new(),
        clock: None,
        limits: Limits {
            fuel: None,
            memory_bytes: 1 << 30,
            output_bytes: 1 << 30,
            scratch_bytes: 1 << 30,
            scratch_files: 100_000,
            handles: 10_000,
            stack_bytes: 8 << 20,
            table_entries: 10_000_000,
        },
        determinism: Determinism::Deterministic,
        private: None,
    }
}

fn full_task() -> TaskSpec {
    TaskSpec {
        kind: TaskKind::Wasm {
            component: component(),
        },
        argv0: None,
        args: vec!["-n".to_owned(), String::new(), "wörter".to_owned()],
        env: [
            ("LANG".to_owned(), "C".to_owned()),
            ("A".to_owned(), "b=c".to_owned()),
        ]
        .into(),
        inputs: [("text".to_owned(), cid::of(cid::DAG_PB, b"directory"))].into(),
        stdin: Some(cid::of(cid::RAW, b"stdin")),
        dirs: BTreeMap::new(),
        clock: None,
        limits: Limits {
            fuel: Some(1 << 40),
            memory_bytes: 1 << 26,
            output_bytes: 1 << 20,
            scratch_bytes: 1 << 30,
            scratch_files: 100_000,
            handles: 10_000,
            stack_bytes: 8 << 20,
            table_entries: 10_000_000,
        },
        determinism: Determinism::Relaxed,
        private: None,
    }
}

fn outcome(end: Termination) -> Outcome {
    Outcome {
        task: cid::of(cid::DAG_CBOR, b"task"),
        end,
        stdout: cid::of(cid::RAW, b"out"),
        stderr: cid::of(cid::RAW, b""),
        outputs: cid::of(cid::DAG_PB, b"outputs"),
        fuel: 123_456_789,
        dirs: BTreeMap::new(),
        meter: Meter::Wasmtime48,
    }
}

fn full_job() -> JobSpec {
    JobSpec {
        task: full_task(),
        timeout_ms: Some(30_000),
        retries: 2,
        queue_timeout_ms: None,
        priority: 5,
        submitter: String::new(),
        require: BTreeMap::new(),
        policy: None,
        checkpoint_every: None,
        labels: [("team".to_owned(), "physics".to_owned())].into(),
        key: None,
    }
}

#[test]
fn smallest_task_keeps_its_cid() {
    golden(
        "task-smallest",
        &smallest_task(),
        "bafyreicbcevcsx7lcwrnhhox5vh4be3tnm7qcwuerqtbcrufwtfqasaq6e",
    );
}

#[test]
fn full_task_keeps_its_cid() {
    golden(
        "task-full",
        &full_task(),
        "bafyreifhvften4zxuthejulkf5lw5rqi65dgzdkvnaehfsn23cav47ylry",
    );
}

#[test]
fn outcomes_keep_their_cids() {
    golden(
        "outcome-exited",
        &outcome(Termination::Exited { code: 3 }),
        "bafyreidd5ykvhdbe4wtqmv53fte6ofchhg3usvxbvugx7karyfxgn6hua4",
    );
    golden(
        "outcome-trapped",
        &outcome(Termination::Trapped {
            kind: TrapKind::DivisionByZero,
        }),
        "bafyreifzns6cpea7inenypo44cvthx5vpjsmx5y333i3kvzp7qhraicbdm",
    );
    golden(
        "outcome-out-of-fuel",
        &outcome(Termination::OutOfFuel),
        "bafyreiefgrobxnoj5ypl3ckly2ts6vinsvvp2shtfvomrqbt6rgm4pmspe",
    );
}

#[test]
fn job_keeps_its_encoding() {
    golden(
        "job-full",
        &full_job(),
        "bafyreia2srxspod6t3nutley6ydgzrqya4rdf57a7a3lpgk5ogrm7fqmem",
    );
}

#[test]
fn private_job_keeps_its_encoding() {
    let private = Private {
        key: KeyId::new([0xAB; 32]),
        given: ["/in/text".to_owned(), TaskSpec::STDIN.to_owned()].into(),
    };
    let node: NodeId = "12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo"
        .parse()
        .unwrap();
    let job = JobSpec {
        task: TaskSpec {
            private: Some(private),
            ..full_task()
        },
        key: Some(SealedKey {
            submitter: Envelope::new(vec![1; 80]),
            coordinators: [(node, Envelope::new(vec![2; 80]))].into(),
        }),
        ..full_job()
    };
    assert_eq!(job.validate(), Ok(()));
    golden(
        "job-private",
        &job,
        "bafyreihweybn6d4cqf7vvc74kdayrh3jsh677rllpc5ly4lf2xx7tynuq4",
    );
}

#[test]
fn unknown_field_is_refused() {
    let (_, bytes) = canonical::encode(
        &[("kind", "wasm"), ("surprise", "x")].map(|(k, v)| BTreeMap::from([(k, v)])),
    )
    .unwrap();
    assert!(canonical::decode::<TaskSpec>(&bytes).is_err());
    let mut map: BTreeMap<&str, u64> = BTreeMap::new();
    map.extend([("memory_bytes", 1 << 20), ("output_bytes", 0)]);
    let (_, bytes) = canonical::encode(&map).unwrap();
    assert!(canonical::decode::<Limits>(&bytes).is_ok());
    map.insert("surprise", 1);
    let (_, bytes) = canonical::encode(&map).unwrap();
    assert!(canonical::decode::<Limits>(&bytes).is_err());
}

/// Every prefix and every single-byte change of a golden encoding is decoded without a panic, and
/// never to the value that the original names.
#[test]
fn damaged_encodings_are_refused_or_differ() {
    let (_, good) = canonical::encode(&full_job()).unwrap();
    for length in 0..good.len() {
        assert!(
            canonical::decode::<JobSpec>(&good[..length]).is_err(),
            "prefix of {length}"
        );
    }
    for position in 0..good.len() {
        let mut bad = good.clone();
        bad[position] ^= 0x55;
        assert_ne!(
            canonical::decode::<JobSpec>(&bad),
            Ok(full_job()),
            "byte {position}"
        );
    }
}

#[track_caller]
fn golden<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, value: &T, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/{name}.cbor"));
    let (cid, bytes) = canonical::encode(value).unwrap();
    if !path.exists() && std::env::var_os("MC_BLESS").is_some() {
        std::fs::write(&path, &bytes).unwrap();
    }
    let committed = std::fs::read(&path).unwrap();
    assert_eq!(committed, bytes, "{name}: the encoding changed");
    assert_eq!(cid.to_string(), text, "{name}: the CID changed");
    assert_eq!(&canonical::decode::<T>(&committed).unwrap(), value);
}
