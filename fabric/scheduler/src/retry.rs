//! When a job may be tried again.

use mc_types::{JobId, Timestamp};
use std::time::Duration;

/// Doublings after which the pause no longer grows, whatever its cap.
const MAX_DOUBLINGS: u32 = 20;

/// The pause before the attempt that follows `failures` failures: it doubles from `base` to `cap`,
/// and a quarter of it depends on the job, so that jobs that failed together do not return together.
pub(crate) fn pause(base: Duration, cap: Duration, job: JobId, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(MAX_DOUBLINGS);
    let pause = base.saturating_mul(1 << doublings).min(cap);
    pause - pause.mul_f64(0.25 * fraction(job, failures))
}

/// A number from 0 to 1 that depends on nothing but its arguments (FNV-1a, 64 bit).
fn fraction(job: JobId, failures: u32) -> f64 {
    let text = format!("{job}{failures}");
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    f64::from(u32::try_from(hash >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

/// The instant after such a pause.
pub(crate) fn not_before(
    now: Timestamp,
    base: Duration,
    cap: Duration,
    job: JobId,
    failures: u32,
) -> Timestamp {
    now.plus(pause(base, cap, job, failures))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_with_a_quarter_of_jitter() {
        let (base, cap) = (Duration::from_millis(100), Duration::from_secs(30));
        for failures in 1..40 {
            let full = base.saturating_mul(1 << (failures - 1).min(20)).min(cap);
            for n in 0..50 {
                let job = JobId::new(Timestamp::from_millis(1), n);
                let pause = pause(base, cap, job, failures);
                assert!(
                    pause <= full && pause >= full.mul_f64(0.74),
                    "{pause:?} of {full:?}"
                );
            }
        }
    }
}
