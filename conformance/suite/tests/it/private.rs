//! Private jobs: who can read what of them.

use mc_artifacts::guest;
use mc_conformance::{Finished, Node, NodeOptions, ask, eventually, mc};
use std::{fs, path::Path, process::Command, time::Duration};

const SECRET: &str = "the launch is on the ninth of November";
const NAME: &str = "patient-4711";

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Somebody who submits jobs to nodes of others.
struct User(tempfile::TempDir);

impl User {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn mc<'a>(&self, node: &Node, args: impl IntoIterator<Item = &'a str>) -> Finished {
        let dir = text(self.0.path());
        let user = ["--data-dir", &dir, "--node", &node.api].map(str::to_owned);
        mc(user.into_iter().chain(args.into_iter().map(str::to_owned)))
    }

    /// Submits a private job and does not wait for it.
    fn submit<'a>(&self, node: &Node, args: impl IntoIterator<Item = &'a str>) -> String {
        let command = ["submit", "--encrypt", "--detach"].into_iter().chain(args);
        self.mc(node, command)
            .expect_code(0)
            .text()
            .trim()
            .to_owned()
    }
}

/// Whether any file below `dir` contains `bytes`.
fn is_below(dir: &Path, bytes: &str) -> bool {
    let found = Command::new("grep")
        .args(["--recursive", "--quiet", "--text", "--fixed-strings", bytes])
        .arg(dir)
        .status();
    let code = found.unwrap().code();
    assert!(matches!(code, Some(0 | 1)), "grep ended with {code:?}");
    code == Some(0)
}

/// A directory with secrets in it, also in the names: some of a block of its own, some of a few bytes.
fn secrets(dir: &Path) {
    let large = SECRET.repeat((3 << 20) / SECRET.len());
    fs::create_dir(dir.join("inner")).unwrap();
    fs::write(dir.join("inner").join(NAME), large).unwrap();
    fs::write(dir.join("short"), SECRET).unwrap();
}

fn copied(from: &Path, to: &Path) {
    for name in [&format!("inner/{NAME}"), "short"] {
        assert_eq!(
            fs::read(from.join(name)).unwrap(),
            fs::read(to.join("data").join(name)).unwrap()
        );
    }
}

#[test]
fn nobody_but_worker_and_submitter_reads_what_a_private_job_is_about() {
    let a = NodeOptions::new().flags(["--no-execute"]).start();
    let b = NodeOptions::new().bootstrap(&a).start();
    let (user, files) = (User::new(), tempfile::tempdir().unwrap());
    secrets(files.path());
    let input = format!("data={}", text(files.path()));
    let copy = text(&guest("copy_tree"));
    let out = files.path().join("result");
    let command = ["submit", "--encrypt", "--input", &input, "--out"];
    let done = user.mc(&a, command.into_iter().chain([text(&out).as_str(), &copy]));
    let written = format!("/in/data/inner/{NAME}\n/in/data/short\n");
    assert_eq!(done.expect_code(0).text(), written);
    copied(files.path(), &out);

    // Nothing that anybody stored tells, wherever it came to lie.
    for node in [&a, &b] {
        for secret in [SECRET, NAME] {
            assert!(!is_below(node.data_dir(), secret), "{secret} is in a store");
        }
    }

    // Afterwards, whoever submitted it reads it from any machine, and nobody else does.
    let list = user
        .mc(&a, ["--format", "json", "ps"])
        .expect_code(0)
        .json();
    let job = &list["jobs"][0];
    let id = job["id"].as_str().unwrap();
    let logs = user.mc(&a, ["logs", id]).expect_code(0);
    assert_eq!(logs.text(), written);
    let again = files.path().join("again");
    user.mc(&a, ["result", id, "--out", &text(&again)])
        .expect_code(0);
    copied(files.path(), &again);
    let stranger = User::new();
    for command in [
        &["logs", id][..],
        &["result", id, "--out", &text(&files.path().join("no"))],
    ] {
        let refused = stranger.mc(&a, command.iter().copied());
        assert_eq!(refused.code, Some(65), "{}", refused.stderr);
        assert!(refused.stderr.contains("MC0025"), "{}", refused.stderr);
        assert!(refused.text().is_empty());
    }
    for path in [
        format!("/api/v1/jobs/{id}/logs?stream=stdout"),
        format!("/ipfs/{}", job["stdout_cid"].as_str().unwrap()),
        format!("/ipfs/{}?format=car", job["outputs_cid"].as_str().unwrap()),
        format!("/ipfs/{}?format=car", job["task_cid"].as_str().unwrap()),
    ] {
        let answer = ask(&a.api, "GET", &path, &[]);
        assert_eq!(answer.status, 200, "{path}");
        let body = String::from_utf8_lossy(&answer.body);
        assert!(!body.contains(NAME) && !body.contains(SECRET), "{path}");
    }

    // What is looked for above would be found.
    let command = ["submit", "--input", &input, &copy];
    user.mc(&a, command).expect_code(0);
    for node in [&a, &b] {
        for secret in [SECRET, NAME] {
            assert!(is_below(node.data_dir(), secret), "{secret} is nowhere");
        }
    }
}

