//! `/api/v1/node` and `/api/v1/nodes`

use crate::{
    api::{NodeList, NodeView},
    backend::Error,
    server::Shared,
};
use axum::{Json, Router, extract::State, routing::get};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/node", get(this))
        .route("/api/v1/nodes", get(all))
}

async fn this(State(shared): State<Shared>) -> Result<Json<NodeView>, Error> {
    Ok(Json(shared.backend.node().await?))
}

async fn all(State(shared): State<Shared>) -> Result<Json<NodeList>, Error> {
    Ok(Json(NodeList {
        nodes: shared.backend.nodes().await?,
    }))
}
