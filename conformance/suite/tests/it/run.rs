//! `run`: here and now, without a node.

use crate::{disk::SmallDisk, wasm};
use mc_conformance::{NodeOptions, mc, mc_with, privileged, spawn_in, within};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

#[test]
fn run_passes_output_and_exit_code_through() {
    let done = mc(["run", &wasm("echo_world"), "--", "an", "argument"]).expect_code(0);
    assert!(done.text().contains("argument"));
    mc(["run", &wasm("exit_failure")]).expect_code(1);
    mc(["run", &wasm("trap_unreachable")]).expect_code(134);
    mc(["run", "--fuel", "1000000", &wasm("cpu_forever")]).expect_code(152);
    mc(["run", "--timeout", "200ms", &wasm("cpu_forever")]).expect_code(124);
    mc(["run", "--memory", "16MiB", &wasm("memory_hog")]).expect_code(137);
}

#[test]
fn run_reads_inputs_and_leaves_outputs() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("tree")).unwrap();
    std::fs::write(dir.path().join("tree/file"), b"in a directory").unwrap();
    std::fs::write(dir.path().join("single"), b"alone").unwrap();
    let out = dir.path().join("out");
    mc([
        "run",
        "--input",
        &format!("tree={}", dir.path().join("tree").display()),
        "--input",
        &format!("single={}", dir.path().join("single").display()),
        "--out",
        out.to_str().unwrap(),
        &wasm("copy_tree"),
    ])
    .expect_code(0);
    assert_eq!(
        std::fs::read(out.join("tree/file")).unwrap(),
        b"in a directory"
    );
    assert_eq!(std::fs::read(out.join("single")).unwrap(), b"alone");
}

/// The most memory that a command had that succeeds, in bytes.
fn peak_memory_of(dir: &Path, args: &[&str]) -> u64 {
    let mut child = spawn_in(dir, args);
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let ended = within(Duration::from_secs(120), || {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        peak = kib.map_or(peak, |kib| peak.max(kib << 10));
        child.try_wait().unwrap()
    });
    assert!(ended.is_some_and(|status| status.success()), "{args:?}");
    peak
}

#[test]
fn files_that_a_run_writes_take_disk_and_not_memory() {
    let dir = tempfile::tempdir().unwrap();
    let flood = wasm("file_flood");
    // Compiled once for all.
    mc(["run", &flood, "--", "1"]).expect_code(0);
    let run = ["run", "--out", "out", &flood, "--", "600"];
    let peak = peak_memory_of(dir.path(), &run);
    assert!(peak < 300 << 20, "600 MiB of files took {peak} bytes");
    let left = dir.path().join("out/flood");
    assert_eq!(left.metadata().unwrap().len(), 600 << 20);
}

#[test]
fn a_run_with_more_files_than_the_disk_has_room_for_says_where() {
    privileged(|| {
        let dir = tempfile::tempdir().unwrap();
        let disk = SmallDisk::mount(dir.path(), 32);
        let args = ["run", &wasm("file_flood"), "--", "100"].map(str::to_owned);
        let full = mc_with(args, |command| {
            command.env("TMPDIR", dir.path());
        });
        let full = full.expect_code(70);
        assert!(full.stderr.contains("MC0019"), "{}", full.stderr);
        let place = dir.path().display().to_string();
        assert!(full.stderr.contains(&place), "{}", full.stderr);
        drop(disk);
    });
}

/// The same task has the same CIDs, whoever runs it.
#[test]
fn run_and_submit_name_task_and_outputs_alike() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), vec![1; 1_500_000]).unwrap();
    let input = format!("data={}", dir.path().join("file").display());
    let component = wasm("copy_tree");
    let args = [
        "--format",
        "json",
        "--fuel",
        "1000000000",
        "--input",
        &input,
        &component,
    ];
    let here = mc(["run"].into_iter().chain(args)).expect_code(0).json();
    let node = NodeOptions::new().start();
    let there = node
        .mc(["submit"].into_iter().chain(args))
        .expect_code(0)
        .json();
    for field in [
        "task_cid",
        "stdout_cid",
        "stderr_cid",
        "outputs_cid",
        "outcome_cid",
        "fuel",
        "meter",
        "exit_code",
        "state",
    ] {
        assert!(!here[field].is_null(), "{field}");
        assert_eq!(here[field], there[field], "{field}");
    }
}

