//! Preview 1, call by call: what each returns and what it leaves in memory.

use crate::support::{engine, invocation, load};
use mc_types::Termination;

/// Functions with the types of their parameters.
const IMPORTS: &[(&str, &str)] = &[
    ("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32"),
    ("path_create_directory", "i32 i32 i32"),
    ("path_remove_directory", "i32 i32 i32"),
    ("path_unlink_file", "i32 i32 i32"),
    ("path_filestat_get", "i32 i32 i32 i32 i32"),
    ("path_filestat_set_times", "i32 i32 i32 i32 i64 i64 i32"),
    ("path_link", "i32 i32 i32 i32 i32 i32 i32"),
    ("path_symlink", "i32 i32 i32 i32 i32"),
    ("path_readlink", "i32 i32 i32 i32 i32 i32"),
    ("fd_write", "i32 i32 i32 i32"),
    ("fd_read", "i32 i32 i32 i32"),
    ("fd_pwrite", "i32 i32 i32 i64 i32"),
    ("fd_pread", "i32 i32 i32 i64 i32"),
    ("fd_seek", "i32 i64 i32 i32"),
    ("fd_tell", "i32 i32"),
    ("fd_allocate", "i32 i64 i64"),
    ("fd_advise", "i32 i64 i64 i32"),
    ("fd_sync", "i32"),
    ("fd_close", "i32"),
    ("fd_renumber", "i32 i32"),
    ("fd_readdir", "i32 i32 i32 i64 i32"),
    ("fd_fdstat_get", "i32 i32"),
    ("fd_fdstat_set_flags", "i32 i32"),
    ("fd_fdstat_set_rights", "i32 i64 i64"),
    ("fd_filestat_get", "i32 i32"),
    ("fd_filestat_set_size", "i32 i64"),
    ("fd_filestat_set_times", "i32 i64 i64 i32"),
    ("fd_prestat_get", "i32 i32"),
    ("fd_prestat_dir_name", "i32 i32 i32"),
    ("clock_res_get", "i32 i32"),
    ("clock_time_get", "i32 i64 i32"),
    ("sock_accept", "i32 i32 i32"),
    ("sock_recv", "i32 i32 i32 i32 i32 i32"),
    ("sock_send", "i32 i32 i32 i32 i32"),
    ("sock_shutdown", "i32 i32"),
];

/// A module under construction.
struct Module {
    data: String,
    body: String,
    next: u32,
    checks: u32,
}

impl Module {
    fn new() -> Self {
        let mut module = Self {
            data: String::new(),
            body: String::new(),
            next: 4096,
            checks: 0,
        };
        // One buffer of five bytes at 32, described at 16.
        module.body +=
            "(i32.store (i32.const 16) (i32.const 32)) (i32.store (i32.const 20) (i32.const 5))";
        module
    }

    /// Puts a text into memory; gives its address and length as two parameters.
    fn text(&mut self, text: &str) -> String {
        let at = self.next;
        self.next += 256;
        self.data += &format!("(data (i32.const {at}) \"{text}\")");
        format!("(i32.const {at}) (i32.const {})", text.len())
    }

    /// Calls a function, which must return `errno`.
    fn call(&mut self, name: &str, params: &str, errno: u32) {
        self.check(&format!(
            "(i32.eq (call ${name} {params}) (i32.const {errno}))"
        ));
    }

    /// Ends with the number of the check as exit code if `condition` does not hold.
    fn check(&mut self, condition: &str) {
        self.checks += 1;
        let number = self.checks;
        self.body +=
            &format!("(if (i32.eqz {condition}) (then (call $exit (i32.const {number}))))");
    }

    fn word(&mut self, at: u32, value: u64) {
        self.check(&format!(
            "(i64.eq (i64.load (i32.const {at})) (i64.const {value}))"
        ));
    }

    fn half(&mut self, at: u32, value: u32) {
        self.check(&format!(
            "(i32.eq (i32.load (i32.const {at})) (i32.const {value}))"
        ));
    }

