//! Opening a file: every flag, on every kind of node, by both interfaces, beside what this machine's own system does.

#![expect(
    clippy::indexing_slicing,
    reason = "a failed expectation is how a test fails"
)]

use crate::support::{engine, load, mount, program, text, with_inputs};
use mc_artifacts::guest;
use mc_types::Termination;
use mc_wasi::{InMemory, Tree};
use rustix::{
    fs::{CWD, FileType, Mode, OFlags},
    io::Errno,
};
use std::{collections::BTreeMap, os::unix::fs::symlink, path::Path};

/// What is in the directory that each case has of its own.
const LINKS: [(&str, &str); 4] = [
    ("to-file", "file"),
    ("to-dir", "dir"),
    ("dangling", "none"),
    ("loop", "loop"),
];
const PATHS: [&str; 15] = [
    "file",
    "dir",
    "missing",
    "to-file",
    "to-dir",
    "dangling",
    "loop",
    "file/",
    "dir/",
    "missing/",
    "to-file/",
    "to-dir/",
    "dir/.",
    "file/below",
    "missing/below",
];
const ACCESS: [(OFlags, bool, bool); 3] = [
    (OFlags::RDONLY, true, false),
    (OFlags::WRONLY, false, true),
    (OFlags::RDWR, true, true),
];
const OTHERS: [OFlags; 5] = [
    OFlags::CREATE,
    OFlags::DIRECTORY,
    OFlags::EXCL,
    OFlags::TRUNC,
    OFlags::NOFOLLOW,
];

/// One way of opening something.
struct Case {
    path: &'static str,
    read: bool,
    write: bool,
    flags: OFlags,
}

impl Case {
    fn all() -> Vec<Self> {
        let mut cases = vec![];
        for path in PATHS {
            for (access, read, write) in ACCESS {
                for chosen in 0..1 << OTHERS.len() {
                    let others = OTHERS.iter().enumerate();
                    let others = others.filter(|(bit, _)| chosen >> bit & 1 == 1);
                    cases.push(Self {
                        path,
                        read,
                        write,
                        flags: others.fold(access, |flags, (_, other)| flags | *other),
                    });
                }
            }
        }
        cases
    }

    /// The numbers that both interfaces have for the flags of opening.
    fn open_flags(&self) -> u32 {
        let flags = (0..).zip([
            OFlags::CREATE,
            OFlags::DIRECTORY,
            OFlags::EXCL,
            OFlags::TRUNC,
        ]);
        let set = flags.filter(|(_, flag)| self.flags.contains(*flag));
        set.map(|(bit, _)| 1 << bit).sum()
    }

    fn follows(&self) -> u32 {
        u32::from(!self.flags.contains(OFlags::NOFOLLOW))
    }

    /// What this machine's system answers, in a directory of its own below `dir`.
    fn native(&self, dir: &Path) -> String {
        // Since Linux 6.4; before that a file was made, and then said not to be a directory.
        if self.flags.contains(OFlags::CREATE | OFlags::DIRECTORY) {
            return "invalid".to_owned();
        }
        std::fs::create_dir_all(dir.join("dir")).unwrap();
        std::fs::write(dir.join("file"), "hello").unwrap();
        for (name, target) in LINKS {
            symlink(target, dir.join(name)).unwrap();
        }
        let path = dir.join(self.path);
        let file = match rustix::fs::openat(CWD, &path, self.flags, Mode::from_raw_mode(0o666)) {
            Ok(file) => file,
            Err(errno) => return name(errno).to_owned(),
        };
        let stat = rustix::fs::fstat(&file).unwrap();
        let size = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => stat.st_size,
            _ => 0,
        };
        let told = |result: Result<(), Errno>| result.map_or_else(name, |()| "ok");
        let written = told(rustix::io::pwrite(&file, b"x", 0).map(drop));
        let read = told(rustix::io::pread(&file, &mut [0_u8; 1], 0).map(drop));
        let resized = told(rustix::fs::ftruncate(&file, 1));
        format!("ok {size} {written} {read} {resized}")
    }

    /// What is answered where nothing can be changed, if `native` is where everything can.
    fn read_only(&self, native: &str) -> String {
        let is_file = !native.starts_with("ok 0 bad-descriptor is-directory");
        let is_made = native.starts_with("ok 0 ") && !self.flags.contains(OFlags::TRUNC);
        let changes = is_made || self.write || self.flags.contains(OFlags::TRUNC);
        if native.starts_with("ok") && is_file && changes {
            "read-only".to_owned()
        } else {
            native.to_owned()
        }
    }
}

