//! Transactions on a real disk: what the host did meanwhile, kills at every step, full disks.

#![expect(
    clippy::unwrap_used,
    reason = "a failed expectation is how a test fails"
)]
#![expect(clippy::indexing_slicing, reason = "that is how a test fails")]

mod fixture;
mod host;
mod kills;
mod property;
mod rules;
mod scenario;

/// A directory for a test, in memory where there is such a file system: the tests are about order,
/// not about the speed of a disk.
fn scratch() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    tempfile::tempdir_in(memory)
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// Does something once, just before the first step of that name.
fn at_step(step: &'static str, act: impl FnOnce() + 'static) {
    let mut act = Some(act);
    mc_directories::steps::on_step(Some(Box::new(move |name| {
        if let Some(act) = act.take_if(|_| name == step) {
            act();
        }
        Ok(())
    })));
}
