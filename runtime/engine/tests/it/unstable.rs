//! What programs of 2019 and 2020 need: the snapshot of WASI before preview 1, and clocks of processors.

use crate::support::{engine, invocation, load};
use mc_types::Termination;

/// Functions with the types of their parameters.
const IMPORTS: &[(&str, &str)] = &[
    ("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32"),
    ("path_filestat_get", "i32 i32 i32 i32 i32"),
    ("fd_write", "i32 i32 i32 i32"),
    ("fd_seek", "i32 i64 i32 i32"),
    ("fd_filestat_get", "i32 i32"),
    ("clock_res_get", "i32 i32"),
    ("clock_time_get", "i32 i64 i32"),
    ("poll_oneoff", "i32 i32 i32 i32"),
];

/// The descriptor that was opened last.
const FD: &str = "(i32.load (i32.const 0))";

/// Runs a module that imports WASI as `wasi`.
fn run(wasi: &str, data: &str, body: &str) -> Termination {
    let mut text = format!("(module (import \"{wasi}\" \"proc_exit\" (func $exit (param i32)))");
    for (name, params) in IMPORTS {
        text +=
            &format!("(import \"{wasi}\" \"{name}\" (func ${name} (param {params}) (result i32)))");
    }
    text += &format!(
        "(memory (export \"memory\") 1) {data} (func (export \"_start\") (local i32) {body}))"
    );
    let program = load(&engine(), &wat::parse_str(text).unwrap());
    program.run(invocation(&[])).unwrap().end
}

/// Asserts that each of `checks` holds, one after the other.
fn assert_all_hold(wasi: &str, data: &str, checks: &[String]) {
    let mut body = String::new();
    for (number, check) in (1..).zip(checks) {
        body += &format!("(if (i32.eqz {check}) (then (call $exit (i32.const {number}))))");
    }
    let end = run(wasi, data, &body);
    assert_eq!(
        end,
        Termination::Exited { code: 0 },
        "the number of a check"
    );
}

/// A call that returns `errno`.
fn call(name: &str, params: &str, errno: u32) -> String {
    format!("(i32.eq (call ${name} {params}) (i32.const {errno}))")
}

fn word(at: u32, value: u64) -> String {
    format!("(i64.eq (i64.load (i32.const {at})) (i64.const {value}))")
}

fn half(at: u32, value: u32) -> String {
    format!("(i32.eq (i32.load (i32.const {at})) (i32.const {value}))")
}

fn byte(at: u32, value: u32) -> String {
    format!("(i32.eq (i32.load8_u (i32.const {at})) (i32.const {value}))")
}

/// Sleeps for a second by a subscription at 256 whose fields lie as given, from `clock`, which has a number.
fn sleep(clock: u32, timeout: u32) -> String {
    format!(
        "(block (result i32)
           (i32.store (i32.const {}) (i32.const 1)) (i64.store (i32.const {}) (i64.const 1000000000))
           (i64.store (i32.const 256) (i64.const 9))
           (call $poll_oneoff (i32.const 256) (i32.const 320) (i32.const 1) (i32.const 8))
           (i32.eqz))",
        256 + clock,
        256 + timeout
    )
}

#[test]
fn the_snapshot_before_preview_1_has_other_positions_files_and_subscriptions() {
    let data =
        "(data (i32.const 16) \"\\20\\00\\00\\00\\05\\00\\00\\00\") (data (i32.const 32) \"hello\")
        (data (i32.const 512) \"tmp/f\") (data (i32.const 120) \"\\07\")";
    let path = "(i32.const 3) (i32.const 1) (i32.const 512) (i32.const 5)";
    let seek = |by: i64, whence: u32, errno: u32| {
        let params = format!("{FD} (i64.const {by}) (i32.const {whence}) (i32.const 8)");
        call("fd_seek", &params, errno)
    };
    let checks = [
        call(
            "path_open",
            &format!(
                "{path} (i32.const 1) (i64.const 4211015) (i64.const 0) (i32.const 0) (i32.const 0)"
            ),
            0,
        ),
        call(
            "fd_write",
            &format!("{FD} (i32.const 16) (i32.const 1) (i32.const 8)"),
            0,
        ),
        // From the beginning, from here, from the end.
        seek(1, 2, 0),
        word(8, 1),
        seek(1, 0, 0),
        word(8, 2),
        seek(-1, 1, 0),
        word(8, 4),
        seek(0, 3, 28),
        call("fd_filestat_get", &format!("{FD} (i32.const 64)"), 0),
        byte(64 + 16, 4),
        half(64 + 20, 1),
        word(64 + 24, 5),
        // It ends there.
        word(64 + 56, 7),
        call("path_filestat_get", &format!("{path} (i32.const 128)"), 0),
        word(128 + 24, 5),
        call("fd_filestat_get", "(i32.const 1) (i32.const 64)", 0),
        byte(64 + 16, 2),
        word(64 + 56, 7),
        sleep(24, 32),
        half(8, 1),
        word(320, 9),
        call(
            "clock_time_get",
            "(i32.const 1) (i64.const 0) (i32.const 8)",
            0,
        ),
        "(i64.ge_u (i64.load (i32.const 8)) (i64.const 1000000000))".to_owned(),
    ];
    assert_all_hold("wasi_unstable", data, &checks);
}

#[test]
fn the_snapshot_before_preview_1_withstands_arguments_that_mean_nothing() {
    for (name, params) in IMPORTS {
        for (first, rest) in [("3", "-1"), ("3", "65530"), ("-1", "0"), ("1", "4096")] {
            let types = params.split(' ').enumerate();
            let params: String = types
                .map(|(n, ty)| format!("({ty}.const {})", if n == 0 { first } else { rest }))
                .collect();
            let end = run(
                "wasi_unstable",
                "",
                &format!("(drop (call ${name} {params}))"),
            );
            assert_eq!(end, Termination::Exited { code: 0 }, "{name}({params})");
        }
    }
}

#[test]
fn a_program_sees_how_long_it_computed_without_what_it_slept() {
    let time = |clock: u32, at: u32| {
        let params = format!("(i32.const {clock}) (i64.const 0) (i32.const {at})");
        call("clock_time_get", &params, 0)
    };
    // Ten thousand rounds.
    let compute = "(block (result i32)
        (loop $again (local.set 0 (i32.add (local.get 0) (i32.const 1)))
          (br_if $again (i32.lt_u (local.get 0) (i32.const 10000))))
        (i32.const 1))";
    let mut checks = vec![];
    for clock in [2, 3] {
        checks.extend([
            time(clock, 16),
            compute.to_owned(),
            sleep(16, 24),
            time(clock, 24),
            "(i64.gt_u (i64.load (i32.const 24)) (i64.load (i32.const 16)))".to_owned(),
            "(i64.lt_u (i64.load (i32.const 24)) (i64.const 1000000000))".to_owned(),
            call(
                "clock_res_get",
                &format!("(i32.const {clock}) (i32.const 8)"),
                0,
            ),
            word(8, 1),
        ]);
    }
    checks.push(call("clock_res_get", "(i32.const 4) (i32.const 8)", 28));
    assert_all_hold("wasi_snapshot_preview1", "", &checks);
}
