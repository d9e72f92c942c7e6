//! Identifiers that users, logs and the wire carry as short text.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::{fmt, ops::RangeInclusive, str::FromStr};

/// Crockford's base 32, lower case: no `i`, `l`, `o` or `u` to misread.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Characters of a [`JobId`]: 128 bits, five to a character.
const JOB_ID_CHARS: usize = 26;
/// Longest text of a [`NodeId`]; an ed25519 PeerId has 52 characters.
const NODE_ID_MAX_CHARS: usize = 64;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Not the 26 characters of a job id.
    #[error("{0:?} is not a job id (26 letters and digits, such as 01jd5xz7m8q9r0s1t2v3w4x5y6)")]
    Job(String),
    /// Not a PeerId.
    #[error("{0:?} is not a node id (a libp2p PeerId, such as 12D3KooW…)")]
    Node(String),
}

/// Names one submitted job: 48 bits of milliseconds and 80 random bits, so ids sort by time.
///
/// The text form is that of a ULID in lower case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(u128);

impl JobId {
    /// The id of a job submitted at `now`; `random` makes it unique.
    #[must_use]
    pub fn new(now: Timestamp, random: u128) -> Self {
        let time = u128::from(now.as_millis() & 0xffff_ffff_ffff) << 80;
        Self(time | (random & ((1 << 80) - 1)))
    }

    /// When the id was made, by the clock of its maker.
    #[must_use]
    pub fn time(self) -> Timestamp {
        Timestamp::from_millis(u64::try_from(self.0 >> 80).unwrap_or(u64::MAX))
    }

    /// The first and the last of the ids that begin with `text`, which is not empty; `None` when none does.
    #[must_use]
    pub fn beginning_with(text: &str) -> Option<RangeInclusive<Self>> {
        let missing = JOB_ID_CHARS.checked_sub(text.len())?;
        let filled = |digit: &str| format!("{text}{}", digit.repeat(missing)).parse().ok();
        Some(filled("0")?..=filled("z")?)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for position in (0..JOB_ID_CHARS).rev() {
            let digit = (self.0 >> (position * 5)) & 31;
            let byte = usize::try_from(digit)
                .ok()
                .and_then(|d| ALPHABET.get(d))
                .copied();
            write!(f, "{}", char::from(byte.unwrap_or(b'0')))?;
        }
        Ok(())
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({self})")
    }
}

impl FromStr for JobId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let refuse = || IdError::Job(text.chars().take(80).collect());
        if text.len() != JOB_ID_CHARS {
            return Err(refuse());
        }
        let mut value: u128 = 0;
        for byte in text.bytes() {
            let lower = byte.to_ascii_lowercase();
            let digit = ALPHABET
                .iter()
                .position(|&a| a == lower)
                .ok_or_else(refuse)?;
            // Only the first character can overflow: it has three bits, not five.
            if value >> 123 != 0 {
                return Err(refuse());
            }
            value = (value << 5) | u128::try_from(digit).map_err(|_| refuse())?;
        }
        Ok(Self(value))
    }
}

impl TryFrom<String> for JobId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.to_string()
    }
}

/// Names one node: the base-58 text of its libp2p PeerId.
///
/// This crate knows no libp2p, so it checks only length and alphabet; `mc-net` checks the rest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(String);

impl NodeId {
    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for NodeId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let base58 = |b: u8| b.is_ascii_alphanumeric() && !matches!(b, b'0' | b'O' | b'I' | b'l');
        if text.is_empty() || text.len() > NODE_ID_MAX_CHARS || !text.bytes().all(base58) {
            return Err(IdError::Node(text.chars().take(80).collect()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for NodeId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_id_survives_its_text_form() {
        for random in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef] {
            let id = JobId::new(Timestamp::from_millis(1_790_000_000_000), random);
            assert_eq!(id.to_string().len(), JOB_ID_CHARS);
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        }
    }

    #[test]
    fn job_ids_sort_by_submission_time() {
        let early = JobId::new(Timestamp::from_millis(1_000), u128::MAX);
        let late = JobId::new(Timestamp::from_millis(1_001), 0);
        assert!(early < late);
        assert!(early.to_string() < late.to_string());
        assert_eq!(
            (early.time(), late.time()),
            (Timestamp::from_millis(1_000), Timestamp::from_millis(1_001))
        );
    }

    #[test]
    fn ids_are_found_by_their_beginning() {
        let id = JobId::new(Timestamp::from_millis(1_790_000_000_000), 42);
        let text = id.to_string();
        for length in 1..=JOB_ID_CHARS {
            let ids = JobId::beginning_with(&text[..length]).unwrap();
            assert!(ids.contains(&id), "{length}");
            let whole = length == JOB_ID_CHARS;
            assert_eq!(ids.start() == ids.end(), whole, "{length}");
            let other = text[..length - 1].to_owned() + "7";
            let others = JobId::beginning_with(&other).unwrap();
            assert!(text.starts_with(&other) || !others.contains(&id));
        }
        for none in ["", "8", "i", "0 ", "ü", &format!("{text}0")] {
            assert_eq!(JobId::beginning_with(none), None, "{none}");
        }
    }

    #[test]
    fn malformed_ids_are_refused() {
        for text in [
            "",
            "x",
            "../../../../etc/passwd.....",
            "zzzzzzzzzzzzzzzzzzzzzzzzzz",
        ] {
            assert!(text.parse::<JobId>().is_err(), "{text}");
        }
        for text in ["", "12D3 KooW", "a/b", &"1".repeat(65)] {
            assert!(text.parse::<NodeId>().is_err(), "{text}");
        }
    }
}
