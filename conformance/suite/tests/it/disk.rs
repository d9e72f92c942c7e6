//! Disks that are soon full.

use std::path::Path;

/// A file system of a few megabytes, made for one test.
pub(crate) struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    pub(crate) fn mount(at: &'a Path, megabytes: u32) -> Self {
        mount(at, &format!("size={megabytes}m"));
        Self(at)
    }

    pub(crate) fn resize(&self, megabytes: u32) {
        mount(self.0, &format!("remount,size={megabytes}m"));
    }
}

/// With its source named, a mount has no other options than these: in a user namespace some of those in force cannot be
/// set again.
fn mount(at: &Path, options: &str) {
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", options, "tmpfs"])
        .arg(at)
        .status()
        .expect("mount can be started");
    assert!(mounted.success(), "{options}: this test mounts a tmpfs");
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // Lazily, since a node that was killed may still be going away.
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(self.0)
            .status();
    }
}