#[test]
fn a_private_job_goes_on_elsewhere_from_a_checkpoint_that_says_nothing() {
    let a = NodeOptions::new()
        .flags(["--no-execute", "--lease-ttl", "2s"])
        .start();
    let mut workers = vec![
        NodeOptions::new().bootstrap(&a).start(),
        NodeOptions::new().bootstrap(&a).start(),
    ];
    let user = User::new();
    let ticks = text(&guest("ticks"));
    let task = [ticks.as_str(), "--", "60", "100"];
    let every = ["--checkpoint-every", "1s"];
    let id = user.submit(&a, every.into_iter().chain(task));
    let holder = a.running(&id);
    eventually("a checkpoint", Duration::from_secs(30), || {
        let list = a
            .mc(["--format", "json", "checkpoints", &id])
            .expect_code(0)
            .json();
        (list["checkpoints"].as_array().unwrap().len() > 1).then_some(())
    });
    // What it writes can be read while it runs.
    let logs = user.mc(&a, ["logs", &id]).expect_code(0).text();
    assert!(logs.starts_with("tick 0\ntick 1\n"), "{logs:?}");
    let victim = workers.iter().position(|node| node.id == holder).unwrap();
    workers.remove(victim).kill();
    let done = a.succeeded(&id);
    assert_eq!(done["attempts"], 2);
    let expected: String = (0..60).map(|n| format!("tick {n}\n")).collect();
    assert_eq!(user.mc(&a, ["logs", &id]).expect_code(0).text(), expected);
    for node in workers.iter().chain([&a]) {
        assert!(!is_below(node.data_dir(), "tick 3\ntick 4"));
    }
}

