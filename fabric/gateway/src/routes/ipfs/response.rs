//! What all answers have in common.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use mc_types::Cid;

/// What a CID names never changes.
const IMMUTABLE: &str = "public, max-age=29030400, immutable";
/// Whatever a browser makes of content, it is not a page of this node, and runs nothing.
const SANDBOX: &str = "sandbox; default-src 'none'";

/// What is said about an answer.
pub(super) struct Head<'a> {
    /// What the path ends at.
    pub(super) cid: Cid,
    /// The CIDs on the way to it, itself last.
    pub(super) way: &'a [Cid],
    pub(super) path: &'a str,
    pub(super) etag: String,
}

impl Head<'_> {
    /// Whether the client says that it has this answer.
    pub(super) fn is_known(&self, headers: &HeaderMap) -> bool {
        let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        let own = strong(&self.etag);
        let given = headers.get_all(header::IF_NONE_MATCH).iter();
        let given = given.filter_map(|value| value.to_str().ok());
        let mut tags = given.flat_map(|value| value.split(','));
        tags.any(|tag| tag.trim() == "*" || strong(tag) == own)
    }

    pub(super) fn not_modified(&self) -> Response {
        let mut response = self.response(StatusCode::NOT_MODIFIED, Body::empty());
        response.headers_mut().remove(header::CONTENT_TYPE);
        response
    }

    /// An answer with the headers that all have.
    pub(super) fn response(&self, status: StatusCode, body: Body) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let roots: Vec<_> = self.way.iter().map(ToString::to_string).collect();
        let headers = response.headers_mut();
        for (name, text) in [
            ("etag", self.etag.as_str()),
            ("x-ipfs-path", self.path),
            ("x-ipfs-roots", &roots.join(",")),
            ("cache-control", IMMUTABLE),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", SANDBOX),
        ] {
            set(headers, name, text);
        }
        response
    }
}

/// Sets a header, unless its text cannot be one: paths may have any letters.
pub(super) fn set(headers: &mut HeaderMap, name: &'static str, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}
