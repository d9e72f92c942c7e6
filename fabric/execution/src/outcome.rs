//! From a task's results to its outcome.

use crate::{attempt::Ended, error::ExecutionError, world::TaskOutputs};
use mc_content::Block;
use mc_types::{Cid, Completion, Outcome, canonical, cid};

/// Makes the outcome of the task with the CID `task`, and its block.
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
