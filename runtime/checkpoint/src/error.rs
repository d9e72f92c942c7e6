//! Why something is not rewritten.

/// Why something is not rewritten.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It is not valid, or uses operators and types that are not handled.
    #[error("{reason}")]
    Invalid {
        /// What the validator says, with the offset in the file.
        reason: String,
    },
    /// It is built in a way that is not handled.
    #[error("{0}")]
    Shape(&'static str),
}

impl From<wasmparser::BinaryReaderError> for Refused {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self::Invalid {
            reason: error.to_string(),
        }
    }
}

impl From<wasm_encoder::reencode::Error<Refused>> for Refused {
    fn from(error: wasm_encoder::reencode::Error<Self>) -> Self {
        match error {
            wasm_encoder::reencode::Error::UserError(refused) => refused,
            error => Self::Invalid {
                reason: error.to_string(),
            },
        }
    }
}
