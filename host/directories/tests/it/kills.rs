//! Several host directories, processes that die, and what others find then.

use crate::{
    host::{Entry, listed},
    scratch,
};
use mc_directories::{Error, Fingerprint, Report, Transaction, recover, steps::on_step};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

/// Where the process that is to die works, and at which step it does.
const TASK: &str = "MC_DIRECTORIES_TEST_TASK";

type Trees = [BTreeMap<String, Entry>; 2];

fn roots(base: &Path) -> [PathBuf; 2] {
    ["first", "second"].map(|name| base.join(name))
}

fn build(base: &Path) {
    for root in roots(base) {
        fs::create_dir_all(root.join("dir/sub")).unwrap();
        for name in ["changed", "removed", "a", "b", "dir/in"] {
            fs::write(root.join(name), format!("old {name}")).unwrap();
        }
    }
}

/// The same changes in both.
fn commit(base: &Path) -> Result<Report, Error> {
    let mut transaction = Transaction::new();
    for root in roots(base) {
        let seen = |place: &str| Fingerprint::of(&root.join(place)).unwrap().unwrap();
        let (a, b, dir) = (seen("a"), seen("b"), seen("dir"));
        let (changed, removed) = (seen("changed"), seen("removed"));
        let id = transaction.directory(&root)?;
        transaction.put_file(id, Path::new("changed"), Some(&changed), None, |file| {
            file.write_all(b"new changed")
        })?;
        transaction.put_file(id, Path::new("made"), None, None, |file| {
            file.write_all(b"new made")
        })?;
        transaction.remove(id, Path::new("removed"), &removed)?;
        transaction.rename(id, Path::new("a"), Path::new("b"), &a, Some(&b))?;
        transaction.rename(id, Path::new("b"), Path::new("a"), &b, Some(&a))?;
        transaction.rename(id, Path::new("dir"), Path::new("moved"), &dir, None)?;
    }
    transaction.commit()
}

fn texts(base: &Path) -> [Vec<(String, Option<String>)>; 2] {
    let trees: Trees = roots(base).map(|root| listed(&root));
    trees.map(|tree| {
        tree.into_iter()
            .map(|(place, it)| (place, it.text))
            .collect()
    })
}

/// Nothing is done from step `at` on; gives what `run` says and whether that step was reached.
fn dying<T>(at: usize, run: impl FnOnce() -> T) -> (T, bool) {
    let died = std::rc::Rc::new(std::cell::Cell::new(false));
    let (flag, mut step) = (std::rc::Rc::clone(&died), 0);
    on_step(Some(Box::new(move |_| {
        step += 1;
        flag.set(step >= at);
        match step >= at {
            true => Err(io::Error::from_raw_os_error(5)),
            false => Ok(()),
        }
    })));
    let result = run();
    on_step(None);
    (result, died.get())
}

fn outcome(changed: bool) -> [Vec<(String, Option<String>)>; 2] {
    let base = scratch();
    build(base.path());
    if changed {
        assert_eq!(commit(base.path()).unwrap().changed, 12);
    }
    texts(base.path())
}

#[test]
fn both_directories_change_or_neither_at_whichever_step_it_dies() {
    let (old, new) = (outcome(false), outcome(true));
    let mut seen_new = false;
    for at in 1.. {
        let base = scratch();
        build(base.path());
        let (_, died) = dying(at, || commit(base.path()));
        // Either directory may be the one that is used next.
        let mut order = roots(base.path());
        if at % 2 == 0 {
            order.reverse();
        }
        let _ = dying(at % 97 + 1, || recover(&order[0]));
        recover(&order[0]).unwrap();
        let mut now = texts(base.path());
        for tree in &mut now {
            // Of what is complete, the rest may wait.
            tree.retain(|(place, _)| !place.starts_with(".mc-wasm"));
        }
        recover(&order[1]).unwrap();
        let after = texts(base.path());
        assert!(after == new || after == old, "step {at}: {after:#?}");
        assert!(
            after == old || now == new,
            "step {at}: only one was finished: {now:#?}"
        );
        assert!(!seen_new || after == new, "step {at}: after the commit");
        seen_new |= after == new;
        if !died {
            break;
        }
    }
    assert!(seen_new);
}

#[test]
fn a_full_disk_before_the_commit_leaves_everything_as_it_was() {
    let old = outcome(false);
    let mut commits = 0;
    for at in 1..1000 {
        let base = scratch();
        build(base.path());
        let mut step = 0;
        on_step(Some(Box::new(move |_| {
            step += 1;
            match step == at {
                true => Err(io::Error::from_raw_os_error(28)),
                false => Ok(()),
            }
        })));
        let result = commit(base.path());
        on_step(None);
        match result {
            Ok(_) => commits += 1,
            Err(Error::Unfinished { .. }) => {
                for root in roots(base.path()) {
                    recover(&root).unwrap();
                }
                assert_eq!(texts(base.path()), outcome(true), "step {at}");
            }
            Err(_) => assert_eq!(texts(base.path()), old, "step {at}"),
        }
        if commits > 3 {
            break;
        }
    }
    assert!(commits > 3);
}

#[test]
fn a_second_directory_waits_while_the_first_cannot_be_reached() {
    let new = outcome(true);
    let base = scratch();
    build(base.path());
    stopped_at_commit(base.path());
    let [first, second] = roots(base.path());
    let away = base.path().join("away");
    for (gone, here) in [(&first, &second), (&second, &first)] {
        fs::rename(gone, &away).unwrap();
        fs::create_dir(gone).unwrap();
        let reports = recover(here).unwrap();
        assert_eq!(reports[0].pending, [gone.canonicalize().unwrap()]);
        fs::remove_dir(gone).unwrap();
        fs::rename(&away, gone).unwrap();
    }
    recover(&second).unwrap();
    recover(&first).unwrap();
    assert_eq!(texts(base.path()), new);
}

