//! `/api/v1/dht`

use super::parse::cid;
use crate::{
    api::{DhtPeers, DhtRecord},
    backend::Error,
    extract::Path,
    shared::Shared,
};
use axum::{Json, Router, extract::State, routing::get};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/dht/providers/{cid}", get(providers))
        .route("/api/v1/dht/peers", get(peers))
        .route("/api/v1/dht/records/{key}", get(record))
}

async fn providers(
    State(shared): State<Shared>,
    Path(text): Path<String>,
) -> Result<Json<DhtPeers>, Error> {
    Ok(Json(shared.backend.dht_providers(cid(&text)?).await?))
}

async fn peers(State(shared): State<Shared>) -> Result<Json<DhtPeers>, Error> {
    Ok(Json(shared.backend.dht_peers().await?))
}

async fn record(
    State(shared): State<Shared>,
    Path(key): Path<String>,
) -> Result<Json<DhtRecord>, Error> {
    Ok(Json(shared.backend.dht_record(key).await?))
}
