//! What a guest sees of the world.

use crate::support::{engine, file, invocation, load, mount, program, text, with_inputs};
use mc_artifacts::{example, guest};
use mc_engine::{Output, RunError, World};
use mc_types::{Meter, Termination};
use mc_wasi::{InMemory, Tree};
use std::time::{Duration, Instant};

#[test]
fn arguments_environment_and_input_are_all_that_a_guest_sees() {
    let inputs = InMemory {
        stdin: b"typed\n".to_vec(),
        ..InMemory::default()
    };
    let mut echo = with_inputs(&["--flag", "wörd"], vec![], inputs);
    echo.env.insert("COLOUR".to_owned(), "blue".to_owned());
    let ended = program(&engine(), &guest("echo_world")).run(echo).unwrap();
    assert_eq!(ended.end, Termination::Exited { code: 0 });
    assert_eq!(
        text(&ended.stdout),
        "argument --flag\nargument wörd\nvariable COLOUR=blue\ntyped\n"
    );
    assert_eq!(text(&ended.stderr), "echoed\n");
}

#[test]
fn inputs_are_read_and_outputs_are_left() {
    let inputs = InMemory {
        mounts: vec![Tree::directory([(
            "poem",
            Tree::file("one two\nthree two\n"),
        )])],
        ..InMemory::default()
    };
    let count = with_inputs(&[], vec![mount("/in/text", true, false)], inputs);
    let mut ended = program(&engine(), &example("word-count"))
        .run(count)
        .unwrap();
    assert_eq!(
        ended.end,
        Termination::Exited { code: 0 },
        "{}",
        text(&ended.stderr)
    );
    let counts = file(&mut ended, "/out/counts.json").unwrap();
    assert!(text(&counts).contains("\"words\": 4"), "{counts:?}");
}

#[test]
fn the_standard_library_finds_files_as_posix_has_them() {
    let inputs = vec![mount("/in", false, false)];
    let ended = program(&engine(), &guest("std_files"))
        .run(with_inputs(&[], inputs, InMemory::default()))
        .unwrap();
    assert_eq!(text(&ended.stderr), "");
    assert_eq!(text(&ended.stdout), "all is well\n");
    assert_eq!(ended.end, Termination::Exited { code: 0 });
}

#[test]
fn every_call_of_wasi_does_what_it_says() {
    let inputs = InMemory {
        stdin: b"input".to_vec(),
        ..InMemory::default()
    };
    let mut calls = with_inputs(&["one"], vec![], inputs);
    calls.env.insert("A".to_owned(), "b".to_owned());
    let ended = program(&engine(), &guest("wasi_calls")).run(calls).unwrap();
    assert_eq!(text(&ended.stderr), "an error\n");
    assert_eq!(
        text(&ended.stdout),
        "written\nand flushed\n\0\0\0all is well\n"
    );
    assert_eq!(ended.end, Termination::Exited { code: 0 });
}

#[test]
fn time_is_the_tasks_own_and_so_are_random_numbers() {
    let program = program(&engine(), &guest("clocks"));
    let with = |start_seconds, seed| {
        let inputs = InMemory {
            seed: [seed; 32],
            ..InMemory::default()
        };
        let mut clocks = with_inputs(&[], vec![], inputs);
        if let World::Deterministic {
            start_seconds: start,
            ..
        } = &mut clocks.world
        {
            *start = start_seconds;
        }
        let ended = program.run(clocks).unwrap();
        assert_eq!(
            ended.end,
            Termination::Exited { code: 0 },
            "{}",
            text(&ended.stderr)
        );
        text(&ended.stdout).to_owned()
    };
    let usual = with(None, 1);
    assert!(usual.starts_with("1767225600 "), "{usual}");
    assert!(with(Some(1_000_000_000), 1).starts_with("1000000000 "));
    assert_eq!(with(None, 1), usual);
    assert_ne!(with(None, 2), usual);
}

#[test]
fn the_network_is_there_and_denied() {
    let ended = program(&engine(), &guest("net_denied"))
        .run(invocation(&[]))
        .unwrap();
    assert_eq!(
        text(&ended.stdout),
        "connect: Some(PermissionDenied)\nlisten: Some(PermissionDenied)\n\
         datagrams: Some(PermissionDenied)\nresolve: true\n",
        "{}",
        text(&ended.stderr)
    );
    assert_eq!(ended.end, Termination::Exited { code: 0 });
}

