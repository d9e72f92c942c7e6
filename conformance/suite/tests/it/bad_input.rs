//! What cannot be accepted is refused with a code and a sentence, and breaks nothing.

use crate::disk::SmallDisk;
use mc_artifacts::guest;
use mc_conformance::{Finished, NodeOptions, mc, mc_in, mc_with, privileged};

/// Checks the exit code, the error code and that the message names what matters.
#[track_caller]
fn refused(done: &Finished, code: i32, error: &str, names: &[&str]) {
    assert_eq!(done.code, Some(code), "{done:#?}");
    assert!(done.stderr.contains(error), "{error} in {done:#?}");
    for name in names {
        assert!(done.stderr.contains(name), "{name} in {done:#?}");
    }
    assert!(!done.stderr.contains("panicked"), "{done:#?}");
}

#[test]
fn inspect_and_run_call_what_is_no_component_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("text.wat");
    std::fs::write(&text, "(module)").unwrap();
    let (text, data) = (text.display().to_string(), dir.path().display().to_string());
    for command in ["run", "inspect"] {
        let go = |file: &str| mc(["--data-dir", &data, command, file]);
        refused(&go(&text), 65, "MC0003", &["text.wat", "WebAssembly text"]);
        // What never ends is not read to its end.
        refused(&go("/dev/zero"), 65, "MC0006", &["/dev/zero"]);
    }
}

#[test]
fn files_that_are_no_components_are_refused_by_kind() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let script = path("script.wasm", b"#!/bin/sh\necho no\n");
    let core = path("core.wasm", b"\0asm\x01\0\0\0");
    let broken = path("broken.wasm", b"\0asm\x0d\0\x01\0\xff\xff\xff");
    let empty = path("empty.wasm", b"");
    for command in ["run", "submit"] {
        let data = dir.path().join("data").display().to_string();
        let go = |file: &str| mc(["--data-dir", &data, command, file]);
        refused(&go(&script), 65, "MC0003", &["script.wasm"]);
        refused(&go(&core), 65, "MC0004", &["core.wasm"]);
        refused(&go(&broken), 65, "MC0006", &["broken.wasm"]);
        refused(&go(&empty), 65, "MC0003", &["empty.wasm"]);
        refused(
            &go("/nonexistent/x.wasm"),
            66,
            "MC0002",
            &["/nonexistent/x.wasm"],
        );
    }
}

/// Valid, and more globals than the compiler can tell apart: it panics.
#[test]
fn what_the_compiler_gives_up_on_is_refused_and_not_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("globals.wasm");
    let globals = "(global (mut i32) (i32.const 0))".repeat(70_000);
    let text = format!(
        "(module (memory (export \"memory\") 1) {globals} (func (export \"_start\") {}))",
        (0..70_000).fold(String::new(), |text, n| {
            text + &format!("(global.set {n} (i32.const 1))")
        })
    );
    std::fs::write(&file, wat::parse_str(text).unwrap()).unwrap();
    let (file, data) = (file.display().to_string(), dir.path().display().to_string());
    let node = NodeOptions::new().start();
    for done in [
        mc(["--data-dir", &data, "run", &file]),
        mc(["--data-dir", &data, "run", "--relaxed", &file]),
        node.mc(["submit", &file]),
    ] {
        refused(&done, 65, "MC0006", &["cannot be compiled here"]);
        assert!(!done.stderr.contains("backtrace"), "{done:#?}");
    }
}

#[test]
fn imports_that_are_not_offered_are_named() {
    let component = guest("imports_keyvalue").display().to_string();
    refused(
        &mc(["run", &component]),
        65,
        "MC0005",
        &["wasi:keyvalue/store"],
    );
    let node = NodeOptions::new().start();
    let done = node.mc(["submit", &component]);
    refused(&done, 65, "MC0005", &["wasi:keyvalue/store"]);
}

