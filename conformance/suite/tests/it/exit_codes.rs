//! Exit codes: the same for `run` and `submit`, and each for its own cause only.

use crate::wasm;
use mc_conformance::{Finished, Node, NodeOptions, mc, mc_in, put, spawn_in};
use mc_types::cid;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
};

const COMMANDS: [&str; 2] = ["run", "submit"];

/// Runs `command` with options, and a component that says hello.
fn hello(node: &Node, dir: &Path, command: &str, options: &[&str]) -> Finished {
    let mut typed = vec!["--node", &node.api, command];
    typed.extend(options);
    let component = wasm("files");
    typed.extend([component.as_str(), "--", "say", "hello"]);
    mc_in(
        dir,
        typed.into_iter().map(str::to_owned).collect::<Vec<_>>(),
    )
}

#[test]
fn what_no_task_may_have_is_refused_alike_before_anything_runs() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("proj")).unwrap();
    fs::write(dir.path().join("text"), "text").unwrap();
    for options in [
        &["--memory", "5GiB"],
        &["--memory", "0"],
        &["--stack", "100GiB"],
        &["--table", "999999999"],
        &["--handles", "99999999"],
        &["--output", "9999TiB"],
        &["--fuel", "0"],
        &["--clock", "99999999999999"],
        &["--timeout", "0s"],
        &["--env", "=x"],
        &["--env", "novalue"],
        &["--input", "a/b=text"],
        &["--input", "..=text"],
        &["--input", "text"],
        &["--dir", "proj::rel"],
        &["--dir", "proj"],
        &["--bin", "name"],
    ] {
        for command in COMMANDS {
            let done = hello(&node, dir.path(), command, options);
            assert_eq!(done.code, Some(2), "{command} {options:?}: {done:#?}");
            assert_eq!(done.text(), "", "{command} {options:?}");
        }
    }
}

#[test]
fn what_is_not_there_is_said_alike_before_anything_runs() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("proj")).unwrap();
    for options in [
        &["--stdin", "nosuch"],
        &["--stdin", "proj"],
        &["--input", "data=nosuch"],
        &["--dir", "nosuch::/w"],
    ] {
        for command in COMMANDS {
            let done = hello(&node, dir.path(), command, options);
            assert_eq!(done.code, Some(66), "{command} {options:?}: {done:#?}");
            assert_eq!(done.text(), "", "{command} {options:?}");
        }
    }
    for command in COMMANDS {
        node.mc([command, "nosuch.wasm"]).expect_code(66);
    }
    node.mc(["status", "01j00000000000000000000000"])
        .expect_code(66);
    mc(["--node", "http://127.0.0.1:1", "ps"]).expect_code(69);
    // Only who is no superuser can be refused.
    let unreadable = dir.path().join("unreadable");
    fs::write(&unreadable, "text").unwrap();
    fs::set_permissions(&unreadable, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&unreadable).is_err() {
        for command in COMMANDS {
            let done = hello(&node, dir.path(), command, &["--input", "data=unreadable"]);
            assert_eq!(done.code, Some(66), "{command}: {done:#?}");
        }
    }
}

#[test]
fn how_a_guest_ends_is_told_alike() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("text.wasm"), "no component").unwrap();
    let text = dir.path().join("text.wasm").display().to_string();
    let unsupported = wasm("imports_keyvalue");
    let (forever, hog, flood) = (
        wasm("cpu_forever"),
        wasm("memory_hog"),
        wasm("output_flood"),
    );
    let (failure, trap) = (wasm("exit_failure"), wasm("trap_unreachable"));
    for (code, typed) in [
        (1, &[failure.as_str()] as &[&str]),
        (65, &[&text]),
        (65, &[&unsupported]),
        (124, &["--timeout", "200ms", &forever]),
        (134, &[&trap]),
        (137, &["--memory", "16MiB", &hog]),
        (152, &["--fuel", "1000000", &forever]),
        (153, &["--output", "1KiB", &flood]),
    ] {
        for command in COMMANDS {
            let done = node.mc([&[command], typed].concat());
            assert_eq!(done.code, Some(code), "{command} {typed:?}: {done:#?}");
        }
    }
}

#[test]
fn whoever_stops_waiting_is_told_that_the_job_goes_on() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    // By Ctrl-C, and as `timeout` does.
    for signal in [Signal::INT, Signal::TERM] {
        let typed = [
            "--node",
            &node.api,
            "submit",
            &wasm("files"),
            "--",
            "say",
            "ready",
            "spin",
            "1000000",
        ];
        let mut child = spawn_in(dir.path(), typed.map(str::to_owned).to_vec());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.unwrap(), signal).unwrap();
        let done = Finished::of(child);
        assert_eq!(done.code, Some(75), "{done:#?}");
        let id = done.stderr.split(" cancel ").nth(1).unwrap();
        let id = id.split_whitespace().next().unwrap().to_owned();
        node.mc(["cancel", &id]).expect_code(0);
        node.mc(["wait", &id]).expect_code(130);
    }
}

/// Once, `run` said that the machine had failed (70), and a job was tried again until it had no tries left.
#[test]
fn inputs_that_are_not_what_they_should_be_are_unusable_wherever_they_are_read() {
    let node = NodeOptions::new().start();
    // UnixFS of a kind that nobody knows, and a file whose only block is said to be longer than it is.
    let unknown = [0x0a_u8, 2, 8, 3];
    let leaf = cid::of(cid::RAW, b"leaf");
    let link = leaf.to_bytes();
    let mut lying = vec![0x12, 38, 0x0a, 36];
    lying.extend(link);
    lying.extend([0x0a, 6, 8, 2, 0x18, 99, 0x20, 99]);
    let store = |codec, bytes: &[u8]| {
        let cid = cid::of(codec, bytes);
        let stored = put(&node.api, &format!("/api/v1/blocks/{cid}"), bytes);
        assert_eq!(stored.status, 201);
        cid.to_string()
    };
    store(cid::RAW, b"leaf");
    let other_hash = "bafkrcfar62wy5rjkfgckxkx5pq5vczidpboca4q".to_owned();
    for input in [
        store(cid::DAG_PB, &unknown),
        store(cid::DAG_PB, &lying),
        other_hash,
    ] {
        for command in COMMANDS {
            let given = format!("a={input}");
            let component = wasm("copy_tree");
            let done = node.mc([command, "--input", &given, &component]);
            assert_eq!(done.code, Some(65), "{command} {input}: {done:#?}");
            assert!(done.stderr.contains("MC0012"), "{command}: {done:#?}");
            assert!(!done.stderr.contains("retried"), "{command}: {done:#?}");
        }
    }
}
