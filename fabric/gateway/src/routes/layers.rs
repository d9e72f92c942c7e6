//! `/api/v1/layers`: layers of container images by their digests

use crate::{
    api::{AddLayer, LayerView},
    backend::Error,
    extract::Path,
    shared::Shared,
};
use axum::{
    Json, Router,
    extract::{
        Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::StatusCode,
    routing::{get, post},
};
use mc_types::{Digest, ErrorCode};
use serde::Deserialize;
use std::time::Duration;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/layers", post(add))
        .route("/api/v1/layers/{digest}", get(find).delete(remove))
}

async fn add(
    State(shared): State<Shared>,
    body: Result<Json<AddLayer>, JsonRejection>,
) -> Result<Json<LayerView>, Error> {
    let Json(AddLayer { cid }) = body?;
    Ok(Json(shared.backend.add_layer(cid).await?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FindQuery {
    size: Option<u64>,
    timeout_ms: Option<u64>,
}

fn parsed(digest: &str) -> Result<Digest, Error> {
    let parsed = digest.parse();
    parsed.map_err(|e| Error::new(ErrorCode::Usage, format!("{digest:?} is {e}")))
}

async fn remove(
    State(shared): State<Shared>,
    Path(digest): Path<String>,
) -> Result<StatusCode, Error> {
    shared.backend.remove_layer(parsed(&digest)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn find(
    State(shared): State<Shared>,
    Path(digest): Path<String>,
    query: Result<Query<FindQuery>, QueryRejection>,
) -> Result<Json<LayerView>, Error> {
    let Query(FindQuery { size, timeout_ms }) = query?;
    let digest = parsed(&digest)?;
    let timeout = timeout_ms.map(Duration::from_millis);
    Ok(Json(shared.backend.layer(digest, size, timeout).await?))
}