/// A core module that imports the functions `names` of `module`, and exports `export`.
fn importing(module: &str, names: &[String], export: &str) -> Vec<u8> {
    let text = |text: &str| {
        let mut bytes = vec![u8::try_from(text.len()).unwrap()];
        bytes.extend(text.as_bytes());
        bytes
    };
    let section = |number: u8, content: Vec<u8>| {
        let mut bytes = vec![number];
        // Always in two bytes.
        let length = u16::try_from(content.len()).unwrap();
        bytes.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        bytes.push(u8::try_from(length >> 7).unwrap());
        bytes.extend(content);
        bytes
    };
    let count = u8::try_from(names.len()).unwrap();
    let mut imports = vec![count];
    for name in names {
        imports.extend([text(module), text(name), vec![0, 0]].concat());
    }
    let sections = [
        section(1, vec![1, 0x60, 0, 0]),
        section(2, imports),
        section(3, vec![1, 0]),
        section(7, [vec![1], text(export), vec![0, count]].concat()),
        section(10, vec![1, 2, 0, 0x0b]),
    ];
    [b"\0asm\x01\0\0\0".to_vec(), sections.concat()].concat()
}

#[test]
fn programs_for_other_hosts_are_refused_in_few_words() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str, bytes: Vec<u8>| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let calls: Vec<_> = (0..60).map(|n| format!("__syscall_{n}")).collect();
    let module = path("emscripten.wasm", importing("env", &calls, "_start"));
    let done = mc(["run", &module]);
    refused(
        &done,
        65,
        "MC0005",
        &["__syscall_7 and 52 more", "Emscripten"],
    );
    assert!(!done.stderr.contains("__syscall_8"), "{}", done.stderr);
    let library = path("library.wasm", importing("env", &[], "_initialize"));
    refused(&mc(["run", &library]), 65, "MC0004", &["library"]);
}

#[test]
fn an_input_that_does_not_exist_is_named() {
    let node = NodeOptions::new().start();
    let component = guest("exit_zero").display().to_string();
    let done = node.mc(["submit", "--input", "text=/nonexistent/input", &component]);
    refused(&done, 66, "MC0002", &["/nonexistent/input"]);
    let done = node.mc(["submit", "--input", "no-equals-sign", &component]);
    refused(&done, 2, "MC0001", &["no-equals-sign"]);
    let done = node.mc(["submit", "--input", "../up=README.md", &component]);
    assert_ne!(done.code, Some(0), "{done:#?}");
}

#[test]
fn two_nodes_cannot_share_a_data_directory() {
    let node = NodeOptions::new().start();
    let dir = node.data_dir().display().to_string();
    let args = [
        "node",
        "--data-dir",
        &dir,
        "--api",
        "127.0.0.1:0",
        "--no-mdns",
    ];
    refused(&mc(args), 70, "MC0009", &[&dir]);
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn ports_in_use_are_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().display().to_string();
    let api = format!("127.0.0.1:{port}");
    let done = mc(["node", "--data-dir", &dir, "--api", &api, "--no-mdns"]);
    refused(&done, 70, "MC0010", &[&port]);
    let listen = format!("/ip4/127.0.0.1/tcp/{port}");
    let args = [
        "node",
        "--data-dir",
        &dir,
        "--api",
        "127.0.0.1:0",
        "--no-mdns",
        "--listen",
        &listen,
    ];
    refused(&mc(args), 70, "MC0010", &[&port]);
}