    fn byte(&mut self, at: u32, value: u32) {
        self.check(&format!(
            "(i32.eq (i32.load8_u (i32.const {at})) (i32.const {value}))"
        ));
    }

    /// Opens a path to read and write, or a directory to read, and keeps the descriptor at 0.
    fn open(&mut self, path: &str, flags: u32, fdflags: u32, errno: u32) {
        let rights = if flags & DIRECTORY == 0 {
            READ | WRITE
        } else {
            READ
        };
        self.open_with(path, flags, rights, fdflags, errno);
    }

    fn open_with(&mut self, path: &str, flags: u32, rights: u64, fdflags: u32, errno: u32) {
        let path = self.text(path);
        let params = format!(
            "(i32.const 3) (i32.const 1) {path} (i32.const {flags}) (i64.const {rights}) (i64.const 0)
             (i32.const {fdflags}) (i32.const 0)"
        );
        self.call("path_open", &params, errno);
    }

    /// The rights that `fd_fdstat_get` tells of the descriptor that was opened last.
    fn rights(&mut self, set: u64, unset: u64) {
        self.call("fd_fdstat_get", &format!("{FD} (i32.const 64)"), 0);
        self.check(&format!(
            "(i64.eq (i64.and (i64.load (i32.const 72)) (i64.const {})) (i64.const {set}))",
            set | unset
        ));
    }

    fn run(&self) {
        let mut text = String::from(
            "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))",
        );
        for (name, params) in IMPORTS {
            text += &format!(
                "(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} (param {params}) (result i32)))"
            );
        }
        text += &format!(
            "(memory (export \"memory\") 2) {} (func (export \"_start\") {}))",
            self.data, self.body
        );
        let program = load(&engine(), &wat::parse_str(text).unwrap());
        let ended = program.run(invocation(&[])).unwrap();
        assert_eq!(
            ended.end,
            Termination::Exited { code: 0 },
            "the number of a check"
        );
    }
}

/// The flag of `path_open` that asks for a directory.
const DIRECTORY: u32 = 2;
/// Rights to read and write, and with them to seek, list, allocate and cut off.
const READ: u64 = (1 << 1) | (1 << 2) | (1 << 14);
const WRITE: u64 = 1 | (1 << 6) | (1 << 8) | (1 << 22);

/// The descriptor that was opened last.
const FD: &str = "(i32.load (i32.const 0))";
const BUFFER: &str = "(i32.const 16) (i32.const 1)";