fn name(errno: Errno) -> &'static str {
    match errno {
        Errno::BADF => "bad-descriptor",
        Errno::EXIST => "exist",
        Errno::INVAL => "invalid",
        Errno::ISDIR => "is-directory",
        Errno::LOOP => "loop",
        Errno::NOENT => "no-entry",
        Errno::NOTDIR => "not-directory",
        Errno::ROFS => "read-only",
        _ => "another error",
    }
}

/// The name of an error of preview 1.
fn preview1_name(number: u8) -> &'static str {
    match number {
        0 => "ok",
        8 => "bad-descriptor",
        20 => "exist",
        28 => "invalid",
        31 => "is-directory",
        32 => "loop",
        44 => "no-entry",
        54 => "not-directory",
        69 => "read-only",
        _ => "another error",
    }
}

/// Directories `0`, `1`, … of the cases.
fn tree(count: usize) -> Tree {
    let mut entries = BTreeMap::from([
        ("file".to_owned(), Tree::file("hello")),
        ("dir".to_owned(), Tree::directory([])),
    ]);
    let links = LINKS.map(|(name, target)| (name.to_owned(), Tree::Symlink(target.to_owned())));
    entries.extend(links);
    let directory = |number: usize| (number.to_string(), Tree::Directory(entries.clone()));
    Tree::Directory((0..count).map(directory).collect())
}

/// Runs a program that is given the cases' directories below `/w`, and, not to be changed, below `/r`.
fn run(program: &mc_engine::Program, count: usize, stdin: Vec<u8>) -> Vec<u8> {
    let inputs = InMemory {
        mounts: vec![tree(count), tree(count)],
        stdin,
        ..InMemory::default()
    };
    let mounts = vec![mount("/w", true, true), mount("/r", true, false)];
    let ended = program.run(with_inputs(&[], mounts, inputs)).unwrap();
    assert_eq!(
        ended.end,
        Termination::Exited { code: 0 },
        "{}",
        text(&ended.stderr)
    );
    ended.stdout
}

/// What the cases come to by WASI 0.2.
fn preview2(cases: &[Case], place: &str) -> Vec<String> {
    let lines = cases.iter().enumerate().map(|(number, case)| {
        let descriptor = u32::from(case.read) | (u32::from(case.write) << 1) | (1 << 5);
        let (follow, open) = (case.follows(), case.open_flags());
        format!(
            "{follow} {open} {descriptor} {place}/{number}/{}\n",
            case.path
        )
    });
    let stdin = lines.collect::<String>().into_bytes();
    let answers = run(
        &program(&engine(), &guest("open_table")),
        cases.len(),
        stdin,
    );
    text(&answers).lines().map(str::to_owned).collect()
}

/// The rights that the C library asks for.
const READ: u64 = (1 << 1) | (1 << 14);
const WRITE: u64 = 1 | (1 << 6) | (1 << 8) | (1 << 22);
/// Bytes of a case in the table, and of its answer.
const CASE_BYTES: usize = 32;
const ANSWER_BYTES: usize = 8;
/// Where the table begins.
const TABLE: usize = 1024;

