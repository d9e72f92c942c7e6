//! Files of one crate that use each other in a circle: none of them can be read, moved or tested without the others.
//!
//! A file uses another if it names something that is defined there: in a `use`, or by a path. Declaring a module and
//! re-exporting what it has is no use of it, and what only tests have does not count.

mod graph;
mod modules;
mod resolve;
mod tokens;

use anyhow::{Context, Result, bail};
use graph::{Graph, circles, way};
use mc_artifacts::root;
use modules::Modules;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Files, or all in a directory, that may use another one, which uses them: most often parts and the whole. And why.
const DELIBERATE: &[(&str, &str, &str)] = &[
    (
        "fabric/net/src/event_loop/",
        "fabric/net/src/event_loop.rs",
        "the parts of one task's state, each with the methods by which the whole serves it",
    ),
    (
        "fabric/coordinator/src/coordinator/",
        "fabric/coordinator/src/coordinator.rs",
        "the things that a coordinator does, each with the methods of the one handle",
    ),
    (
        "fabric/node/src/backend/",
        "fabric/node/src/backend.rs",
        "what the HTTP API is served from, with one file for each kind of question",
    ),
    (
        "fabric/cli/src/home.rs",
        "fabric/cli/src/client.rs",
        "a client whose node has ended finds the next one, which is asked who it is",
    ),
    (
        "fabric/cli/src/commands/run/",
        "fabric/cli/src/commands/run.rs",
        "the ways in which one command runs what it was given",
    ),
];

/// Reads every crate of the workspace and checks it.
pub(crate) fn check() -> Result<()> {
    let root = root();
    let read = |file: &Path| fs::read_to_string(root.join(file)).ok();
    let mut graph = Graph::new();
    for file in roots(&root)? {
        resolve::add_edges(&Modules::read(&file, &read), &mut graph);
    }
    let violations = violations(graph, DELIBERATE);
    if violations.is_empty() {
        return Ok(());
    }
    bail!("files use each other:\n  {}", violations.join("\n  "));
}

/// The files with which the crates of the workspace begin.
fn roots(root: &Path) -> Result<Vec<PathBuf>> {
    let manifest = fs::read_to_string(root.join("Cargo.toml")).context("Cargo.toml")?;
    let mut roots = Vec::new();
    for member in members(&manifest) {
        let src = Path::new(member).join("src");
        roots.extend(["lib.rs", "main.rs"].map(|name| src.join(name)));
        let programs = src.join("bin");
        if let Ok(entries) = root.join(&programs).read_dir() {
            for entry in entries {
                roots.push(programs.join(entry?.file_name()));
            }
        }
    }
    roots.retain(|file| root.join(file).is_file());
    Ok(roots)
}

/// The directories of the crates that a manifest of a workspace names.
fn members(manifest: &str) -> Vec<&str> {
    let after = manifest.split_once("members = [");
    let list = after.and_then(|(_, after)| after.split_once(']'));
    let list = list.map_or("", |(list, _)| list);
    list.split('"').skip(1).step_by(2).collect()
}

fn violations(mut graph: Graph, deliberate: &[(&str, &str, &str)]) -> Vec<String> {
    let mut violations = Vec::new();
    for (users, used, _) in deliberate {
        let is_circle = |(file, uses): (&String, &BTreeMap<String, String>)| {
            is_in(file, users) && uses.contains_key(*used) && way(&graph, used, file).is_some()
        };
        if !graph.iter().any(is_circle) {
            violations.push(format!(
                "{users} and {used} are in no circle: the table has one line too many"
            ));
        }
    }
    for (users, used, _) in deliberate {
        for (_, uses) in graph.iter_mut().filter(|(file, _)| is_in(file, users)) {
            uses.remove(*used);
        }
    }
    let circles = circles(&graph);
    violations.extend(circles.iter().map(|circle| text(&graph, circle)));
    violations
}

/// Whether a file is meant by its name or by that of a directory, which ends with a slash.
fn is_in(file: &str, place: &str) -> bool {
    file == place || (place.ends_with('/') && file.starts_with(place))
}

