//! The differences between the inputs of a resumed run and those at its beginning.

use crate::output;
use mc_types::{Cid, TaskSpec};
use std::collections::{BTreeMap, BTreeSet};

/// What differs, and how to give it as it was.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Differences {
    what: Vec<String>,
    flags: Vec<String>,
}

impl Differences {
    pub(super) fn between(had: &TaskSpec, given: &TaskSpec) -> Self {
        let mut all = Self::default();
        all.named((&had.inputs, &given.inputs), "the input", |name| {
            format!("--input {}", output::quoted(&format!("{name}=PATH")))
        });
        all.named((&had.dirs, &given.dirs), "the directory", |guest| {
            format!("--dir {}", output::quoted(&format!("HOST::{guest}")))
        });
        let stdin = (had.stdin.as_ref(), given.stdin.as_ref());
        all.one(stdin, "standard input", "--stdin FILE".to_owned());
        all
    }

    fn named(
        &mut self,
        (had, given): (&BTreeMap<String, Cid>, &BTreeMap<String, Cid>),
        what: &str,
        flag: impl Fn(&str) -> String,
    ) {
        let names: BTreeSet<&String> = had.keys().chain(given.keys()).collect();
        for name in names {
            let cids = (had.get(name), given.get(name));
            self.one(cids, &format!("{what} {name}"), flag(name));
        }
    }

    fn one(&mut self, (had, given): (Option<&Cid>, Option<&Cid>), what: &str, flag: String) {
        let how = match (had, given) {
            (Some(_), None) => "is missing",
            (None, Some(_)) => "is new",
            (had, given) if had != given => "is not as it was",
            _ => return,
        };
        self.what.push(format!("{what} {how}"));
        if had.is_some() {
            self.flags.push(flag);
        }
    }

    /// In words, after a colon; empty if no input differs.
    pub(super) fn in_words(&self) -> String {
        match self.what.is_empty() {
            true => String::new(),
            false => format!(": {}", self.what.join(", ")),
        }
    }

    /// What to do about it.
    pub(super) fn hint(&self) -> String {
        match self.flags.is_empty() {
            true => "give what the run had, and no more: --input, --dir, --stdin".to_owned(),
            false => format!("give what the run had: {}", self.flags.join(" ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::cid::{RAW, of};

    fn task(inputs: &[(&str, &[u8])], stdin: Option<&[u8]>, dirs: &[(&str, &[u8])]) -> TaskSpec {
        let named = |all: &[(&str, &[u8])]| {
            let each = all.iter();
            each.map(|(name, bytes)| ((*name).to_owned(), of(RAW, bytes)))
                .collect()
        };
        TaskSpec {
            inputs: named(inputs),
            stdin: stdin.map(|bytes| of(RAW, bytes)),
            dirs: named(dirs),
            ..TaskSpec::wasm(Cid::default())
        }
    }

    #[test]
    fn what_is_missing_or_another_is_named_with_its_flag() {
        let had = task(
            &[("a", b"1"), ("b", b"2")],
            Some(b"typed"),
            &[("/w", b"tree")],
        );
        assert_eq!(Differences::between(&had, &had), Differences::default());
        let given = task(&[("a", b"1"), ("b", b"3"), ("c", b"4")], None, &[]);
        let differences = Differences::between(&had, &given);
        assert_eq!(
            differences.in_words(),
            ": the input b is not as it was, the input c is new, the directory /w is missing, \
             standard input is missing"
        );
        assert_eq!(
            differences.hint(),
            "give what the run had: --input b=PATH --dir HOST::/w --stdin FILE"
        );
    }
}