/// Dies just after the commit.
fn stopped_at_commit(base: &Path) {
    let mut is_committed = false;
    on_step(Some(Box::new(move |name| {
        is_committed |= name == "committed";
        match is_committed {
            true => Err(io::Error::from_raw_os_error(5)),
            false => Ok(()),
        }
    })));
    assert!(matches!(commit(base), Err(Error::Unfinished { .. })));
    on_step(None);
}

#[test]
fn devices_may_have_other_numbers_when_the_machine_has_started_again() {
    let base = scratch();
    build(base.path());
    stopped_at_commit(base.path());
    for root in roots(base.path()) {
        let now = root.metadata().unwrap().dev();
        let journal = listed(&root)
            .into_keys()
            .find(|place| place.ends_with("/journal"))
            .unwrap();
        let text = fs::read_to_string(root.join(&journal)).unwrap();
        let text = text.replace(&format!("\"device\":{now},"), "\"device\":77,");
        let text = text.replace(&format!("\"dev\":{now},"), "\"dev\":77,");
        assert!(!text.contains(&format!(":{now},")), "{text}");
        fs::write(root.join(journal), text).unwrap();
    }
    let reports = recover(&roots(base.path())[0]).unwrap();
    assert!(reports.iter().all(|report| report.conflicts.is_empty()));
    assert_eq!(texts(base.path()), outcome(true));
}

#[test]
fn a_journal_from_elsewhere_is_not_obeyed() {
    let base = scratch();
    build(base.path());
    stopped_at_commit(base.path());
    let victim = base.path().join("victim");
    let status = Command::new("cp")
        .arg("-a")
        .args([&roots(base.path())[0], &victim])
        .status();
    assert!(status.unwrap().success());
    let before = listed(&victim);
    assert_eq!(recover(&victim).unwrap()[0].pending.len(), 1);
    assert_eq!(listed(&victim), before);
}

/// Where the journal in `root` is.
fn journal_in(root: &Path) -> String {
    let mut places = listed(root).into_keys();
    places.find(|place| place.ends_with("/journal")).unwrap()
}

#[test]
fn a_journal_that_names_what_no_transaction_could_is_not_obeyed() {
    let base = scratch();
    build(base.path());
    stopped_at_commit(base.path());
    let [first, second] = roots(base.path());
    let victim = second.join("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("lock"), "the user's").unwrap();
    let (journal, other) = (first.join(journal_in(&first)), journal_in(&second));
    let (other, _) = other.split_once('/').unwrap();
    let text = fs::read_to_string(&journal).unwrap();
    for forged in [
        text.replace("\"place\":\"made\"", "\"place\":\"../made\""),
        text.replace(other, "victim"),
    ] {
        assert_ne!(forged, text);
        fs::write(&journal, forged).unwrap();
        let before = listed(base.path());
        assert_eq!(recover(&first).unwrap()[0].pending.len(), 1);
        assert_eq!(listed(base.path()), before);
    }
    fs::write(&journal, text).unwrap();
    recover(&first).unwrap();
    assert!(first.join("made").exists() && victim.join("lock").exists());
}

#[test]
fn what_only_has_the_name_of_a_staging_directory_stays_and_is_in_nobodys_way() {
    let shapes: [&[&str]; 8] = [
        &["lock/"],
        &["lock", "notes"],
        &["lock", "journal"],
        &["lock", "slots"],
        &["lock", "slots/", "journal/"],
        &["lock", "slots/notes"],
        &["lock", "slots/0/file"],
        &["notes"],
    ];
    for shape in shapes {
        let base = scratch();
        let theirs = base.path().join(".mc-wasm-staging-abc123");
        for place in shape {
            let path = theirs.join(place);
            if place.ends_with('/') {
                fs::create_dir_all(path).unwrap();
                continue;
            }
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "theirs").unwrap();
        }
        let before = listed(base.path());
        let reports = recover(base.path()).unwrap();
        assert!(reports.is_empty(), "{shape:?}: {reports:?}");
        assert_eq!(listed(base.path()), before, "{shape:?}");
    }
}

#[test]
fn a_process_that_is_really_killed_leaves_what_can_be_recovered() {
    let (old, new) = (outcome(false), outcome(true));
    let mut found = [0, 0];
    for at in (1..260).step_by(4) {
        let base = scratch();
        build(base.path());
        let mut task = OsString::from(format!("{at}:"));
        task.push(base.path());
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kills::dies_where_it_is_told_to", "--nocapture"])
            .env(TASK, task)
            .output()
            .unwrap()
            .status;
        for root in roots(base.path()) {
            recover(&root).unwrap();
        }
        let after = texts(base.path());
        assert!(
            after == new || after == old,
            "step {at}: {status} {after:#?}"
        );
        found[usize::from(after == new)] += 1;
    }
    assert!(found.iter().all(|count| *count > 5), "{found:?}");
}

/// Not a test by itself: what [`a_process_that_is_really_killed_leaves_what_can_be_recovered`] starts.
#[test]
fn dies_where_it_is_told_to() {
    let Some(task) = std::env::var_os(TASK) else {
        return;
    };
    let (at, base) = task.to_str().unwrap().split_once(':').unwrap();
    let mut left: usize = at.parse().unwrap();
    on_step(Some(Box::new(move |_| {
        left -= 1;
        if left == 0 {
            let me = rustix::process::getpid();
            rustix::process::kill_process(me, rustix::process::Signal::KILL).unwrap();
        }
        Ok(())
    })));
    let _ = commit(Path::new(base));
    on_step(None);
}