/// What the cases come to by preview 1.
fn preview1(cases: &[Case], place: &str) -> Vec<String> {
    let (mut table, mut paths) = (vec![], vec![]);
    let paths_at = TABLE + cases.len() * CASE_BYTES;
    for (number, case) in cases.iter().enumerate() {
        let path = format!("{place}/{number}/{}", case.path);
        let at = u32::try_from(paths_at + paths.len()).unwrap();
        let length = u32::try_from(path.len()).unwrap();
        for word in [at, length, case.follows(), case.open_flags()] {
            table.extend(word.to_le_bytes());
        }
        let read = if case.read { READ } else { 0 };
        let write = if case.write { WRITE } else { 0 };
        table.extend((read | write).to_le_bytes());
        table.extend([0; 8]);
        paths.extend(path.into_bytes());
    }
    let answers_at = (paths_at + paths.len()).next_multiple_of(8);
    let bytes = cases.len() * ANSWER_BYTES;
    let pages = (answers_at + bytes).div_ceil(1 << 16);
    let data: String = table
        .iter()
        .chain(&paths)
        .map(|byte| format!("\\{byte:02x}"))
        .collect();
    let count = cases.len();
    let module = format!(
        r#"(module
          (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_filestat_get" (func $stat (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_filestat_set_size" (func $resize (param i32 i64) (result i32)))
          (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
          (memory (export "memory") {pages})
          (data (i32.const {TABLE}) "{data}")
          (func $one (param $case i32) (param $answer i32) (local $fd i32)
            (i32.store8 (local.get $answer) (call $open (i32.const 3)
              (i32.load offset=8 (local.get $case)) (i32.load (local.get $case))
              (i32.load offset=4 (local.get $case)) (i32.load offset=12 (local.get $case))
              (i64.load offset=16 (local.get $case)) (i64.const 0) (i32.const 0) (i32.const 0)))
            (if (i32.load8_u (local.get $answer)) (then (return)))
            (local.set $fd (i32.load (i32.const 0)))
            (drop (call $stat (local.get $fd) (i32.const 64)))
            (if (i32.eq (i32.load8_u (i32.const 80)) (i32.const 4))
              (then (i32.store offset=4 (local.get $answer) (i32.load (i32.const 96)))))
            (i32.store8 offset=1 (local.get $answer)
              (call $write (local.get $fd) (i32.const 16) (i32.const 1) (i32.const 8)))
            (i32.store8 offset=2 (local.get $answer)
              (call $read (local.get $fd) (i32.const 16) (i32.const 1) (i32.const 8)))
            (i32.store8 offset=3 (local.get $answer) (call $resize (local.get $fd) (i64.const 1)))
            (drop (call $close (local.get $fd))))
          (func (export "_start") (local $number i32)
            (i32.store (i32.const 16) (i32.const 32))
            (i32.store (i32.const 20) (i32.const 1))
            (loop $next
              (call $one
                (i32.add (i32.const {TABLE}) (i32.mul (local.get $number) (i32.const {CASE_BYTES})))
                (i32.add (i32.const {answers_at}) (i32.mul (local.get $number) (i32.const {ANSWER_BYTES}))))
              (local.set $number (i32.add (local.get $number) (i32.const 1)))
              (br_if $next (i32.lt_u (local.get $number) (i32.const {count}))))
            (i32.store (i32.const 16) (i32.const {answers_at}))
            (i32.store (i32.const 20) (i32.const {bytes}))
            (if (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 8)) (then unreachable))))"#
    );
    let program = load(&engine(), &wat::parse_str(module).unwrap());
    let answers = run(&program, count, vec![]);
    answers
        .chunks_exact(ANSWER_BYTES)
        .map(|answer| match answer[0] {
            0 => {
                let [written, read, resized] = [1, 2, 3].map(|index| preview1_name(answer[index]));
                format!("ok {} {written} {read} {resized}", answer[4])
            }
            errno => preview1_name(errno).to_owned(),
        })
        .collect()
}

/// What cases come to in a place by an interface.
type Answers = fn(&[Case], &str) -> Vec<String>;

#[test]
fn files_open_as_they_do_on_linux_by_both_interfaces() {
    let cases = Case::all();
    let dir = tempfile::tempdir().unwrap();
    let native: Vec<String> = cases
        .iter()
        .enumerate()
        .map(|(number, case)| case.native(&dir.path().join(number.to_string())))
        .collect();
    let read_only: Vec<String> = cases
        .iter()
        .zip(&native)
        .map(|(case, native)| case.read_only(native))
        .collect();
    let interfaces: [(&str, Answers); 2] = [("preview 1", preview1), ("WASI 0.2", preview2)];
    for (interface, answers) in interfaces {
        for (place, expected) in [("w", &native), ("r", &read_only)] {
            let answers = answers(&cases, place);
            assert_eq!(answers.len(), cases.len());
            let compared = cases.iter().zip(expected.iter().zip(&answers));
            let others: Vec<String> = compared
                .filter(|(_, (expected, answer))| expected != answer)
                .map(|(case, (expected, answer))| {
                    let Case { path, flags, .. } = case;
                    format!("{place}/{path} {flags:?}: {expected:?}, not {answer:?}")
                })
                .collect();
            assert!(
                others.is_empty(),
                "{interface}, {} of {} cases:\n{}",
                others.len(),
                cases.len(),
                others.join("\n")
            );
        }
    }
}