#[test]
fn offsets_sizes_and_positions() {
    let mut m = Module::new();
    m.open("tmp/f", 1, 0, 0);
    m.body += "(i64.store (i32.const 32) (i64.const 0x6f6c6c6568))";
    m.call("fd_write", &format!("{FD} {BUFFER} (i32.const 8)"), 0);
    m.half(8, 5);
    m.call("fd_tell", &format!("{FD} (i32.const 8)"), 0);
    m.word(8, 5);
    m.call(
        "fd_seek",
        &format!("{FD} (i64.const -2) (i32.const 1) (i32.const 8)"),
        0,
    );
    m.word(8, 3);
    m.call("fd_read", &format!("{FD} {BUFFER} (i32.const 8)"), 0);
    m.half(8, 2);
    m.byte(32, u32::from(b'l'));
    m.call("fd_read", &format!("{FD} {BUFFER} (i32.const 8)"), 0);
    m.half(8, 0);
    m.call(
        "fd_seek",
        &format!("{FD} (i64.const -1) (i32.const 0) (i32.const 8)"),
        28,
    );
    m.call(
        "fd_seek",
        &format!("{FD} (i64.const 1) (i32.const 2) (i32.const 8)"),
        0,
    );
    m.word(8, 6);
    m.call(
        "fd_seek",
        &format!("{FD} (i64.const 0) (i32.const 3) (i32.const 8)"),
        28,
    );
    m.call(
        "fd_pread",
        &format!("{FD} {BUFFER} (i64.const 1) (i32.const 8)"),
        0,
    );
    m.half(8, 4);
    m.byte(32, u32::from(b'e'));
    m.call(
        "fd_pwrite",
        &format!("{FD} {BUFFER} (i64.const 100) (i32.const 8)"),
        0,
    );
    m.call("fd_filestat_get", &format!("{FD} (i32.const 64)"), 0);
    m.word(64 + 32, 105);
    m.byte(64 + 16, 4);
    m.call("fd_filestat_set_size", &format!("{FD} (i64.const 7)"), 0);
    m.call(
        "fd_allocate",
        &format!("{FD} (i64.const 0) (i64.const 50)"),
        0,
    );
    m.call(
        "fd_allocate",
        &format!("{FD} (i64.const -1) (i64.const 50)"),
        22,
    );
    m.call("fd_filestat_get", &format!("{FD} (i32.const 64)"), 0);
    m.word(64 + 32, 50);
    m.call(
        "fd_filestat_set_times",
        &format!("{FD} (i64.const 11) (i64.const 12) (i32.const 5)"),
        0,
    );
    m.call(
        "fd_filestat_set_times",
        &format!("{FD} (i64.const 0) (i64.const 0) (i32.const 3)"),
        28,
    );
    m.call("fd_filestat_get", &format!("{FD} (i32.const 64)"), 0);
    m.word(64 + 40, 11);
    m.word(64 + 48, 12);
    m.call(
        "fd_advise",
        &format!("{FD} (i64.const 0) (i64.const 0) (i32.const 2)"),
        0,
    );
    m.call(
        "fd_advise",
        &format!("{FD} (i64.const 0) (i64.const 0) (i32.const 9)"),
        28,
    );
    m.call("fd_sync", FD, 0);
    m.call("fd_fdstat_set_flags", &format!("{FD} (i32.const 1)"), 0);
    m.call("fd_fdstat_get", &format!("{FD} (i32.const 64)"), 0);
    m.byte(64, 4);
    m.byte(66, 1);
    m.call("fd_write", &format!("{FD} {BUFFER} (i32.const 8)"), 0);
    m.call("fd_tell", &format!("{FD} (i32.const 8)"), 0);
    m.word(8, 55);
    m.call("fd_renumber", &format!("{FD} (i32.const 0)"), 0);
    m.call("fd_tell", &format!("{FD} (i32.const 8)"), 8);
    m.call("fd_tell", "(i32.const 0) (i32.const 8)", 0);
    m.call("fd_close", "(i32.const 0)", 0);
    m.call("fd_close", "(i32.const 0)", 8);
    m.call(
        "fd_seek",
        "(i32.const 1) (i64.const 0) (i32.const 0) (i32.const 8)",
        70,
    );
    m.run();
}