/// Prints what it is called.
const NAME: &str = r#"(module
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $length i32)
    (drop (call $args (i32.const 16) (i32.const 1024)))
    (loop $next
      (local.set $length (i32.add (local.get $length) (i32.const 1)))
      (br_if $next (i32.load8_u (i32.add (i32.const 1024) (local.get $length)))))
    (i32.store (i32.const 0) (i32.const 1024))
    (i32.store (i32.const 4) (local.get $length))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

/// A program that is several by its name can be called by any of them, here and elsewhere.
#[test]
fn a_program_is_called_as_the_user_says() {
    let dir = tempfile::tempdir().unwrap();
    let component = dir.path().join("multi.wasm");
    std::fs::write(&component, wat::parse_str(NAME).unwrap()).unwrap();
    let component = component.to_str().unwrap();
    assert_eq!(mc(["run", component]).expect_code(0).text(), "task");
    let called = ["--argv0", "/bin/ls", component, "--", "-l"];
    let here = mc(["run"].into_iter().chain(called)).expect_code(0);
    assert_eq!(here.text(), "/bin/ls");
    let node = NodeOptions::new().start();
    let there = node.mc(["submit"].into_iter().chain(called)).expect_code(0);
    assert_eq!(there.text(), "/bin/ls");
    let json = |arguments: &[&str]| {
        let format = ["--format", "json"].into_iter();
        mc(format.chain(arguments.iter().copied()))
            .expect_code(0)
            .json()
    };
    let usual = json(&["run", component, "--", "-l"]);
    let other = json(&["run", "--argv0", "/bin/ls", component, "--", "-l"]);
    assert_ne!(usual["task_cid"], other["task_cid"]);
    let same = json(&["run", "--argv0", "task", component, "--", "-l"]);
    assert_eq!(usual["stdout_cid"], same["stdout_cid"]);
}

/// Writes its first argument to a file in the user's directory and to standard output, and exits with 200.
const MODULE: &str = r#"(module
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "made")
  (func $check (param i32) (if (local.get 0) (then unreachable)))
  (func (export "_start") (local $text i32) (local $length i32)
    (call $check (call $args (i32.const 16) (i32.const 1024)))
    (local.set $text (i32.load (i32.const 20)))
    (loop $next
      (local.set $length (i32.add (local.get $length) (i32.const 1)))
      (br_if $next (i32.load8_u (i32.add (local.get $text) (local.get $length)))))
    (i32.store (i32.const 0) (local.get $text))
    (i32.store (i32.const 4) (local.get $length))
    ;; The user's directory comes after /in and /out, which are 3 and 4.
    (call $check (call $open (i32.const 5) (i32.const 0) (i32.const 64) (i32.const 4) (i32.const 1)
      (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 8)))
    (call $check (call $write (i32.load (i32.const 8)) (i32.const 0) (i32.const 1) (i32.const 12)))
    (call $check (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))
    (call $exit (i32.const 200))))"#;

/// Core modules for preview 1 run relaxed as components do.
#[test]
fn a_module_of_preview_1_runs_relaxed() {
    let dir = tempfile::tempdir().unwrap();
    let module = dir.path().join("module.wasm");
    std::fs::write(&module, wat::parse_str(MODULE).unwrap()).unwrap();
    let given = dir.path().join("given");
    std::fs::create_dir(&given).unwrap();
    let mount = format!("{}::/w", given.display());
    let module = module.to_str().unwrap();
    let done = mc([
        "run",
        "--relaxed",
        "--dir",
        &mount,
        module,
        "--",
        "argument",
        "another",
    ]);
    assert_eq!(done.expect_code(200).text(), "argument");
    assert_eq!(std::fs::read(given.join("made")).unwrap(), b"argument");
}

/// It got a second name of the link, which led nowhere from there.
#[test]
fn a_relaxed_run_reads_an_input_through_a_link() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("text"), "text").unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink("text", &link).unwrap();
    let (input, out) = (format!("it={}", link.display()), dir.path().join("out"));
    let out_option = out.to_str().unwrap();
    let component = wasm("copy_tree");
    let args = ["run", "--relaxed", "--input", &input, "--out", out_option];
    mc(args.into_iter().chain([component.as_str()])).expect_code(0);
    assert_eq!(std::fs::read(out.join("it")).unwrap(), b"text");
}

