//! Names of pins, and those that a node keeps for itself. Its coordinator has some of its own.

use mc_api::ErrorBody;
use mc_content::Store;
pub(crate) use mc_coordinator::pins::ARRIVING;
use mc_coordinator::pins::{CHECKPOINT, JOB, LOG};
use mc_types::ErrorCode;

/// Results that no coordinator has taken yet.
pub(crate) const OUTBOX: &str = mc_worker::PIN_PREFIX;
/// Layers of container images, by their digests.
pub(crate) const LAYER: &str = "layer/";

/// Refuses invalid names of users' pins, before anything is fetched for them.
///
/// # Errors
///
/// What is wrong with the name.
pub fn check(name: &str) -> Result<(), ErrorBody> {
    check_is_free(name)?;
    Store::check_pin_name(name).map_err(|error| crate::Error::from(error).into())
}

/// Refuses the node's own names to users: otherwise a job could lose its inputs, and a layer could differ from its
/// digest.
pub(crate) fn check_is_free(name: &str) -> Result<(), ErrorBody> {
    let reserved = [JOB, CHECKPOINT, ARRIVING, LOG, OUTBOX, LAYER];
    let Some(prefix) = reserved.into_iter().find(|prefix| name.starts_with(prefix)) else {
        return Ok(());
    };
    let message = format!("{name:?}: names of pins that begin with {prefix} are the node's own");
    let hint = match prefix {
        LAYER => "mc-wasm layer add, or layer rm",
        _ => "give another name",
    };
    Err(ErrorBody::new(ErrorCode::Usage, message).with_hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_node_are_not_the_users() {
        for name in [
            "job/1",
            "checkpoint/x/1",
            "arriving/1",
            "log/1",
            "owed/",
            "layer/sha256:00",
        ] {
            let refused = check(name).unwrap_err();
            assert_eq!(refused.code, ErrorCode::Usage, "{name}");
        }
        for name in ["jobs", "my/job/", "bafkqaaa", "layers"] {
            assert!(check(name).is_ok(), "{name}");
        }
    }
}
