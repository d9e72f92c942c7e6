//! Bytes as text that fits into names and URLs: base64url without padding, RFC 4648 §5.

use cid::multibase::Base;

/// `bytes` as text.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    Base::Base64Url.encode(bytes)
}

/// The bytes that `text` encodes; `None` when it is no base64url.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    Base::Base64Url.decode(text).ok()
}