#[test]
fn paths_links_and_listings() {
    let mut m = Module::new();
    let dir = m.text("tmp/d");
    m.call("path_create_directory", &format!("(i32.const 3) {dir}"), 0);
    m.call("path_create_directory", &format!("(i32.const 3) {dir}"), 20);
    m.open("tmp/d/f", 1 | 4, 0, 0);
    m.open("tmp/d/f", 1 | 4, 0, 20);
    m.open("tmp/none", 0, 0, 44);
    m.open("/tmp", 0, 0, 63);
    m.open("../x", 0, 0, 63);
    m.open("in/x", 1, 0, 44);
    let (file, link) = (m.text("tmp/d/f"), m.text("tmp/d/g"));
    m.call(
        "path_link",
        &format!("(i32.const 3) (i32.const 0) {file} (i32.const 3) {link}"),
        0,
    );
    m.call(
        "path_filestat_get",
        &format!("(i32.const 3) (i32.const 0) {link} (i32.const 64)"),
        0,
    );
    m.word(64 + 24, 2);
    let (target, soft) = (m.text("d/f"), m.text("tmp/s"));
    m.call("path_symlink", &format!("{target} (i32.const 3) {soft}"), 0);
    let absolute = m.text("/etc");
    m.call(
        "path_symlink",
        &format!("{absolute} (i32.const 3) {link}"),
        63,
    );
    m.call(
        "path_filestat_get",
        &format!("(i32.const 3) (i32.const 0) {soft} (i32.const 64)"),
        0,
    );
    m.byte(64 + 16, 7);
    m.call(
        "path_filestat_get",
        &format!("(i32.const 3) (i32.const 1) {soft} (i32.const 64)"),
        0,
    );
    m.byte(64 + 16, 4);
    m.call(
        "path_readlink",
        &format!("(i32.const 3) {soft} (i32.const 200) (i32.const 2) (i32.const 8)"),
        0,
    );
    m.half(8, 2);
    m.byte(201, u32::from(b'/'));
    m.call(
        "path_readlink",
        &format!("(i32.const 3) {file} (i32.const 200) (i32.const 9) (i32.const 8)"),
        28,
    );
    let times = "(i64.const 5) (i64.const 6) (i32.const 5)";
    m.call(
        "path_filestat_set_times",
        &format!("(i32.const 3) (i32.const 1) {soft} {times}"),
        0,
    );
    m.call(
        "path_filestat_get",
        &format!("(i32.const 3) (i32.const 0) {file} (i32.const 64)"),
        0,
    );
    m.word(64 + 48, 6);
    // `.`, `..`, `f`, `g`: headers of 24 bytes with names of 1, 2, 1 and 1.
    m.open("tmp/d", 2, 0, 0);
    m.call(
        "fd_readdir",
        &format!("{FD} (i32.const 512) (i32.const 1000) (i64.const 0) (i32.const 8)"),
        0,
    );
    m.half(8, 4 * 24 + 5);
    m.byte(512 + 25 + 26 + 24, u32::from(b'f'));
    m.word(512 + 25 + 26, 3);
    m.call(
        "fd_readdir",
        &format!("{FD} (i32.const 512) (i32.const 30) (i64.const 3) (i32.const 8)"),
        0,
    );
    m.half(8, 25);
    m.byte(512 + 24, u32::from(b'g'));
    m.call("fd_read", &format!("{FD} {BUFFER} (i32.const 8)"), 31);
    m.call("path_remove_directory", &format!("(i32.const 3) {dir}"), 55);
    m.call("path_unlink_file", &format!("(i32.const 3) {dir}"), 31);
    m.call("path_unlink_file", &format!("(i32.const 3) {file}"), 0);
    m.call("path_unlink_file", &format!("(i32.const 3) {link}"), 0);
    m.call(
        "path_remove_directory",
        &format!("(i32.const 3) {soft}"),
        54,
    );
    m.call("path_remove_directory", &format!("(i32.const 3) {dir}"), 0);
    m.call("fd_prestat_get", "(i32.const 3) (i32.const 8)", 0);
    m.half(12, 1);
    m.call(
        "fd_prestat_dir_name",
        "(i32.const 3) (i32.const 300) (i32.const 1)",
        0,
    );
    m.byte(300, u32::from(b'/'));
    m.call("fd_prestat_get", "(i32.const 1) (i32.const 8)", 8);
    m.call("clock_res_get", "(i32.const 1) (i32.const 8)", 0);
    m.word(8, 1);
    m.call(
        "clock_time_get",
        "(i32.const 9) (i64.const 0) (i32.const 8)",
        28,
    );
    m.run();
}

#[test]
fn sockets_are_something_else_whatever_is_held() {
    let mut m = Module::new();
    m.open("tmp/f", 1, 0, 0);
    for (name, rest) in [
        ("sock_accept", 2),
        ("sock_recv", 5),
        ("sock_send", 4),
        ("sock_shutdown", 1),
    ] {
        let rest = "(i32.const 0)".repeat(rest);
        for held in ["(i32.const 1)", "(i32.const 3)", FD] {
            m.call(name, &format!("{held} {rest}"), 57);
        }
        m.call(name, &format!("(i32.const 99) {rest}"), 8);
    }
    m.run();
}

