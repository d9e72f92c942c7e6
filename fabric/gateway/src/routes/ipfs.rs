//! `/ipfs`: content by CID and path, as IPFS gateways serve it.
//!
//! Specifications: <https://specs.ipfs.tech/http-gateways/trustless-gateway/> (blocks and CARs, which clients
//! verify) and <https://specs.ipfs.tech/http-gateways/path-gateway/> (files).

mod accept;
mod byte_range;
mod car;
mod content;
mod file;
mod media_types;
mod request;
mod response;
mod way;

use crate::{
    backend::{Error, Reach},
    extract::Path,
    places::{AllPlaces, answered_in_turn},
    shared::Shared,
};
use axum::{
    Router,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, Method, StatusCode, Uri},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use content::Content;
use mc_types::ErrorCode;
use request::{Form, Parameters, Wanted};
use response::Head;
use std::sync::Arc;
use way::Way;

pub(super) fn routes(places: &AllPlaces) -> Router<Shared> {
    let answers = Arc::clone(&places.answers);
    Router::new()
        .route("/ipfs/{cid}", get(root))
        // With nothing after the slash, which the next route does not match.
        .route("/ipfs/{cid}/", get(root))
        .route("/ipfs/{cid}/{*path}", get(below))
        .layer(middleware::from_fn_with_state(answers, answered_in_turn))
}

type Parsed = Result<Query<Parameters>, QueryRejection>;
/// What a request says besides the path.
type Asked = (Parsed, Method, Uri, HeaderMap);

async fn root(
    State(shared): State<Shared>,
    Path(cid): Path<String>,
    query: Parsed,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let at = (cid, String::new());
    serve(shared, at, (query, method, uri, headers)).await
}

async fn below(
    State(shared): State<Shared>,
    Path(at): Path<(String, String)>,
    query: Parsed,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Error> {
    serve(shared, at, (query, method, uri, headers)).await
}

async fn serve(
    shared: Shared,
    (cid, path): (String, String),
    (query, method, uri, headers): Asked,
) -> Result<Response, Error> {
    let Query(query) = query?;
    let root = super::parse::cid(&cid)?;
    let wanted = match Wanted::of(query, &headers) {
        Ok(wanted) => wanted,
        Err(refused) => return Ok(refused.into_response()),
    };
    let blocks = shared.backend.blocks(wanted.reach);
    let content = Content {
        root,
        names: path.clone(),
        path: format!("/ipfs/{cid}/{path}")
            .trim_end_matches('/')
            .to_owned(),
        location: wanted.location(&uri),
        blocks,
        wanted,
        is_head: method == Method::HEAD,
    };
    let answer = content.answer(&headers).await;
    match answer {
        Err(error) if content.wanted.reach == Reach::Local && is_missing(&error) => {
            // What `only-if-cached` promises.
            Ok((StatusCode::PRECONDITION_FAILED, error).into_response())
        }
        answer => answer,
    }
}

fn is_missing(error: &Error) -> bool {
    error.0.code == ErrorCode::ContentNotFound
}

impl Content {
    async fn answer(&self, headers: &HeaderMap) -> Result<Response, Error> {
        let way = Way::find(&self.blocks, self.root, &self.names).await?;
        let head = Head {
            cid: way.end,
            way: &way.cids,
            path: &self.path,
            etag: self.wanted.etag(&way.end),
            location: self.location.clone(),
        };
        if way.within > 0 && !matches!(self.wanted.form, Form::Car(_)) {
            let message = format!("{} is a value within the block {}", self.path, way.end);
            let hint = "ask for the block that it is in, or for ?format=car";
            return Err(Error::new(ErrorCode::Usage, message).with_hint(hint));
        }
        if head.is_known(headers) {
            return Ok(head.not_modified());
        }
        match &self.wanted.form {
            Form::Raw => file::raw(self, &head, headers).await,
            Form::Car(form) => car::respond(self, &head, way.blocks.clone(), form).await,
            Form::File => file::respond(self, &head, headers).await,
        }
    }
}