/// A circle as a way from file to file, each with one thing for which it is used.
fn text(graph: &Graph, circle: &[String]) -> String {
    let mut text = circle.first().cloned().unwrap_or_default();
    let ends = circle.iter().skip(1).chain(circle.first());
    for (from, to) in circle.iter().zip(ends) {
        let name = graph.get(from).and_then(|uses| uses.get(to));
        let name = name.map_or("", String::as_str);
        text.push_str(&format!(" → {to} ({name})"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found wrong in a crate of these files.
    fn wrong(files: &[(&str, &str)], deliberate: &[(&str, &str, &str)]) -> Vec<String> {
        let files: BTreeMap<_, _> = files.iter().copied().collect();
        let read = |file: &Path| files.get(file.to_str()?).map(ToString::to_string);
        let mut graph = Graph::new();
        let modules = Modules::read(Path::new("lib.rs"), &read);
        resolve::add_edges(&modules, &mut graph);
        violations(graph, deliberate)
    }

    #[test]
    fn a_circle_is_told_as_a_way_of_files() {
        let files = [
            ("lib.rs", "mod a;\nmod b;\nmod c;"),
            ("a.rs", "use crate::b::B;\npub struct A(B);"),
            ("b.rs", "use super::c;\npub struct B(c::C);"),
            (
                "c.rs",
                "pub struct C;\nimpl C { fn a(self) -> crate::a::A { todo!() } }",
            ),
        ];
        assert_eq!(
            wrong(&files, &[]),
            ["a.rs → b.rs (B) → c.rs (C) → a.rs (A)"]
        );
    }

    #[test]
    fn paths_lead_to_the_file_that_defines_what_they_name() {
        // By the re-exports of the root and of a parent, which are no uses themselves.
        let files = [
            (
                "lib.rs",
                "mod a;\nmod b;\npub use a::*;\npub use b::{self as bee, deep::Deep};",
            ),
            ("a.rs", "pub struct A(crate::Deep, crate::bee::Other);"),
            (
                "b.rs",
                "pub(crate) mod deep;\npub(crate) use deep::Deep as Other;\nuse crate::A;\nfn b(_: A) {}",
            ),
            ("b/deep.rs", "pub struct Deep;"),
        ];
        assert_eq!(wrong(&files, &[]), Vec::<String>::new());
        let back = ("b/deep.rs", "pub struct Deep(super::super::A);");
        let files = [files[0], files[1], files[2], back];
        assert_eq!(wrong(&files, &[]), ["a.rs → b/deep.rs (Deep) → a.rs (A)"]);
    }

    #[test]
    fn a_parent_that_uses_what_it_re_exports_is_part_of_a_circle() {
        let child = ("a.rs", "use super::{Kind, Kind::*};\npub struct A(Kind);");
        let unused = [("lib.rs", "mod a;\npub use a::A;\npub enum Kind {}"), child];
        assert_eq!(wrong(&unused, &[]), Vec::<String>::new());
        let used = [
            ("lib.rs", "mod a;\npub use a::A;\npub enum Kind { Of(A) }"),
            child,
        ];
        assert_eq!(wrong(&used, &[]), ["a.rs → lib.rs (Kind) → a.rs (A)"]);
    }

    #[test]
    fn fields_are_no_paths_and_attributes_and_ends_of_ranges_may_be() {
        let other = ("b.rs", "use crate::a::A;\npub struct B(A);");
        let uses = |text| wrong(&[("lib.rs", "mod a;\nmod b;"), ("a.rs", text), other], &[]);
        let is_free = Vec::<String>::new();
        assert_eq!(uses("pub struct A;\nfn f(x: X) { x.b.B(); }"), is_free);
        assert_eq!(
            uses("pub struct A;\nfn f() { g(0..crate::b::B); }").len(),
            1
        );
        assert_eq!(uses("#[error(max = crate::b::B)]\npub struct A;").len(), 1);
    }

    #[test]
    fn what_only_tests_have_does_not_count() {
        let tests = "#[cfg(test)]\nmod tests { use crate::b::B; fn f<T, U>(_: B) {} }
            #[cfg(test)] #[expect(dead_code)] fn g<T, U>(_: crate::b::B) {}
            #[cfg(test)] use crate::b::{B, C};
            pub struct A { #[cfg(test)] b: crate::b::B, a: u8 }
            // crate::b::B
            const TEXT: &str = \"crate::b::B\";";
        let files = [
            ("lib.rs", "mod a;\nmod b;"),
            ("a.rs", tests),
            ("b.rs", "pub struct B(crate::a::A);"),
        ];
        assert_eq!(wrong(&files, &[]), Vec::<String>::new());
    }

    #[test]
    fn a_line_of_the_table_lasts_as_long_as_its_circle() {
        let parent = ("lib.rs", "mod a;\nfn f() { a::f(); }\npub struct P;");
        let files = [parent, ("a.rs", "pub fn f(_: super::P) {}")];
        let table = [("a.rs", "lib.rs", "a reason")];
        assert_eq!(wrong(&files, &[]).len(), 1);
        assert_eq!(wrong(&files, &table), Vec::<String>::new());
        let opened = [parent, ("a.rs", "pub fn f() {}")];
        assert_eq!(wrong(&opened, &table).len(), 1);
        let deeper = [
            ("lib.rs", "mod a;"),
            ("a.rs", "mod b;\nfn f(_: b::B) {}\npub struct A;"),
            ("a/b.rs", "pub struct B(super::A);"),
        ];
        let parts = [("a/", "a.rs", "a reason")];
        assert_eq!(wrong(&deeper, &parts), Vec::<String>::new());
    }

    #[test]
    fn members_are_those_of_the_workspace() {
        let manifest =
            "[workspace]\nmembers = [\n  \"a/b\",\n  \"c\",\n]\ndefault-members = [\"c\"]";
        assert_eq!(members(manifest), ["a/b", "c"]);
    }
}
