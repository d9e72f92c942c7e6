//! Where the paths of a module lead.

use super::{
    graph::Graph,
    modules::{Module, Modules, Use},
};
use std::path::Path;

/// Re-exports that are followed one after the other. Names that import themselves would go on forever.
const MAX_DEPTH: usize = 8;

/// What a path leads to.
enum Found {
    Module(usize),
    /// Something in a module, by its name there.
    Item(usize, String),
}

/// Adds which files of a crate use which. Re-exports alone are no use: whoever follows them uses what they lead to.
pub(super) fn add_edges(modules: &Modules, graph: &mut Graph) {
    for (index, module) in modules.all() {
        let imports = module.uses.iter().filter(|used| is_used(module, used));
        let paths = imports.map(|used| &used.path).chain(&module.paths);
        for path in paths {
            add_edge(modules, index, path, graph);
        }
        for used in &module.uses {
            if let (None, false) = (&used.name, used.is_public)
                && let Some(Found::Module(other)) = resolve(modules, index, &used.path, MAX_DEPTH)
            {
                insert(modules, index, other, "*", graph);
            }
        }
    }
}

/// Whether a module itself has a use for what it imports, or only others have.
fn is_used(module: &Module, used: &Use) -> bool {
    let Some(name) = &used.name else {
        return true;
    };
    let begins = |path: &Vec<String>| path.first() == Some(name);
    !used.is_public || module.words.contains(name) || module.paths.iter().any(begins)
}

fn add_edge(modules: &Modules, from: usize, path: &[String], graph: &mut Graph) {
    if let Some(Found::Item(to, name)) = resolve(modules, from, path, MAX_DEPTH) {
        insert(modules, from, to, &name, graph);
    }
}

fn insert(modules: &Modules, from: usize, to: usize, name: &str, graph: &mut Graph) {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    if let (Some(from), Some(to)) = (modules.get(from), modules.get(to))
        && from.file != to.file
    {
        let uses = graph.entry(text(&from.file)).or_default();
        uses.entry(text(&to.file))
            .or_insert_with(|| name.to_owned());
    }
}

/// Follows a path, unless it leads out of the crate.
fn resolve(modules: &Modules, from: usize, path: &[String], depth: usize) -> Option<Found> {
    let depth = depth.checked_sub(1)?;
    let (mut at, mut rest) = begin(modules, from, path, depth)?;
    while let Some((name, after)) = rest.split_first() {
        let module = modules.get(at)?;
        if let Some(child) = module.children.get(name) {
            at = *child;
        } else if module.definitions.contains(name) {
            return Some(Found::Item(at, name.clone()));
        } else {
            match imported(modules, at, name, depth) {
                Some(Found::Module(other)) => at = other,
                Some(item) => return Some(item),
                // Of another library, or what a macro made.
                None if imports(module, name).is_some() => return None,
                None => return Some(Found::Item(at, name.clone())),
            }
        }
        rest = after;
    }
    Some(Found::Module(at))
}

/// The module in which a path begins, and what of it is to be followed from there.
fn begin<'p>(
    modules: &Modules,
    from: usize,
    path: &'p [String],
    depth: usize,
) -> Option<(usize, &'p [String])> {
    let (first, after) = path.split_first()?;
    match first.as_str() {
        "crate" => Some((0, after)),
        "self" => Some((from, after)),
        "super" => {
            let parent = modules.get(from)?.parent?;
            match after.first().map(String::as_str) {
                Some("super") => begin(modules, parent, after, depth),
                _ => Some((parent, after)),
            }
        }
        name => {
            let module = modules.get(from)?;
            let is_here = module.children.contains_key(name)
                || module.definitions.contains(name)
                || imported(modules, from, name, depth).is_some();
            is_here.then_some((from, path))
        }
    }
}

/// By what path a module imports a name.
fn imports<'m>(module: &'m Module, name: &str) -> Option<&'m [String]> {
    let mut uses = module.uses.iter();
    let found = uses.find(|used| used.name.as_deref() == Some(name))?;
    Some(&found.path)
}

/// What a name means that a module imports.
fn imported(modules: &Modules, at: usize, name: &str, depth: usize) -> Option<Found> {
    let module = modules.get(at)?;
    if let Some(path) = imports(module, name) {
        return resolve(modules, at, path, depth);
    }
    let globs = module.uses.iter().filter(|used| used.name.is_none());
    for glob in globs {
        let Some(Found::Module(other)) = resolve(modules, at, &glob.path, depth) else {
            continue;
        };
        let there = modules.get(other)?;
        let has = there.children.contains_key(name)
            || there.definitions.contains(name)
            || imports(there, name).is_some();
        if has && other != at {
            return resolve(modules, other, &["self".to_owned(), name.to_owned()], depth);
        }
    }
    None
}
