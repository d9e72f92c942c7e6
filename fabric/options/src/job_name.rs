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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_named_by_its_id_or_the_beginning_of_it() {
        let id = "01jd5xz7m8q9r0s1t2v3w4x5y6";
        assert_eq!(id.parse::<JobName>(), Ok(JobName::Id(id.parse().unwrap())));
        let beginning: JobName = "01jd5".parse().unwrap();
        assert_eq!(beginning, JobName::Beginning("01jd5".to_owned()));
        assert_eq!(beginning.to_string(), "01jd5");
        for wrong in ["nonsense!", "01jd5xz7m8q9r0s1t2v3w4x5y6z"] {
            assert!(wrong.parse::<JobName>().is_err(), "{wrong}");
        }
    }
}
