//! `/api/v1/blocks`

use super::parse::cid;
use crate::{
    backend::Error,
    extract::Path,
    places::{AllPlaces, answered_in_turn, uploaded_in_turn},
    shared::Shared,
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{StatusCode, header},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, put},
};
use futures::{StreamExt, stream};
use mc_api::{BlockStat, Imported, paths};
use std::sync::Arc;

pub(super) fn routes(places: &AllPlaces) -> Router<Shared> {
    let answers = from_fn_with_state(Arc::clone(&places.answers), answered_in_turn);
    let uploads = from_fn_with_state(Arc::clone(&places.uploads), uploaded_in_turn);
    let given: MethodRouter<Shared> = get(local).route_layer(answers);
    let taken: MethodRouter<Shared> = put(store).route_layer(uploads);
    Router::new()
        .route(paths::BLOCK, given.merge(taken).delete(remove))
        .route(paths::BLOCK_STAT, get(stat))
}

fn raw(text: &str, bytes: Bytes) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/vnd.ipld.raw".to_owned()),
        (header::ETAG, format!("\"{text}.raw\"")),
        // What a CID names never changes.
        (
            header::CACHE_CONTROL,
            "public, max-age=29030400, immutable".to_owned(),
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (headers, bytes).into_response()
}

async fn local(State(shared): State<Shared>, Path(text): Path<String>) -> Result<Response, Error> {
    let bytes = shared.backend.block(cid(&text)?).await?;
    Ok(raw(&text, bytes))
}

async fn stat(
    State(shared): State<Shared>,
    Path(text): Path<String>,
) -> Result<Json<BlockStat>, Error> {
    Ok(Json(shared.backend.block_stat(cid(&text)?).await?))
}

async fn store(
    State(shared): State<Shared>,
    Path(text): Path<String>,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Imported>), Error> {
    let cid = cid(&text)?;
    let block = mc_content::Block::new(cid, bytes?)?;
    let imported = shared
        .backend
        .import(stream::once(async { Ok(block) }).boxed());
    Ok((StatusCode::CREATED, Json(imported.await?)))
}

async fn remove(
    State(shared): State<Shared>,
    Path(text): Path<String>,
) -> Result<StatusCode, Error> {
    shared.backend.remove_block(cid(&text)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