#[test]
fn a_node_that_only_knows_what_others_say_of_a_private_job_prints_nothing_encrypted() {
    let a = NodeOptions::new().start();
    let b = NodeOptions::new()
        .bootstrap(&a)
        .flags(["--no-execute"])
        .start();
    let user = User::new();
    let ticks = text(&guest("ticks"));
    let id = user.submit(&a, [&*ticks, "--", "1", "16000"]);
    eventually("it is known to run", Duration::from_secs(40), || {
        let told = user.mc(&b, ["status", &id]);
        (told.code == Some(0)).then_some(())
    });
    user.mc(&a, ["wait", &id]).expect_code(0);
    eventually("it is known to have ended", Duration::from_secs(40), || {
        let told = user.mc(&b, ["status", &id]);
        told.text().contains("succeeded").then_some(())
    });
    let dir = tempfile::tempdir().unwrap();
    let out = text(&dir.path().join("out"));
    for command in [&["logs", &id][..], &["result", &id, "--out", &out]] {
        let told = user.mc(&b, command.iter().copied());
        assert_eq!(told.text(), "", "{told:#?}");
        assert!(told.stderr.contains("MC0025"), "{}", told.stderr);
        assert!(told.stderr.contains("encrypted"), "{}", told.stderr);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    user.mc(&a, ["logs", &id]).expect_code(0);
}

#[test]
fn a_job_whose_key_is_lost_fails_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let start = || {
        NodeOptions::new()
            .data_dir(dir.path())
            .flags(["--no-execute"])
            .start()
    };
    let (a, user) = (start(), User::new());
    let echo = text(&guest("echo_world"));
    let id = user.submit(&a, [echo.as_str()]);
    assert_eq!(a.stop(), Some(0));
    fs::remove_file(dir.path().join("identity.key")).unwrap();
    let a = start();
    let _b = NodeOptions::new().bootstrap(&a).start();
    let done = eventually("an end", Duration::from_secs(30), || {
        let view = a.status(&id);
        (view["state"] == "failed").then_some(view)
    });
    assert_eq!(done["failure"], "rejected");
    let message = done["message"].as_str().unwrap();
    assert!(
        message.contains("MC0025") && message.contains("key"),
        "{message}"
    );
}

#[test]
fn files_are_encrypted_with_a_key_of_the_users() {
    let (node, files) = (NodeOptions::new().start(), tempfile::tempdir().unwrap());
    let (tree, key) = (files.path().join("tree"), files.path().join("key"));
    fs::create_dir(&tree).unwrap();
    secrets(&tree);
    let (tree, key) = (text(&tree), text(&key));
    let add = ["add", "--encrypt", "--key-file", &key, &tree];
    let added = node.mc(add).expect_code(0).text();
    let cid = added.trim();
    assert!(!is_below(node.data_dir(), SECRET) && !is_below(node.data_dir(), NAME));
    // The same key, the same content.
    assert_eq!(node.mc(add).expect_code(0).text(), added);

    let out = text(&files.path().join("out"));
    let get = ["get", "--key-file", &key, cid, "-o", &out];
    node.mc(get).expect_code(0);
    let same = Command::new("diff").args(["-r", &tree, &out]).status();
    assert!(same.unwrap().success());
    let place = format!("{cid}/inner/{NAME}");
    let cat = [
        "cat",
        "--key-file",
        &key,
        "--offset",
        "1100000",
        "--length",
        "38B",
        &place,
    ];
    let read = node.mc(cat).expect_code(0).text();
    assert!(
        SECRET.repeat(2).contains(&read) && read.len() == 38,
        "{read}"
    );
    let listed = node
        .mc(["ls", "--key-file", &key, cid])
        .expect_code(0)
        .text();
    assert!(
        listed.contains("short") && listed.contains("38"),
        "{listed}"
    );
    let stat = node
        .mc(["stat", "--key-file", &key, &place])
        .expect_code(0)
        .text();
    let bytes = (3 << 20) / SECRET.len() * SECRET.len();
    assert!(stat.contains(&bytes.to_string()), "{stat}");

    // Without the key, it is said what may be the matter.
    let bare = node.mc(["ls", cid]).expect_code(0);
    assert!(bare.stderr.contains("--key-file"), "{bare:#?}");
    let other = text(&files.path().join("other"));
    let elsewhere = text(&files.path().join("elsewhere"));
    let add = ["add", "--encrypt", "--key-file", &other, &elsewhere];
    fs::write(&elsewhere, "x").unwrap();
    node.mc(add).expect_code(0);
    let refused = node.mc([
        "get",
        "--key-file",
        &other,
        cid,
        "-o",
        &text(&files.path().join("no")),
    ]);
    assert_eq!(refused.code, Some(65), "{}", refused.stderr);
    assert!(refused.stderr.contains("MC0025"), "{}", refused.stderr);
    assert!(!files.path().join("no").exists());
}
