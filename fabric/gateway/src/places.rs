//! Places for requests that take memory while they run: uploads, and answers with content. Their number is bounded. A
//! request without a place waits for a while and is then refused, to be repeated later.

use crate::backend::Error;
use axum::{
    body::{Body, BodyDataStream, HttpBody},
    extract::{Query, Request, State},
    http::{HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use mc_api::LogQuery;
use mc_types::ErrorCode;
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// Uploads that are read at a time. Each has blocks of up to 16 MiB in memory.
const MAX_UPLOADS: usize = 64;
/// Answers with content that are under way at a time. For each, up to 16 MiB are read ahead, and stay in memory if its
/// client does not read them; such a client is given up soon if others wait (`unread.rs`).
const MAX_ANSWERS: usize = 64;
/// Lists of jobs that are under way at a time. The longest has some ten megabytes.
const MAX_LISTS: usize = 64;
/// Clients that follow what jobs print. There may be many: each has 64 KiB in memory while its job runs, and some three
/// mebibytes afterwards, since nothing is read ahead for it.
const MAX_FOLLOWERS: usize = 1024;
/// An answer of at most this many bytes needs no place once it is complete.
const SHORT_BYTES: u64 = 64 << 10;

/// How long a request waits for a place before it is refused.
const WITHIN: Duration = Duration::from_secs(20);
/// After how many seconds a refused client should try again.
const AGAIN_SECONDS: u16 = 5;
/// How often a waiting request asks again for the place of a slow upload.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long an upload may take in any case, and how much it must bring for each second beyond that, while others wait
/// for its place. The time that this node takes to store it does not count.
const GRACE: Duration = Duration::from_secs(10);
const BYTES_PER_SECOND: u64 = 64 << 10;

/// Places of one kind.
#[derive(Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    /// A permit for each request that waits: a slow upload that takes one gives its place up.
    wanted: Semaphore,
    /// What the places are for, as refusals say it.
    what: &'static str,
    within: Duration,
    grace: Duration,
}

/// All places of a server.
#[derive(Debug, Clone)]
pub(crate) struct AllPlaces {
    pub(crate) uploads: Arc<Places>,
    pub(crate) answers: Arc<Places>,
    pub(crate) lists: Arc<Places>,
    pub(crate) followers: Arc<Places>,
}

impl AllPlaces {
    pub(crate) fn new() -> Self {
        Self {
            uploads: Arc::new(Places::new(MAX_UPLOADS, "uploads")),
            answers: Arc::new(Places::new(MAX_ANSWERS, "answers with content")),
            lists: Arc::new(Places::new(MAX_LISTS, "lists of jobs")),
            followers: Arc::new(Places::new(MAX_FOLLOWERS, "clients that follow jobs")),
        }
    }
}

/// Says that a request waits, for as long as it is there.
struct Claim<'p>(&'p Semaphore);

impl<'p> Claim<'p> {
    fn on(wanted: &'p Semaphore) -> Self {
        wanted.add_permits(1);
        Self(wanted)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        // If an upload has taken it, this may be another's, which is there again within a second.
        self.0.forget_permits(1);
    }
}

impl Places {
    pub(crate) fn new(places: usize, what: &'static str) -> Self {
        Self {
            free: Arc::new(Semaphore::new(places)),
            wanted: Semaphore::new(0),
            what,
            within: WITHIN,
            grace: GRACE,
        }
    }

