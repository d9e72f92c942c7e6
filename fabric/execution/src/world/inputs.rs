//! What a task sees when it begins.

use super::{
    entity,
    input_reader::{InputReader, Root, Seed, Stdin},
    of_task,
    seen::Seen,
};
use crate::blocks::Blocks;
use mc_content::TaskKey;
use mc_engine::{Mount as HostMount, Stdin as HostStdin};
use mc_types::{Cid, TaskSpec, cid};
use mc_wasi::Mount;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// What a task sees when it begins.
#[derive(Debug, Clone)]
pub enum TaskInputs {
    /// Its inputs, and a clock and random numbers that follow from them.
    Declared(DeclaredInputs),
    /// This machine as it is, with its clock and its network.
    Machine {
        /// Its directories.
        mounts: Vec<HostMount>,
        /// Where its standard input comes from.
        stdin: HostStdin,
    },
}

/// What a task was given.
#[derive(Clone)]
pub struct DeclaredInputs {
    /// Its directories.
    pub mounts: Vec<Mount>,
    /// What each of them is made from, if anything.
    pub roots: Vec<Option<Root>>,
    /// What its standard input reads.
    pub stdin: Stdin,
    /// What its random numbers follow from.
    pub seed: Seed,
    /// Takes down what it is told of this machine's files.
    pub seen: Option<Seen>,
}

impl std::fmt::Debug for DeclaredInputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeclaredInputs")
            .field("mounts", &self.mounts)
            .finish_non_exhaustive()
    }
}

impl DeclaredInputs {
    /// The inputs of the task with the CID `cid`, all of them content; `key` decrypts the encrypted ones.
    #[must_use]
    pub fn of_task(task: &TaskSpec, cid: Cid, key: Option<&TaskKey>) -> Self {
        let (mounts, roots) = of_task(task, key);
        let stdin = task.stdin.map_or(Stdin::Empty, |stdin| {
            Stdin::Root(Root::Content(entity(task, key, TaskSpec::STDIN, stdin)))
        });
        Self {
            mounts,
            roots,
            stdin,
            seed: Arc::new(move || Ok(cid::digest(&cid))),
            seen: None,
        }
    }

    /// Begins to read them. Fetching ends when `cancel` is cancelled.
    pub(crate) fn open(
        &self,
        blocks: Arc<dyn Blocks>,
        cancel: CancellationToken,
    ) -> InputReader<Arc<dyn Blocks>> {
        let given = InputReader::new(
            self.roots.clone(),
            self.stdin.clone(),
            Arc::clone(&self.seed),
            blocks,
            Handle::current(),
            cancel,
        );
        match &self.seen {
            Some(seen) => given.watched(seen.clone()),
            None => given,
        }
    }
}
