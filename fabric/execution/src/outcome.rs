//! From what a task left to the statement of what it came to.

use crate::{attempt::Ended, error::ExecutionError, world::TaskOutputs};
use mc_content::Block;
use mc_types::{Cid, Completion, Outcome, canonical, cid};

/// States what the task with the CID `task` came to, and gives the block of the outcome.
///
/// # Errors
///
/// [`ExecutionError::Outcome`] and [`ExecutionError::Content`] when it cannot be encoded.
pub fn completion(
    task: Cid,
    ended: &Ended,
    outputs: TaskOutputs,
    (stdout, stderr): (Cid, Cid),
) -> Result<(Completion, Block), ExecutionError> {
    let outcome = Outcome {
        task,
        end: ended.end.clone(),
        stdout,
        stderr,
        outputs: outputs.outputs,
        dirs: outputs.dirs,
        fuel: ended.usage.fuel,
        meter: ended.meter,
    };
    let (outcome_cid, bytes) = canonical::encode(&outcome)?;
    let block = Block::encode(cid::DAG_CBOR, bytes)?;
    let completion = Completion {
        outcome_cid,
        outcome,
        usage: ended.usage,
    };
    Ok((completion, block))
}
