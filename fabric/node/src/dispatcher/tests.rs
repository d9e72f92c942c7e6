use super::*;
use crate::own_requests::{OwnRequests, queue};
use mc_protocol::RequestError;
use mc_types::{ErrorCode, FencingToken, JobId, Timestamp};
use std::sync::Weak;

const PATIENCE: Duration = Duration::from_secs(30);
/// More than may wait in the queue.
const MANY: u128 = 1_000;
/// How many requests to itself one is answered after.
const DEPTH: u64 = 5;

fn node() -> NodeId {
    "12D3KooWthis".parse().unwrap()
}

fn job(n: u128) -> JobId {
    JobId::new(Timestamp::from_millis(1), n)
}

fn cancel(job: JobId, token: u64) -> Request {
    let token = FencingToken(token);
    Request::Cancel { job, token }
}

/// Asks the node itself again, so often as the token says, before it answers.
struct Nested(OwnRequests);

impl Answers for Nested {
    async fn answer(&self, from: NodeId, request: Request) -> Response {
        match request {
            Request::Cancel { job, token } if token.0 > 0 => {
                self.0.ask(from, cancel(job, token.0 - 1)).await
            }
            _ => Response::Cancelled,
        }
    }
}

/// Starts a dispatcher of roles that are told how the node asks itself.
fn start<R: Answers>(
    roles: impl FnOnce(OwnRequests) -> R,
) -> (OwnRequests, Supervisor, CancellationToken) {
    let (asks, own) = queue();
    let (_, others) = mpsc::channel(1);
    let stopping = CancellationToken::new();
    let tasks = Supervisor::new(stopping.clone());
    let inbound = Inbound { own, others };
    let dispatching = run(
        roles(asks.clone()),
        inbound,
        (tasks.clone(), stopping.clone()),
    );
    tasks.essential("dispatcher", dispatching);
    (asks, tasks, stopping)
}

#[tokio::test]
async fn requests_to_itself_that_wait_for_others_hold_up_nobody_however_many_there_are() {
    let (asks, tasks, stopping) = start(Nested);
    let all = (0..MANY).map(|n| asks.ask(node(), cancel(job(n), DEPTH)));
    let answers = tokio::time::timeout(PATIENCE, futures::future::join_all(all)).await;
    let answers = answers.expect("they wait for each other");
    assert!(answers.iter().all(|answer| *answer == Response::Cancelled));
    stopping.cancel();
    tasks.join().await;
}

/// Never answers, and is there as long as something keeps it.
struct Silent {
    _kept: Arc<()>,
    _asks: OwnRequests,
}

impl Answers for Silent {
    async fn answer(&self, _: NodeId, _: Request) -> Response {
        std::future::pending().await
    }
}

#[tokio::test]
async fn roles_end_with_the_dispatcher_and_who_asks_then_is_told() {
    let kept = Arc::new(());
    let there: Weak<()> = Arc::downgrade(&kept);
    let (asks, tasks, stopping) = start(|asks| Silent {
        _kept: kept,
        _asks: asks,
    });
    let waiting = tokio::spawn({
        let asks = asks.clone();
        async move { asks.ask(node(), cancel(job(0), 0)).await }
    });
    tokio::task::yield_now().await;
    assert!(there.upgrade().is_some());
    stopping.cancel();
    tokio::time::timeout(PATIENCE, tasks.join()).await.unwrap();
    assert!(there.upgrade().is_none(), "the roles are still there");
    let about_to_end = |answer: &Response| {
        matches!(
            answer,
            Response::Error {
                code: ErrorCode::Infrastructure,
                ..
            }
        )
    };
    let cut_off = tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    assert!(about_to_end(&cut_off.unwrap()));
    let late = asks.ask(node(), cancel(job(0), 0));
    let late = tokio::time::timeout(PATIENCE, late).await.unwrap();
    assert!(about_to_end(&late));
}

#[tokio::test]
async fn an_answer_of_the_node_itself_that_takes_too_long_counts_as_lost() {
    let (asks, tasks, stopping) = start(|asks| Silent {
        _kept: Arc::new(()),
        _asks: asks,
    });
    let asked = asks.ask_within(Duration::from_millis(20), node(), cancel(job(0), 0));
    let answer = tokio::time::timeout(PATIENCE, asked).await.unwrap();
    let is_lost = matches!(&answer, Err(RequestError::Timeout(silent)) if *silent == node());
    assert!(is_lost, "{answer:?}");
    stopping.cancel();
    tokio::time::timeout(PATIENCE, tasks.join()).await.unwrap();
}
