//! What scripts and people need of the command line.

use crate::wasm;
use mc_conformance::{NodeOptions, mc, mc_with};
use std::{
    fs::{self, File},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

#[test]
fn variables_of_other_programs_are_no_errors() {
    let done = mc_with(["config", "print"], |command| {
        command
            .env("MC_SID", "4711")
            .env("MC_HOST_play", "https://key:secret@play.example")
            .env("MC_WASM_NETWROK", "x")
            .env("MC_WORKER_SLOTS", "3");
    })
    .expect_code(0);
    let said = &done.stderr;
    assert!(said.contains("did you mean MC_WASM_NETWORK?"), "{said}");
    assert!(said.contains("MC_WORKER_SLOTS is called"), "{said}");
    assert!(
        !said.contains("MC_SID") && !said.contains("MC_HOST"),
        "{said}"
    );
    assert!(done.text().contains("slots = 3"), "{}", done.text());
    let doctor = mc_with(["doctor"], |command| {
        command.env("MC_WASM_NETWROK", "x");
    });
    assert!(doctor.text().contains("MC_WASM_NETWROK"), "{doctor:#?}");
    // Where nothing is asked about the configuration, a hint would be in the way.
    let hinted = mc_with(["run", &wasm("exit_zero")], |command| {
        command.env("MC_WASM_NETWROK", "x");
    });
    assert_eq!(hinted.expect_code(0).stderr, "");
}

#[test]
fn errors_and_hints_do_not_show_the_passwords_of_nodes() {
    let (one, two) = (
        "http://ada:s3cret@127.0.0.1:1",
        "http://ada:s3cret@127.0.0.1:2",
    );
    let several = format!("{one},{two}");
    let job = "01j00000000000000000000000";
    for node in [
        one,
        &several,
        "http://127.0.0.1:1,https://ada:s3,cret@127.0.0.1:2",
    ] {
        for command in [
            &["ps"][..],
            &["wait", job],
            &["logs", "-f", job],
            &["doctor"],
            &["config", "print"],
        ] {
            let typed = [&["--node", node][..], command].concat();
            let done = mc(typed);
            let said = format!("{}{}", done.stderr, done.text());
            let hidden = ["s3cret", "s3,cret", "\"cret"];
            assert!(
                hidden.iter().all(|secret| !said.contains(*secret)),
                "{said}"
            );
            assert!(said.contains("127.0.0.1"), "{said}");
        }
    }
}

/// Once, `run` was refused with 2, though it needs nothing of it.
#[test]
fn a_configuration_file_that_cannot_be_read_is_in_the_way_of_nodes_alone() {
    let home = tempfile::tempdir().unwrap();
    // A superuser can read all files, but no directory.
    let file = home.path().join("mc-wasm/config.toml");
    fs::create_dir_all(&file).unwrap();
    let set = |command: &mut Command| {
        command.env("XDG_CONFIG_HOME", home.path());
    };
    let zero = wasm("exit_zero");
    let done = mc_with(["run", &zero], set).expect_code(0);
    assert!(done.stderr.contains("cannot read"), "{done:#?}");
    assert_eq!(done.stderr.lines().count(), 1, "{done:#?}");
    mc_with(["--node", "http://127.0.0.1:1", "ps"], set).expect_code(69);
    for command in [&["node"][..], &["ps"], &["config", "print"]] {
        mc_with(command, set).expect_code(2);
    }
    let named = file.to_str().unwrap();
    mc(["--config", named, "run", &zero]).expect_code(2);
    let named = mc_with(["run", &zero], |command| {
        command.env("MC_WASM_CONFIG", named);
    });
    named.expect_code(2);
}

/// Once, every command waited for somebody to write to it.
#[test]
fn a_pipe_in_place_of_the_usual_configuration_file_is_not_waited_for() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("mc-wasm");
    fs::create_dir(&dir).unwrap();
    let made = Command::new("mkfifo").arg(dir.join("config.toml")).status();
    assert!(made.unwrap().success());
    let set = |command: &mut Command| {
        command.env("XDG_CONFIG_HOME", home.path());
    };
    let done = mc_with(["run", &wasm("exit_zero")], set).expect_code(0);
    assert!(done.stderr.contains("it is a pipe"), "{done:#?}");
    mc_with(["ps"], set).expect_code(2);
}

