//! The connections of the HTTP server, with bounds on their number and their silence.

use crate::{
    places::Places,
    unread::{Patience, Unread},
};
use axum::Router;
use futures::FutureExt;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use mc_types::with_causes;
use std::{io::ErrorKind, panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How many connections may be open at a time. Each carries one request at a time, so this bounds requests too. A
/// client that follows a log or waits for a job holds one, and there may be a thousand such clients. More connections
/// wait in the queue of the system.
pub const MAX_CONNECTIONS: usize = 4096;
/// How long a client may take to send a request, also on a connection that it keeps. This is longer than reqwest keeps
/// an unused connection, so that none is closed just when the client uses it again.
const HEAD_WITHIN: Duration = Duration::from_secs(100);
/// How long a client may read nothing of its answer. A reader of a job's output may pause for a while, and commands
/// resume where they were.
const READ_WITHIN: Duration = Duration::from_secs(300);
/// The same while others wait for a place for an answer, which such a client may have.
const READ_WITHIN_IF_CROWDED: Duration = Duration::from_secs(10);
/// How long running requests may take once the server is stopping.
const GRACE: Duration = Duration::from_secs(2);
/// How long to wait before accepting again, if the system had no room for a connection.
const ACCEPT_AGAIN: Duration = Duration::from_millis(500);

/// Bounds of connections.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    connections: usize,
    head_within: Duration,
    read_within: Patience,
    grace: Duration,
}

impl Bounds {
    /// The default limits, with this many connections at a time.
    pub(crate) fn of(connections: usize) -> Self {
        Self {
            connections: connections.clamp(1, MAX_CONNECTIONS),
            head_within: HEAD_WITHIN,
            read_within: Patience {
                longest: READ_WITHIN,
                if_crowded: READ_WITHIN_IF_CROWDED,
                answers: None,
            },
            grace: GRACE,
        }
    }

    /// The same, and clients that read nothing make room for others that wait for one of these places.
    pub(crate) fn with_answers(mut self, answers: Arc<Places>) -> Self {
        self.read_within.answers = Some(answers);
        self
    }
}

/// Takes a panic that broke a connection off.
pub(crate) type OnPanic = Arc<dyn Fn(&(dyn std::any::Any + Send)) + Send + Sync>;

/// Serves `router` until `stopping` is cancelled, and then finishes running requests for a while. No connection is left
/// when this returns.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    on_panic: OnPanic,
    stopping: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(bounds.connections));
    let connections = TaskTracker::new();
    let cut_off = CancellationToken::new();
    // If the caller drops this function, its connections end too.
    let _cut_off = cut_off.clone().drop_guard();
    loop {
        // The place first: a connection without a place waits in the queue of the system.
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.ok()?;
            Some((accept(&listener).await, place))
        };
        let Some(Some((stream, place))) = stopping.run_until_cancelled(next).await else {
            break;
        };
        let serving = connection(stream, router.clone(), bounds.clone(), stopping.clone());
        let serving = AssertUnwindSafe(serving).catch_unwind();
        let (on_panic, cut_off) = (Arc::clone(&on_panic), cut_off.clone());
        let serving = async move {
            if let Some(Err(panic)) = cut_off.run_until_cancelled(serving).await {
                on_panic(&*panic);
            }
            drop(place);
        };
        connections.spawn(serving.boxed());
    }
    drop(listener);
    connections.close();
    let ended = tokio::time::timeout(bounds.grace, connections.wait()).await;
    if ended.is_err() {
        tracing::warn!("requests under way were cut off");
        cut_off.cancel();
        connections.wait().await;
    }
}

/// The next connection.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        let error = match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => error,
        };
        // The client has gone already.
        let is_clients = matches!(
            error.kind(),
            ErrorKind::ConnectionRefused
                | ErrorKind::ConnectionAborted
                | ErrorKind::ConnectionReset
        );
        if !is_clients {
            // There are too many open files, say.
            tracing::warn!(%error, "a client cannot connect");
            tokio::time::sleep(ACCEPT_AGAIN).await;
        }
    }
}

