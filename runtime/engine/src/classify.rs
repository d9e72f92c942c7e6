//! What bytes that should be a component are.

use crate::Error;

const MAGIC: &[u8] = b"\0asm";
/// Version and layer of a component: 13, 1.
const COMPONENT: &[u8] = &[0x0d, 0x00, 0x01, 0x00];
/// Version and layer of a core module: 1, 0.
const CORE: &[u8] = &[0x01, 0x00, 0x00, 0x00];

/// What can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A component.
    Component,
    /// A core module.
    Module,
}

/// Tells what bytes are, by the first of them alone.
///
/// # Errors
///
/// [`Error::NotWasm`] or [`Error::Invalid`].
pub fn classify(bytes: &[u8]) -> Result<Form, Error> {
    let Some(version) = bytes.strip_prefix(MAGIC) else {
        return Err(Error::NotWasm {
            looks_like: looks_like(bytes),
        });
    };
    match version.get(..4) {
        Some(COMPONENT) => Ok(Form::Component),
        Some(CORE) => Ok(Form::Module),
        Some(_) => Err(Error::Invalid {
            reason: "its version is unknown".to_owned(),
        }),
        None => Err(Error::Invalid {
            reason: "it is cut off after the first bytes".to_owned(),
        }),
    }
}

fn looks_like(bytes: &[u8]) -> &'static str {
    const KINDS: &[(&[u8], &str)] = &[
        (b"\x7fELF", "a native Linux program"),
        (b"MZ", "a native Windows program"),
        (b"\xcf\xfa\xed\xfe", "a native macOS program"),
        (b"#!", "a script"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\x1f\x8b", "a gzip archive"),
        (b"(", "WebAssembly text, which has to be assembled first"),
    ];
    if bytes.is_empty() {
        return "an empty file";
    }
    let text = bytes.trim_ascii_start();
    let kind = KINDS
        .iter()
        .find(|(magic, _)| bytes.starts_with(magic) || text.starts_with(magic));
    kind.map_or("something else", |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_wrong_file_is_called_by_its_name() {
        let message = |bytes: &[u8]| classify(bytes).unwrap_err().to_string();
        assert!(message(b"").contains("empty"));
        assert!(message(b"\x7fELF\x02").contains("Linux"));
        assert!(message(b"#!/bin/sh").contains("script"));
        assert!(message(b"  (component)").contains("text"));
        assert!(message(b"hello").contains("something else"));
        assert!(message(b"\0asm").contains("cut off"));
        let form = |bytes: &[u8]| classify(bytes).unwrap();
        assert_eq!(form(b"\0asm\x01\0\0\0"), Form::Module);
        assert_eq!(form(b"\0asm\x0d\0\x01\0"), Form::Component);
    }
}
