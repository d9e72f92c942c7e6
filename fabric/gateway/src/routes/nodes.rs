//! `/api/v1/node`, `/api/v1/nodes` and `/api/v1/connect`

use crate::{backend::Error, shared::Shared};
use axum::{
    Json, Router,
    extract::{
        Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::StatusCode,
    routing::{get, post},
};
use mc_api::{ConnectRequest, NodeList, NodeQuery, NodeView, paths};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route(paths::NODE, get(this))
        .route(paths::NODES, get(all))
        .route(paths::CONNECT, post(connect))
}

async fn this(State(shared): State<Shared>) -> Result<Json<NodeView>, Error> {
    Ok(Json(shared.backend.node().await?))
}

async fn connect(
    State(shared): State<Shared>,
    body: Result<Json<ConnectRequest>, JsonRejection>,
) -> Result<StatusCode, Error> {
    let Json(request) = body?;
    shared.backend.connect(request.address).await?;
    Ok(StatusCode::NO_CONTENT)
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
