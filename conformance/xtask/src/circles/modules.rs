//! The modules of a crate: what each defines, and which paths are written in it.

use super::tokens::{Token, tokens};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// What begins a definition that has a name.
const DEFINES: &[&str] = &[
    "const", "enum", "fn", "static", "struct", "trait", "type", "union",
];
/// What may stand between such a word and the name, or before another one.
const MODIFIES: &[&str] = &["async", "const", "extern", "fn", "mut", "unsafe"];

/// The segments of a path as they are written.
pub(super) type Segments = Vec<String>;

/// One `use` of one name.
#[derive(Debug)]
pub(super) struct Use {
    pub(super) path: Segments,
    /// By what name it is known here; none of those that a `*` brings.
    pub(super) name: Option<String>,
    /// Whether others may use it from here.
    pub(super) is_public: bool,
}

/// A module, in a file of its own or not.
#[derive(Debug, Default)]
pub(super) struct Module {
    pub(super) file: PathBuf,
    pub(super) parent: Option<usize>,
    pub(super) children: BTreeMap<String, usize>,
    pub(super) definitions: BTreeSet<String>,
    pub(super) uses: Vec<Use>,
    /// Paths of more than one segment, outside of `use`.
    pub(super) paths: Vec<Segments>,
    /// Words that stand alone.
    pub(super) words: BTreeSet<String>,
    /// Where the files of its children are.
    dir: PathBuf,
}

/// The modules of a crate; the first is its root.
#[derive(Debug, Default)]
pub(super) struct Modules(Vec<Module>);

impl Modules {
    /// Reads a crate from its root. `read` gives the text of a file, if there is one.
    pub(super) fn read(root: &Path, read: &dyn Fn(&Path) -> Option<String>) -> Self {
        let mut modules = Self::default();
        let dir = root.parent().map(Path::to_owned).unwrap_or_default();
        modules.file(root.to_owned(), dir, None, read);
        modules
    }

    pub(super) fn get(&self, module: usize) -> Option<&Module> {
        self.0.get(module)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (usize, &Module)> {
        self.0.iter().enumerate()
    }

    fn add(&mut self, file: PathBuf, dir: PathBuf, parent: Option<usize>) -> usize {
        self.0.push(Module {
            file,
            dir,
            parent,
            ..Module::default()
        });
        self.0.len() - 1
    }

    fn file(
        &mut self,
        file: PathBuf,
        dir: PathBuf,
        parent: Option<usize>,
        read: &dyn Fn(&Path) -> Option<String>,
    ) -> Option<usize> {
        let source = read(&file)?;
        let module = self.add(file, dir, parent);
        let tokens = tokens(&source);
        let mut scanner = Scanner {
            tokens: &tokens,
            modules: self,
            scopes: vec![Scope::Module(module)],
            is_public: false,
            read,
        };
        while scanner.step().is_some() {}
        Some(module)
    }
}

#[derive(Clone, Copy)]
enum Scope {
    Module(usize),
    /// Any other pair of braces.
    Braces,
}

struct Scanner<'s> {
    /// What was not read yet.
    tokens: &'s [Token<'s>],
    modules: &'s mut Modules,
    scopes: Vec<Scope>,
    /// Whether `pub` was read before what comes now.
    is_public: bool,
    read: &'s dyn Fn(&Path) -> Option<String>,
}

impl<'s> Scanner<'s> {
    /// Reads one thing, if there is one.
    fn step(&mut self) -> Option<()> {
        match self.take()? {
            Token::Sign('#') => self.attribute(),
            Token::Sign('{') => self.open(Scope::Braces),
            Token::Sign('}') => self.close(),
            Token::Sign(';') => self.is_public = false,
            Token::Sign('.') => self.dot(),
            Token::Word("pub") => self.publish(),
            // Not the `use<'a>` of a type.
            Token::Word("use") if !self.next_is('<') => self.import(),
            Token::Word("mod") if self.is_in_module() => self.module(),
            Token::Word("macro_rules") if self.next_is('!') => self.macro_rules(),
            Token::Word(word) if self.is_in_module() && DEFINES.contains(&word) => self.define(),
            Token::Word(word) => self.path(word),
            Token::Colons | Token::Sign(_) | Token::Literal => {}
        }
        Some(())
    }

