//! Content for which no key was given, though it may be encrypted.

use crate::{failure::Failure, output};
use mc_content::seal;
use mc_options::{Global, Opened};
use mc_types::{ErrorCode, base64url};
use std::path::Path;

const HINT: &str = "give the key that it was added with: --key-file FILE";

/// What is malformed may be encrypted. What cannot be verified, or is not what its CID says, is neither.
pub(crate) fn perhaps(failure: Failure, opened: &Opened) -> Failure {
    if opened.key_file.is_some() || !failure.is_malformed() {
        return failure;
    }
    let message = format!("is it encrypted? Without a key, {}", failure.message());
    Failure::new(ErrorCode::WrongKey, message).with_hint(HINT)
}

/// Says so if all names in a directory look encrypted.
pub(crate) fn tell<N: AsRef<str>>(
    global: &Global,
    opened: &Opened,
    names: impl IntoIterator<Item = N>,
) {
    let mut names = names.into_iter().peekable();
    let there_are = names.peek().is_some();
    if opened.key_file.is_none() && there_are && names.all(|name| is_sealed(name.as_ref())) {
        output::note(global, &format!("the names look encrypted; {HINT}"));
    }
}

/// The names in a directory on disk, or none if it is something else.
pub(crate) fn names_in(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.collect()
}

fn is_sealed(name: &str) -> bool {
    let bytes = base64url::decode(name).map(|bytes| bytes.len());
    let inner = bytes.and_then(|bytes| bytes.checked_sub(seal::OVERHEAD_BYTES));
    inner.is_some_and(|inner| inner > 0 && inner.is_multiple_of(seal::NAME_UNIT_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encrypted_names_are_told_from_others() {
        let sealed = base64url::encode(&[7; seal::OVERHEAD_BYTES + 2 * seal::NAME_UNIT_BYTES]);
        assert!(is_sealed(&sealed));
        let odd = base64url::encode(&[7; seal::OVERHEAD_BYTES + 5]);
        for name in ["", "README.md", "a", &odd] {
            assert!(!is_sealed(name), "{name}");
        }
    }
}
