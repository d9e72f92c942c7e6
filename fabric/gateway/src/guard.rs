//! Refusing what web pages send.
//!
//! The API has no passwords on the loopback interface, so a page in the user's browser must not be able to use it. A
//! page's own requests carry an `Origin`; a page that made its host name point to this machine (DNS rebinding) uses a
//! host name that is not this node's.

use crate::backend::Error;
use axum::{
    extract::{Request, State},
    http::{header, request::Parts, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use mc_types::ErrorCode;
use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

/// The host names under which clients may reach a server, besides `localhost` and any address.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hosts(Arc<BTreeSet<String>>);

impl Hosts {
    pub(crate) fn new(names: &[String]) -> Self {
        let localhost = std::iter::once("localhost".to_owned());
        let names = names.iter().map(|name| plain(name));
        Self(Arc::new(names.chain(localhost).collect()))
    }

    /// Whether a host is an address, or a name that no stranger can point here.
    fn accept(&self, host: &str) -> bool {
        let address = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let is_address = match address {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => host.parse::<IpAddr>().is_ok(),
        };
        is_address || self.0.contains(&plain(host))
    }

    fn check(&self, request: &Parts) -> Result<(), String> {
        // A browser asks without an origin for a service worker: a script that it puts between a page and all that is
        // below the page's path.
        let headers = &request.headers;
        if headers.contains_key(header::ORIGIN) || headers.contains_key("service-worker") {
            return Err("requests from web pages are not accepted".to_owned());
        }
        // Servers differ in which of these names they use, so all of them must be allowed ones.
        let in_header = request.headers.get_all(header::HOST).iter();
        let in_header = in_header.map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
        let in_target = request.uri.authority().map(ToString::to_string);
        for host in in_header.chain(in_target) {
            if !named(&host).is_some_and(|name| self.accept(&name)) {
                return Err(format!(
                    "the host name {host:?} is not accepted: use an address, or a name that is in the node's setting \
                     api.hosts"
                ));
            }
        }
        Ok(())
    }
}

/// The host of an authority that consists of a host and perhaps a port.
fn named(text: &str) -> Option<String> {
    let authority: Authority = text.parse().ok()?;
    let rest = authority.as_str().strip_prefix(authority.host())?;
    let port = rest.strip_prefix(':');
    let is_plain = match port {
        Some(port) => port.is_empty() || port.parse::<u16>().is_ok(),
        None => rest.is_empty(),
    };
    is_plain.then(|| authority.host().to_owned())
}

/// A name in the form for comparison: host names ignore case, and may end in a dot.
fn plain(name: &str) -> String {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.to_ascii_lowercase()
}

/// Refuses requests that a browser sent for a page.
pub(crate) async fn no_pages(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match hosts.check(&parts) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(message) => Error::new(ErrorCode::Usage, message).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(target: &str, hosts: &[&str]) -> Parts {
        let mut request = axum::http::Request::builder().uri(target);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn hosts() -> Hosts {
        Hosts::new(&["Gw1.example".to_owned(), "vm".to_owned()])
    }

    #[test]
    fn addresses_localhost_and_own_names_are_hosts() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:7780",
            "localhost:1",
            "LOCALHOST",
            "[::1]:7780",
            "192.0.2.1:1",
            "gw1.example",
            "GW1.example.:7780",
            "vm:7780",
        ] {
            hosts().check(&parts("/", &[host])).unwrap();
        }
        // One that is no browser may leave it out.
        hosts().check(&parts("/", &[])).unwrap();
        hosts().check(&parts("http://vm:7780/", &["vm"])).unwrap();
    }

    #[test]
    fn what_only_browsers_send_for_pages_is_refused() {
        for name in ["origin", "service-worker"] {
            let mut parts = parts("/", &["127.0.0.1"]);
            parts.headers.insert(name, "script".parse().unwrap());
            assert!(hosts().check(&parts).is_err(), "{name}");
        }
    }

    #[test]
    fn names_that_anybody_may_point_here_are_refused_wherever_they_stand() {
        for host in [
            "evil.example",
            "evil.example:7780",
            "localhost.evil.example",
            "gw1.example.evil.example",
            "evil.gw1.example",
            "",
            "[x]",
            "[127.0.0.1]",
            "[::1]evil.example",
            "127.0.0.1@evil.example",
            "evil.example@127.0.0.1",
            "127.0.0.1:80:evil.example",
            "127.0.0.1/evil.example",
            "127.0.0.1, evil.example",
            "0x7f.1",
        ] {
            assert!(hosts().check(&parts("/", &[host])).is_err(), "{host}");
        }
        assert!(hosts().check(&parts("/", &["vm", "evil.example"])).is_err());
        let target = "http://evil.example/api/health";
        for host in [&["127.0.0.1"][..], &[]] {
            assert!(hosts().check(&parts(target, host)).is_err());
        }
    }
}