/// It was said to have a `/tmp` of its own, though it sees that of the directory.
#[test]
fn a_relaxed_run_hides_no_more_of_a_directory_than_it_says() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["in", "tmp", "dev"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    let mount = format!("{}::/", dir.path().display());
    let component = wasm("exit_zero");
    let hidden = |options: &[&str]| {
        let args = ["run", "--dir", &*mount, &*component];
        let done = mc(args.into_iter().chain(options.iter().copied())).expect_code(0);
        let said = done
            .stderr
            .lines()
            .find(|line| line.contains("in the place of"));
        said.unwrap().rsplit(": ").next().unwrap().to_owned()
    };
    assert_eq!(hidden(&[]), "dev, in, tmp");
    assert_eq!(hidden(&["--relaxed"]), "in");
}

fn tree(dir: &Path) -> PathBuf {
    let tree = dir.join("tree");
    std::fs::create_dir_all(tree.join("removed_dir/inner")).unwrap();
    for (name, text) in [
        ("appended", "some"),
        ("removed", "x"),
        ("removed_dir/inner/file", "x"),
        ("one", "1"),
        ("two", "2"),
        ("untouched", "as it was"),
    ] {
        std::fs::write(tree.join(name), text).unwrap();
    }
    tree
}

/// What a task does to a directory of ours is the same whether it is done here or elsewhere.
#[test]
fn a_directory_is_changed_as_the_guest_changes_it() {
    let node = NodeOptions::new().start();
    let component = wasm("edit_tree");
    let mut outcomes = vec![];
    for command in ["run", "submit"] {
        let dir = tempfile::tempdir().unwrap();
        let tree = tree(dir.path());
        let given = format!("{}::/work", tree.display());
        let args = [command, "--format", "json", "--dir", &given, &component];
        let done = match command {
            "run" => mc(args),
            _ => node.mc(args),
        };
        outcomes.push(done.expect_code(0).json()["outcome_cid"].clone());
        let read = |name: &str| std::fs::read_to_string(tree.join(name)).unwrap();
        assert_eq!(read("appended"), "some and more", "{command}");
        assert_eq!(read("untouched"), "as it was");
        assert_eq!(read("made/deep/file"), "new");
        assert_eq!((read("one"), read("two")), ("2".to_owned(), "1".to_owned()));
        let mut names: Vec<_> = std::fs::read_dir(&tree)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["appended", "made", "one", "two", "untouched"]);
    }
    assert_eq!(outcomes[0], outcomes[1]);
    assert!(outcomes[0].is_string());
}

/// It read ahead, so that a loop over the lines of a file ended after the first one.
#[test]
fn a_run_takes_no_more_of_standard_input_than_its_guest_reads() {
    let dir = tempfile::tempdir().unwrap();
    let (module, list) = (dir.path().join("two.wasm"), dir.path().join("list"));
    let text = r#"(module
        (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "\10\00\00\00\02\00\00\00")
        (func (export "_start")
            (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;
    std::fs::write(&module, wat::parse_str(text).unwrap()).unwrap();
    std::fs::write(&list, "a\nb\nc\n").unwrap();
    let mut list = std::fs::File::open(&list).unwrap();
    for left in [4, 2] {
        let run = std::process::Command::new(mc_conformance::binary())
            .arg("run")
            .arg(&module)
            .stdin(list.try_clone().unwrap())
            .status();
        assert!(run.unwrap().success());
        let position = std::io::Seek::stream_position(&mut list).unwrap();
        assert_eq!(position, 6 - left);
    }
}

#[test]
fn a_reader_that_leaves_ends_the_run_without_a_word() {
    for options in [&["run"][..], &["run", "--relaxed"]] {
        let mut run = std::process::Command::new(mc_conformance::binary())
            .args(options)
            .arg(wasm("ticks"))
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0; 5];
        std::io::Read::read_exact(run.stdout.as_mut().unwrap(), &mut first).unwrap();
        drop(run.stdout.take());
        let done = run.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(141), "{options:?}: {stderr}");
        // A guest that is told of it panics.
        assert!(!stderr.contains("panicked"), "{options:?}: {stderr}");
    }
}
