//! `/api/v1/jobs`

use super::parse::parsed;
use crate::{
    backend::Error,
    extract::Path,
    places::{AllPlaces, answered_in_turn, logs_in_turn},
    shared::Shared,
};
use axum::{
    Json, Router,
    body::Body,
    extract::{
        Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::{StatusCode, header},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures::{StreamExt, stream};
use mc_api::{
    CheckpointList, JobIds, JobList, JobListQuery, JobQuery, JobView, LogQuery, MigrateRequest,
    SubmitRequest, paths,
};
use mc_types::{CheckpointRecord, ErrorCode, JobId, Why};
use std::{sync::Arc, time::Duration};

/// Longest wait of one request, in milliseconds; clients ask again.
const MAX_WAIT_MS: u64 = 30_000;
/// Most jobs of one list, and the usual number.
const MAX_LIST: u32 = 10_000;
const USUAL_LIST: u32 = 100;
const SHUTTING_DOWN: &str = "the node is shutting down";
/// How many ids with the same beginning are returned at most: enough to see that there are several.
const MAX_ALIKE: u32 = 8;

pub(super) fn routes(places: &AllPlaces) -> Router<Shared> {
    let lists = from_fn_with_state(Arc::clone(&places.lists), answered_in_turn);
    let logged = from_fn_with_state(places.clone(), logs_in_turn);
    Router::new()
        .route(paths::JOBS, get(list).route_layer(lists).post(submit))
        .route(paths::JOBS_BEGINNING, get(beginning))
        .route(paths::JOB, get(show))
        .route(paths::JOB_WHY, get(why))
        .route(paths::JOB_CANCEL, post(cancel))
        .route(paths::JOB_CHECKPOINTS, get(checkpoints).post(checkpoint))
        .route(paths::JOB_MIGRATE, post(migrate))
        .route(paths::JOB_LOGS, get(logs).route_layer(logged))
}

async fn submit(
    State(shared): State<Shared>,
    body: Result<Json<SubmitRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<JobView>), Error> {
    let Json(request) = body?;
    let job = shared.backend.submit(request.id, request.job).await?;
    Ok((StatusCode::CREATED, Json(job)))
}

async fn list(
    State(shared): State<Shared>,
    query: Result<Query<JobListQuery>, QueryRejection>,
) -> Result<Json<JobList>, Error> {
    let Query(query) = query?;
    let limit = query.limit.unwrap_or(USUAL_LIST).min(MAX_LIST);
    let mut jobs = shared.backend.jobs(query.state, limit + 1).await?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = jobs.len() > most;
    jobs.truncate(most);
    Ok(Json(JobList { jobs, more }))
}

async fn beginning(
    State(shared): State<Shared>,
    Path(text): Path<String>,
) -> Result<Json<JobIds>, Error> {
    let ids = match JobId::beginning_with(&text) {
        Some(ids) => shared.backend.jobs_between(ids, MAX_ALIKE).await?,
        None => Vec::new(),
    };
    Ok(Json(JobIds { ids }))
}

async fn show(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    query: Result<Query<JobQuery>, QueryRejection>,
) -> Result<Json<JobView>, Error> {
    let Query(query) = query?;
    let id: JobId = parsed(&id)?;
    let wait = query
        .wait_ms
        .map(|ms| Duration::from_millis(ms.min(MAX_WAIT_MS)));
    tokio::select! {
        job = shared.backend.job(id, query.seen, wait) => Ok(Json(job?)),
        // A client that waits learns the last state rather than an error.
        () = shared.stopping.cancelled() => Ok(Json(shared.backend.job(id, None, None).await?)),
    }
}

async fn why(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Json<Why>, Error> {
    Ok(Json(shared.backend.why(parsed(&id)?).await?))
}

async fn cancel(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<JobView>, Error> {
    Ok(Json(shared.backend.cancel(parsed(&id)?).await?))
}

async fn checkpoints(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<CheckpointList>, Error> {
    let checkpoints = shared.backend.checkpoints(parsed(&id)?).await?;
    Ok(Json(CheckpointList { checkpoints }))
}

async fn checkpoint(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<CheckpointRecord>, Error> {
    Ok(Json(shared.backend.checkpoint(parsed(&id)?).await?))
}

async fn migrate(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    body: Result<Json<MigrateRequest>, JsonRejection>,
) -> Result<Json<JobView>, Error> {
    let Json(request) = body?;
    Ok(Json(
        shared.backend.migrate(parsed(&id)?, request.to).await?,
    ))
}

async fn logs(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    query: Result<Query<LogQuery>, QueryRejection>,
) -> Result<Response, Error> {
    let Query(wanted) = query?;
    let bytes = shared.backend.logs(parsed(&id)?, wanted).await?;
    // A log that ends is complete. One that is cut off breaks the answer, so that the client resumes with another node.
    let stopping = shared.stopping.clone();
    let bytes = stream::try_unfold(bytes, move |mut bytes| {
        let stopping = stopping.clone();
        async move {
            match stopping.run_until_cancelled(bytes.next()).await {
                Some(piece) => Ok(piece.transpose()?.map(|piece| (piece, bytes))),
                None => Err(Error::new(ErrorCode::Infrastructure, SHUTTING_DOWN)),
            }
        }
    });
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok((kind, Body::from_stream(bytes)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::{JobState, LogStream};
    use serde::de::DeserializeOwned;

    fn read<T: DeserializeOwned>(query: &str) -> Result<T, QueryRejection> {
        let target: axum::http::Uri = format!("/api/v1/jobs?{query}").parse().unwrap();
        Query::try_from_uri(&target).map(|Query(read)| read)
    }

    #[test]
    fn queries_are_read_as_clients_write_them() {
        let logs: LogQuery = read("stream=stderr&offset=3&follow=true&attempt=2").unwrap();
        assert_eq!(
            (logs.stream, logs.offset, logs.follow, logs.attempt),
            (LogStream::Stderr, 3, true, Some(2))
        );
        let logs: LogQuery = read("stream=stdout").unwrap();
        assert_eq!((logs.offset, logs.follow, logs.attempt), (0, false, None));
        let job: JobQuery = read("seen=queued&wait_ms=2000").unwrap();
        assert_eq!(
            (job.seen, job.wait_ms),
            (Some(JobState::Queued), Some(2000))
        );
        let jobs: JobListQuery = read("limit=5&state=failed").unwrap();
        assert_eq!((jobs.state, jobs.limit), (Some(JobState::Failed), Some(5)));
        assert_eq!(read::<JobListQuery>("").unwrap(), JobListQuery::default());
    }

    #[test]
    fn what_is_misspelt_is_refused() {
        assert!(read::<LogQuery>("stream=stdin").is_err());
        assert!(read::<LogQuery>("offset=1").is_err());
        assert!(read::<JobQuery>("wait=2000").is_err());
        assert!(read::<JobListQuery>("state=lost").is_err());
    }
}
