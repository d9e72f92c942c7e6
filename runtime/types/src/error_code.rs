//! Stable codes of the errors that users see.

use serde::{Deserialize, Deserializer, Serialize, de};

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal,)+) => {
        /// Names a kind of error forever, independent of its message.
        ///
        /// Each code has a help page, `fabric/cli/errors/<code>.md`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ #[serde(rename = $code)] $name,)+
            /// A code of a later version, unknown to this one. No error of this version has it.
            #[serde(rename = "MC0000")]
            Unknown,
        }

        impl ErrorCode {
            /// Every code that is known, in order.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The text form, such as `MC0001`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                    Self::Unknown => "MC0000",
                }
            }
        }
    };
}

/// Codes of later versions are read as [`ErrorCode::Unknown`]; any other text is refused.
impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known = Self::ALL.iter().find(|code| code.as_str() == text);
        match known {
            Some(code) => Ok(*code),
            None if is_code(&text) => Ok(Self::Unknown),
            None => Err(de::Error::custom("not the code of an error")),
        }
    }
}

fn is_code(text: &str) -> bool {
    let number = text.strip_prefix("MC").unwrap_or_default();
    number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit())
}

error_codes! {
    /// An option, argument or configuration key that cannot be used as given.
    Usage = "MC0001",
    /// A file or directory that does not exist or cannot be read.
    Path = "MC0002",
    /// A file that is not WebAssembly.
    NotWasm = "MC0003",
    /// A core module that is no command of WASI preview 1.
    CoreModule = "MC0004",
    /// A component that imports what the host does not offer.
    UnsupportedImport = "MC0005",
    /// A component that is malformed, too large, or not a command.
    InvalidComponent = "MC0006",
    /// Building a directory into a component failed.
    Build = "MC0007",
    /// No node answers at the given address.
    NodeUnreachable = "MC0008",
    /// Another node uses the data directory.
    DataDirLocked = "MC0009",
    /// The listen address is taken or cannot be used.
    Listen = "MC0010",
    /// Content that no reachable peer has.
    ContentNotFound = "MC0011",
    /// Bytes that do not match their CID, or a DAG that is malformed.
    CorruptContent = "MC0012",
    /// No such job, pin or block.
    NotFound = "MC0013",
    /// The disk is full or cannot be written.
    Storage = "MC0014",
    /// A task that cannot be accepted as described.
    InvalidTask = "MC0015",
    /// The result of a job that has not ended, or that has none.
    NoResult = "MC0016",
    /// The database cannot be used.
    Ledger = "MC0017",
    /// The identity key is missing, malformed or readable by others.
    Identity = "MC0018",
    /// The machine or the network failed; trying again may help.
    Infrastructure = "MC0019",
    /// A required peer is not connected.
    PeerUnreachable = "MC0020",
    /// A limit of this node was reached; try again later.
    Overloaded = "MC0021",
    /// A defect in this program.
    Internal = "MC0022",
    /// A checkpoint that is malformed, or that a task cannot go on from.
    InvalidCheckpoint = "MC0023",
    /// A job or component that cannot be stopped and resumed.
    CannotStop = "MC0024",
    /// Encrypted content whose key is missing, or is another one.
    WrongKey = "MC0025",
    /// A task's change to a directory of the user that would have undone a change of the user's own.
    Conflict = "MC0026",
    /// A component that uses a proposal for WebAssembly that the host does not offer.
    UnsupportedProposal = "MC0027",
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_count_up_from_one() {
        for (index, code) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(code.as_str(), format!("MC{:04}", index + 1));
        }
    }

    #[test]
    fn codes_of_later_versions_are_read_as_unknown() {
        for (said, code) in [
            ("MC0001", ErrorCode::Usage),
            ("MC9999", ErrorCode::Unknown),
            ("MC0000", ErrorCode::Unknown),
        ] {
            let (_, bytes) = crate::canonical::encode(&said).unwrap();
            let read: ErrorCode = serde_ipld_dagcbor::from_slice(&bytes).unwrap();
            assert_eq!(read, code, "{said}");
        }
        for said in ["", "E1", "MC1", "MC00001", "MC000x"] {
            let (_, bytes) = crate::canonical::encode(&said).unwrap();
            assert!(serde_ipld_dagcbor::from_slice::<ErrorCode>(&bytes).is_err());
        }
    }
}
