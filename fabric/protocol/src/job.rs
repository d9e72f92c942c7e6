//! Jobs as they are offered.

use mc_types::{CheckpointEvery, JobSpec, Policy, SealedKey, TaskSpec, USUAL_PRIORITY};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use std::collections::BTreeMap;

/// [`JobSpec`] as others offer it: fields that are not known are skipped, which users of the HTTP API are told of
/// instead. Whoever makes something of a job a condition makes it one of placement, which is the coordinator's; what
/// changes the outcome belongs into the task, which stays strict.
#[derive(Deserialize)]
#[serde(remote = "JobSpec")]
struct Offered {
    task: TaskSpec,
    #[serde(default)]
    timeout_ms: Option<u64>,
    retries: u32,
    #[serde(default)]
    queue_timeout_ms: Option<u64>,
    #[serde(default = "usual_priority")]
    priority: u8,
    #[serde(default)]
    submitter: String,
    #[serde(default)]
    require: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "if_known")]
    policy: Option<Policy>,
    #[serde(default)]
    checkpoint_every: Option<CheckpointEvery>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    key: Option<SealedKey>,
}

const fn usual_priority() -> u8 {
    USUAL_PRIORITY
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Perhaps {
    Known(Option<Policy>),
    Unknown(IgnoredAny),
}

/// Reads a policy, which is of no concern to whoever runs the job.
fn if_known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Policy>, D::Error> {
    Ok(match Perhaps::deserialize(deserializer)? {
        Perhaps::Known(policy) => policy,
        Perhaps::Unknown(IgnoredAny) => None,
    })
}

/// Reads a job that is offered.
pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<JobSpec>, D::Error> {
    Offered::deserialize(deserializer).map(Box::new)
}
