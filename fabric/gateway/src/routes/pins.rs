//! `/api/v1/pins`, `/api/v1/gc` and `/api/v1/fsck`

use crate::{
    api::{FsckView, GcView, PinList, PinView},
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
    routing::{get, post, put},
};
use mc_types::ErrorCode;
use serde::Deserialize;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/pins", get(list))
        .route("/api/v1/pins/{name}", put(add).delete(remove))
        .route("/api/v1/gc", post(collect))
        .route("/api/v1/fsck", post(fsck))
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CollectQuery {
    #[serde(default)]
    now: bool,
}

async fn collect(
    State(shared): State<Shared>,
    query: Result<Query<CollectQuery>, QueryRejection>,
) -> Result<Json<GcView>, Error> {
    let Query(query) = query?;
    Ok(Json(shared.backend.gc(query.now).await?))
}
