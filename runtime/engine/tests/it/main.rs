//! Real guests in the real sandbox.

#![expect(
    clippy::unwrap_used,
    reason = "a failed expectation is how a test fails"
)]

use mc_artifacts::{example, guest};
use mc_engine::{
    Allocation, CancellationToken, Engine, Error, Execution, Invocation, Mount, Options, Output,
    Program, RunError, Stdin,
};
use mc_types::{End, Limits, TrapKind, cid};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

fn engine() -> Engine {
    Engine::new(&Options::default()).unwrap()
}

fn program(engine: &Engine, path: &Path) -> Program {
    let bytes = std::fs::read(path).unwrap();
    engine.load(&cid::of(cid::RAW, &bytes), &bytes).unwrap()
}

fn invocation(dir: &Path, args: &[&str]) -> Invocation {
    Invocation {
        name: "guest".to_owned(),
        args: args.iter().map(ToString::to_string).collect(),
        env: BTreeMap::new(),
        limits: Limits::default(),
        mounts: Vec::new(),
        stdin: Stdin::Empty,
        stdout: Output::File(dir.join("stdout")),
        stderr: Output::File(dir.join("stderr")),
        timeout: None,
        cancel: CancellationToken::new(),
    }
}

async fn run(name: &str, limits: Limits) -> Execution {
    let dir = tempfile::tempdir().unwrap();
    let invocation = Invocation {
        limits,
        ..invocation(dir.path(), &[])
    };
    program(&engine(), &guest(name))
        .run(invocation)
        .await
        .unwrap()
}

#[tokio::test]
async fn every_end_is_told_from_the_others() {
    let small = Limits {
        memory_bytes: 16 << 20,
        ..Limits::default()
    };
    let frugal = Limits {
        fuel: Some(1_000_000),
        ..Limits::default()
    };
    let terse = Limits {
        output_bytes: 100_000,
        ..Limits::default()
    };
    for (name, limits, end) in [
        ("exit_zero", Limits::default(), End::Exited { code: 0 }),
        ("exit_failure", Limits::default(), End::Exited { code: 1 }),
        (
            "trap_unreachable",
            Limits::default(),
            End::Trapped {
                kind: TrapKind::Unreachable,
            },
        ),
        ("memory_hog", small, End::MemoryLimit),
        ("cpu_forever", frugal, End::OutOfFuel),
        ("output_flood", terse, End::OutputLimit),
    ] {
        assert_eq!(run(name, limits).await.end, end, "{name}");
    }
    let stack = run("trap_stack", Limits::default()).await.end;
    // Whether the guest's own stack or the native one ends first depends on its frames.
    assert!(matches!(stack, End::Trapped { .. }), "{stack:?}");
}

#[tokio::test]
async fn usage_is_measured_and_fuel_is_the_same_every_time() {
    let first = run("exit_zero", Limits::default()).await.usage;
    assert!(first.fuel > 0);
    assert!(first.memory_peak_bytes >= 1 << 16);
    for _ in 0..3 {
        assert_eq!(
            run("exit_zero", Limits::default()).await.usage.fuel,
            first.fuel
        );
    }
}

#[tokio::test]
async fn guests_are_killed_whatever_they_wait_for() {
    let engine = engine();
    let dir = tempfile::tempdir().unwrap();
    for name in ["cpu_forever", "sleep_forever"] {
        let program = program(&engine, &guest(name));
        let timeout = Some(Duration::from_millis(50));
        let begun = Instant::now();
        let error = program
            .run(Invocation {
                timeout,
                ..invocation(dir.path(), &[])
            })
            .await;
        assert!(
            matches!(error, Err(RunError::Timeout { .. })),
            "{name}: {error:?}"
        );
        let cancelled = invocation(dir.path(), &[]);
        let cancel = cancelled.cancel.clone();
        let cancelling = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            cancel.cancel();
        };
        let (error, ()) = tokio::join!(program.run(cancelled), cancelling);
        assert!(
            matches!(error, Err(RunError::Cancelled)),
            "{name}: {error:?}"
        );
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{name}: {:?}",
            begun.elapsed()
        );
    }
}

