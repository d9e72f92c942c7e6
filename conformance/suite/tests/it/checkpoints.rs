//! Tasks that lose their machine go on from a checkpoint, and come to the same outcome.

use crate::stored;
use mc_artifacts::{example, guest};
use mc_conformance::{NOBODY, Node, NodeOptions, eventually, mc, within};
use mc_types::Cid;
use serde_json::Value;
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// How a run ends that nobody stops.
fn whole(args: &[&str]) -> Value {
    let command = ["--format", "json", "run"];
    mc(command.iter().chain(args).copied())
        .expect_code(0)
        .json()
}

#[test]
fn runs_that_are_stopped_go_on_in_other_processes_and_on_pulley() {
    let dir = tempfile::tempdir().unwrap();
    let ticks = text(&guest("ticks"));
    let run = [ticks.as_str(), "--", "5", "20"];
    let whole = whole(&run);
    let fuel = whole["fuel"].as_u64().unwrap();
    let engines = ["cranelift", "pulley"];
    let expected: String = (0..5).map(|n| format!("tick {n}\n")).collect();
    let mut output = String::new();
    let mut last: Option<String> = None;
    for part in 1..6 {
        let at = (fuel / 6 * part).to_string();
        let path = text(&dir.path().join(part.to_string()));
        let engine = engines[usize::from(part % 2 == 0)];
        let stop = ["--engine", engine, "--checkpoint-at", &at, "-o", &path];
        let done = match &last {
            None => mc(["run"].iter().chain(&stop).chain(&run).copied()),
            Some(last) => mc(["resume", last.as_str()].iter().chain(&stop).copied()),
        };
        output.push_str(&done.expect_code(0).text());
        last = Some(path);
    }
    let last = last.unwrap();
    let rest = mc(["resume", &last]).expect_code(0);
    output.push_str(&rest.text());
    assert_eq!(
        output, expected,
        "nothing is written twice, nothing is lost"
    );
    let resumed = mc(["--format", "json", "resume", &last])
        .expect_code(0)
        .json();
    assert_eq!(resumed["outcome_cid"], whole["outcome_cid"]);
    assert_eq!(resumed["fuel"], whole["fuel"]);
}

/// Guests that come to an end, with options and arguments.
const GUESTS: &[(&str, &[&str], &[&str])] = &[
    ("clocks", &[], &[]),
    ("compute", &[], &[]),
    ("cpu_forever", &["--fuel", "20000000"], &[]),
    ("echo_world", &["--env", "A=b"], &["a", "b"]),
    ("exit_failure", &[], &[]),
    ("file_flood", &["--scratch", "4MiB"], &["3"]),
    ("handle_leak", &["--handles", "50"], &[]),
    ("memory_hog", &["--memory", "16MiB"], &[]),
    ("net_denied", &[], &[]),
    ("output_flood", &["--output", "100000"], &[]),
    ("std_files", &[], &[]),
    ("ticks", &[], &["3", "1"]),
    ("trap_recursion", &[], &[]),
    ("trap_unreachable", &[], &[]),
];

/// How often a test does something: `variable` asks for more than the usual.
#[expect(
    clippy::disallowed_methods,
    reason = "how long a test takes is no configuration"
)]
fn times(variable: &str, usual: u32) -> u32 {
    let asked = std::env::var(variable).ok();
    asked.and_then(|asked| asked.parse().ok()).unwrap_or(usual)
}

/// Numbers that look random, and are the same for the same beginning.
struct Numbers(u64);

