//! The key of a private task, and those that follow from it.

use crate::Key;
use mc_types::KeyId;

/// The key of a private task. Everything that belongs to the task has a key of its own, by its place.
#[derive(Debug, Clone)]
pub struct TaskKey(Key);

impl TaskKey {
    /// The name of standard output among the results.
    pub const STDOUT: &str = "/dev/stdout";
    /// And to its standard error.
    pub const STDERR: &str = "/dev/stderr";

    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(Key::generate())
    }

    /// The key that was told; `None` when it has another length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Key::from_bytes(bytes).map(Self)
    }

    /// The secret itself.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// By what it is known to those who do not have it.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.0.id()
    }

    /// Of what the guest finds at `path` when it begins.
    #[must_use]
    pub fn given(&self, path: &str) -> Key {
        self.0.below("given").below(path)
    }

    /// For the result at `path`: `/out`, a directory of the task's own, [`Self::STDOUT`], [`Self::STDERR`].
    #[must_use]
    pub fn result(&self, path: &str) -> Key {
        self.0.below("results").below(path)
    }

    /// Of its checkpoints.
    #[must_use]
    pub fn checkpoints(&self) -> Key {
        self.0.below("checkpoints")
    }

    /// For the guest's output that the gateway passes on.
    #[must_use]
    pub fn logs(&self) -> Key {
        self.0.below("logs")
    }
}
