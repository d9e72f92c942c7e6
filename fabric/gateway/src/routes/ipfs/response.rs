//! What all answers have in common.

use super::request::Wanted;
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use mc_types::Cid;
use std::fmt::Write as _;

/// What a CID names never changes.
const IMMUTABLE: &str = "public, max-age=29030400, immutable";
/// Longest name that an answer is given, in characters.
const MAX_NAME_CHARS: usize = 255;
/// A browser must not treat content as a page of this node, nor run anything in it.
const SANDBOX: &str = "sandbox; default-src 'none'";

/// The headers of an answer.
pub(super) struct Head<'a> {
    /// What the path ends at.
    pub(super) cid: Cid,
    /// The CIDs on the way to it, itself last.
    pub(super) way: &'a [Cid],
    pub(super) path: &'a str,
    pub(super) etag: String,
    /// The exact address of this answer, if the client used another one.
    pub(super) location: Option<String>,
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
        set(headers, "vary", "accept");
        if let Some(location) = &self.location {
            set(headers, "content-location", location);
        }
        response
    }
}

/// How a client should save an answer: under the name that it asked for, or else under this one.
pub(super) fn disposition(kind: &str, wanted: &Wanted, usual: Option<String>) -> String {
    let Some(name) = wanted.filename.clone().or(usual) else {
        return kind.to_owned();
    };
    let name: String = name.chars().take(MAX_NAME_CHARS).collect();
    let is_plain = |c: char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\' | '/' | '%');
    let plain: String = name
        .chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect();
    let mut text = format!("{kind}; filename=\"{plain}\"");
    if plain != name {
        // RFC 8187.
        text.push_str("; filename*=UTF-8''");
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                text.push(char::from(byte));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

/// Sets a header, unless its text cannot be one: paths may have any letters.
pub(super) fn set(headers: &mut HeaderMap, name: &'static str, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_of_the_header() {
        let named = |name: &str| {
            let uri = format!("/?filename={name}").parse().unwrap();
            let query = axum::extract::Query::try_from_uri(&uri);
            let axum::extract::Query(query) = query.map_err(|e| e.to_string()).unwrap();
            let wanted = Wanted::of(query, &HeaderMap::new()).map_err(|(_, e)| e.to_string());
            disposition("attachment", &wanted.unwrap(), Some("usual".to_owned()))
        };
        assert_eq!(named(""), "attachment; filename=\"usual\"");
        assert_eq!(named("a.bin"), "attachment; filename=\"a.bin\"");
        assert_eq!(
            named("a%22%0d%0a%C3%BC"),
            "attachment; filename=\"a____\"; filename*=UTF-8''a%22%0D%0A%C3%BC"
        );
        assert_eq!(
            named("..%2Fx"),
            "attachment; filename=\".._x\"; filename*=UTF-8''..%2Fx"
        );
        assert!(named(&"n".repeat(10_000)).len() < 300);
    }
}
