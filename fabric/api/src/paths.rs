//! Where each thing is. Routes are bound to these paths, and clients fill them in ([`with`]), so that both spell them
//! alike.

use std::fmt::Display;

/// Whether the node answers.
pub const HEALTH: &str = "/api/health";
/// Numbers for monitoring.
pub const METRICS: &str = "/metrics";

/// All jobs, and a new one.
pub const JOBS: &str = "/api/v1/jobs";
/// Ids that begin so.
pub const JOBS_BEGINNING: &str = "/api/v1/jobs/beginning/{text}";
/// A job.
pub const JOB: &str = "/api/v1/jobs/{id}";
/// Why it does not run.
pub const JOB_WHY: &str = "/api/v1/jobs/{id}/why";
/// Calls it off.
pub const JOB_CANCEL: &str = "/api/v1/jobs/{id}/cancel";
/// Its checkpoints, and a new one.
pub const JOB_CHECKPOINTS: &str = "/api/v1/jobs/{id}/checkpoints";
/// Moves it.
pub const JOB_MIGRATE: &str = "/api/v1/jobs/{id}/migrate";
/// What it writes.
pub const JOB_LOGS: &str = "/api/v1/jobs/{id}/logs";

/// The node that answers.
pub const NODE: &str = "/api/v1/node";
/// The nodes that it knows or finds.
pub const NODES: &str = "/api/v1/nodes";
/// Connects it to another one.
pub const CONNECT: &str = "/api/v1/connect";

/// Takes a CAR.
pub const CONTENT: &str = "/api/v1/content";
/// Which DAGs are not complete.
pub const CONTENT_MISSING: &str = "/api/v1/content/missing";
/// Which blocks are not there.
pub const CONTENT_LACKING: &str = "/api/v1/content/lacking";
/// A block.
pub const BLOCK: &str = "/api/v1/blocks/{cid}";
/// Its size.
pub const BLOCK_STAT: &str = "/api/v1/blocks/{cid}/stat";

/// All pins.
pub const PINS: &str = "/api/v1/pins";
/// A pin.
pub const PIN: &str = "/api/v1/pins/{name}";
/// Removes what no pin needs.
pub const GC: &str = "/api/v1/gc";
/// Looks at every block.
pub const FSCK: &str = "/api/v1/fsck";

/// A new layer.
pub const LAYERS: &str = "/api/v1/layers";
/// A layer.
pub const LAYER: &str = "/api/v1/layers/{digest}";

/// Who provides a CID.
pub const DHT_PROVIDERS: &str = "/api/v1/dht/providers/{cid}";
/// The routing table.
pub const DHT_PEERS: &str = "/api/v1/dht/peers";
/// A record.
pub const DHT_RECORD: &str = "/api/v1/dht/records/{key}";

/// The path with `part` in place of the one name in braces, whatever characters `part` has.
#[must_use]
pub fn with(path: &str, part: impl Display) -> String {
    let Some((before, rest)) = path.split_once('{') else {
        return path.to_owned();
    };
    let after = rest.split_once('}').map_or("", |(_, after)| after);
    format!("{before}{}{after}", segment(&part.to_string()))
}

/// A text as one segment of a path (RFC 3986, section 3.3).
fn segment(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    let segment = text.bytes().map(|byte| {
        if is_plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    });
    segment.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_in_braces_is_filled_in() {
        assert_eq!(with(JOB_WHY, "01j"), "/api/v1/jobs/01j/why");
        assert_eq!(with(LAYER, "sha256:00"), "/api/v1/layers/sha256:00");
        assert_eq!(with(NODES, "x"), "/api/v1/nodes");
    }

    #[test]
    fn what_is_filled_in_stays_one_segment() {
        assert_eq!(
            with(PIN, "a/b c?d#e%f"),
            "/api/v1/pins/a%2Fb%20c%3Fd%23e%25f"
        );
        assert_eq!(with(PIN, "{name}"), "/api/v1/pins/%7Bname%7D");
        assert_eq!(with(PIN, "ü"), "/api/v1/pins/%C3%BC");
    }
}
