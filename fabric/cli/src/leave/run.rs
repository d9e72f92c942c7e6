//! What becomes of what a run changed.

use super::{
    OutputsReport, elsewhere,
    files::{GivenDirectory, Leaving},
};
use crate::failure::Failure;
use mc_execution::world::Seen;
use mc_wasi::Host;
use std::path::Path;

/// Writes `/out` to `out`, and changes the directories that were given as the guest did. What cannot be put there is put
/// elsewhere, and the failure says where.
pub(crate) fn leave_run(
    world: &mut Host,
    out: Option<&Path>,
    dirs: &[GivenDirectory],
    seen: &Seen,
) -> Result<OutputsReport, Failure> {
    let mut leaving = Leaving::new(world, dirs, seen);
    match leaving.put(out) {
        Ok(report) => Ok(OutputsReport {
            report,
            faults: leaving.faults,
        }),
        Err(failure) => Err(elsewhere::keep(&mut leaving, out.is_some(), failure)),
    }
}