#[test]
fn a_full_disk_is_an_error_of_the_guest() {
    let program = program(&engine(), &guest("file_flood"));
    for (mebibytes, fits) in [("1", true), ("3", false)] {
        let mut flood = invocation(&[mebibytes]);
        flood.limits.scratch_bytes = 2 << 20;
        let ended = program.run(flood).unwrap();
        assert_eq!(
            ended.end == Termination::Exited { code: 0 },
            fits,
            "{mebibytes}"
        );
        let told = text(&ended.stderr);
        assert_eq!(told.is_empty(), fits, "{told}");
    }
}

#[test]
fn output_can_be_read_while_it_grows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stdout");
    let mut ticks = invocation(&["1000", "10"]);
    ticks.stdout = Output::File(path.clone());
    let cancel = ticks.cancel.clone();
    let program = program(&engine(), &guest("ticks"));
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| {
            let deadline = Instant::now() + Duration::from_secs(10);
            while !std::fs::read_to_string(&path).is_ok_and(|text| text.contains("tick 3")) {
                assert!(Instant::now() < deadline, "nothing to read");
                std::thread::sleep(Duration::from_millis(5));
            }
            cancel.cancel();
        });
        program.run(ticks)
    });
    assert!(matches!(ended, Err(RunError::Cancelled)));
}

/// Asks for a page, and traps unless the request is refused with `HTTP-request-denied`, the second case
/// of the error code as it is written here.
const HTTP: &str = r#"(component
  (import "wasi:http/types@0.2.0" (instance $types
    (export "fields" (type $fields (sub resource)))
    (export "outgoing-request" (type $request (sub resource)))
    (export "request-options" (type (sub resource)))
    (export "future-incoming-response" (type (sub resource)))
    (type $codes (variant (case "DNS-timeout") (case "HTTP-request-denied")))
    (export "error-code" (type (eq $codes)))
    (export "[constructor]fields" (func (result (own $fields))))
    (export "[constructor]outgoing-request"
      (func (param "headers" (own $fields)) (result (own $request))))
    (export "[method]outgoing-request.set-authority"
      (func (param "self" (borrow $request)) (param "authority" (option string)) (result (result))))))
  (alias export $types "outgoing-request" (type $request))
  (alias export $types "request-options" (type $options))
  (alias export $types "future-incoming-response" (type $future))
  (alias export $types "error-code" (type $code))
  (import "wasi:http/outgoing-handler@0.2.0" (instance $handler
    (export "outgoing-request" (type $r (eq $request)))
    (export "request-options" (type $o (eq $options)))
    (export "future-incoming-response" (type $f (eq $future)))
    (export "error-code" (type $e (eq $code)))
    (export "handle" (func (param "request" (own $r)) (param "options" (option (own $o)))
      (result (result (own $f) (error $e)))))))
  (core module $memory (memory (export "m") 1))
  (core instance $memory (instantiate $memory))
  (alias core export $memory "m" (core memory $mem))
  (core func $fields (canon lower (func $types "[constructor]fields")))
  (core func $request (canon lower (func $types "[constructor]outgoing-request")))
  (core func $authority (canon lower (func $types "[method]outgoing-request.set-authority")
    (memory $mem)))
  (core func $handle (canon lower (func $handler "handle") (memory $mem)))
  (core module $m
    (import "" "m" (memory 1))
    (import "" "fields" (func $fields (result i32)))
    (import "" "request" (func $request (param i32) (result i32)))
    (import "" "authority" (func $authority (param i32 i32 i32 i32) (result i32)))
    (import "" "handle" (func $handle (param i32 i32 i32 i32)))
    (func (export "run") (result i32)
      (local $r i32)
      (local.set $r (call $request (call $fields)))
      (if (call $authority (local.get $r) (i32.const 1) (i32.const 64) (i32.const 3))
        (then unreachable))
      (call $handle (local.get $r) (i32.const 0) (i32.const 0) (i32.const 16))
      (if (i32.ne (i32.load8_u (i32.const 16)) (i32.const 1)) (then unreachable))
      (if (i32.ne (i32.load8_u (i32.const 20)) (i32.const 1)) (then unreachable))
      (i32.const 0)))
  (core instance $i (instantiate $m (with "" (instance
    (export "m" (memory $mem))
    (export "fields" (func $fields))
    (export "request" (func $request))
    (export "authority" (func $authority))
    (export "handle" (func $handle))))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $command (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $command)))"#;

#[test]
fn http_is_there_and_denied() {
    let component = wat::parse_str(HTTP).unwrap();
    let ended = load(&engine(), &component).run(invocation(&[])).unwrap();
    assert_eq!(ended.end, Termination::Exited { code: 0 });
    assert_eq!(ended.meter, Meter::Operators1);
}