#[tokio::test]
async fn mounts_arguments_and_environment_are_all_that_a_guest_sees() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine();
    let mut echo = invocation(dir.path(), &["--flag", "wörd"]);
    echo.env.insert("COLOUR".to_owned(), "blue".to_owned());
    let input = dir.path().join("input");
    std::fs::write(&input, "typed\n").unwrap();
    echo.stdin = Stdin::File(input);
    let ended = program(&engine, &guest("echo_world"))
        .run(echo)
        .await
        .unwrap();
    assert_eq!(ended.end, End::Exited { code: 0 });
    let stdout = std::fs::read_to_string(dir.path().join("stdout")).unwrap();
    assert_eq!(
        stdout,
        "argument --flag\nargument wörd\nvariable COLOUR=blue\ntyped\n"
    );
    assert_eq!(
        std::fs::read_to_string(dir.path().join("stderr")).unwrap(),
        "echoed\n"
    );

    let (text, out) = (dir.path().join("text"), dir.path().join("out"));
    std::fs::create_dir(&text).unwrap();
    std::fs::create_dir(&out).unwrap();
    std::fs::write(text.join("poem"), "one two\nthree two\n").unwrap();
    let mount = |host: &PathBuf, guest: &str, writable| Mount {
        host: host.clone(),
        guest: guest.to_owned(),
        writable,
    };
    let mut count = invocation(dir.path(), &[]);
    count.mounts = vec![mount(&text, "/in/text", false), mount(&out, "/out", true)];
    let ended = program(&engine, &example("word-count"))
        .run(count)
        .await
        .unwrap();
    assert_eq!(ended.end, End::Exited { code: 0 });
    let counts = std::fs::read_to_string(out.join("counts.json")).unwrap();
    assert!(counts.contains("\"words\": 4"), "{counts}");
}

#[tokio::test]
async fn files_count_as_output() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let program = program(&engine(), &guest("file_flood"));
    for (mebibytes, end) in [("1", End::Exited { code: 0 }), ("3", End::OutputLimit)] {
        let mut flood = invocation(dir.path(), &[mebibytes]);
        flood.mounts = vec![Mount {
            host: out.clone(),
            guest: "/out".to_owned(),
            writable: true,
        }];
        flood.limits.output_bytes = 2 << 20;
        assert_eq!(program.run(flood).await.unwrap().end, end, "{mebibytes}");
    }
}

#[tokio::test]
async fn output_can_be_read_while_it_grows() {
    let dir = tempfile::tempdir().unwrap();
    let ticks = invocation(dir.path(), &["1000", "10"]);
    let (path, cancel) = (dir.path().join("stdout"), ticks.cancel.clone());
    let program = program(&engine(), &guest("ticks"));
    let reading = async {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !std::fs::read_to_string(&path).is_ok_and(|text| text.contains("tick 3")) {
            assert!(Instant::now() < deadline, "nothing to read");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cancel.cancel();
    };
    let (ended, ()) = tokio::join!(program.run(ticks), reading);
    assert!(matches!(ended, Err(RunError::Cancelled)));
}

#[test]
fn components_that_cannot_run_here_say_why() {
    let engine = engine();
    let load = |bytes: &[u8]| engine.load(&cid::of(cid::RAW, bytes), bytes).unwrap_err();
    let keyvalue = std::fs::read(guest("imports_keyvalue")).unwrap();
    let error = load(&keyvalue);
    assert!(
        matches!(&error, Error::UnsupportedImports { names } if names.len() == 1),
        "{error}"
    );
    assert!(error.to_string().contains("wasi:keyvalue/store"), "{error}");
    let empty = wat::parse_str("(component)").unwrap();
    assert!(matches!(load(&empty), Error::NotACommand { .. }));
    let broken = std::fs::read(guest("exit_zero")).unwrap();
    assert!(matches!(
        load(&broken[..broken.len() / 2]),
        Error::Invalid { .. }
    ));
    assert!(matches!(load(b"\0asm\x01\0\0\0"), Error::CoreModule));
}

#[tokio::test]
async fn compiled_code_outlives_the_engine_and_damage_is_compiled_again() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let options = Options {
        cache_dir: Some(cache.clone()),
        ..Options::default()
    };
    let bytes = std::fs::read(guest("exit_zero")).unwrap();
    let cid = cid::of(cid::RAW, &bytes);
    let engine = Engine::new(&options).unwrap();
    assert!(engine.cached(&cid).is_none());
    engine.load(&cid, &bytes).unwrap();
    let second = Engine::new(&options).unwrap();
    let program = second.cached(&cid).unwrap();
    let ended = program.run(invocation(dir.path(), &[])).await.unwrap();
    assert_eq!(ended.end, End::Exited { code: 0 });
    let entry = std::fs::read_dir(&cache)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut damaged = std::fs::read(&entry).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&entry, damaged).unwrap();
    let third = Engine::new(&options).unwrap();
    assert!(third.cached(&cid).is_none());
    third.load(&cid, &bytes).unwrap();
    assert!(Engine::new(&options).unwrap().cached(&cid).is_some());
}

#[tokio::test]
async fn pooled_engine_runs_guests_side_by_side() {
    let allocation = Allocation::Pooling { slots: 4 };
    let engine = Engine::new(&Options {
        allocation,
        ..Options::default()
    })
    .unwrap();
    let program = program(&engine, &guest("exit_zero"));
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        let one = || program.run(invocation(dir.path(), &[]));
        let (a, b, c, d) = tokio::join!(one(), one(), one(), one());
        for ended in [a, b, c, d] {
            assert_eq!(ended.unwrap().end, End::Exited { code: 0 });
        }
    }
}