#[test]
fn empty_variables_are_no_mistake() {
    let done = mc_with(["run", &wasm("exit_zero")], |command| {
        for name in ["CONFIG", "NODE", "DATA_DIR", "CACHE_DIR", "WORKER_SLOTS"] {
            command.env(format!("MC_WASM_{name}"), "");
        }
    });
    assert_eq!(done.expect_code(0).stderr, "");
}

#[test]
fn configuration_is_printed_as_it_is_in_force_and_without_passwords() {
    let set = |command: &mut Command| {
        let url = "postgres://mc:s3cret@db.example/mc?password=s3cret";
        command.env("MC_WASM_LEDGER_URL", url);
    };
    let done = mc_with(["config", "print"], set).expect_code(0);
    let text = done.text();
    let cores = std::thread::available_parallelism().unwrap();
    let words: Vec<_> = text.split_whitespace().collect();
    let words = words.join(" ");
    for shown in [
        &*format!("# worker.slots {cores}, one per core"),
        "# content.max ",
        "postgres://mc:***@db.example/mc?password=***",
    ] {
        assert!(words.contains(shown), "{shown} in {text}");
    }
    let json = mc_with(["--format", "json", "config", "print"], set).expect_code(0);
    assert_eq!(json.json()["worker"]["slots"], cores.get());
    assert!(json.json()["content"].get("max").is_some());
    for said in [text, done.stderr, json.text(), json.stderr] {
        assert!(!said.contains("s3cret"), "{said}");
    }
}

#[test]
fn errors_are_json_where_that_was_asked_for() {
    for (args, code, error) in [
        (&["--format", "json", "run"][..], 2, "MC0001"),
        (
            &["run", "--format=json", "--memroy", "1", "x.wasm"],
            2,
            "MC0001",
        ),
        (&["--format", "json", "nosuch"], 2, "MC0001"),
        (&["--format", "json", "wait", "no id"], 2, "MC0001"),
        (&["--format", "json"], 2, "MC0001"),
        (
            &["--format", "json", "run", "/nonexistent/program"],
            66,
            "MC0002",
        ),
        (
            &["--format", "json", "--node", "http://127.0.0.1:1", "ps"],
            69,
            "MC0008",
        ),
    ] {
        let done = mc(args.iter().copied()).expect_code(code);
        let said: serde_json::Value = serde_json::from_str(&done.stderr)
            .unwrap_or_else(|e| panic!("{args:?}: {e}: {}", done.stderr));
        assert_eq!(said["code"], error, "{args:?}");
        assert!(!said["message"].as_str().unwrap().is_empty(), "{args:?}");
    }
}

#[test]
fn help_groups_options_by_what_they_are_about() {
    for (command, groups) in [
        (
            "run",
            &[("Limits:", "--memory"), ("Checkpoints:", "--checkpoint-at")][..],
        ),
        (
            "submit",
            &[("Where and when:", "--priority"), ("Limits:", "--fuel")],
        ),
        (
            "node",
            &[("What it lends:", "--slots"), ("Network:", "--listen")],
        ),
    ] {
        let help = mc([command, "-h"]).expect_code(0).text();
        for (group, option) in groups {
            let below = help.split_once(group).map(|(_, below)| below);
            let below = below.unwrap_or_else(|| panic!("{group} in {help}"));
            let group = below.split("\n\n").next().unwrap();
            assert!(group.contains(option), "{option} in {group}");
        }
    }
}

#[test]
fn every_error_code_is_listed() {
    let listed = mc(["explain"]).expect_code(0).text();
    assert!(listed.contains("MC0001 ") && listed.contains("MC0026 "));
    let codes = mc(["explain", "exit-codes"]).expect_code(0).text();
    assert!(codes.contains("exit-with-code"), "{codes}");
    let json = mc(["--format", "json", "explain"]).expect_code(0).json();
    assert_eq!(json[0]["code"], "MC0001");
}