impl Numbers {
    /// A number less than `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn guests_go_on_from_any_position_in_new_processes() {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = dir.path().join("snapshot");
    let path = text(&snapshot);
    let (mut stopped, mut numbers) = (0, Numbers(1));
    // `MC_POSITIONS` asks for more.
    let positions = times("MC_POSITIONS", 2);
    for (name, options, args) in GUESTS {
        let component = text(&guest(name));
        let run = |extra: &[&str]| {
            let command = ["--format", "json", "run"]
                .iter()
                .chain(*options)
                .chain(extra);
            mc(command
                .copied()
                .chain([component.as_str(), "--"])
                .chain(args.iter().copied()))
        };
        let whole = run(&[]).json();
        let fuel = whole["fuel"].as_u64().unwrap();
        for number in 0..positions {
            let at = numbers.below(fuel).to_string();
            let engines = ["cranelift", "pulley"];
            let (here, there) = (
                engines[usize::from(number % 2 == 1)],
                engines[usize::from(number % 2 == 0)],
            );
            let _ = fs::remove_file(&snapshot);
            run(&["--engine", here, "--checkpoint-at", &at, "-o", &path]);
            if !snapshot.exists() {
                // It had ended before the next place where it could be stopped.
                continue;
            }
            let resumed = mc(["--format", "json", "resume", "--engine", there, &path]).json();
            assert_eq!(
                resumed["outcome_cid"], whole["outcome_cid"],
                "{name} at {at}"
            );
            assert_eq!(resumed["fuel"], whole["fuel"], "{name} at {at}");
            stopped += 1;
        }
    }
    println!("{stopped} runs went on");
    assert!(stopped > positions * 7, "{stopped}");
}

/// A checkpoint that was taken by the first version that took any. It is never taken anew: whoever changes
/// what it means has to read it all the same.
#[test]
fn checkpoints_of_earlier_versions_are_read() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors");
    let known = fs::read(vectors.join("outcomes.json")).unwrap();
    let known: Value = serde_json::from_slice(&known).unwrap();
    for engine in ["cranelift", "pulley"] {
        let snapshot = text(&vectors.join("checkpoint-1.car"));
        let resume = ["--format", "json", "resume", "--engine", engine, &snapshot];
        let done = mc(resume).expect_code(0).json();
        assert_eq!(done["outcome_cid"], known["checkpoint"]["outcome_cid"]);
        assert_eq!(done["fuel"], known["checkpoint"]["fuel"]);
    }
}

#[test]
fn inputs_are_read_on_and_must_be_those_of_the_task() {
    let dir = tempfile::tempdir().unwrap();
    let (data, other) = (dir.path().join("a.txt"), dir.path().join("b.txt"));
    fs::write(&data, "one two three\n".repeat(20_000)).unwrap();
    fs::write(&other, "four\n").unwrap();
    let component = text(&example("word-count"));
    let input = format!("text={}", text(&data));
    let run = [component.as_str(), "--input", &input];
    let whole = whole(&run);
    let fuel = whole["fuel"].as_u64().unwrap();
    let at = (fuel / 2).to_string();
    let path = text(&dir.path().join("snapshot"));
    let stop = ["run", "--checkpoint-at", &at, "-o", &path];
    mc(stop.iter().chain(&run).copied()).expect_code(0);
    let resume = ["--format", "json", "resume", &path, "--input"];
    let resumed = mc(resume.iter().chain(&[input.as_str()]).copied());
    assert_eq!(
        resumed.expect_code(0).json()["outcome_cid"],
        whole["outcome_cid"]
    );
    let wrong = format!("text={}", text(&other));
    let refused = mc(resume.iter().chain(&[wrong.as_str()]).copied()).expect_code(65);
    assert!(refused.stderr.contains("MC0023"), "{}", refused.stderr);
}

#[test]
fn guests_with_more_memory_than_they_may_pass_in_one_call_are_stopped_and_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let component = text(&guest("working_set"));
    let path = text(&dir.path().join("snapshot"));
    let run = ["--memory", "400MiB", component.as_str(), "--", "200", "10"];
    let whole = whole(&run);
    // By then it has its memory, and has hardly begun to fill it.
    let stop = ["run", "--checkpoint-at", "5000000", "-o", &path];
    mc(stop.iter().chain(&run).copied()).expect_code(0);
    let resumed = mc(["--format", "json", "resume", &path]).expect_code(0);
    let resumed = resumed.json();
    assert_eq!(resumed["outcome_cid"], whole["outcome_cid"]);
    assert_eq!(resumed["fuel"], whole["fuel"]);
}