#[test]
fn what_is_open_to_be_read_cannot_be_written_to_by_any_call() {
    let mut m = Module::new();
    m.open("tmp/f", 1, 0, 0);
    m.call("fd_filestat_set_size", &format!("{FD} (i64.const 5)"), 0);
    m.rights(WRITE | (1 << 1), 0);
    // Emptied, it can still only be read.
    for (flags, rights) in [(0, READ), (8, READ), (0, 0)] {
        m.open_with("tmp/f", flags, rights, 0, 0);
        m.rights(rights & (1 << 1), WRITE | (!rights & (1 << 1)));
        m.call("fd_write", &format!("{FD} {BUFFER} (i32.const 8)"), 8);
        m.call(
            "fd_pwrite",
            &format!("{FD} {BUFFER} (i64.const 0) (i32.const 8)"),
            8,
        );
        m.call(
            "fd_allocate",
            &format!("{FD} (i64.const 0) (i64.const 1)"),
            8,
        );
        m.call("fd_filestat_set_size", &format!("{FD} (i64.const 1)"), 28);
        let read = if rights == 0 { 8 } else { 0 };
        m.call("fd_read", &format!("{FD} {BUFFER} (i32.const 8)"), read);
    }
    m.open_with("tmp/f", 0, WRITE, 0, 0);
    m.rights(WRITE, 1 << 1);
    m.call("fd_read", &format!("{FD} {BUFFER} (i32.const 8)"), 8);
    m.call("fd_write", &format!("{FD} {BUFFER} (i32.const 8)"), 0);
    // The rights of a directory are those of what is in it; nothing takes them away.
    m.open("tmp", DIRECTORY, 0, 0);
    m.rights((1 << 9) | (1 << 14), WRITE | (1 << 1) | (1 << 2));
    m.call(
        "fd_fdstat_set_rights",
        &format!("{FD} (i64.const 0) (i64.const 0)"),
        58,
    );
    m.run();
}

#[test]
fn flags_of_descriptors_are_told_again() {
    let mut m = Module::new();
    m.open("tmp/f", 1, 0b1_1111, 0);
    m.call("fd_fdstat_get", &format!("{FD} (i32.const 64)"), 0);
    m.byte(66, 0b1_1111);
    // Appending and waiting can be changed.
    m.call("fd_fdstat_set_flags", &format!("{FD} (i32.const 0)"), 0);
    m.call("fd_fdstat_get", &format!("{FD} (i32.const 64)"), 0);
    m.byte(66, 0b1_1010);
    m.call("fd_fdstat_set_flags", &format!("{FD} (i32.const 32)"), 28);
    m.open("tmp/f", 0, 32, 28);
    m.open("tmp/f", 16, 0, 28);
    m.run();
}

#[test]
fn devices_have_what_they_are_called_for() {
    let mut m = Module::new();
    m.open("dev/zero", 0, 0, 0);
    m.call("fd_read", &format!("{FD} {BUFFER} (i32.const 8)"), 0);
    m.half(8, 5);
    m.half(32, 0);
    m.call("fd_filestat_get", &format!("{FD} (i32.const 64)"), 0);
    m.byte(64 + 16, 2);
    m.call("fd_filestat_set_size", &format!("{FD} (i64.const 0)"), 28);
    m.open("dev/urandom", 8, 0, 0);
    m.call("fd_read", &format!("{FD} {BUFFER} (i32.const 8)"), 0);
    m.half(8, 5);
    m.check("(i32.ne (i32.load (i32.const 32)) (i32.const 0))");
    m.open("dev/null", 1 | 8, 1, 0);
    m.call("fd_write", &format!("{FD} {BUFFER} (i32.const 8)"), 0);
    m.half(8, 5);
    m.call("fd_read", &format!("{FD} {BUFFER} (i32.const 8)"), 0);
    m.half(8, 0);
    m.open("dev", DIRECTORY, 0, 0);
    m.open_with("dev/null", DIRECTORY, READ, 0, 54);
    m.open("dev/made", 1, 0, 69);
    m.run();
}
