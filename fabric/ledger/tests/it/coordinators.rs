//! Several nodes on one ledger.

use super::{TestLedger, completed, ended, name, on_both, queued, running};
use mc_ledger::{Batch, Error};
use mc_types::{JobRecord, JobState};
use std::time::Duration;

/// A term that does not end within a test.
const LONG: Duration = Duration::from_secs(600);
/// One that has ended when it is looked at.
const OVER: Duration = Duration::ZERO;

on_both!(
    jobs_of_a_silent_node_are_taken_once_and_fenced_from_it,
    open_jobs_are_those_of_the_node_and_ended_ones_stay_where_they_are,
    node_that_comes_back_is_told_that_it_lost_its_jobs,
    of_many_that_take_over_at_once_one_gets_each_job,
    node_that_resigns_is_succeeded_at_once,
    node_that_was_succeeded_adds_no_job_before_it_is_back,
    jobs_that_are_added_during_a_take_over_are_refused_or_taken,
    node_that_was_succeeded_takes_no_job_before_it_is_back,
);

async fn jobs_of_a_silent_node_are_taken_once_and_fenced_from_it(place: TestLedger) {
    let (first, second, third) = (
        place.open(1).await,
        place.open(2).await,
        place.open(3).await,
    );
    assert!(!first.renew(OVER).await.unwrap(), "it is new");
    second.renew(LONG).await.unwrap();
    third.renew(LONG).await.unwrap();
    let jobs = [queued(1), running(2, 7)];
    first.commit(Batch { jobs: &jobs }).await.unwrap();
    assert_eq!(first.replicas().await.unwrap(), [name(2), name(3)]);
    assert_eq!(second.replicas().await.unwrap(), [name(3)]);
    assert_eq!(second.take_over().await.unwrap(), jobs);
    assert_eq!(third.take_over().await.unwrap(), []);
    assert_eq!(second.open_jobs().await.unwrap(), jobs);
    assert_eq!(first.open_jobs().await.unwrap(), []);
    assert_eq!(first.owner_of(jobs[0].id).await.unwrap(), Some(name(2)));
    let stale = first
        .commit(Batch {
            jobs: &[running(2, 9)],
        })
        .await;
    assert!(
        matches!(stale, Err(Error::Fenced { job }) if job == jobs[1].id),
        "{stale:?}"
    );
    second
        .commit(Batch {
            jobs: &[running(2, 8)],
        })
        .await
        .unwrap();
}

async fn open_jobs_are_those_of_the_node_and_ended_ones_stay_where_they_are(place: TestLedger) {
    let (first, second) = (place.open(1).await, place.open(2).await);
    first.renew(OVER).await.unwrap();
    let done = ended(1, 3, JobState::Succeeded, completed());
    first
        .commit(Batch {
            jobs: std::slice::from_ref(&done),
        })
        .await
        .unwrap();
    second.commit(Batch { jobs: &[queued(2)] }).await.unwrap();
    assert_eq!(first.open_jobs().await.unwrap(), []);
    assert_eq!(second.take_over().await.unwrap(), []);
    assert_eq!(
        second.get(done.id).await.unwrap(),
        Some(done),
        "all nodes see all jobs"
    );
    assert_eq!(second.list(None, 9).await.unwrap().len(), 2);
}

async fn node_that_comes_back_is_told_that_it_lost_its_jobs(place: TestLedger) {
    let (first, second) = (place.open(1).await, place.open(2).await);
    assert!(!first.renew(OVER).await.unwrap());
    assert!(
        first.renew(OVER).await.unwrap(),
        "late, but nobody took anything"
    );
    first.commit(Batch { jobs: &[queued(1)] }).await.unwrap();
    assert_eq!(second.take_over().await.unwrap().len(), 1);
    assert!(!first.renew(LONG).await.unwrap());
    assert!(first.renew(LONG).await.unwrap());
}

async fn of_many_that_take_over_at_once_one_gets_each_job(place: TestLedger) {
    let dead = place.open(9).await;
    let jobs: Vec<JobRecord> = (1..200).map(queued).collect();
    dead.commit(Batch { jobs: &jobs }).await.unwrap();
    dead.renew(OVER).await.unwrap();
    let mut heirs = Vec::new();
    for node in 1..=4 {
        let ledger = place.open(node).await;
        heirs.push(tokio::spawn(
            async move { ledger.take_over().await.unwrap() },
        ));
    }
    let mut taken = Vec::new();
    for heir in heirs {
        taken.extend(heir.await.unwrap());
    }
    taken.sort_by_key(|job| job.id);
    assert_eq!(taken, jobs);
}

async fn node_that_resigns_is_succeeded_at_once(place: TestLedger) {
    let (first, second) = (place.open(1).await, place.open(2).await);
    first.renew(LONG).await.unwrap();
    first.commit(Batch { jobs: &[queued(1)] }).await.unwrap();
    assert_eq!(second.take_over().await.unwrap(), []);
    first.resign().await.unwrap();
    assert_eq!(second.replicas().await.unwrap(), []);
    assert_eq!(second.take_over().await.unwrap().len(), 1);
}

async fn node_that_was_succeeded_adds_no_job_before_it_is_back(place: TestLedger) {
    let (first, second) = (place.open(1).await, place.open(2).await);
    first.renew(OVER).await.unwrap();
    first.commit(Batch { jobs: &[queued(1)] }).await.unwrap();
    assert_eq!(second.take_over().await.unwrap().len(), 1);
    let refused = first.commit(Batch { jobs: &[queued(2)] }).await;
    assert!(matches!(refused, Err(Error::Superseded)), "{refused:?}");
    assert_eq!(first.get(queued(2).id).await.unwrap(), None);
    assert!(!first.renew(LONG).await.unwrap());
    first.commit(Batch { jobs: &[queued(2)] }).await.unwrap();
    assert_eq!(first.open_jobs().await.unwrap(), [queued(2)]);
}

async fn jobs_that_are_added_during_a_take_over_are_refused_or_taken(place: TestLedger) {
    let (first, second) = (place.open(1).await, place.open(2).await);
    let mut acknowledged = 0;
    for n in 1..100 {
        first.renew(OVER).await.unwrap();
        let jobs = [queued(n)];
        let (added, taken) = tokio::join!(first.commit(Batch { jobs: &jobs }), second.take_over());
        taken.unwrap();
        let is_refused = matches!(added, Err(Error::Superseded));
        assert!(is_refused || added.is_ok(), "{added:?}");
        if is_refused {
            continue;
        }
        acknowledged += 1;
        // The first node never comes back. What it added after the take-over would be lost.
        second.take_over().await.unwrap();
        let owner = second.owner_of(jobs[0].id).await.unwrap();
        assert_eq!(owner, Some(name(2)), "job {n} is nobody's");
    }
    println!("{acknowledged} of 99 jobs were added in time");
}

async fn node_that_was_succeeded_takes_no_job_before_it_is_back(place: TestLedger) {
    let (first, second, third) = (
        place.open(1).await,
        place.open(2).await,
        place.open(3).await,
    );
    first.renew(OVER).await.unwrap();
    assert_eq!(third.take_over().await.unwrap(), []);
    second.renew(OVER).await.unwrap();
    second.commit(Batch { jobs: &[queued(1)] }).await.unwrap();
    assert_eq!(first.take_over().await.unwrap(), []);
    assert!(!first.renew(LONG).await.unwrap());
    assert_eq!(first.take_over().await.unwrap(), [queued(1)]);
}
