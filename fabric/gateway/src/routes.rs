//! The routes, one resource to a file.

mod blocks;
mod content;
mod dht;
mod ipfs;
mod jobs;
mod layers;
mod metrics;
mod nodes;
mod pins;

use crate::{backend::Error, server::Shared};
use axum::{Json, Router, routing::get};
use mc_api::paths;
use mc_types::{Cid, ErrorCode};
use std::str::FromStr;

/// Every route.
pub(crate) fn all() -> Router<Shared> {
    Router::new()
        .route(paths::HEALTH, get(async || Json("ok")))
        .merge(jobs::routes())
        .merge(metrics::routes())
        .merge(nodes::routes())
        .merge(content::routes())
        .merge(blocks::routes())
        .merge(ipfs::routes())
        .merge(pins::routes())
        .merge(layers::routes())
        .merge(dht::routes())
}

/// A part of the path as what it should be.
fn parsed<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Error> {
    text.parse()
        .map_err(|e: T::Err| Error::new(ErrorCode::Usage, e.to_string()))
}

/// A part of the path as a CID.
fn cid(text: &str) -> Result<Cid, Error> {
    let parsed: Result<Cid, _> = text.parse();
    parsed.map_err(|e| Error::new(ErrorCode::Usage, format!("{text:?} is not a CID: {e}")))
}
