//! Groups of tasks, and reports of those that fail.

use futures::{FutureExt, future::BoxFuture};
use mc_types::panic_message;
use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// After a task has failed, this long is waited for another one that was the cause: one that waits for another ends when
/// that panics, and may be heard of first.
const CAUSE_WITHIN: Duration = Duration::from_millis(100);

/// What the node has to end for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which task failed.
    pub task: &'static str,
    /// How.
    pub reason: String,
    is_panic: bool,
}

/// What the groups of one node share.
#[derive(Debug, Default)]
struct Health {
    /// Tasks that have panicked.
    panics: AtomicU64,
    failed: watch::Sender<Option<Failure>>,
    /// Cancelled as soon as the node has to end.
    failing: CancellationToken,
}

impl Health {
    fn panicked(&self, task: &'static str, reason: &str) {
        self.panics.fetch_add(1, Ordering::Relaxed);
        tracing::error!(task, reason, "a task panicked");
    }

    fn fail(&self, failure: Failure) {
        tracing::error!(task = failure.task, reason = %failure.reason, "the node has to end");
        self.failed.send_if_modified(|known| {
            // What ends by itself may do so since another one has panicked.
            let is_cause = known
                .as_ref()
                .is_none_or(|known| failure.is_panic && !known.is_panic);
            if is_cause {
                *known = Some(failure);
            }
            is_cause
        });
        self.failing.cancel();
    }
}

/// Owns a group of tasks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Supervisor {
    tasks: TaskTracker,
    /// Cancelled when the tasks are to end.
    stopping: CancellationToken,
    health: Arc<Health>,
}

impl Supervisor {
    /// The first group of a node, whose tasks are to end when `stopping` is cancelled.
    pub fn new(stopping: CancellationToken) -> Self {
        Self {
            tasks: TaskTracker::new(),
            stopping,
            health: Arc::default(),
        }
    }

    /// Another group of the same node, to be joined by itself.
    pub fn group(&self, stopping: CancellationToken) -> Self {
        Self {
            tasks: TaskTracker::new(),
            stopping,
            health: Arc::clone(&self.health),
        }
    }

    /// Runs a task without which the node cannot go on. It is to end when the group is told to, and no sooner.
    pub fn essential(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let (health, stopping) = (Arc::clone(&self.health), self.stopping.clone());
        let task = AssertUnwindSafe(task.boxed()).catch_unwind();
        let watched = async move {
            let (reason, is_panic) = match task.await {
                Ok(()) if stopping.is_cancelled() => return,
                Ok(()) => ("it ended by itself".to_owned(), false),
                Err(panic) => (panic_message(&*panic), true),
            };
            if is_panic {
                health.panicked(name, &reason);
            }
            health.fail(Failure {
                task: name,
                reason,
                is_panic,
            });
        };
        self.tasks.spawn(watched.boxed());
    }

    /// The same, of a task that runs already.
    pub fn essential_handle(&self, name: &'static str, task: JoinHandle<()>) {
        self.essential(name, async move {
            if let Err(error) = task.await
                && let Ok(panic) = error.try_into_panic()
            {
                resume_unwind(panic);
            }
        });
    }

    /// Runs a task that serves one request, one peer or one job. It is cut off when the group is told to end.
    pub fn serve(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.serve_boxed(name, task.boxed());
    }

    fn serve_boxed(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        let (health, stopping) = (Arc::clone(&self.health), self.stopping.clone());
        let task = AssertUnwindSafe(task).catch_unwind();
        let watched = async move {
            if let Some(Err(panic)) = stopping.run_until_cancelled(task).await {
                health.panicked(name, &panic_message(&*panic));
            }
        };
        self.tasks.spawn(watched.boxed());
    }