/// Answers what comes on one connection.
async fn connection(
    stream: TcpStream,
    router: Router,
    bounds: Bounds,
    stopping: CancellationToken,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(bounds.head_within);
    let service = TowerToHyperService::new(router);
    let stream = TokioIo::new(Unread::new(stream, bounds.read_within));
    let mut serving = pin!(http.serve_connection(stream, service));
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = stopping.cancelled() => {
            // What is under way is answered, and nothing more is taken.
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(error = %with_causes(&error), "a connection broke off");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{limits::caught, places::answered_in_turn};
    use axum::{middleware, routing::get};
    use mc_types::panic_message;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const PATIENCE: Duration = Duration::from_secs(20);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    const MUCH: &[u8] = b"GET /much HTTP/1.1\r\nhost: localhost\r\n\r\n";

    async fn soon<T>(work: impl Future<Output = T>) -> T {
        let done = tokio::time::timeout(PATIENCE, work).await;
        done.expect("it is done soon")
    }

    /// A server with these bounds, and what stops it.
    async fn served(bounds: Bounds, router: Router) -> (SocketAddr, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stopping = CancellationToken::new();
        let on_panic: OnPanic = Arc::new(|_| {});
        tokio::spawn(serve(listener, router, bounds, on_panic, stopping.clone()));
        (address, stopping)
    }

    async fn fails() -> &'static str {
        panic!("no luck")
    }

    fn hello() -> Router {
        Router::new().route("/", get(async || "hello"))
    }

    async fn answer(stream: &mut TcpStream) -> String {
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer)).await.unwrap();
        answer
    }

    /// A client that has sent so much.
    async fn client(address: SocketAddr, sent: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        stream
    }

    /// Another client is answered.
    async fn is_answered(address: SocketAddr) {
        let answered = answer(&mut client(address, REQUEST).await).await;
        assert!(answered.ends_with("hello"), "{answered}");
    }

    #[tokio::test]
    async fn a_client_that_says_nothing_gives_its_place_to_others() {
        let bounds = Bounds {
            head_within: Duration::from_millis(200),
            ..Bounds::of(1)
        };
        let (address, stopping) = served(bounds, hello()).await;
        let mut silent = client(address, b"GET / HT").await;
        is_answered(address).await;
        // It was hung up on.
        assert!(!answer(&mut silent).await.contains("hello"));
        stopping.cancel();
    }

    #[tokio::test]
    async fn a_client_that_reads_nothing_gives_its_place_to_others() {
        let bounds = Bounds {
            read_within: Patience {
                longest: Duration::from_millis(200),
                ..Bounds::of(1).read_within
            },
            ..Bounds::of(1)
        };
        // More than the system keeps for a connection.
        let router = hello().route("/much", get(async || vec![0_u8; 64 << 20]));
        let (address, stopping) = served(bounds, router).await;
        let _deaf = client(address, MUCH).await;
        is_answered(address).await;
        stopping.cancel();
    }

    #[tokio::test]
    async fn a_client_that_reads_nothing_gives_the_place_of_its_answer_to_whoever_waits() {
        let answers = Arc::new(Places::new(1, "answers"));
        let in_turn = middleware::from_fn_with_state(Arc::clone(&answers), answered_in_turn);
        let router = hello()
            .route("/much", get(async || vec![0_u8; 64 << 20]))
            .layer(in_turn);
        let bounds = Bounds {
            read_within: Patience {
                if_crowded: Duration::from_millis(200),
                answers: Some(answers),
                ..Bounds::of(8).read_within
            },
            ..Bounds::of(8)
        };
        let (address, stopping) = served(bounds, router).await;
        let mut deaf = client(address, MUCH).await;
        // It has the place by now.
        soon(deaf.read_u8()).await.unwrap();
        is_answered(address).await;
        stopping.cancel();
    }

    #[tokio::test]
    async fn a_request_that_does_not_end_is_cut_off_in_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || std::future::pending::<()>().await));
        let bounds = Bounds {
            grace: Duration::from_millis(100),
            ..Bounds::of(8)
        };
        let stopping = CancellationToken::new();
        let on_panic: OnPanic = Arc::new(|_| {});
        let serving = tokio::spawn(serve(listener, router, bounds, on_panic, stopping.clone()));
        let mut waiting = TcpStream::connect(address).await.unwrap();
        waiting.write_all(REQUEST).await.unwrap();
        // It is taken before the server stops.
        tokio::time::sleep(Duration::from_millis(50)).await;
        stopping.cancel();
        soon(serving).await.unwrap();
        let mut rest = Vec::new();
        // The connection is closed, or reset if the request was not read.
        let _ = soon(waiting.read_to_end(&mut rest)).await;
        assert!(rest.is_empty());
    }

    #[tokio::test]
    async fn a_request_that_panics_is_answered_with_an_error_and_told() {
        let (tell, mut told) = tokio::sync::mpsc::channel(1);
        let on_panic: OnPanic = Arc::new(move |panic| tell.try_send(panic_message(panic)).unwrap());
        let catching = middleware::from_fn_with_state(on_panic, caught);
        let router = hello().route("/fails", get(fails)).layer(catching);
        let (address, stopping) = served(Bounds::of(8), router).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = b"GET /fails HTTP/1.1\r\nhost: localhost\r\n\r\n";
        stream.write_all(request).await.unwrap();
        assert_eq!(soon(told.recv()).await.as_deref(), Some("no luck"));
        // The connection is as good as before.
        stream.write_all(REQUEST).await.unwrap();
        let answered = answer(&mut stream).await;
        assert!(answered.starts_with("HTTP/1.1 500"), "{answered}");
        assert!(answered.contains("MC0022"), "{answered}");
        assert!(answered.ends_with("hello"), "{answered}");
        stopping.cancel();
    }

    #[tokio::test]
    async fn a_panic_breaks_one_connection_off_and_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = hello().route("/fails", get(fails));
        let (tell, mut told) = tokio::sync::mpsc::channel(1);
        let on_panic: OnPanic = Arc::new(move |panic| tell.try_send(panic_message(panic)).unwrap());
        let stopping = CancellationToken::new();
        let serving = serve(listener, router, Bounds::of(8), on_panic, stopping.clone());
        let serving = tokio::spawn(serving);
        let mut broken = TcpStream::connect(address).await.unwrap();
        let request = b"GET /fails HTTP/1.1\r\nhost: localhost\r\n\r\n";
        broken.write_all(request).await.unwrap();
        assert_eq!(soon(told.recv()).await.as_deref(), Some("no luck"));
        let mut another = TcpStream::connect(address).await.unwrap();
        another.write_all(REQUEST).await.unwrap();
        assert!(answer(&mut another).await.ends_with("hello"));
        stopping.cancel();
        soon(serving).await.unwrap();
    }
}