#[test]
fn what_no_node_can_lend_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().display().to_string();
    let node = |flag: &str, value: &str| {
        let typed = ["--data-dir", &data, "node", "--no-mdns"];
        mc([&typed[..], &[flag, value]].concat())
    };
    for (flag, value, names) in [
        (
            "--slots",
            "0",
            ["worker.slots", "1 to 1024", "--no-execute"],
        ),
        ("--memory", "0", ["worker.memory", "1MiB", "--no-execute"]),
        ("--disk", "0", ["worker.disk", "1MiB", "--no-execute"]),
        ("--memory", "100TiB", ["worker.memory", "100TiB", "1MiB to"]),
    ] {
        refused(&node(flag, value), 2, "MC0001", &names);
    }
    let variable = [("MC_WASM_WORKER_MEMORY", "0")];
    let typed = ["--data-dir", &data, "node", "--no-mdns"];
    let done = mc_with(typed, |command| {
        command.envs(variable);
    });
    refused(
        &done,
        2,
        "MC0001",
        &["MC_WASM_WORKER_MEMORY", "worker.memory"],
    );
}

/// The node started, and said so twice a second.
#[test]
fn an_archive_that_cannot_be_written_is_named_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().display().to_string();
    let typed = ["--data-dir", &dir, "node", "--no-mdns", "--keep", "1s"];
    let done = mc([&typed[..], &["--archive", &dir]].concat());
    refused(&done, 66, "MC0002", &[&dir]);
}

#[test]
fn a_node_that_does_not_answer_has_its_own_exit_code() {
    // A reserved port: one that was free a moment ago may be another test's by now.
    let url = "http://127.0.0.1:1";
    refused(&mc(["--node", url, "ps"]), 69, "MC0008", &[url]);
}

#[test]
fn usage_errors_say_what_to_type_instead() {
    let done = mc(["run", "x.wasm", "--memroy", "1MiB"]);
    assert_eq!(done.code, Some(2), "{done:#?}");
    assert!(done.stderr.contains("--memory"), "{done:#?}");
    refused(
        &mc(["run", "--memory", "lots", "x.wasm"]),
        2,
        "",
        &["lots", "256MiB"],
    );
    refused(&mc(["wait", "nonsense"]), 2, "", &["nonsense"]);
}

#[test]
fn jobs_and_content_that_do_not_exist_are_not_found() {
    let node = NodeOptions::new().start();
    let done = node.mc(["status", "01jd5xz7m8q9r0s1t2v3w4x5y6"]);
    assert_ne!(done.code, Some(0));
    assert!(done.stderr.contains("MC0013"), "{done:#?}");
    let cid = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";
    let done = node.mc(["cat", cid, "--timeout", "2s"]);
    assert_ne!(done.code, Some(0));
    assert!(
        done.stderr.contains("MC0011") && done.stderr.contains(cid),
        "{done:#?}"
    );
}

/// Blocks that no other number has.
fn four_mebibytes(number: u8) -> Vec<u8> {
    (0..4)
        .flat_map(|part| vec![number * 4 + part; 1 << 20])
        .collect()
}

#[test]
fn a_full_disk_is_an_error_and_loses_nothing_that_was_acknowledged() {
    privileged(|| {
        let dir = tempfile::tempdir().unwrap();
        let disk = SmallDisk::mount(dir.path(), 96);
        let data = dir.path().join("data");
        let node = NodeOptions::new().data_dir(&data).start();
        let files = tempfile::tempdir().unwrap();
        let mut kept = Vec::new();
        let mut full = None;
        for n in 0..40u8 {
            let path = files.path().join(n.to_string());
            std::fs::write(&path, four_mebibytes(n)).unwrap();
            let done = node.mc(["add", path.to_str().unwrap()]);
            if done.code == Some(0) {
                kept.push((n, done.text().split_whitespace().next().unwrap().to_owned()));
            } else {
                full = Some(done);
                break;
            }
        }
        let full = full.expect("160 MiB do not fit into 96 MiB");
        assert!(full.stderr.contains("MC0014"), "{full:#?}");
        assert!(!kept.is_empty());
        node.kill();
        // With some room again, the same store opens and has everything that was acknowledged.
        disk.resize(512);
        let node = NodeOptions::new().data_dir(&data).start();
        for (n, cid) in &kept {
            let read = node.mc(["cat", cid]).expect_code(0).stdout;
            assert!(read == four_mebibytes(*n), "{n}");
        }
        drop(node);
        drop(disk);
    });
}

