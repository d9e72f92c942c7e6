//! Waiting for a condition with a deadline, instead of for a time.

use std::time::{Duration, Instant};

/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(10);

/// What `look` finds within `patience`; `None` when it finds nothing.
pub fn within<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        #[expect(clippy::disallowed_methods, reason = "the pause between two looks")]
        std::thread::sleep(PAUSE);
    }
}

/// What `look` finds within `patience`.
///
/// # Panics
///
/// When it finds nothing: `what` says what was expected.
#[expect(clippy::panic, reason = "a failed expectation is how a test fails")]
pub fn eventually<T>(what: &str, patience: Duration, look: impl FnMut() -> Option<T>) -> T {
    within(patience, look).unwrap_or_else(|| panic!("not within {patience:?}: {what}"))
}
