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
    /// It needs proposals that are not offered.
    #[error("it needs {}, not offered here", names.join(" and "))]
    Proposals {
        /// Their names.
        names: Vec<&'static str>,
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

/// Why a program that runs cannot be stopped and resumed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", self.place())]
pub struct Obstacle {
    /// The core module, by its number in the component.
    pub module: u32,
    /// The function, by its number in the module, if it is in one.
    pub function: Option<u32>,
    /// The operator, or what else it is.
    pub reason: String,
}

impl Obstacle {
    /// One of the first module, or of the whole component.
    pub(crate) fn new(function: Option<u32>, reason: impl Into<String>) -> Self {
        Self {
            module: 0,
            function,
            reason: reason.into(),
        }
    }

    /// The same in the module `number`.
    pub(crate) fn of_module(self, number: u32) -> Self {
        Self {
            module: number,
            ..self
        }
    }

    fn place(&self) -> String {
        match self.function {
            Some(function) => format!("module {}, function {function}", self.module),
            None => format!("module {}", self.module),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_is_told_with_its_place() {
        let obstacle = Obstacle::new(Some(7), "table.set").of_module(2);
        assert_eq!(obstacle.to_string(), "module 2, function 7: table.set");
        assert_eq!(Obstacle::new(None, "why").to_string(), "module 0: why");
        let refused = Refused::Proposals {
            names: vec!["gc", "threads"],
        };
        let told = "it needs gc and threads, not offered here";
        assert_eq!(refused.to_string(), told);
    }
}