#[test]
fn damaged_checkpoints_are_refused_with_a_reason_and_nothing_runs() {
    let dir = tempfile::tempdir().unwrap();
    let ticks = text(&guest("ticks"));
    let path = dir.path().join("snapshot");
    let stop = ["run", "--checkpoint-at", "5000000", "-o"];
    mc(stop
        .iter()
        .copied()
        .chain([text(&path).as_str(), &ticks, "--", "3", "10"]))
    .expect_code(0);
    let good = fs::read(&path).unwrap();
    let bad = dir.path().join("bad");
    let refused = |bytes: &[u8], what: &str| {
        fs::write(&bad, bytes).unwrap();
        let done = mc(["resume", &text(&bad)]);
        assert_ne!(done.code, Some(0), "{what}");
        assert!(done.text().is_empty(), "{what}: {}", done.text());
        assert!(done.stderr.contains("MC00"), "{what}: {}", done.stderr);
    };
    for part in 1..8 {
        refused(&good[..good.len() / 8 * part], "cut off");
    }
    for part in 0..40 {
        let mut bytes = good.clone();
        let position = bytes.len() / 40 * part + 17;
        bytes[position] ^= 1 << (part % 8);
        refused(&bytes, &format!("a bit of byte {position}"));
    }
    refused(b"", "empty");
    refused(&fs::read(guest("ticks")).unwrap(), "a component");
}

/// A coordinator and `workers` that run what it is given, and say from where they go on.
fn fabric(workers: usize) -> (Node, Vec<Node>) {
    let a = NodeOptions::new()
        .flags(["--no-execute", "--lease-ttl", "2s"])
        .start();
    let worker = || NodeOptions::new().bootstrap(&a).flags(["-v"]).start();
    let workers = (0..workers).map(|_| worker()).collect();
    (a, workers)
}

/// The position of the checkpoint from which a node went on last, as it says; 0 if from none.
fn went_on_from(node: &Node) -> u64 {
    let said = node.said();
    let last = said
        .lines()
        .rfind(|line| line.contains("going on from a checkpoint"));
    let position = last.and_then(|line| line.rsplit_once("position="));
    position.map_or(0, |(_, position)| position.trim().parse().unwrap())
}

fn submit(node: &Node, options: &[&str], args: &[&str]) -> String {
    let ticks = text(&guest("ticks"));
    let task = [ticks.as_str(), "--"];
    node.submit(options.iter().chain(&task).chain(args).copied())
}

struct Listed {
    position: u64,
    node: String,
    cid: String,
}

