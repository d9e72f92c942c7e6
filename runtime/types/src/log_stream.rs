//! The two streams that a guest writes.

use serde::{Deserialize, Serialize};

/// One of the two streams that a guest writes. Checkpoints store its number here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_have_names_on_the_wire() {
        for (stream, encoded) in [
            (LogStream::Stdout, b"\x66stdout"),
            (LogStream::Stderr, b"\x66stderr"),
        ] {
            assert_eq!(serde_ipld_dagcbor::to_vec(&stream).unwrap(), encoded);
            let decoded: LogStream = serde_ipld_dagcbor::from_slice(encoded).unwrap();
            assert_eq!(decoded, stream);
        }
    }
}
