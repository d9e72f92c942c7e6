//! Errors as HTTP responses.

use crate::backend::Error;
use axum::{
    Json,
    extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use mc_api::ErrorBody;
use mc_types::{ErrorCode, with_causes};

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        (status(self.0.code), Json(self.0)).into_response()
    }
}

const fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::NotFound | ErrorCode::ContentNotFound => StatusCode::NOT_FOUND,
        ErrorCode::NoResult => StatusCode::CONFLICT,
        ErrorCode::Storage => StatusCode::INSUFFICIENT_STORAGE,
        ErrorCode::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::PeerUnreachable => StatusCode::BAD_GATEWAY,
        ErrorCode::Infrastructure | ErrorCode::Internal | ErrorCode::Ledger => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        ErrorCode::Usage
        | ErrorCode::Path
        | ErrorCode::NotWasm
        | ErrorCode::CoreModule
        | ErrorCode::UnsupportedImport
        | ErrorCode::UnsupportedProposal
        | ErrorCode::InvalidComponent
        | ErrorCode::Build
        | ErrorCode::NodeUnreachable
        | ErrorCode::DataDirLocked
        | ErrorCode::Listen
        | ErrorCode::CorruptContent
        | ErrorCode::InvalidTask
        | ErrorCode::Identity
        | ErrorCode::InvalidCheckpoint
        | ErrorCode::CannotStop
        | ErrorCode::WrongKey
        | ErrorCode::Conflict
        | ErrorCode::Unknown => StatusCode::BAD_REQUEST,
    }
}

fn usage(message: String) -> Error {
    Error::new(ErrorCode::Usage, message)
}

impl From<JsonRejection> for Error {
    fn from(rejection: JsonRejection) -> Self {
        usage(rejection.body_text())
    }
}

impl From<QueryRejection> for Error {
    fn from(rejection: QueryRejection) -> Self {
        usage(rejection.body_text())
    }
}

impl From<BytesRejection> for Error {
    fn from(rejection: BytesRejection) -> Self {
        usage(rejection.body_text())
    }
}

impl From<PathRejection> for Error {
    fn from(rejection: PathRejection) -> Self {
        usage(rejection.body_text())
    }
}

impl From<mc_content::Error> for Error {
    fn from(error: mc_content::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&mc_content::Error> for Error {
    fn from(error: &mc_content::Error) -> Self {
        Self::new(error.code(), with_causes(error))
    }
}

/// The answer to a path that does not exist.
pub(crate) async fn unknown_path() -> Response {
    let body = ErrorBody::new(ErrorCode::NotFound, "there is nothing at this path");
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

/// The answer to a method that a path does not take.
pub(crate) async fn wrong_method() -> Response {
    let body = ErrorBody::new(ErrorCode::Usage, "this path does not accept this method");
    (StatusCode::METHOD_NOT_ALLOWED, Json(body)).into_response()
}
