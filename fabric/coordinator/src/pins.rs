//! What the pins of coordinators are called. Other names are none of theirs.

/// What jobs need until they have ended, and then their results.
pub const JOB: &str = "job/";
/// What checkpoints need.
pub const CHECKPOINT: &str = "checkpoint/";
/// What has come of results that are being fetched.
pub const ARRIVING: &str = "arriving/";
/// What attempts wrote that came to no outcome.
pub const LOG: &str = "log/";
