//! `/api/v1/content`

use crate::{
    backend::Error,
    places::{AllPlaces, uploaded_in_turn},
    shared::Shared,
};
use axum::{
    Json, Router,
    body::Body,
    extract::{DefaultBodyLimit, State, rejection::JsonRejection},
    middleware,
    routing::post,
};
use futures::{StreamExt, stream};
use mc_api::{CidList, Imported, paths};
use mc_content::car;
use mc_types::{Cid, ErrorCode};
use std::sync::Arc;

/// Most CIDs that are asked about at a time.
const MAX_CIDS: usize = 4096;

pub(super) fn routes(places: &AllPlaces) -> Router<Shared> {
    let uploads = Arc::clone(&places.uploads);
    Router::new()
        // Read block by block, so that its length does not matter.
        .route(
            paths::CONTENT,
            post(import)
                .layer(DefaultBodyLimit::disable())
                .layer(middleware::from_fn_with_state(uploads, uploaded_in_turn)),
        )
        .route(paths::CONTENT_MISSING, post(missing))
        .route(paths::CONTENT_LACKING, post(lacking))
}

async fn import(State(shared): State<Shared>, body: Body) -> Result<Json<Imported>, Error> {
    let reader = car::Reader::new(body.into_data_stream());
    let blocks = stream::try_unfold(reader, |mut reader| async move {
        let block = reader.next().await?;
        Ok(block.map(|block| (block, reader)))
    });
    Ok(Json(shared.backend.import(blocks.boxed()).await?))
}

async fn missing(
    State(shared): State<Shared>,
    body: Result<Json<CidList>, JsonRejection>,
) -> Result<Json<CidList>, Error> {
    Ok(Json(CidList {
        cids: shared.backend.missing(cids(body)?).await?,
    }))
}

async fn lacking(
    State(shared): State<Shared>,
    body: Result<Json<CidList>, JsonRejection>,
) -> Result<Json<CidList>, Error> {
    Ok(Json(CidList {
        cids: shared.backend.lacking(cids(body)?).await?,
    }))
}

fn cids(body: Result<Json<CidList>, JsonRejection>) -> Result<Vec<Cid>, Error> {
    let Json(CidList { cids }) = body?;
    if cids.len() > MAX_CIDS {
        let message = format!("cids: at most {MAX_CIDS} are accepted");
        return Err(Error::new(ErrorCode::Usage, message));
    }
    Ok(cids)
}