/// The checkpoints of a job, newest first.
fn checkpoints(node: &Node, id: &str) -> Vec<Listed> {
    let list = node
        .mc(["checkpoints", "--format", "json", id])
        .expect_code(0);
    let list = list.json();
    let list = list["checkpoints"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    list.map(|taken| Listed {
        position: taken["position"].as_u64().unwrap(),
        node: text(&taken["node"]),
        cid: text(&taken["cid"]),
    })
    .collect()
}

/// The outcome of `ticks` with `args`, what it prints, and how many operators it takes.
fn expected(args: &[&str]) -> (Value, String, u64) {
    let ticks = text(&guest("ticks"));
    let run = [ticks.as_str(), "--"];
    let run: Vec<_> = run.iter().chain(args).copied().collect();
    let whole = whole(&run);
    let count: u32 = args[0].parse().unwrap();
    let output = (0..count).map(|n| format!("tick {n}\n")).collect();
    let fuel = whole["fuel"].as_u64().unwrap();
    (whole["outcome_cid"].clone(), output, fuel)
}

/// Lets time pass.
fn pass(time: Duration) {
    within::<()>(time, || None);
}

/// How many lines a job has written, as its coordinator says.
fn ticked(node: &Node, id: &str) -> u64 {
    let log = node.mc(["logs", id]).expect_code(0).text();
    u64::try_from(log.lines().count()).unwrap()
}

#[test]
fn a_killed_node_costs_no_more_than_one_interval() {
    // `MC_KILLS` asks for more kills, and then of a task that takes longer.
    let kills = times("MC_KILLS", 3);
    let count = if kills > 3 { 480 } else { 80 };
    let ticks = count.to_string();
    let args = [ticks.as_str(), "100"];
    let (outcome, output, fuel) = expected(&args);
    let tick = fuel / count;
    let interval = 5 * tick;
    let every = interval.to_string();
    // Other moments in each run.
    let mut numbers = Numbers(std::process::id().into());
    for round in 0..kills {
        let (a, mut workers) = fabric(2);
        let id = submit(&a, &["--checkpoint-every", &every], &args);
        let _ = a.running(&id);
        let moment = 6 + numbers.below(count / 2);
        let patience = Duration::from_secs(120);
        let seen = eventually("it got there", patience, || {
            Some(ticked(&a, &id)).filter(|ticks| *ticks >= moment)
        });
        // A line is written before what it is about is computed.
        let done = (seen - 1) * tick;
        let kept = eventually("a checkpoint of the last interval", patience, || {
            let newest = checkpoints(&a, &id).into_iter().next()?;
            (newest.position + interval >= done).then_some(newest.position)
        });
        let holder = a.running(&id);
        let victim = workers.iter().position(|node| node.id == holder).unwrap();
        workers.remove(victim).kill();
        let ended = a.succeeded(&id);
        assert_eq!(ended["outcome_cid"], outcome, "round {round}");
        assert_eq!(a.mc(["logs", &id]).expect_code(0).text(), output);
        let from = went_on_from(&workers[0]);
        assert!(
            from >= kept && from + interval >= done,
            "round {round}: {done} of {fuel} were done and {kept} kept, and it went on from {from}"
        );
    }
}

#[test]
fn a_checkpoint_that_cannot_be_had_is_passed_over_for_an_older_one() {
    let args = ["60", "100"];
    let (outcome, output, _) = expected(&args);
    let dir = tempfile::tempdir().unwrap();
    let coordinator = || {
        let flags = ["--no-execute", "--lease-ttl", "2s"];
        NodeOptions::new().data_dir(dir.path()).flags(flags).start()
    };
    let a = coordinator();
    let worker = NodeOptions::new().bootstrap(&a).start();
    let id = submit(&a, &["--checkpoint-every", "300000000"], &args);
    eventually("four checkpoints", Duration::from_secs(30), || {
        let newest = checkpoints(&a, &id).into_iter().next()?;
        (newest.position > 1_200_000_000).then_some(())
    });
    worker.kill();
    // What it said last may still be on its way.
    within::<()>(Duration::from_secs(1), || None);
    let all = checkpoints(&a, &id);
    let [newest, older, ..] = &all[..] else {
        unreachable!("there were four")
    };
    // As if its disk had lost it.
    assert_eq!(a.stop(), Some(0));
    let pin = format!("checkpoint/{id}/{}", newest.position);
    let cid: Cid = newest.cid.parse().unwrap();
    stored::change(dir.path(), async |store| {
        assert!(store.unpin(&pin).await.unwrap());
        store.remove(&cid).await.unwrap();
    });
    let a = coordinator();
    let heir = NodeOptions::new().bootstrap(&a).start();
    let next = eventually("going on", Duration::from_secs(30), || {
        let all = checkpoints(&a, &id);
        let of_heir = all.iter().filter(|taken| taken.node == heir.id);
        of_heir.map(|taken| taken.position).min()
    });
    assert_eq!(
        next, newest.position,
        "it went on from {} to where the lost one was",
        older.position
    );
    let done = a.succeeded(&id);
    assert_eq!(done["outcome_cid"], outcome);
    assert_eq!(a.mc(["logs", &id]).expect_code(0).text(), output);
}

#[test]
fn a_node_that_is_stopped_hands_its_tasks_on() {
    let args = ["60", "100"];
    let (outcome, output, _) = expected(&args);
    let (a, mut workers) = fabric(2);
    let id = submit(&a, &[], &args);
    let holder = a.running(&id);
    pass(Duration::from_secs(2));
    let leaving = workers.iter().position(|node| node.id == holder).unwrap();
    let begun = Instant::now();
    let code = workers.remove(leaving).stop();
    assert_eq!(code, Some(0));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(2), "it took {took:?} to leave");
    assert_eq!(checkpoints(&a, &id).len(), 1, "one was taken on leaving");
    let done = a.succeeded(&id);
    assert_eq!(done["outcome_cid"], outcome);
    assert_eq!(done["attempts"], 2);
    assert_eq!(a.mc(["logs", &id]).expect_code(0).text(), output);
    assert!(
        checkpoints(&a, &id).is_empty(),
        "nobody needs them any more"
    );
}

