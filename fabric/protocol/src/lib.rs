//! What goes over the wire between nodes: messages, what is said in the DHT, and grants.
//!
//! A node asks another one by a [`Request`] and is answered by a [`Response`], one of each to a stream, as canonical
//! DAG-CBOR ([`encode`], [`decode_message`]). This crate knows no network: `mc-net` carries the bytes.
//!
//! # How it grows
//!
//! Nodes of different versions work together, so nothing that is added may cut off those that do not know it:
//!
//! * **Fields that are not known are skipped**, in messages, adverts, grants, and in what is part of them: leases,
//!   jobs, announcements, endings, completions, usage, reasons. A new field is optional, and a kind that has none may
//!   be given some.
//! * **A request that is not known is answered by [`Response::Unsupported`]**, and so is one of which a strict part
//!   cannot be read. The other side has done nothing then. An answer that is not known is an error to whoever asked.
//!   Neither ends a connection.
//! * **Values that are not known** are read as one that says so: [`ErrorCode::Unknown`](mc_types::ErrorCode::Unknown),
//!   [`FailureReason::Other`](mc_types::FailureReason::Other), [`Clause::Unknown`](mc_types::Clause::Unknown),
//!   [`Change::Unknown`](mc_types::Change::Unknown).
//! * **What has a CID is strict**: [`TaskSpec`](mc_types::TaskSpec) and [`Outcome`](mc_types::Outcome), with all that
//!   they contain. A task of which a part was skipped would be another task, and its outcome that of another. So are
//!   enumerations on which everything depends: how an attempt ended, and the state of a job.
//! * **Versions and revisions** are told apart in [`VERSIONS`] and [`REVISION`].
//!
//! # To add a message or a field
//!
//! Add the variant with its name in `kinds!` and, of a request, its answers; or the field, with `#[serde(default)]`.
//! Raise [`REVISION`] and say in its table what came. Add a sample to `tests/it/samples.rs`, and run the tests with
//! `MC_BLESS=1` once, which writes the fixtures that are missing. A fixture that is there is never written again: what
//! it holds is what other nodes send.

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
