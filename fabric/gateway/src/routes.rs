//! The routes, one resource to a file.

mod blocks;
mod content;
mod dht;
mod ipfs;
mod jobs;
mod layers;
mod metrics;
mod nodes;
mod parse;
mod pins;

use crate::{places::AllPlaces, shared::Shared};
use axum::{Json, Router, routing::get};
use mc_api::paths;

/// Every route.
pub(crate) fn all(places: &AllPlaces) -> Router<Shared> {
    Router::new()
        .route(paths::HEALTH, get(async || Json("ok")))
        .merge(jobs::routes(places))
        .merge(metrics::routes())
        .merge(nodes::routes())
        .merge(content::routes(places))
        .merge(blocks::routes(places))
        .merge(ipfs::routes(places))
        .merge(pins::routes())
        .merge(layers::routes())
        .merge(dht::routes())
}
