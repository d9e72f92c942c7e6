//! `/api/v1/dht`

use super::parse::cid;
use crate::{backend::Error, extract::Path, shared::Shared};
use axum::{Json, Router, extract::State, routing::get};
use mc_api::{DhtPeers, DhtRecord, paths};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route(paths::DHT_PROVIDERS, get(providers))
        .route(paths::DHT_PEERS, get(peers))
        .route(paths::DHT_RECORD, get(record))
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
