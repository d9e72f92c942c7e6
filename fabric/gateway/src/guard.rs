//! Refusing what web pages send.
//!
//! The API has no passwords on the loopback interface, so a page in the user's browser must not be
//! able to use it. A page's own requests carry an `Origin`; a page that made its host name point to
//! this machine (DNS rebinding) is known by the name in `Host`.

use crate::backend::Error;
use axum::{
    extract::Request,
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use mc_types::ErrorCode;
use std::net::IpAddr;

/// Refuses requests that a browser sent for a page.
pub(crate) async fn no_pages(request: Request, next: Next) -> Response {
    match check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(message) => Error::new(ErrorCode::Usage, message).into_response(),
    }
}

fn check(headers: &HeaderMap) -> Result<(), String> {
    if headers.contains_key(header::ORIGIN) {
        return Err("requests from web pages are not accepted".to_owned());
    }
    let Some(host) = headers.get(header::HOST) else {
        return Ok(());
    };
    let host = host.to_str().unwrap_or_default();
    if is_literal(host) {
        return Ok(());
    }
    Err(format!(
        "the host name {host:?} is not accepted: use an IP address or localhost"
    ))
}

/// Whether a host is an address rather than a name that anybody may point anywhere.
fn is_literal(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => host.split(':').next(),
    };
    name.is_some_and(|name| name == "localhost" || name.parse::<IpAddr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_hosts() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:7780",
            "localhost:1",
            "[::1]:7780",
            "192.0.2.1:1",
        ] {
            assert!(is_literal(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:7780",
            "localhost.evil.example",
            "",
            "[x]",
        ] {
            assert!(!is_literal(host), "{host}");
        }
    }
}
