//! Keeping files outside of memory that were read from a checkpoint.

use super::{data::HELD_BYTES, node::NodeKind, tree::FileSystem};
use crate::{Inputs, Stop};

impl FileSystem {
    /// Keeps what was written outside of memory, if it has no room there.
    pub(crate) fn store(&mut self, inputs: &mut dyn Inputs) -> Result<(), Stop> {
        if self.used().bytes <= HELD_BYTES {
            return Ok(());
        }
        let Some(storage) = inputs.storage() else {
            return Ok(());
        };
        for node in self.nodes.values_mut() {
            if let NodeKind::File(data) = &mut node.kind {
                data.store(&storage)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
