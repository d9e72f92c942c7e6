//! `/api/v1/node` and `/api/v1/nodes`

use crate::{
    api::{NodeList, NodeQuery, NodeView},
    backend::Error,
    server::Shared,
};
use axum::{
    Json, Router,
    extract::{Query, State, rejection::QueryRejection},
    routing::get,
};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/node", get(this))
        .route("/api/v1/nodes", get(all))
}

async fn this(State(shared): State<Shared>) -> Result<Json<NodeView>, Error> {
    Ok(Json(shared.backend.node().await?))
}

async fn all(
    State(shared): State<Shared>,
    query: Result<Query<NodeQuery>, QueryRejection>,
) -> Result<Json<NodeList>, Error> {
    let Query(query) = query?;
    let nodes = if query.find {
        shared.backend.find_nodes(query).await?
    } else {
        shared.backend.nodes().await?
    };
    Ok(Json(NodeList { nodes }))
}
