//! One road for all who have tasks run.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed expectation is how a test fails"
)]

use mc_content::{MemoryBlocks, unixfs};
use mc_execution::{
    AttemptContext, Blocks, Checkpoints, Controls, Ended, ExecutionError, Executors, Finished,
    Leaves, LogFiles, Need, Start, Streams, Unwatched, When,
    wasm::{Bounds, Options, Wasm},
    world::{DeclaredInputs, TaskInputs},
};
use mc_types::{CheckpointEvery, Cid, TaskSpec, Termination, canonical, cid};
use std::sync::Arc;

/// Counts to a million, and ends.
const COUNTS: &str = r#"
(module
  (memory (export "memory") 1)
  (func (export "_start") (local $i i32)
    (loop $again
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 1000000))))))"#;

struct Fixture {
    executors: Executors,
    blocks: Arc<dyn Blocks>,
    task: TaskSpec,
    cid: Cid,
}

impl Fixture {
    async fn new() -> Self {
        let memory = MemoryBlocks::default();
        let program = wat::parse_str(COUNTS).unwrap();
        let added = unixfs::add_bytes(&program, &memory).await.unwrap();
        let task = TaskSpec::wasm(added.cid);
        let (cid, _) = canonical::encode(&task).unwrap();
        let wasm = Wasm::new(
            &Options::default(),
            Bounds {
                guests: 2,
                ..Bounds::ONE
            },
        )
        .unwrap();
        Self {
            executors: Executors::new(vec![Arc::new(wasm)]),
            blocks: Arc::new(memory),
            task,
            cid,
        }
    }

    async fn run(
        &self,
        need: Need,
        streams: Streams,
        checkpoints: Option<(Start, When)>,
    ) -> Result<Finished, ExecutionError> {
        let executor = self.executors.of(self.task.kind.name())?;
        let prepared = executor.prepare(&self.task, need, &self.blocks).await?;
        assert!(prepared.can_checkpoint());
        let context = AttemptContext {
            inputs: TaskInputs::Declared(DeclaredInputs::of_task(&self.task, self.cid, None)),
            blocks: Arc::clone(&self.blocks),
            key: None,
            streams,
            storage: None,
            timeout: None,
            controls: Controls::default(),
            checkpoints: checkpoints.map(|(start, when)| Checkpoints {
                task: self.cid,
                start,
                when,
                most_file_bytes: u64::MAX,
            }),
            leaves: Leaves::Stored { task: self.cid },
            watch: &Unwatched,
        };
        prepared.run(context).await
    }

    async fn whole(&self) -> Box<Ended> {
        ended(self.run(Need::Run, Streams::Memory, None).await)
    }

    /// The checkpoint that is left at a position.
    async fn left_at(&self, position: u64) -> Cid {
        let leave = Some((Start::Anew, When::LeaveAt(position)));
        let left = match self.run(Need::Run, Streams::Memory, leave).await {
            Ok(Finished::Left(left)) => left,
            other => panic!("{other:?}"),
        };
        let (checkpoint, stopped_at) = left.checkpoint.unwrap();
        assert!(stopped_at >= position, "{stopped_at}");
        checkpoint
    }
}

fn ended(finished: Result<Finished, ExecutionError>) -> Box<Ended> {
    match finished {
        Ok(Finished::Ended(ended)) => ended,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_on_from_a_checkpoint_comes_to_the_same_outcome() {
    let fixture = Fixture::new().await;
    let whole = fixture.whole().await;
    assert_eq!(whole.end, Termination::Exited { code: 0 });
    let checkpoint = fixture.left_at(10_000).await;
    let dir = tempfile::tempdir().unwrap();
    let files = Streams::Files(LogFiles::within(&dir.path().join("not there yet")));
    let go_on = Some((Start::At(checkpoint), When::Never));
    let rest = ended(fixture.run(Need::GoOn, files, go_on).await);
    assert_eq!(
        rest.completion.unwrap().outcome_cid,
        whole.completion.unwrap().outcome_cid
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_was_made_to_be_stopped_once_goes_on_all_the_same() {
    let fixture = Fixture::new().await;
    let whole = fixture.whole().await;
    let every = When::Every(Some(CheckpointEvery::Operators(1_000_000)));
    let often = Some((Start::Anew, every));
    let often = ended(fixture.run(Need::Run, Streams::Memory, often).await);
    assert_eq!(
        often.completion.unwrap().outcome_cid,
        whole.completion.unwrap().outcome_cid
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_cannot_be_had_is_passed_over_unless_it_must_be_the_one() {
    let fixture = Fixture::new().await;
    let (lost, there) = (
        cid::of(cid::DAG_CBOR, b"lost"),
        fixture.left_at(10_000).await,
    );
    let run = |start| fixture.run(Need::GoOn, Streams::Memory, Some((start, When::Never)));
    let whole = fixture.whole().await.completion.unwrap();
    for checkpoints in [vec![lost, there], vec![lost]] {
        let passed_over = ended(run(Start::Newest(checkpoints.into())).await);
        assert_eq!(
            passed_over.completion.unwrap().outcome_cid,
            whole.outcome_cid
        );
    }
    let failed = run(Start::At(lost)).await.unwrap_err();
    assert!(
        matches!(failed, ExecutionError::Checkpoint(_)),
        "{failed:?}"
    );
}
