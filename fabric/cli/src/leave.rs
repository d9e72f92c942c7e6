//! Writing to disk what a task left: `/out`, and what it changed in the user's own directories.
//!
//! `mc_directories` does it, so that nothing of the user's is lost. Here is found out what was changed: of a run, from
//! the guest's files ([`files`]); of a job, from what it was given and what it left ([`dag`]).

mod content;
mod dag;
mod elsewhere;
mod files;
mod recall;
mod run;

pub(crate) use dag::{Changed, leave_job};
pub(crate) use files::GivenDirectory;
pub(crate) use recall::recall;
pub(crate) use run::leave_run;

use crate::{exit, failure::Failure, inputs::Dirs, links, output, terminal};
use mc_directories::{DirectoryId, Fingerprint, Report, Transaction};
use mc_execution::world::Seen;
use mc_options::{Format, Global};
use mc_types::{ErrorCode, with_causes};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Finishes what an earlier command that was killed had begun to write into these directories.
pub(crate) fn recover<'p>(
    global: &Global,
    hosts: impl IntoIterator<Item = &'p PathBuf>,
) -> Result<(), Failure> {
    for host in hosts {
        for report in mc_directories::recover(host).map_err(failed)? {
            let changed = report.changed;
            if changed > 0 {
                let host = host.display();
                let note = format!("{host}: finished {changed} changes that a command left undone");
                output::note(global, &note);
            }
            tell(&report.into(), global.format == Format::Json);
        }
    }
    Ok(())
}

/// Refuses directories of which one would be changed through another, before anything runs. `/out` may lie in one of them.
pub(crate) fn check(out: Option<&Path>, dirs: &Dirs) -> Result<(), Failure> {
    // What is not there yet cannot be one of the others.
    let real = |path: &Path| path.canonicalize().ok();
    let mut dirs: Vec<_> = dirs.values().filter_map(|dir| real(dir)).collect();
    dirs.sort();
    let nested = dirs.windows(2).find(|pair| match pair {
        [outer, inner] => inner.starts_with(outer),
        _ => false,
    });
    let out = out.and_then(real).filter(|out| dirs.contains(out));
    let message = match (nested, out) {
        (Some([outer, inner]), _) => {
            let (outer, inner) = (outer.display(), inner.display());
            format!("--dir: {inner} is given twice, or lies in {outer}")
        }
        (_, Some(out)) => format!("--out and --dir are both {}", out.display()),
        _ => return Ok(()),
    };
    Err(Failure::usage(message).with_hint("give each directory once, the outer one only"))
}

/// What became of what a task left.
#[derive(Debug, Default)]
pub(crate) struct OutputsReport {
    report: Report,
    /// What else is not as the task left it.
    faults: Vec<Fault>,
}

/// A place that is not as the task left it, and why.
#[derive(Debug)]
struct Fault {
    place: PathBuf,
    reason: String,
}

impl From<Report> for OutputsReport {
    fn from(report: Report) -> Self {
        Self {
            report,
            faults: Vec::new(),
        }
    }
}

/// Reports what could not be put in its place, even with `--quiet`.
fn tell(left: &OutputsReport, json: bool) {
    let report = &left.report;
    let shown = |text: String| {
        // JSON has escapes of its own.
        if json {
            return text;
        }
        terminal::escaped(&text).into_owned()
    };
    let name = |path: &Path| shown(path.display().to_string());
    let say = |text: String| {
        if json {
            Failure::new(ErrorCode::Conflict, text).report(json);
        } else {
            output::error(&text);
        }
    };
    for conflict in &report.conflicts {
        let (place, reason) = (name(&conflict.place), &conflict.reason);
        let kept = match &conflict.kept {
            Some(place) => format!("what was to be there is {}", name(place)),
            None => "it was left as it is".to_owned(),
        };
        say(format!("conflict: {place}: {reason}; {kept}"));
    }
    for Fault { place, reason } in &left.faults {
        // It may name another file.
        let reason = shown(reason.clone());
        say(format!("conflict: {}: {reason}", name(place)));
    }
    links::tell(&report.left_out, links::LEADS_OUT, None);
    for pending in &report.pending {
        let pending = name(pending);
        say(format!("{pending}: cannot be reached; it is changed later"));
    }
}

/// The exit code of a task that ended with `code`, once what it left is written, or could not be. A task that failed
/// keeps its own.
pub(crate) fn conclude(
    json: bool,
    code: ExitCode,
    left: Result<OutputsReport, Failure>,
) -> ExitCode {
    let succeeded = code == ExitCode::SUCCESS;
    match left {
        Ok(left) => {
            tell(&left, json);
            let is_clean = left.report.conflicts.is_empty() && left.faults.is_empty();
            if succeeded && !is_clean {
                return ExitCode::from(exit::CONFLICT);
            }
            code
        }
        Err(failure) => {
            let reported = failure.report(json);
            if succeeded { reported } else { code }
        }
    }
}