#[test]
fn jobs_are_shown_to_people_and_named_by_a_beginning_of_their_id() {
    let node = NodeOptions::new().start();
    let (zero, fails) = (wasm("exit_zero"), wasm("exit_failure"));
    let one = node.submit(["--submitter", "lab", &*zero]);
    let two = node.submit(["--name", "probe", &*fails]);
    let both = [&*one, &*two];
    node.mc(["wait", &one, &two]).expect_code(1);
    let table = node.mc(["ps"]).expect_code(0).text();
    let row = |id: &str| {
        let row = table.lines().find(|line| line.starts_with(id)).unwrap();
        row.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let first = row(&one);
    assert_eq!(first[1..4], ["exit_zero", "succeeded", "0"], "{table}");
    assert!(first[4].ends_with('s'), "{table}");
    assert_eq!(first[6..], ["lab".to_owned(), node.id.clone()], "{table}");
    assert_eq!(row(&two)[1..4], ["probe", "failed", "1"], "{table}");
    let quiet = node.mc(["ps", "-q"]).expect_code(0).text();
    assert_eq!(quiet.lines().collect::<Vec<_>>(), [&*two, &*one]);
    let few = node.mc(["ps", "--limit", "1"]).expect_code(0);
    assert!(few.stderr.contains("newest 1"), "{}", few.stderr);
    assert_eq!(node.mc(["ps"]).stderr, "");

    // What they have in common names neither.
    let common = one
        .bytes()
        .zip(two.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    let several = node.mc(["status", &one[..common]]).expect_code(2);
    assert!(
        both.iter().all(|id| several.stderr.contains(id)),
        "{several:#?}"
    );
    let unique = &one[..=common];
    let text = node.mc(["status", unique]).expect_code(0).text();
    let year = Command::new("date").arg("+%Y-").output().unwrap();
    let year = String::from_utf8(year.stdout).unwrap();
    let submitted = text
        .lines()
        .find(|line| line.starts_with("submitted "))
        .unwrap();
    assert!(
        submitted.contains(year.trim()) && submitted.ends_with(" ago"),
        "{text}"
    );
    node.mc(["wait", unique]).expect_code(0);
    let nobody = node.mc(["status", "7zzz"]);
    assert!(nobody.stderr.contains("MC0013"), "{nobody:#?}");
    // Of several, those that are there are shown.
    let some = node.mc(["status", "7zzz", &one]);
    assert_ne!(some.code, Some(0));
    assert!(some.text().contains(&one), "{some:#?}");
}

#[test]
fn waiting_can_have_an_end_that_is_not_the_jobs() {
    let node = NodeOptions::new().start();
    let ids = [wasm("cpu_forever"), wasm("sleep_forever")].map(|wasm| node.submit([&*wasm]));
    let begun = Instant::now();
    let waited = node.mc(["wait", "--timeout", "1s", &ids[0], &ids[1]]);
    waited.expect_code(75);
    assert!(begun.elapsed() < Duration::from_secs(10));
    node.mc(["cancel", &ids[0], &ids[1]]).expect_code(0);
    node.mc(["wait", &ids[0], &ids[1]]).expect_code(130);
}

#[test]
fn the_last_lines_of_logs_can_be_had() {
    let node = NodeOptions::new().start();
    let ticks = wasm("ticks");
    let id = node.submit([&*ticks, "--", "20", "50"]);
    let followed = node.mc(["logs", "-f", "--tail", "0", &id]).expect_code(0);
    let expected: String = (0..20).map(|n| format!("tick {n}\n")).collect();
    assert!(expected.ends_with(&followed.text()), "{followed:#?}");
    let tail = node.mc(["logs", "--tail", "2", &id]).expect_code(0).text();
    assert_eq!(tail, "tick 18\ntick 19\n");
}

#[test]
fn a_run_needs_no_home() {
    let zero = wasm("exit_zero");
    for home in [None, Some("/proc/nowhere")] {
        let done = mc_with(["run", &zero], |command| {
            for name in ["HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
                command.env_remove(name);
            }
            if let Some(home) = home {
                command.env("HOME", home);
            }
        })
        .expect_code(0);
        assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
        assert!(done.stderr.contains("not kept"), "{}", done.stderr);
    }
}

#[test]
fn a_node_can_be_talked_to_without_a_home() {
    let node = NodeOptions::new().start();
    let zero = wasm("exit_zero");
    for args in [&["ps"][..], &["submit", &zero]] {
        let named = ["--node", &*node.api];
        let done = mc_with(named.iter().chain(args), |command| {
            command.env_remove("HOME").env_remove("XDG_DATA_HOME");
        });
        done.expect_code(0);
    }
    let lost = mc_with(["ps"], |command| {
        command.env_remove("HOME").env_remove("XDG_DATA_HOME");
    });
    assert!(lost.expect_code(2).stderr.contains("MC_WASM_DATA_DIR"));
}

#[test]
fn standard_input_is_read_or_said_not_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("input");
    fs::write(&path, "typed\n").unwrap();
    let echo = wasm("echo_world");
    let given = |args: &[&str]| {
        mc_with(args.iter().copied(), |command| {
            command.stdin(File::open(&path).unwrap());
        })
    };
    let read = given(&["run", &echo]).expect_code(0);
    assert!(read.text().contains("typed"), "{read:#?}");
    assert!(!read.stderr.contains("--stdin"), "{read:#?}");
    let asked = given(&["--format", "json", "run", "--stdin", "-", &echo]);
    assert!(!asked.expect_code(0).stderr.contains("--stdin"));
    let data = dir.path().join("data").display().to_string();
    for args in [
        &["--format", "json", "run", &echo][..],
        &["--data-dir", &data, "--no-mdns", "submit", &echo],
    ] {
        let unread = given(args).expect_code(0);
        assert!(unread.stderr.contains("--stdin -"), "{unread:#?}");
        assert!(!unread.text().contains("typed"), "{unread:#?}");
    }
    let nothing = mc(["--format", "json", "run", &echo]).expect_code(0);
    assert!(!nothing.stderr.contains("--stdin"), "{nothing:#?}");
    let piped = mc_with(["--format", "json", "run", &*echo], |command| {
        command.stdin(Stdio::piped());
    });
    assert!(piped.expect_code(0).stderr.contains("--stdin -"));
}

#[test]
fn building_is_quiet_if_that_is_wanted_and_loud_if_not() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("src")).unwrap();
    let manifest =
        "[package]\nname = \"quiet\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(dir.path().join("Cargo.toml"), manifest).unwrap();
    let main = "fn main() { let unused = 3; println!(\"built\"); }";
    fs::write(dir.path().join("src/main.rs"), main).unwrap();
    let path = dir.path().to_str().unwrap();
    let loud = mc(["run", path]).expect_code(0);
    assert_eq!(loud.text(), "built\n");
    assert!(loud.stderr.contains("Compiling"), "{}", loud.stderr);
    fs::write(
        dir.path().join("src/main.rs"),
        main.replace("built", "again"),
    )
    .unwrap();
    let quiet = mc(["run", "-q", path]).expect_code(0);
    assert_eq!((&*quiet.text(), &*quiet.stderr), ("again\n", ""));
    fs::write(dir.path().join("src/main.rs"), "fn main() { nonsense }").unwrap();
    let broken = mc(["run", "-q", path]).expect_code(65);
    assert!(broken.stderr.contains("nonsense"), "{}", broken.stderr);
}