#[test]
fn checkpoints_are_taken_on_demand_and_jobs_move_where_they_are_told() {
    let args = ["60", "100"];
    let (outcome, output, _) = expected(&args);
    let (a, workers) = fabric(2);
    let id = submit(&a, &[], &args);
    let holder = a.running(&id);
    let first = a
        .mc(["checkpoint", "--format", "json", &id])
        .expect_code(0)
        .json();
    let second = a
        .mc(["checkpoint", "--format", "json", &id])
        .expect_code(0)
        .json();
    assert!(first["position"].as_u64() < second["position"].as_u64());
    let other = workers.iter().find(|node| node.id != holder).unwrap();
    a.mc(["migrate", &id, "--to", &other.id]).expect_code(0);
    eventually("running there", Duration::from_secs(10), || {
        let view = a.status(&id);
        (view["state"] == "running" && view["node"] == other.id.as_str()).then_some(())
    });
    let done = a.succeeded(&id);
    assert_eq!(done["outcome_cid"], outcome);
    assert_eq!(a.mc(["logs", &id]).expect_code(0).text(), output);
    let refused = a.mc(["checkpoint", &id]);
    assert!(refused.stderr.contains("MC0024"), "{}", refused.stderr);
}

#[test]
fn a_job_that_was_moved_goes_on_elsewhere_when_its_new_node_is_killed() {
    let args = ["80", "100"];
    let (outcome, _, _) = expected(&args);
    let (a, workers) = fabric(2);
    let id = submit(&a, &[], &args);
    let holder = a.running(&id);
    let (stays, dies): (Vec<_>, Vec<_>) = workers.into_iter().partition(|node| node.id == holder);
    let [stays, dies] = [stays, dies].map(|mut nodes| nodes.pop().unwrap());
    a.mc(["migrate", &id, "--to", &dies.id]).expect_code(0);
    eventually("running there", Duration::from_secs(10), || {
        let view = a.status(&id);
        (view["state"] == "running" && view["node"] == dies.id.as_str()).then_some(())
    });
    dies.kill();
    let done = a.succeeded(&id);
    assert_eq!(done["node"], stays.id.as_str());
    assert_eq!(done["outcome_cid"], outcome);
    // A node that is not there is no place to move to.
    let id = submit(&a, &[], &args);
    assert_eq!(a.running(&id), stays.id);
    let refused = a.mc(["migrate", &id, "--to", NOBODY]);
    assert!(refused.stderr.contains("MC0024"), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("no node 12D3"),
        "{}",
        refused.stderr
    );
    assert_eq!(a.status(&id)["state"], "running");
}

/// A core module whose `_start` calls itself in its tail for ever, which no checkpoint can keep.
const TAIL_CALLS: &[u8] = b"\0asm\x01\0\0\0\
    \x01\x04\x01\x60\0\0\
    \x03\x02\x01\0\
    \x05\x03\x01\0\x01\
    \x07\x13\x02\x06memory\x02\0\x06_start\0\0\
    \x0a\x06\x01\x04\0\x12\0\x0b";

#[test]
fn a_job_that_cannot_be_stopped_says_so_at_once_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let module = dir.path().join("tail_calls.wasm");
    fs::write(&module, TAIL_CALLS).unwrap();
    let (a, _workers) = fabric(1);
    let id = a.submit([text(&module).as_str()]);
    let _ = a.running(&id);
    let begun = Instant::now();
    let refused = a.mc(["checkpoint", &id]).expect_code(65);
    assert!(refused.stderr.contains("MC0024"), "{}", refused.stderr);
    assert!(refused.stderr.contains("inspect"), "{}", refused.stderr);
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(a.status(&id)["state"], "running");
    a.mc(["cancel", &id]).expect_code(0);
    a.mc(["wait", &id]).expect_code(130);
}