fn failed(error: mc_directories::Error) -> Failure {
    Failure::new(ErrorCode::Path, with_causes(&error))
}

/// Adds directories to a transaction, each before the directories inside it.
fn register<'p>(
    transaction: &mut Transaction,
    hosts: impl Iterator<Item = &'p Path>,
) -> Result<(), Failure> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut hosts: Vec<_> = hosts.map(real).collect();
    hosts.sort();
    for host in hosts {
        transaction.directory(&host).map_err(failed)?;
    }
    Ok(())
}

/// One of the user's directories, and what the guest saw of it.
struct Directory<'a> {
    transaction: &'a mut Transaction,
    id: DirectoryId,
    seen: &'a Seen,
    mount: u32,
    host: &'a Path,
}

impl Directory<'_> {
    /// What the guest saw at a place that is to be something else, if that can simply be replaced. A directory has to be
    /// emptied; with `stays` it is to be one again.
    fn replaced(
        &mut self,
        base: Option<&str>,
        renamed: &BTreeSet<String>,
        stays: bool,
    ) -> Result<Option<Fingerprint>, Failure> {
        // What was renamed leaves its place free.
        let Some(base) = base.filter(|base| !renamed.contains(*base)) else {
            return Ok(None);
        };
        let was = self.seen.get(self.mount, base);
        if !was.as_ref().is_some_and(Fingerprint::is_directory) {
            return Ok(was);
        }
        if stays {
            self.remove_below(base, renamed)?;
        } else {
            self.remove(base, renamed)?;
        }
        Ok(None)
    }

    /// Removes what the guest saw at `base` and below it, except renamed entries.
    fn remove(&mut self, base: &str, renamed: &BTreeSet<String>) -> Result<(), Failure> {
        self.remove_below(base, renamed)?;
        if let Some(was) = self.seen.get(self.mount, base) {
            let removed = self.transaction.remove(self.id, Path::new(base), &was);
            removed.map_err(failed)?;
        }
        Ok(())
    }

    fn remove_below(&mut self, base: &str, renamed: &BTreeSet<String>) -> Result<(), Failure> {
        for (path, was) in self.seen.below(self.mount, base) {
            // What `base` is in may have another name now, too, but that did not take along what was removed.
            let above = Path::new(&path).ancestors().filter_map(Path::to_str);
            let mut above = above.take_while(|path| *path != base);
            if above.any(|path| renamed.contains(path)) {
                continue;
            }
            let removed = self.transaction.remove(self.id, Path::new(&path), &was);
            removed.map_err(failed)?;
        }
        Ok(())
    }

    fn put_link(
        &mut self,
        place: &Path,
        target: &str,
        was: Option<&Fingerprint>,
    ) -> Result<(), Failure> {
        let put = self
            .transaction
            .put_link(self.id, place, Path::new(target), was);
        put.map_err(failed)
    }

    fn make_directory(
        &mut self,
        place: &Path,
        was: Option<&Fingerprint>,
        like: Option<&Fingerprint>,
    ) -> Result<(), Failure> {
        let made = self.transaction.make_directory(self.id, place, was, like);
        made.map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault() -> OutputsReport {
        OutputsReport {
            faults: vec![Fault {
                place: "/d/f".into(),
                reason: "it was changed".to_owned(),
            }],
            ..OutputsReport::default()
        }
    }

    #[test]
    fn a_task_keeps_its_own_exit_code_and_a_success_does_not_hide_what_is_lost() {
        let (success, own) = (ExitCode::SUCCESS, ExitCode::from(3));
        assert_eq!(
            conclude(false, success, Ok(OutputsReport::default())),
            success
        );
        assert_eq!(
            conclude(false, success, Ok(fault())),
            ExitCode::from(exit::CONFLICT)
        );
        assert_eq!(conclude(false, own, Ok(fault())), own);
        let full = || Err(Failure::new(ErrorCode::Storage, "the disk is full"));
        assert_eq!(
            conclude(false, success, full()),
            ExitCode::from(exit::INFRASTRUCTURE)
        );
        assert_eq!(conclude(true, own, full()), own);
    }

    #[test]
    fn no_directory_is_changed_through_another() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("outer/inner")).unwrap();
        std::fs::create_dir(at("outermost")).unwrap();
        let dirs = |hosts: &[&str]| -> Dirs {
            let hosts = hosts.iter().map(|host| (format!("/{host}"), at(host)));
            hosts.collect()
        };
        check(None, &dirs(&["outer", "outermost"])).unwrap();
        check(Some(&at("outer/inner")), &dirs(&["outer"])).unwrap();
        for hosts in [&["outer", "outer/inner"][..], &["outer", "outer/../outer"]] {
            let refused = check(None, &dirs(hosts)).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::Usage, "{hosts:?}");
        }
        let both = check(Some(&at("outer/.")), &dirs(&["outer"])).unwrap_err();
        assert!(both.message().contains("--out and --dir"), "{both:?}");
    }
}
