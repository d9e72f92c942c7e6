//! What reaches a terminal, and what a file.

use crate::wasm;
use mc_conformance::{NodeOptions, binary, mc};
use std::{
    fs,
    process::{Command, Stdio},
};

/// Clears the screen, moves to its beginning, and begins a line.
const HOSTILE: &str = "a\u{1b}[2J\u{9b}H\nb";

/// Whether a text does anything to a terminal but begin lines.
fn is_harmless(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() && c != '\n')
}

#[test]
fn names_of_files_and_people_do_nothing_to_a_terminal() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(HOSTILE), "x").unwrap();
    let cid = node.mc(["add", "-q", dir.path().to_str().unwrap()]).text();
    let listed = node.mc(["ls", cid.trim()]).expect_code(0).text();
    assert!(is_harmless(&listed), "{listed:?}");
    assert_eq!(listed.lines().count(), 1, "{listed:?}");
    assert!(listed.contains("a\\u{1b}[2J\\u{9b}H\\nb"), "{listed:?}");
    // As JSON it is what it was.
    let listed = node.mc(["--format", "json", "ls", cid.trim()]);
    assert!(is_harmless(&listed.text()), "{listed:#?}");
    assert_eq!(listed.json()[0]["name"], HOSTILE);

    let label = format!("note={HOSTILE}");
    let who = ["--submitter", HOSTILE, "--label", &label];
    let zero = wasm("exit_zero");
    let id = node.submit(who.into_iter().chain([zero.as_str()]));
    node.mc(["wait", &id]).expect_code(0);
    for command in [&["ps"][..], &["status", &id]] {
        let text = node.mc(command.iter().copied()).expect_code(0).text();
        assert!(is_harmless(&text), "{text:?}");
        assert!(text.contains("\\u{1b}[2J"), "{text:?}");
    }
}

#[test]
fn errors_do_nothing_to_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("program.wasm");
    let text = r#"(module (import "env\1b[2J" "f\c2\9bH\nerror" (func)) (func (export "_start")))"#;
    fs::write(&program, wat::parse_str(text).unwrap()).unwrap();
    let program = program.to_str().unwrap();
    let missing = format!("/nonexistent/{HOSTILE}");
    let flag = format!("--{HOSTILE}");
    for args in [
        &["run", program][..],
        &["inspect", program],
        &["run", &missing],
        &["run", &flag, program],
    ] {
        let done = mc(args.iter().copied());
        let said = done.text() + &done.stderr;
        assert!(is_harmless(&said), "{args:?}: {said:?}");
        let forged = said.lines().any(|line| line == "b" || line == "error");
        assert!(!forged, "{args:?}: {said:?}");
    }
}

/// What a command prints on a terminal of its own.
fn on_terminal(args: &[&str]) -> String {
    let quoted = |arg: &str| format!("'{arg}'");
    let binary = binary().display().to_string();
    let command: Vec<_> = [&*binary].iter().chain(args).map(|a| quoted(a)).collect();
    let mut script = Command::new("script");
    script
        .args(["--quiet", "--return", "--command"])
        .arg(command.join(" "))
        .arg("/dev/null")
        .stdin(Stdio::null());
    let done = script.output().unwrap();
    assert!(done.status.success(), "{done:?}");
    // Terminals begin lines with a carriage return.
    String::from_utf8(done.stdout)
        .unwrap()
        .replace("\r\n", "\n")
}

#[test]
fn logs_do_nothing_to_a_terminal_and_are_what_they_are_elsewhere() {
    let node = NodeOptions::new().start();
    let echo = wasm("echo_world");
    let id = node.submit([&*echo, "--", HOSTILE]);
    node.mc(["wait", &id]).expect_code(0);
    let raw = node.mc(["logs", &id]).expect_code(0).text();
    assert_eq!(raw, format!("argument {HOSTILE}\n"));
    let shown = on_terminal(&["--node", &node.api, "logs", &id]);
    assert_eq!(shown, "argument a\\u{1b}[2J\\u{9b}H\nb\n");
}

#[test]
fn logs_in_a_file_have_no_colours() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().display().to_string();
    let done = mc(["-vv", "--no-mdns", "--data-dir", &data, "ps"]).expect_code(0);
    assert!(done.stderr.contains("INFO") || done.stderr.contains("DEBUG"));
    assert!(is_harmless(&done.stderr), "{:?}", done.stderr);
}

#[test]
fn whoever_stops_reading_ends_any_command_without_a_word() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, vec![7; 3 << 20]).unwrap();
    let cid = |path: &str| {
        let added = node.mc(["add", "-q", path]).expect_code(0).text();
        added.trim().to_owned()
    };
    let (file, tree) = (
        cid(file.to_str().unwrap()),
        cid(dir.path().to_str().unwrap()),
    );
    let echo = wasm("echo_world");
    let id = node.submit([&*echo, "--", "written"]);
    node.mc(["wait", &id]).expect_code(0);
    for args in [
        &["--help"][..],
        &["run", "--help"],
        &["version"],
        &["explain"],
        &["explain", "MC0001"],
        &["completions", "bash"],
        &["config", "print"],
        &["doctor"],
        &["run", &echo, "--", "an argument"],
        &["--format", "json", "run", &echo],
        &["ps"],
        &["ps", "-q"],
        &["nodes"],
        &["status", &id],
        &["logs", &id],
        &["logs", "--tail", "1", &id],
        &["cat", &file],
        &["cat", "--offset", "5", &file],
        &["ls", &tree],
        &["stat", &tree],
        &["car", "export", &tree],
        &["pin", "ls"],
        &["fsck"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(binary());
        command.args(args).stdin(Stdio::null()).stdout(writer);
        command.env("MC_WASM_NODE", &node.api);
        let done = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(141), "{args:?}: {stderr}");
        let guest_said = stderr.replace("echoed\n", "");
        assert_eq!(guest_said, "", "{args:?}");
    }
}
