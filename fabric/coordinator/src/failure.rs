//! What went wrong in something that a coordinator works over.

use mc_types::ErrorCode;
use std::fmt;

/// An error of a part that only the creator of the coordinator knows: it reads as the error itself.
#[derive(Debug)]
pub struct Failure {
    code: ErrorCode,
    error: Box<dyn std::error::Error + Send + Sync>,
}

impl Failure {
    /// The failure `error`; users see `code`.
    #[must_use]
    pub fn new(
        code: ErrorCode,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            code,
            error: error.into(),
        }
    }

    /// The stable code that users see.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// The error itself, for callers that know its type.
    #[must_use]
    pub fn into_inner(self) -> Box<dyn std::error::Error + Send + Sync> {
        self.error
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}
