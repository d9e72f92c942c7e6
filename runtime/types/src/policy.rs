//! The rule that chooses a node for a job among several that fit.

use serde::{Deserialize, Serialize};

/// The name of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// The node that has had a free slot for longest.
    #[default]
    FirstAnswer,
    /// Any node.
    Random,
    /// The smallest node that fits.
    BestFit,
    /// The node that grants the lease, then its children, then its peers, then any other.
    LocalFirst,
    /// A node that was given the component or the inputs before.
    DataLocality,
}

impl Policy {
    /// Every rule.
    pub const ALL: &[Self] = &[
        Self::FirstAnswer,
        Self::Random,
        Self::BestFit,
        Self::LocalFirst,
        Self::DataLocality,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstAnswer => "first-answer",
            Self::Random => "random",
            Self::BestFit => "best-fit",
            Self::LocalFirst => "local-first",
            Self::DataLocality => "data-locality",
        }
    }
}

impl std::fmt::Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no policy's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no policy; there are first-answer, random, best-fit, local-first and data-locality"
)]
pub struct UnknownPolicy(String);

impl std::str::FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Self, UnknownPolicy> {
        let found = Self::ALL.iter().find(|policy| policy.as_str() == text);
        found.copied().ok_or_else(|| UnknownPolicy(text.to_owned()))
    }
}
