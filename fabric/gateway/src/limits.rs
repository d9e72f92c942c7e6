//! Bounds on reading requests.

use crate::{backend::Error, connections::OnPanic};
use axum::{
    body::{Body, HttpBody},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::{FutureExt, StreamExt, stream};
use mc_types::{ErrorCode, panic_message};
use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// How long a body may take, and how much it must bring for each second beyond that. The time that this node takes to
/// store it does not count.
const BODY_PATIENCE: Duration = Duration::from_secs(60);
const LEAST_BYTES_PER_SECOND: u64 = 1024;

/// Uploads that are read at a time. Each has blocks of up to 16 MiB in memory; others wait with theirs on their way.
pub(crate) const MAX_UPLOADS: usize = 64;

/// Answers with content that are under way at a time. For each, up to 16 MiB are read ahead, and stay in memory if its
/// client does not read them; others wait.
pub(crate) const MAX_ANSWERS: usize = 64;
/// An answer of so many bytes is none that is read ahead.
const SHORT_BYTES: u64 = 64 << 10;

/// Breaks off requests whose bodies do not come.
pub(crate) async fn body_in_time(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    next.run(request.map(|body| in_time(body, BODY_PATIENCE)))
        .await
}

/// The same body, unless it has to be waited for too long.
fn in_time(body: Body, patience: Duration) -> Body {
    let rest = Rest {
        pieces: body.into_data_stream(),
        patience,
        waited: Duration::ZERO,
        bytes: 0,
    };
    Body::from_stream(stream::try_unfold(rest, Rest::next))
}

struct Rest {
    pieces: axum::body::BodyDataStream,
    patience: Duration,
    waited: Duration,
    bytes: u64,
}

impl Rest {
    async fn next(mut self) -> Result<Option<(bytes::Bytes, Self)>, axum::Error> {
        let earned = Duration::from_secs(self.bytes / LEAST_BYTES_PER_SECOND);
        let left = (self.patience + earned).saturating_sub(self.waited);
        let begun = Instant::now();
        let piece = match tokio::time::timeout(left, self.pieces.next()).await {
            Ok(Some(piece)) => piece?,
            Ok(None) => return Ok(None),
            Err(_) => {
                return Err(axum::Error::new(
                    "the body of the request did not arrive in time",
                ));
            }
        };
        self.waited += begun.elapsed();
        self.bytes += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        Ok(Some((piece, self)))
    }
}

/// Lets as many requests in at a time as there are places.
pub(crate) async fn in_turn(
    State(places): State<Arc<Semaphore>>,
    request: Request,
    next: Next,
) -> Response {
    // They are never closed.
    let _place = places.acquire_owned().await;
    next.run(request).await
}

/// Lets as many answers be under way at a time as there are places, from the request to the last byte.
pub(crate) async fn answered_in_turn(
    State(places): State<Arc<Semaphore>>,
    request: Request,
    next: Next,
) -> Response {
    // They are never closed.
    let place = places.acquire_owned().await;
    let response = next.run(request).await;
    let longest = response.body().size_hint().upper();
    if longest.is_some_and(|bytes| bytes <= SHORT_BYTES) {
        return response;
    }
    response.map(|body| {
        // The stream has the place for as long as it is there.
        let rest = (body.into_data_stream(), place);
        Body::from_stream(stream::try_unfold(rest, |(mut pieces, place)| async move {
            let piece = pieces.next().await.transpose()?;
            Ok::<_, axum::Error>(piece.map(|piece| (piece, (pieces, place))))
        }))
    })
}

/// Answers a request whose handling panics with an error.
pub(crate) async fn caught(
    State(on_panic): State<OnPanic>,
    request: Request,
    next: Next,
) -> Response {
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            on_panic(&*panic);
            let message = format!("this node failed to answer: {}", panic_message(&*panic));
            Error::new(ErrorCode::Internal, message).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, middleware::from_fn_with_state, routing::get};
    use bytes::Bytes;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;
    use std::convert::Infallible;

    #[tokio::test]
    async fn a_body_that_does_not_come_breaks_off() {
        let first = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"first"))]);
        let stalled = Body::from_stream(first.chain(stream::pending()));
        let mut rest = in_time(stalled, Duration::from_millis(50)).into_data_stream();
        assert_eq!(rest.next().await.unwrap().unwrap(), "first");
        let error = rest.next().await.unwrap().unwrap_err();
        assert!(error.to_string().contains("does not come"), "{error}");
    }

    #[tokio::test]
    async fn no_more_answers_are_under_way_than_there_are_places() {
        let places = Arc::new(Semaphore::new(1));
        let much = get(async || Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()));
        let router = Router::new()
            .route("/much", much)
            .route("/little", get(async || "little"))
            .layer(from_fn_with_state(Arc::clone(&places), answered_in_turn));
        let app = TowerToHyperService::new(router);
        let ask = |path: &str| {
            let request = Request::builder().uri(path).body(Body::empty());
            app.call(request.unwrap())
        };
        let little = ask("/little").await.unwrap();
        assert_eq!(places.available_permits(), 1);
        let much = ask("/much").await.unwrap();
        assert_eq!(places.available_permits(), 0);
        drop(much);
        assert_eq!(places.available_permits(), 1);
        let read = axum::body::to_bytes(little.into_body(), 10).await;
        assert_eq!(read.unwrap(), "little");
    }

    #[tokio::test]
    async fn a_body_that_comes_is_the_same() {
        let pieces =
            ["a", "b", "c"].map(|piece| Ok::<_, Infallible>(Bytes::from_static(piece.as_bytes())));
        let body = Body::from_stream(stream::iter(pieces));
        let read = axum::body::to_bytes(in_time(body, BODY_PATIENCE), 10).await;
        assert_eq!(read.unwrap(), "abc");
    }
}
