//! Extractors for parts of requests. They refuse as all of the API does: in JSON, with a code.

use crate::backend::Error;
use axum::{
    extract::{FromRequestParts, Path as AsText},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

/// What the path says.
#[derive(Debug)]
pub(crate) struct Path<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for Path<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let AsText(said) = AsText::<T>::from_request_parts(parts, state).await?;
        Ok(Self(said))
    }
}
