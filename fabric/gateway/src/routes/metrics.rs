//! `/metrics`.

use crate::{backend::Error, metrics, shared::Shared};
use axum::{
    Router, extract::State, http::header::CONTENT_TYPE, response::IntoResponse, routing::get,
};
use mc_api::paths;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route(paths::METRICS, get(show))
}

async fn show(State(shared): State<Shared>) -> Result<impl IntoResponse, Error> {
    let metrics = shared.backend.metrics().await?;
    let kind = (CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    Ok(([kind], metrics::text(&metrics)))
}
