//! Separate threads for work that waits for blocks.
//!
//! A guest that reads an input holds its thread until the block is there. Tokio's 512 threads for blocking work fetch
//! that block. If guests held those threads, 512 guests would deadlock. So guests, and all other work that waits for
//! blocks, run on threads of their own. At most a given number run at a time; further work waits for its turn and holds
//! no thread.

use mc_types::panic_message;
use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::task::TaskTracker;

/// How long a thread waits for more work before it ends.
const KEEP_IDLE: Duration = Duration::from_secs(10);

/// Why work was not done.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    /// It panicked.
    #[error("it panicked: {reason}")]
    Panicked {
        /// What it said.
        reason: String,
    },
    /// The system has no thread for it.
    #[error("there is no thread for it")]
    NoThread(#[source] std::io::Error),
    /// The threads are closed.
    #[error("the node is shutting down")]
    Closed,
}

/// A piece of work, which frees its place at the end.
type Work = Box<dyn FnOnce(OwnedSemaphorePermit) + Send>;

#[derive(Default)]
struct Queue {
    work: VecDeque<(Work, OwnedSemaphorePermit)>,
    /// Threads that wait for work.
    idle: usize,
    is_closed: bool,
}

/// What the threads share with their handles.
struct Shared {
    name: &'static str,
    queue: Mutex<Queue>,
    changed: Condvar,
    /// Has a token of each thread, until that ends.
    running: TaskTracker,
}

/// A bounded set of threads. Cheap to clone; the threads end when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Threads {
    owner: Arc<Owner>,
}

struct Owner {
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
}

impl std::fmt::Debug for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Threads")
            .field("name", &self.shared.name)
            .finish_non_exhaustive()
    }
}

impl Threads {
    /// Threads called `name`, at most `places` at a time. A thread starts only when there is work.
    #[must_use]
    pub fn new(name: &'static str, places: usize) -> Self {
        let shared = Shared {
            name,
            queue: Mutex::default(),
            changed: Condvar::new(),
            running: TaskTracker::new(),
        };
        Self {
            owner: Arc::new(Owner {
                shared: Arc::new(shared),
                places: Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS))),
            }),
        }
    }

    /// Runs work that may block, as soon as there is a place for it.
    ///
    /// # Errors
    ///
    /// [`NotDone`].
    ///
    /// # Cancel safety
    ///
    /// After the future is dropped the work may still run; work that has begun runs to its end.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, NotDone>> + Send {
        let (reply, done) = oneshot::channel();
        // Boxed before the first wait, so that waiting callers stay small.
        let work: Work = Box::new(move |place| {
            let done = catch_unwind(AssertUnwindSafe(work));
            drop(place);
            // The caller may have lost interest.
            let _ = reply.send(done);
        });
        let owner = Arc::clone(&self.owner);
        async move {
            let place = Arc::clone(&owner.places).acquire_owned().await;
            let place = place.map_err(|_| NotDone::Closed)?;
            owner.shared.begin(work, place)?;
            let done = done.await.map_err(|_| NotDone::Closed)?;
            done.map_err(|panic| NotDone::Panicked {
                reason: panic_message(&*panic),
            })
        }
    }

    /// Refuses further work, and waits until the threads have ended.
    pub async fn close(&self) {
        self.owner.places.close();
        self.owner.shared.close();
        self.owner.shared.running.close();
        self.owner.shared.running.wait().await;
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Every update leaves a valid queue, so a panic elsewhere does no harm.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives work to a waiting thread, or else to a new one.
    fn begin(self: &Arc<Self>, work: Work, place: OwnedSemaphorePermit) -> Result<(), NotDone> {
        let mut queue = self.queue();
        if queue.is_closed {
            return Err(NotDone::Closed);
        }
        queue.work.push_back((work, place));
        if queue.work.len() <= queue.idle {
            self.changed.notify_one();
            return Ok(());
        }
        let (shared, token) = (Arc::clone(self), self.running.token());
        let begun = thread::Builder::new()
            .name(self.name.to_owned())
            .spawn(move || {
                shared.work();
                // The token last: when it is dropped, this thread holds nothing else.
                drop(shared);
                drop(token);
            });
        // Nobody else took it meanwhile: the queue is locked.
        begun.map(drop).map_err(|error| {
            queue.work.pop_back();
            NotDone::NoThread(error)
        })
    }

    /// What each thread does.
    fn work(&self) {
        let mut queue = self.queue();
        loop {
            if let Some((work, place)) = queue.work.pop_front() {
                drop(queue);
                work(place);
                queue = self.queue();
                continue;
            }
            if queue.is_closed {
                return;
            }
            queue.idle += 1;
            let waited = self.changed.wait_timeout(queue, KEEP_IDLE);
            let (woken, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            queue.idle -= 1;
            if waited.timed_out() && queue.work.is_empty() {
                return;
            }
        }
    }

    fn close(&self) {
        self.queue().is_closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    };

    const PATIENCE: Duration = Duration::from_secs(30);

    async fn soon<T>(work: impl Future<Output = T>) -> T {
        let done = tokio::time::timeout(PATIENCE, work).await;
        done.expect("it is done soon")
    }

    /// With tokio's own threads, the 88 that come last would never begin, and the first 512 never read.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn more_than_tokio_has_threads_for_may_wait_for_what_those_do() {
        const GUESTS: usize = 600;
        let threads = Threads::new("guest", GUESTS);
        let all_there = Arc::new(Barrier::new(GUESTS));
        let guests = (0..GUESTS).map(|guest| {
            let (all_there, runtime) = (Arc::clone(&all_there), tokio::runtime::Handle::current());
            threads.run(move || {
                all_there.wait();
                // As a block is read from the store.
                let read = runtime.spawn_blocking(move || guest);
                runtime.block_on(read).unwrap()
            })
        });
        let read = soon(futures::future::try_join_all(guests)).await.unwrap();
        assert_eq!(read, (0..GUESTS).collect::<Vec<_>>());
        soon(threads.close()).await;
    }

    #[tokio::test]
    async fn no_more_is_done_at_a_time_than_there_are_places() {
        let threads = Threads::new("worker", 3);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = (0..60).map(|_| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            threads.run(move || {
                let at_a_time = now.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(at_a_time, Ordering::SeqCst);
                thread::yield_now();
                now.fetch_sub(1, Ordering::SeqCst);
            })
        });
        soon(futures::future::try_join_all(work)).await.unwrap();
        assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_place_is_free_again() {
        let threads = Threads::new("worker", 1);
        let panicked = soon(threads.run(|| -> u32 { panic!("no luck") })).await;
        assert!(
            matches!(&panicked, Err(NotDone::Panicked { reason }) if reason == "no luck"),
            "{panicked:?}"
        );
        assert_eq!(soon(threads.run(|| 3)).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn no_thread_is_left_and_no_more_is_taken_once_they_are_closed() {
        let threads = Threads::new("worker", 2);
        let shared = Arc::downgrade(&threads.owner.shared);
        soon(threads.run(|| ())).await.unwrap();
        soon(threads.close()).await;
        assert!(matches!(
            soon(threads.run(|| ())).await,
            Err(NotDone::Closed)
        ));
        drop(threads);
        assert!(shared.upgrade().is_none());
    }
}
