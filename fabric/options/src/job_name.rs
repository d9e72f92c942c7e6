//! How jobs are named.

use mc_types::{IdError, JobId};
use std::{fmt, str::FromStr};

/// A job as users name it: by its id, or by a unique beginning of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobName {
    /// By its id.
    Id(JobId),
    /// By a beginning of it.
    Beginning(String),
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => fmt::Display::fmt(id, f),
            Self::Beginning(text) => f.write_str(text),
        }
    }
}

impl FromStr for JobName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        match text.parse() {
            Ok(id) => Ok(Self::Id(id)),
            Err(_) if JobId::beginning_with(text).is_some() => Ok(Self::Beginning(text.to_owned())),
            Err(error) => Err(error),
        }
    }
}
