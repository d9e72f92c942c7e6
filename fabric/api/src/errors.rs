//! The body of every answer that is no success.

use mc_types::ErrorCode;
use serde::{Deserialize, Serialize};

/// The body of every response that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The stable code.
    pub code: ErrorCode,
    /// What was wrong.
    pub message: String,
    /// What to do instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl ErrorBody {
    /// An error with its code and its sentence.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
        }
    }

    /// This error with advice on what to do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_a_hint_only_if_there_is_one() {
        let plain = ErrorBody::new(ErrorCode::NotFound, "no job");
        let json = serde_json::to_string(&plain).unwrap();
        assert_eq!(json, r#"{"code":"MC0013","message":"no job"}"#);
        let hinted = plain.with_hint("mc-wasm ps");
        let json = serde_json::to_string(&hinted).unwrap();
        assert_eq!(
            json,
            r#"{"code":"MC0013","message":"no job","hint":"mc-wasm ps"}"#
        );
        assert_eq!(serde_json::from_str::<ErrorBody>(&json).unwrap(), hinted);
    }

    #[test]
    fn what_is_no_error_of_a_node_is_told_apart() {
        // Another server that answers at the port of a node.
        for foreign in [
            "",
            "Not Found",
            "{}",
            r#"{"message":"x"}"#,
            r#"{"code":"E1","message":"x"}"#,
        ] {
            assert!(
                serde_json::from_str::<ErrorBody>(foreign).is_err(),
                "{foreign}"
            );
        }
    }
}
