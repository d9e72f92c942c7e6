//! Keys of private tasks, as they come with leases.

use mc_content::TaskKey;
use mc_types::{Envelope, KeyId, Lease, TaskSpec};

/// Opens what is sealed to this node.
pub trait Keys: std::fmt::Debug + Send + Sync {
    /// The key that was sealed to this node for a lease; `None` if the envelope is for another node or another lease, or
    /// has not the key with this id.
    fn open(&self, envelope: &Envelope, lease: &Lease, id: KeyId) -> Option<TaskKey>;
}

/// The key that came with a lease; `None` for a task without one.
pub(crate) fn of_lease(
    keys: &dyn Keys,
    task: &TaskSpec,
    lease: &Lease,
    envelope: Option<&Envelope>,
) -> Result<Option<TaskKey>, &'static str> {
    let Some(private) = &task.private else {
        return Ok(None);
    };
    let envelope = envelope.ok_or("the task is private, and its key did not come along")?;
    keys.open(envelope, lease, private.key)
        .map(Some)
        .ok_or("the key of the task does not open")
}
