//! Errors as a whole: what each of a chain says.

use std::error::Error;

/// The message of an error, followed by the messages of its causes, each after a colon. Code that shows an error to
/// people uses this, since our errors do not repeat their causes.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        // Errors of other libraries may have said it already.
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the file is locked")]
    struct Locked;

    #[derive(Debug, thiserror::Error)]
    enum Outer {
        #[error("cannot open it")]
        Open(#[source] Locked),
        #[error("cannot close it: {0}")]
        Close(#[source] Locked),
        #[error(transparent)]
        Whole(Box<Outer>),
    }

    #[test]
    fn each_cause_is_said_once() {
        let open = Outer::Open(Locked);
        assert_eq!(with_causes(&open), "cannot open it: the file is locked");
        let whole = Outer::Whole(Box::new(open));
        assert_eq!(with_causes(&whole), "cannot open it: the file is locked");
        let close = Outer::Close(Locked);
        assert_eq!(with_causes(&close), "cannot close it: the file is locked");
        assert_eq!(with_causes(&Locked), "the file is locked");
    }
}
