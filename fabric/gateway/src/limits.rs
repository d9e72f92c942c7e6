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
    time::{Duration, Instant},
};

/// How long a body may take, and how much it must bring for each second beyond that. The time that this node takes to
/// store it does not count.
const BODY_PATIENCE: Duration = Duration::from_secs(60);
const LEAST_BYTES_PER_SECOND: u64 = 1024;

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
    use bytes::Bytes;
    use std::convert::Infallible;

    #[tokio::test]
    async fn a_body_that_does_not_come_breaks_off() {
        let first = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"first"))]);
        let stalled = Body::from_stream(first.chain(stream::pending()));
        let mut rest = in_time(stalled, Duration::from_millis(50)).into_data_stream();
        assert_eq!(rest.next().await.unwrap().unwrap(), "first");
        let error = rest.next().await.unwrap().unwrap_err();
        assert!(
            error.to_string().contains("did not arrive in time"),
            "{error}"
        );
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
