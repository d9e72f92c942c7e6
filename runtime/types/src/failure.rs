//! Why a job failed without an outcome.

use crate::ErrorCode;
use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};
use std::{borrow::Cow, collections::BTreeMap};

/// Why a job failed without an [`Outcome`](crate::Outcome).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// An attempt took longer than [`JobSpec::timeout_ms`](crate::JobSpec::timeout_ms).
    Timeout,
    /// No node was free for longer than [`JobSpec::queue_timeout_ms`](crate::JobSpec::queue_timeout_ms). Nodes write
    /// [`Self::Unplaced`] now; this is in older ledgers.
    QueueTimeout,
    /// No node took it for longer than [`JobSpec::queue_timeout_ms`](crate::JobSpec::queue_timeout_ms).
    Unplaced {
        /// What it waited for.
        message: String,
    },
    /// The component or an input cannot be used on any machine.
    Rejected {
        /// The code of the error. In older ledgers it is the beginning of the message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<ErrorCode>,
        /// What is wrong with it.
        message: String,
    },
    /// Machines failed until no retry was left.
    Infrastructure {
        /// The code of the error, if it had one. [`ErrorCode::Overloaded`] says that others had the room which the attempt
        /// needed: that costs the job no retry.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<ErrorCode>,
        /// What happened to the last attempt.
        message: String,
    },
    /// A reason of a later version, unknown to this one. It counts as a failure of the machine.
    Other {
        /// What that version calls it.
        kind: String,
        /// The code of the error, if the reason has one in the usual field.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<ErrorCode>,
        /// The message, if the reason has one in the usual field.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        message: String,
    },
}

impl FailureReason {
    /// Details beyond the kind of failure, for humans; they come after the code, if there is one.
    #[must_use]
    pub fn detail(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Timeout | Self::QueueTimeout => None,
            Self::Unplaced { message } => Some(message.into()),
            Self::Rejected { code, message } | Self::Infrastructure { code, message } => {
                Some(with_code(*code, message))
            }
            Self::Other {
                kind,
                code,
                message,
            } => {
                let message = format!("{} {message}", kind.escape_debug());
                Some(with_code(*code, message.trim_end()).into_owned().into())
            }
        }
    }
}

fn with_code(code: Option<ErrorCode>, message: &str) -> Cow<'_, str> {
    match code {
        Some(code) => format!("{code}: {message}").into(),
        None => message.into(),
    }
}

/// A reason as any version may give it.
#[derive(Deserialize)]
#[serde(untagged)]
enum AnyReason {
    Known(FailureReason),
    /// A kind with its fields.
    Kind(BTreeMap<String, Fields>),
    /// A kind without any.
    Word(String),
}

/// The fields of an unknown reason.
#[derive(Deserialize)]
#[serde(untagged)]
enum Fields {
    /// Those of them that other reasons have, too.
    Usual {
        #[serde(default)]
        code: Option<ErrorCode>,
        #[serde(default)]
        message: String,
    },
    Foreign(IgnoredAny),
}

/// Reads a reason. An unknown one becomes [`FailureReason::Other`].
pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FailureReason, D::Error> {
    let (kind, fields) = match AnyReason::deserialize(deserializer)? {
        AnyReason::Known(reason) => return Ok(reason),
        AnyReason::Kind(kinds) => kinds.into_iter().next().unzip(),
        AnyReason::Word(kind) => (Some(kind), None),
    };
    let (code, message) = match fields {
        Some(Fields::Usual { code, message }) => (code, message),
        Some(Fields::Foreign(IgnoredAny)) | None => (None, String::new()),
    };
    Ok(FailureReason::Other {
        kind: kind.unwrap_or_default(),
        code,
        message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AttemptResult, canonical};

    fn read<T: Serialize>(reason: T) -> FailureReason {
        let (_, bytes) = canonical::encode(&BTreeMap::from([("failed", reason)])).unwrap();
        match serde_ipld_dagcbor::from_slice(&bytes).unwrap() {
            AttemptResult::Failed(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_reason_of_a_later_version_keeps_its_name_and_its_message() {
        let fields = BTreeMap::from([("message", "the lid was shut"), ("code", "MC0014")]);
        let other = |code, message: &str| FailureReason::Other {
            kind: "evicted".to_owned(),
            code,
            message: message.to_owned(),
        };
        let said = read(BTreeMap::from([("evicted", fields)]));
        assert_eq!(said, other(Some(ErrorCode::Storage), "the lid was shut"));
        let detail = said.detail().unwrap();
        assert_eq!(detail, "MC0014: evicted the lid was shut");
        assert_eq!(read("evicted"), other(None, ""));
        assert_eq!(read(BTreeMap::from([("evicted", 7)])), other(None, ""));
        // As it is written again, it is read again.
        assert_eq!(read(said.clone()), said);
    }

    #[test]
    fn what_older_ledgers_have_is_read() {
        let message = BTreeMap::from([("message", "MC0006: no component")]);
        let rejected = read(BTreeMap::from([("rejected", message)]));
        assert_eq!(rejected.detail().unwrap(), "MC0006: no component");
        assert!(matches!(
            rejected,
            FailureReason::Rejected { code: None, .. }
        ));
        assert_eq!(read("timeout"), FailureReason::Timeout);
        assert_eq!(read("queue_timeout"), FailureReason::QueueTimeout);
    }
}