/// WASI 0.2's `exit` says of an exit only whether all is well.
#[test]
fn a_component_that_asks_for_it_exits_with_a_code_of_its_own() {
    let text = r#"(component
        (import "wasi:cli/exit@0.2.6" (instance $exit
            (export "exit-with-code" (func (param "status-code" u8)))))
        (core func $lowered (canon lower (func $exit "exit-with-code")))
        (core module $m
            (import "host" "exit" (func $exit (param i32)))
            (func (export "run") (result i32) (call $exit (i32.const 3)) unreachable))
        (core instance $i (instantiate $m
            (with "host" (instance (export "exit" (func $lowered))))))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance $command (export "run" (func $run)))
        (export "wasi:cli/run@0.2.6" (instance $command)))"#;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("exit.wasm");
    fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
    let path = path.to_str().unwrap();
    mc(["run", path]).expect_code(3);
    mc(["run", "--relaxed", path]).expect_code(3);
}

#[test]
fn imports_are_looked_at_before_anything_is_sent() {
    let component = wasm("imports_keyvalue");
    let nobody = ["--node", "http://127.0.0.1:1", "submit", &*component];
    let refused = mc(nobody).expect_code(65);
    assert!(
        refused.stderr.contains("wasi:keyvalue/store"),
        "{refused:#?}"
    );
}