    fn take(&mut self) -> Option<Token<'s>> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(*first)
    }

    fn take_word(&mut self) -> Option<&'s str> {
        let Some(Token::Word(word)) = self.tokens.first() else {
            return None;
        };
        self.take();
        Some(*word)
    }

    fn take_colons(&mut self) -> bool {
        let there = self.tokens.first() == Some(&Token::Colons);
        if there {
            self.take();
        }
        there
    }

    fn next_is(&self, sign: char) -> bool {
        self.tokens.first() == Some(&Token::Sign(sign))
    }

    fn is_in_module(&self) -> bool {
        matches!(self.scopes.last(), Some(Scope::Module(_)))
    }

    /// The module that this is part of.
    fn current(&self) -> usize {
        let scopes = self.scopes.iter().rev();
        let mut modules = scopes.filter_map(|scope| match scope {
            Scope::Module(module) => Some(*module),
            Scope::Braces => None,
        });
        modules.next().unwrap_or_default()
    }

    fn change(&mut self, change: impl FnOnce(&mut Module)) {
        let current = self.current();
        if let Some(module) = self.modules.0.get_mut(current) {
            change(module);
        }
    }

    fn open(&mut self, scope: Scope) {
        self.scopes.push(scope);
        self.is_public = false;
    }

    fn close(&mut self) {
        self.scopes.pop();
        self.is_public = false;
    }

    /// After one dot comes a field or a method, and after two anything.
    fn dot(&mut self) {
        if self.next_is('.') {
            self.take();
        } else {
            self.take_word();
        }
    }

    fn publish(&mut self) {
        self.is_public = true;
        if self.next_is('(') {
            self.skip_group();
        }
    }

    /// An attribute whose `#` was read, and what follows it if that is there in tests only. Other attributes may have
    /// paths in them and are read as all else.
    fn attribute(&mut self) {
        let begun = self.tokens;
        let attribute = self.skip_group();
        let says = |word| attribute.contains(&Token::Word(word));
        if says("cfg") && says("test") && !says("not") {
            self.skip_item();
        } else {
            self.tokens = begun;
        }
    }

    /// Passes over the brackets that come next, and gives what is in them.
    fn skip_group(&mut self) -> &'s [Token<'s>] {
        let begun = self.tokens;
        let mut depth = 0_usize;
        while let Some(token) = self.take() {
            match token {
                Token::Sign('(' | '[' | '{') => depth += 1,
                Token::Sign(')' | ']' | '}') => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        let read = begun.len() - self.tokens.len();
        begun.split_at(read).0
    }

    /// Passes over an item, field or case, whose attributes may go on.
    fn skip_item(&mut self) {
        while self.next_is('#') {
            self.take();
            self.skip_group();
        }
        let is_item = matches!(
            self.tokens.first(),
            Some(Token::Word(
                "async"
                    | "const"
                    | "enum"
                    | "fn"
                    | "impl"
                    | "let"
                    | "macro_rules"
                    | "mod"
                    | "pub"
                    | "static"
                    | "struct"
                    | "trait"
                    | "type"
                    | "union"
                    | "unsafe"
                    | "use"
            ))
        );
        while let Some(token) = self.tokens.first() {
            match token {
                Token::Sign('(' | '[') => {
                    self.skip_group();
                }
                Token::Sign('{') => {
                    self.skip_group();
                    return;
                }
                Token::Sign(';') => {
                    self.take();
                    return;
                }
                Token::Sign(',') if !is_item => return,
                Token::Sign(')' | ']' | '}') => return,
                _ => {
                    self.take();
                }
            }
        }
    }

    /// A definition whose first word was read.
    fn define(&mut self) {
        while let Some(word) = self.take_word() {
            if !MODIFIES.contains(&word) {
                self.change(|module| {
                    module.definitions.insert(word.to_owned());
                });
                break;
            }
        }
        self.is_public = false;
    }

    fn macro_rules(&mut self) {
        self.take();
        self.define();
    }

    /// A module whose `mod` was read.
    fn module(&mut self) {
        let Some(name) = self.take_word() else {
            return;
        };
        let parent = self.current();
        let Some(Module { file, dir, .. }) = self.modules.get(parent) else {
            return;
        };
        let (file, below) = (file.clone(), dir.join(name));
        let child = if self.next_is('{') {
            self.take();
            let child = self.modules.add(file, below, Some(parent));
            self.open(Scope::Module(child));
            Some(child)
        } else {
            let file = below.with_extension("rs");
            self.modules.file(file, below, Some(parent), self.read)
        };
        self.is_public = false;
        if let (Some(child), Some(parent)) = (child, self.modules.0.get_mut(parent)) {
            parent.children.insert(name.to_owned(), child);
        }
    }

    /// A `use` whose first word was read.
    fn import(&mut self) {
        let mut found = Vec::new();
        self.use_tree(&[], &mut found);
        let is_public = std::mem::take(&mut self.is_public);
        let uses = found.into_iter().map(|(path, name)| Use {
            path,
            name,
            is_public,
        });
        self.change(|module| module.uses.extend(uses));
    }

    fn use_tree(&mut self, before: &[String], found: &mut Vec<(Segments, Option<String>)>) {
        let mut path = before.to_vec();
        // It may begin with colons.
        self.take_colons();
        while let Some(word) = self.take_word() {
            path.push(word.to_owned());
            if !self.take_colons() {
                found.push(self.leaf(path));
                return;
            }
        }
        match self.take() {
            Some(Token::Sign('*')) => found.push((path, None)),
            Some(Token::Sign('{')) => {
                while !self.next_is('}') && !self.tokens.is_empty() {
                    self.use_tree(&path, found);
                    if self.next_is(',') {
                        self.take();
                    }
                }
                self.take();
            }
            _ => {}
        }
    }

    /// The end of a branch of `use`: a path that may end with `self`, and a name that may be another.
    fn leaf(&mut self, mut path: Segments) -> (Segments, Option<String>) {
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let mut name = path.last().cloned();
        if self.tokens.first() == Some(&Token::Word("as")) {
            self.take();
            name = self.take_word().map(str::to_owned);
        }
        (path, name)
    }

    /// A path or a word that stands alone, whose first word was read.
    fn path(&mut self, first: &str) {
        let mut path = vec![first.to_owned()];
        while self.take_colons()
            && let Some(word) = self.take_word()
        {
            path.push(word.to_owned());
        }
        self.change(|module| {
            if path.len() > 1 {
                module.paths.push(path);
            } else {
                module.words.insert(first.to_owned());
            }
        });
    }
}
