//! Jobs as they are offered.

use mc_types::{CheckpointEvery, JobSpec, Policy, SealedKey, TaskSpec, USUAL_PRIORITY};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use std::collections::BTreeMap;

/// [`JobSpec`] as other nodes offer it. Unknown fields are skipped here, while the HTTP API refuses them. Skipping is
/// safe: the coordinator checks new conditions on where a job runs, in placement, and anything that changes the outcome
/// belongs in the task, which stays strict.
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

/// Reads a policy. An unknown policy is skipped, since it does not matter to the node that runs the job.
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