    /// The same, of a task with an answer. There is none if it panics or is cut off.
    pub fn ask<T: Send + 'static>(
        &self,
        name: &'static str,
        task: impl Future<Output = T> + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (reply, answer) = oneshot::channel();
        self.serve(name, async move {
            // The caller may have lost interest.
            let _ = reply.send(task.await);
        });
        answer
    }

    /// Runs a part of a task, whose owner has the handle: it waits for the part or aborts it.
    pub fn part<T: Send + 'static>(
        &self,
        name: &'static str,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let health = Arc::clone(&self.health);
        let task = AssertUnwindSafe(task.boxed()).catch_unwind();
        let watched = async move {
            task.await.unwrap_or_else(|panic| {
                health.panicked(name, &panic_message(&*panic));
                resume_unwind(panic)
            })
        };
        self.tasks.spawn(watched.boxed())
    }

    /// Takes note of a panic that somebody else has caught.
    pub fn panicked(&self, task: &'static str, reason: &str) {
        self.health.panicked(task, reason);
    }

    /// How many tasks have panicked since the node was started.
    pub fn panics(&self) -> u64 {
        self.health.panics.load(Ordering::Relaxed)
    }

    /// Cancelled as soon as the node has to end because a task failed.
    pub fn failing(&self) -> &CancellationToken {
        &self.health.failing
    }

    /// What the node has to end for, if a task has failed.
    pub fn failure(&self) -> Option<Failure> {
        self.health.failed.borrow().clone()
    }

    /// Returns when the node has to end because a task failed.
    ///
    /// # Cancel safety
    ///
    /// It only looks.
    pub async fn failed(&self) -> Failure {
        self.health.failing.cancelled().await;
        tokio::time::sleep(CAUSE_WITHIN).await;
        match self.failure() {
            Some(failure) => failure,
            // The failure is reported before the token is cancelled.
            None => std::future::pending().await,
        }
    }

    /// Waits for all tasks of the group.
    pub async fn join(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn supervisor() -> (Supervisor, CancellationToken) {
        let stopping = CancellationToken::new();
        (Supervisor::new(stopping.clone()), stopping)
    }

    async fn fails(text: &'static str) {
        panic!("{text}");
    }

    async fn fails_to_count(text: &'static str) -> u32 {
        panic!("{text}");
    }

    async fn failure(supervisor: &Supervisor) -> Failure {
        let failed = tokio::time::timeout(PATIENCE, supervisor.failed());
        failed.await.expect("the node ends")
    }

    #[tokio::test]
    async fn an_essential_task_that_panics_ends_the_node() {
        let (supervisor, _) = supervisor();
        supervisor.essential("one that goes on", pending::<()>());
        supervisor.essential("the actor", fails("out of luck"));
        let failed = failure(&supervisor).await;
        assert_eq!((failed.task, &*failed.reason), ("the actor", "out of luck"));
        assert_eq!(supervisor.panics(), 1);
        assert!(supervisor.failing().is_cancelled());
    }

    #[tokio::test]
    async fn an_essential_task_that_ends_too_soon_ends_the_node() {
        let (supervisor, _) = supervisor();
        supervisor
            .group(CancellationToken::new())
            .essential("the announcer", async {});
        let failed = failure(&supervisor).await;
        assert_eq!(failed.task, "the announcer");
        assert_eq!(supervisor.panics(), 0);
    }

    #[tokio::test]
    async fn a_panic_is_the_cause_and_not_what_ends_since() {
        let (supervisor, _) = supervisor();
        let (kept, gone) = oneshot::channel::<()>();
        supervisor.essential("a listener", async move {
            let _ = gone.await;
        });
        supervisor.essential("the network", async move {
            drop(kept);
            tokio::task::yield_now().await;
            fails("the cause").await;
        });
        assert_eq!(failure(&supervisor).await.task, "the network");
    }

    #[tokio::test]
    async fn a_task_that_runs_already_is_watched() {
        let (supervisor, _) = supervisor();
        let running = tokio::spawn(fails("elsewhere"));
        supervisor.essential_handle("the swarm", running);
        let failed = failure(&supervisor).await;
        assert_eq!((failed.task, &*failed.reason), ("the swarm", "elsewhere"));
    }

    #[tokio::test]
    async fn essential_tasks_that_are_told_to_end_may() {
        let (supervisor, stopping) = supervisor();
        let until = stopping.clone();
        supervisor.essential("the actor", async move { until.cancelled().await });
        stopping.cancel();
        tokio::time::timeout(PATIENCE, supervisor.join())
            .await
            .unwrap();
        assert!(!supervisor.failing().is_cancelled());
    }

    #[tokio::test]
    async fn a_panic_that_serves_one_harms_no_other_and_is_counted() {
        let (supervisor, stopping) = supervisor();
        let panicked = supervisor.ask("a request", fails_to_count("this one"));
        let answered = supervisor.ask("a request", async { 7_u32 });
        assert!(panicked.await.is_err());
        assert_eq!(answered.await, Ok(7));
        let part = supervisor.part("heartbeats", fails_to_count("a part"));
        assert!(part.await.unwrap_err().is_panic());
        assert_eq!(supervisor.panics(), 2);
        assert!(!supervisor.failing().is_cancelled());
        stopping.cancel();
        supervisor.join().await;
    }

    #[tokio::test]
    async fn nothing_is_left_behind() {
        let (supervisor, stopping) = supervisor();
        let held = Arc::new(());
        let (gone, in_task) = (Arc::downgrade(&held), Arc::clone(&held));
        supervisor.serve("a request that nobody answers", async move {
            let _held = held;
            pending::<()>().await;
        });
        supervisor.serve("another", async move {
            let _held = in_task;
            pending::<()>().await;
        });
        tokio::task::yield_now().await;
        stopping.cancel();
        tokio::time::timeout(PATIENCE, supervisor.join())
            .await
            .unwrap();
        assert!(gone.upgrade().is_none());
    }
}