    /// A place, unless none becomes free for too long.
    async fn take(&self) -> Result<OwnedSemaphorePermit, Response> {
        if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(place);
        }
        // One queue, so that the first request gets the first place.
        let mut place = pin!(Arc::clone(&self.free).acquire_owned());
        let begun = Instant::now();
        loop {
            let left = self.within.saturating_sub(begun.elapsed());
            let claim = Claim::on(&self.wanted);
            let taken = tokio::time::timeout(left.min(ASK_EVERY), place.as_mut()).await;
            drop(claim);
            match taken {
                // They are never closed.
                Ok(taken) => return taken.map_err(|_| self.refusal()),
                Err(_) if left <= ASK_EVERY => return Err(self.refusal()),
                Err(_) => {}
            }
        }
    }

    /// Whether a request waits for a place.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.wanted.available_permits() > 0
    }

    /// Whether a request wants the place of an upload. It is that upload's only, then.
    fn is_wanted(&self) -> bool {
        self.wanted
            .try_acquire()
            .map(SemaphorePermit::forget)
            .is_ok()
    }

    /// Returns when a request wants the place of an upload that has `left` to be slow.
    async fn is_taken_back(&self, left: Duration) {
        tokio::time::sleep(left).await;
        if let Ok(claim) = self.wanted.acquire().await {
            claim.forget();
        }
    }

    fn refusal(&self) -> Response {
        let message = format!("too many {} are under way at this node", self.what);
        let error = Error::new(ErrorCode::Overloaded, message).with_hint("try again in a while");
        let mut response = error.into_response();
        let again = HeaderValue::from(AGAIN_SECONDS);
        response.headers_mut().insert(header::RETRY_AFTER, again);
        response
    }
}

/// Lets as many uploads in at a time as there are places. One that is slow loses its place if another one waits.
pub(crate) async fn uploaded_in_turn(
    State(places): State<Arc<Places>>,
    request: Request,
    next: Next,
) -> Response {
    let _place = match places.take().await {
        Ok(place) => place,
        Err(refusal) => return refusal,
    };
    let is_broken_off = Arc::new(AtomicBool::new(false));
    let request = request.map(|body| {
        let upload = Upload {
            pieces: body.into_data_stream(),
            places: Arc::clone(&places),
            waited: Duration::ZERO,
            bytes: 0,
            is_broken_off: Arc::clone(&is_broken_off),
        };
        Body::from_stream(stream::try_unfold(upload, Upload::next))
    });
    let response = next.run(request).await;
    match is_broken_off.load(Ordering::Relaxed) {
        true => places.refusal(),
        false => response,
    }
}

/// A body that has a place.
struct Upload {
    pieces: BodyDataStream,
    places: Arc<Places>,
    waited: Duration,
    bytes: u64,
    is_broken_off: Arc<AtomicBool>,
}

impl Upload {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, axum::Error> {
        let earned = Duration::from_secs(self.bytes / BYTES_PER_SECOND);
        let left = (self.places.grace + earned).saturating_sub(self.waited);
        // However small its pieces are, and however often they come.
        if left.is_zero() && self.places.is_wanted() {
            return Err(self.break_off());
        }
        let begun = Instant::now();
        let piece = tokio::select! {
            biased;
            piece = self.pieces.next() => piece,
            () = self.places.is_taken_back(left) => return Err(self.break_off()),
        };
        let Some(piece) = piece.transpose()? else {
            return Ok(None);
        };
        self.waited += begun.elapsed();
        self.bytes += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        Ok(Some((piece, self)))
    }

    fn break_off(&self) -> axum::Error {
        self.is_broken_off.store(true, Ordering::Relaxed);
        axum::Error::new("the upload comes slowly, and others wait for its place")
    }
}

/// Lets as many answers be under way at a time as there are places, from the request to the last byte.
pub(crate) async fn answered_in_turn(
    State(places): State<Arc<Places>>,
    request: Request,
    next: Next,
) -> Response {
    answered(&places, request, next).await
}

/// The same of what jobs print, which is content unless it is followed.
pub(crate) async fn logs_in_turn(
    State(places): State<AllPlaces>,
    request: Request,
    next: Next,
) -> Response {
    // What cannot be read is refused later.
    let wanted = Query::<LogQuery>::try_from_uri(request.uri());
    let follows = wanted.is_ok_and(|Query(wanted)| wanted.follow);
    let places = match follows {
        true => places.followers,
        false => places.answers,
    };
    answered(&places, request, next).await
}

async fn answered(places: &Places, request: Request, next: Next) -> Response {
    let place = match places.take().await {
        Ok(place) => place,
        Err(refusal) => return refusal,
    };
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

#[cfg(test)]
mod tests;
