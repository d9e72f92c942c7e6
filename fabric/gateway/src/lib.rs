//! HTTP gateway.
pub mod api;
pub mod backend;