#[test]
fn a_stop_beyond_the_end_is_said_to_be_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("never.car");
    let zero = wasm("exit_zero");
    let at = "1000000000000000000";
    let stop = [
        "run",
        "--checkpoint-at",
        at,
        "-o",
        path.to_str().unwrap(),
        &*zero,
    ];
    let done = mc(stop).expect_code(0);
    assert!(done.stderr.contains("was not stopped"), "{}", done.stderr);
    assert!(!path.exists());
}

#[test]
fn an_input_that_a_resumed_run_lacks_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (input, stopped) = (dir.path().join("input"), dir.path().join("stopped.car"));
    fs::write(&input, "what it reads later").unwrap();
    let given = format!("data={}", input.display());
    let stopped = stopped.to_str().unwrap();
    let copy = wasm("copy_tree");
    let stop = [
        "--checkpoint-at",
        "1",
        "-o",
        stopped,
        "--input",
        &*given,
        &*copy,
    ];
    mc(["run"].into_iter().chain(stop)).expect_code(0);
    let data = dir.path().join("data").display().to_string();
    let alone = ["--data-dir", &*data, "--no-mdns", "resume", stopped];
    let lacking = mc(alone).expect_code(66);
    assert!(lacking.stderr.contains("--input data=PATH"), "{lacking:#?}");
    let out = dir.path().join("out");
    let again = ["--input", &*given, "--out", out.to_str().unwrap()];
    mc(alone.into_iter().chain(again)).expect_code(0);
    assert!(out.join("data").exists());
}

/// It went on as if the run had had no other, so that what was said to be missing did not help.
#[test]
fn an_input_that_is_added_to_those_that_are_found_is_enough() {
    let dir = tempfile::tempdir().unwrap();
    let (stopped, data) = (dir.path().join("stopped.car"), dir.path().join("data"));
    let (stopped, data) = (stopped.to_str().unwrap(), data.to_str().unwrap());
    let node = ["--data-dir", data, "--no-mdns"];
    let run = |args: &[&str]| mc(node.into_iter().chain(args.iter().copied()));
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (known, typed) = (file("known", "it has this"), file("typed", "and not this"));
    let known = run(&["-q", "add", &known]).expect_code(0).text();
    let known = format!("known={}", known.trim());
    let given = format!("typed={typed}");
    let copy = wasm("copy_tree");
    let stop = [
        "run",
        "--checkpoint-at",
        "1",
        "-o",
        stopped,
        "--input",
        &known,
        "--input",
        &given,
        &copy,
    ];
    run(&stop).expect_code(0);
    let lacking = run(&["resume", stopped]).expect_code(66);
    assert!(
        lacking.stderr.contains("--input typed=PATH"),
        "{lacking:#?}"
    );
    let out = dir.path().join("out");
    let again = [
        "resume",
        stopped,
        "--input",
        &given,
        "--out",
        out.to_str().unwrap(),
    ];
    run(&again).expect_code(0);
    for name in ["known", "typed"] {
        assert!(out.join(name).exists(), "{name}");
    }
    let another = format!("typed={}", file("another", "or that"));
    let another = run(&["resume", stopped, "--input", &another]).expect_code(65);
    let said = "the input typed is not as it was";
    assert!(another.stderr.contains(said), "{another:#?}");
}

/// Whoever splits lines at blanks took the state for the name.
#[test]
fn a_name_without_letters_is_a_dash_in_lists() {
    let node = NodeOptions::new().flags(["--no-execute"]).start();
    let component = wasm("exit_zero");
    let _ = node.submit(["--name", "", &*component]);
    let listed = node.mc(["ps"]).expect_code(0).text();
    let row: Vec<_> = listed.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[1..3], ["-", "queued"], "{listed}");
}

/// Messages named a file that nobody knows, and that is gone.
#[test]
fn a_resumed_run_is_called_as_its_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let stopped = dir.path().join("stopped.car");
    let stopped = stopped.to_str().unwrap();
    let stop = ["run", "--checkpoint-at", "1", "-o", stopped];
    let component = wasm("trap_unreachable");
    mc(stop.into_iter().chain([&*component])).expect_code(0);
    let trapped = mc(["resume", stopped]).expect_code(134);
    let said = format!("{stopped}: trap: ");
    assert!(trapped.stderr.contains(&said), "{trapped:#?}");
}
