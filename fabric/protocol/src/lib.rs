//! What goes over the wire between nodes: messages, adverts in the DHT, and grants.
//!
//! A node sends a [`Request`] and gets a [`Response`], one of each to a stream, as canonical DAG-CBOR ([`encode`],
//! [`decode_message`]). This crate knows no network: `mc-net` carries the bytes.
//!
//! # How it grows
//!
//! Nodes of different versions work together, so no addition may cut off nodes that do not know it:
//!
//! * **Unknown fields are skipped**, in messages, adverts and grants, and in their parts: leases, jobs, announcements,
//!   endings, completions, usage, reasons. A new field is optional, and a kind without fields may get some.
//! * **A node answers an unknown request with [`Response::Unsupported`]**, and also a request with a strict part that
//!   it cannot read. It has done nothing then. An unknown answer is an error for the caller. Neither ends a connection.
//! * **Unknown values** are read as a value that says so: [`ErrorCode::Unknown`](mc_types::ErrorCode::Unknown),
//!   [`FailureReason::Other`](mc_types::FailureReason::Other), [`Clause::Unknown`](mc_types::Clause::Unknown),
//!   [`Change::Unknown`](mc_types::Change::Unknown).
//! * **What has a CID is strict**: [`TaskSpec`](mc_types::TaskSpec) and [`Outcome`](mc_types::Outcome), with all that
//!   they contain. A task with a part skipped would be another task with another outcome. Strict too are the
//!   enumerations on which everything depends: how an attempt ended, and the state of a job.
//! * **Versions and revisions** are told apart in [`VERSIONS`] and [`REVISION`].
//!
//! # To add a message or a field
//!
//! Add the variant with its name in `kinds!` and, for a request, its answers; or add the field with
//! `#[serde(default)]`. Raise [`REVISION`] and list the addition in its table. Add a sample to `tests/it/samples.rs`,
//! and run the tests with `MC_BLESS=1` once, which writes the missing fixtures. An existing fixture is never written
//! again, because other nodes send what it holds.

mod advert;
mod announcement;
pub mod budget;
mod encoding;
mod exchange;
mod grant;
mod job;
mod kinds;
mod request;
mod response;
mod version;

pub use advert::{Advert, CompletionAdvert, TaskAdvert};
pub use announcement::Announcement;
pub use encoding::{Heard, MAX_BYTES, Unsupported, decode, decode_message, encode};
pub use exchange::{Exchange, RequestError};
pub use grant::Grant;
pub use mc_types::canonical::Error;
pub use request::Request;
pub use response::Response;
pub use version::{REVISION, VERSIONS, protocols};