/// A package that leaves `package/target` behind if it is built.
fn package(dir: &std::path::Path) {
    let package = dir.join("package");
    std::fs::create_dir_all(package.join("src")).unwrap();
    let manifest = "[package]\nname = \"nothing\"\nedition = \"2024\"\n[workspace]\n";
    std::fs::write(package.join("Cargo.toml"), manifest).unwrap();
    std::fs::write(package.join("src/main.rs"), "fn main() {}\n").unwrap();
}

/// Nobody answers there.
const NOWHERE: &str = "http://127.0.0.1:1";

#[test]
fn results_without_a_place_are_refused_before_anything_is_built_or_asked() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    std::fs::create_dir(at.join("full")).unwrap();
    std::fs::write(at.join("full/mine"), "kept").unwrap();
    std::fs::write(at.join("file"), "kept").unwrap();
    std::os::unix::fs::symlink("nowhere", at.join("link")).unwrap();
    package(at);
    for command in ["run", "submit"] {
        for out in [
            "full",
            "./full/",
            "file",
            "file/below",
            "link",
            "/proc/no/where",
        ] {
            let args = [command, "--node", NOWHERE, "--out", out, "package"];
            let name = out.trim_end_matches('/').rsplit('/').next_back().unwrap();
            refused(&mc_in(at, args), 66, "MC0002", &[name]);
        }
    }
    let checkpoint = [
        "run",
        "--checkpoint-at",
        "1",
        "-o",
        "no/half.car",
        "package",
    ];
    refused(&mc_in(at, checkpoint), 66, "MC0002", &["no"]);
    assert!(!at.join("package/target").exists());
    let node = NodeOptions::new().start();
    let content = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";
    let layer = format!("sha256:{}", "ab".repeat(32));
    let layer = layer.as_str();
    let job = "01jd5xz7m8q9r0s1t2v3w4x5y6";
    for (args, name) in [
        (["get", content, "-o"], "full"),
        (["get", content, "-o"], "file"),
        (["car", "export", content], "file"),
        (["layer", "get", layer], "file"),
        (["result", job, "--out"], "full"),
    ] {
        let flag = (args[0] == "car" || args[0] == "layer").then_some("-o");
        let place = at.join(name).display().to_string();
        let done = node.mc(args.into_iter().chain(flag).chain([&*place]));
        refused(&done, 66, "MC0002", &[&place]);
    }
    assert_eq!(std::fs::read(at.join("full/mine")).unwrap(), b"kept");
    assert_eq!(std::fs::read(at.join("file")).unwrap(), b"kept");
}

#[test]
fn jobs_that_cannot_be_accepted_are_refused_before_anything_is_built_or_asked() {
    let dir = tempfile::tempdir().unwrap();
    package(dir.path());
    for (option, value, name) in [
        ("--priority", "11", "priority"),
        ("--retries", "1000", "retries"),
        ("--label", "novalue", "novalue"),
        ("--require", "novalue", "novalue"),
        ("--queue-timeout", "0s", "queue_timeout"),
        ("--checkpoint-every", "0", "checkpoint_every"),
        ("--timeout", "0s", "timeout"),
    ] {
        let args = ["submit", "--node", NOWHERE, option, value, "package"];
        refused(&mc_in(dir.path(), args), 2, "", &[name]);
    }
    let args = ["run", "--timeout", "0s", "package"];
    refused(&mc_in(dir.path(), args), 2, "", &["timeout"]);
    // Nor is anything built for a node that does not answer.
    let args = ["submit", "--node", NOWHERE, "package"];
    refused(&mc_in(dir.path(), args), 69, "MC0008", &[NOWHERE]);
    assert!(!dir.path().join("package/target").exists());
}
