//! Parses parts of paths.

use crate::backend::Error;
use mc_types::{Cid, ErrorCode};
use std::str::FromStr;

/// Parses a part of the path.
pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Error> {
    text.parse()
        .map_err(|e: T::Err| Error::new(ErrorCode::Usage, e.to_string()))
}

/// A part of the path as a CID.
pub(super) fn cid(text: &str) -> Result<Cid, Error> {
    let parsed: Result<Cid, _> = text.parse();
    parsed.map_err(|e| Error::new(ErrorCode::Usage, format!("{text:?} is not a CID: {e}")))
}
