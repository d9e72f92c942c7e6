//! Entries of a directory mounted as `/` that a task does not see.

use crate::{inputs::Dirs, output};
use mc_execution::world;
use mc_options::Global;
use mc_types::{Determinism, TaskSpec};

/// Says which entries of the user's directory lie beneath what the task has of its own.
pub(crate) fn tell(global: &Global, dirs: &Dirs, determinism: Determinism) {
    let Some(root) = dirs.get(TaskSpec::ROOT) else {
        return;
    };
    let own = world::above_root(dirs.keys());
    let is_of_this_machine = |name: &str| {
        // A relaxed run has them from here, unless they are given it.
        let is_given = dirs.keys().any(|dir| world::from_root(dir) == name);
        determinism == Determinism::Relaxed && matches!(name, "dev" | "tmp") && !is_given
    };
    let is_hidden =
        |name: &String| !is_of_this_machine(name) && root.join(name).symlink_metadata().is_ok();
    let hidden: Vec<_> = own.into_iter().filter(is_hidden).collect();
    if !hidden.is_empty() {
        let (root, hidden) = (root.display(), hidden.join(", "));
        let note = format!(
            "the task has a directory of its own in the place of these in {root}: {hidden}"
        );
        output::note(global, &note);
    }
}
