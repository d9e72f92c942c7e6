//! `/api/v1/layers`: layers of container images by their digests

use crate::{backend::Error, extract::Path, shared::Shared};
use axum::{
    Json, Router,
    extract::{
        Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::StatusCode,
    routing::{get, post},
};
use mc_api::{AddLayer, LayerQuery, LayerView, paths};
use mc_types::{Digest, ErrorCode};
use std::time::Duration;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route(paths::LAYERS, post(add))
        .route(paths::LAYER, get(find).delete(remove))
}

async fn add(
    State(shared): State<Shared>,
    body: Result<Json<AddLayer>, JsonRejection>,
) -> Result<Json<LayerView>, Error> {
    let Json(AddLayer { cid }) = body?;
    Ok(Json(shared.backend.add_layer(cid).await?))
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
    query: Result<Query<LayerQuery>, QueryRejection>,
) -> Result<Json<LayerView>, Error> {
    let Query(LayerQuery { size, timeout_ms }) = query?;
    let digest = parsed(&digest)?;
    let timeout = timeout_ms.map(Duration::from_millis);
    Ok(Json(shared.backend.layer(digest, size, timeout).await?))
}
