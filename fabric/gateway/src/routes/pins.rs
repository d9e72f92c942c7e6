//! `/api/v1/pins`, `/api/v1/gc` and `/api/v1/fsck`

use crate::{backend::Error, extract::Path, shared::Shared};
use axum::{
    Json, Router,
    extract::{
        Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::StatusCode,
    routing::{get, post, put},
};
use mc_api::{FsckView, GcQuery, GcView, PinList, PinView, paths};
use mc_types::ErrorCode;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route(paths::PINS, get(list))
        .route(paths::PIN, put(add).delete(remove))
        .route(paths::GC, post(collect))
        .route(paths::FSCK, post(fsck))
}

async fn list(State(shared): State<Shared>) -> Result<Json<PinList>, Error> {
    Ok(Json(PinList {
        pins: shared.backend.pins().await?,
    }))
}

async fn add(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    body: Result<Json<PinView>, JsonRejection>,
) -> Result<Json<PinView>, Error> {
    let Json(pin) = body?;
    if pin.name != name {
        let message = "name: differs from the one in the path".to_owned();
        return Err(Error::new(ErrorCode::Usage, message));
    }
    Ok(Json(shared.backend.pin(name, pin.cid).await?))
}

async fn remove(
    State(shared): State<Shared>,
    Path(name): Path<String>,
) -> Result<StatusCode, Error> {
    shared.backend.unpin(name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn fsck(State(shared): State<Shared>) -> Result<Json<FsckView>, Error> {
    Ok(Json(shared.backend.fsck().await?))
}

async fn collect(
    State(shared): State<Shared>,
    query: Result<Query<GcQuery>, QueryRejection>,
) -> Result<Json<GcView>, Error> {
    let Query(query) = query?;
    Ok(Json(shared.backend.gc(query.now).await?))
}
