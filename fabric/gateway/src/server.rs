//! Listening, serving, and stopping in order.

use crate::{
    backend::Backend,
    connections::{self, Bounds, OnPanic},
    error,
    guard::{self, Hosts},
    limits,
    places::AllPlaces,
    routes,
    shared::Shared,
};
use axum::{Router, extract::DefaultBodyLimit, middleware};
use futures::future::BoxFuture;
use mc_types::{ErrorCode, panic_message};
use std::{net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Largest JSON body, in bytes: a task with everything in it has at most 1 MiB.
const MAX_JSON_BYTES: usize = 2 << 20;

/// Where to listen, and for whom.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address. Any address but a loopback one exposes the API to everybody who can reach it.
    pub listen: SocketAddr,
    /// Host names under which clients may reach it, besides `localhost` and addresses.
    pub hosts: Vec<String>,
    /// Connections at a time, at most [`crate::MAX_CONNECTIONS`]; more wait. A node needs open files for more than these.
    pub connections: usize,
}

/// Why the server cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address is taken or cannot be used.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl ServerError {
    /// The stable code that users see.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Listen { .. } => ErrorCode::Listen,
        }
    }
}

/// An HTTP server that listens already. It refuses requests with an `Origin` or a host name that is not its own, since
/// they come from web pages.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    hosts: Hosts,
    connections: usize,
    address: SocketAddr,
}

impl Server {
    /// Takes the port.
    ///
    /// # Errors
    ///
    /// [`ServerError::Listen`].
    pub fn bind(options: Options) -> BoxFuture<'static, Result<Self, ServerError>> {
        Box::pin(async move {
            let address = options.listen;
            let listening = async {
                let listener = TcpListener::bind(address).await?;
                let address = listener.local_addr()?;
                let hosts = Hosts::new(&options.hosts);
                Ok(Self {
                    listener,
                    hosts,
                    connections: options.connections,
                    address,
                })
            };
            listening
                .await
                .map_err(|source| ServerError::Listen { address, source })
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stopping` is cancelled, and then finishes running requests for two more seconds.
    pub fn serve(
        self,
        backend: Arc<dyn Backend>,
        stopping: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let shared = Shared {
                backend: Arc::clone(&backend),
                stopping: stopping.clone(),
            };
            let on_panic: OnPanic = Arc::new(move |panic| backend.panicked(&panic_message(panic)));
            let catching = Arc::clone(&on_panic);
            let places = AllPlaces::new();
            let router = Router::new()
                .merge(routes::all(&places))
                .fallback(error::unknown_path)
                .method_not_allowed_fallback(error::wrong_method)
                .layer(DefaultBodyLimit::max(MAX_JSON_BYTES))
                .layer(middleware::from_fn(limits::body_in_time))
                .layer(middleware::from_fn_with_state(catching, limits::caught))
                .layer(middleware::from_fn_with_state(self.hosts, guard::no_pages))
                .with_state(shared);
            let bounds = Bounds::of(self.connections).with_answers(places.answers);
            connections::serve(self.listener, router, bounds, on_panic, stopping).await;
        })
    }
}
