//! Commands of people whose gateway goes away: they go on at the next one from where they were, or say how to go on.

use crate::wasm;
use mc_conformance::{Finished, Node, NodeOptions, eventually, mc, spawn_in, way_that_breaks};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Two ways to one node, as if to two gateways on one ledger, of which the first one breaks.
fn two_ways(node: &Node, last: &'static str, pieces: usize) -> String {
    format!("{},{}", way_that_breaks(&node.api, last, pieces), node.api)
}

/// A way to a node, and what is sent through it.
fn way_that_is_heard(api: &str) -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let to = api.trim_start_matches("http://").to_owned();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listening = Arc::clone(&heard);
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut node = TcpStream::connect(&to).unwrap();
            let (mut from, mut into) = (client.try_clone().unwrap(), node.try_clone().unwrap());
            let heard = Arc::clone(&listening);
            thread::spawn(move || {
                let mut piece = vec![0; 64 << 10];
                while let Ok(read @ 1..) = from.read(&mut piece) {
                    heard.lock().unwrap().extend_from_slice(&piece[..read]);
                    if into.write_all(&piece[..read]).is_err() {
                        break;
                    }
                }
                let _ = into.shutdown(Shutdown::Write);
            });
            thread::spawn(move || {
                let _ = std::io::copy(&mut node, &mut client);
                let _ = client.shutdown(Shutdown::Both);
            });
        }
    });
    (url, heard)
}

#[test]
fn a_node_that_is_named_is_asked_once_whether_it_is_there() {
    let node = NodeOptions::new().start();
    let (way, heard) = way_that_is_heard(&node.api);
    let echo = wasm("echo_world");
    mc(["--node", &way, "submit", &echo, "--", "once"]).expect_code(0);
    let heard = heard.lock().unwrap();
    let heard = String::from_utf8_lossy(&heard);
    assert_eq!(heard.matches("GET /api/v1/node ").count(), 1, "{heard}");
    assert_eq!(heard.matches("POST /api/v1/jobs ").count(), 1, "{heard}");
}

fn ticks(count: usize) -> String {
    (0..count).map(|n| format!("tick {n}\n")).collect()
}

/// The id that a command says first on standard error.
fn id_of(done: &Finished) -> String {
    let first = done.stderr.lines().next().unwrap_or_default();
    let id = first.strip_prefix("job ").expect("the id comes first");
    id.to_owned()
}

#[test]
fn a_job_is_handed_in_once_though_the_answer_was_lost() {
    let node = NodeOptions::new().start();
    let ways = two_ways(&node, "POST /api/v1/jobs ", 0);
    let echo = wasm("echo_world");
    let done = mc(["--node", &ways, "submit", &echo, "--", "once"]).expect_code(0);
    assert!(done.text().contains("once"), "{done:#?}");
    let listed = node.mc(["ps", "--format", "json"]).expect_code(0).json();
    let jobs = listed["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 1, "{listed}");
    assert_eq!(jobs[0]["id"], id_of(&done).as_str());
}

#[test]
fn an_upload_goes_on_at_the_next_gateway() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..5_000_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(dir.path().join("data"), &bytes).unwrap();
    let input = format!("data={}", dir.path().join("data").display());
    let (out, copy) = (dir.path().join("out"), wasm("copy_tree"));
    let ways = two_ways(&node, "POST /api/v1/content ", 0);
    let submit = ["--node", &ways, "submit", "--input", &input, "--out"];
    let args = submit.into_iter().chain([out.to_str().unwrap(), &copy]);
    mc(args).expect_code(0);
    assert!(std::fs::read(out.join("data")).unwrap() == bytes);
}

#[test]
fn what_a_job_prints_goes_on_at_the_next_gateway_and_each_line_comes_once() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().display().to_string();
    let guest = wasm("ticks");
    // Some of it has come when the way breaks.
    let ways = || two_ways(&node, "logs?stream=stdout", 4);
    for flags in [&[][..], &["--encrypt"]] {
        let ways = ways();
        let submit = ["--node", &ways, "--data-dir", &data, "submit"];
        let args = submit.iter().chain(flags).copied();
        let done = mc(args.chain([&*guest, "--", "30", "50"])).expect_code(0);
        assert_eq!(done.text(), ticks(30), "{flags:?}: {}", done.stderr);
        id_of(&done);
    }
    let id = node.submit([&*guest, "--", "30", "50"]);
    let done = mc(["--node", &ways(), "logs", "-f", &id]).expect_code(0);
    assert_eq!(done.text(), ticks(30), "{}", done.stderr);
    let done = mc(["--node", &ways(), "logs", &id]).expect_code(0);
    assert_eq!(done.text(), ticks(30), "{}", done.stderr);
}

#[test]
fn content_comes_whole_though_its_gateway_goes_away() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..5_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let file = dir.path().join("data");
    std::fs::write(&file, &bytes).unwrap();
    let added = node
        .mc(["add", file.to_str().unwrap()])
        .expect_code(0)
        .text();
    let cid = added.split_whitespace().next().unwrap();
    let ways = || two_ways(&node, "?format=car", 3);
    let (out, car) = (dir.path().join("out"), dir.path().join("car"));
    mc(["--node", &ways(), "get", cid, "-o", out.to_str().unwrap()]).expect_code(0);
    assert!(std::fs::read(&out).unwrap() == bytes);
    let catted = mc(["--node", &ways(), "cat", cid]).expect_code(0);
    assert!(catted.stdout == bytes);
    let export = ["car", "export", cid, "-o", car.to_str().unwrap()];
    mc(["--node", &ways()].into_iter().chain(export)).expect_code(0);
    let other = NodeOptions::new().start();
    let imported = other.mc(["car", "import", car.to_str().unwrap()]);
    assert_eq!(imported.expect_code(0).text().trim(), cid);
}

#[test]
fn a_gateway_that_is_frozen_is_left_for_the_next_one() {
    let node = NodeOptions::new().start();
    let frozen = NodeOptions::new().start();
    let pid = i32::try_from(frozen.pid()).ok().and_then(Pid::from_raw);
    kill_process(pid.unwrap(), Signal::STOP).unwrap();
    let echo = wasm("echo_world");
    let id = node.submit([&*echo, "--", "thawed"]);
    assert_eq!(node.succeeded(&id)["exit_code"], 0);
    // It takes connections, as its kernel does, and says nothing.
    let both = format!("{},{}", frozen.api, node.api);
    let begun = Instant::now();
    let command = |args: &[&str]| spawn_in(Path::new("."), [&["--node", &both], args].concat());
    let all = [
        command(&["status", &id]),
        command(&["ps"]),
        command(&["logs", &id]),
        command(&["logs", "-f", &id]),
        command(&["wait", &id]),
        command(&["submit", &echo, "--", "thawed"]),
    ];
    for child in all {
        Finished::of(child).expect_code(0);
    }
    println!("all went on after {:?}", begun.elapsed());
    let alone = mc(["--node", &frozen.api, "status", &id]).expect_code(69);
    assert!(alone.stderr.contains("does not answer"), "{alone:#?}");
}

/// A server that is no node: it gives the answer `begin`, and then `more` for as long as it is read.
fn no_node(begin: &'static str, more: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = client.read(&mut [0; 8192]);
                let mut is_read = client.write_all(begin.as_bytes()).is_ok();
                while is_read && !more.is_empty() {
                    is_read = client.write_all(more).is_ok();
                }
            });
        }
    });
    url
}

#[test]
fn a_server_that_is_no_node_is_left_for_the_next_one() {
    let node = NodeOptions::new().start();
    let page = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n<html/>\r\n";
    let endless = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n";
    for (server, word) in [
        (no_node(page, b""), "another answer"),
        (no_node(endless, &[b' '; 1 << 16]), "longer answer"),
    ] {
        let alone = mc(["--node", &server, "ps"]).expect_code(69);
        assert!(alone.stderr.contains(word), "{word} in {alone:#?}");
        let both = format!("{server},{}", node.api);
        mc(["--node", &both, "ps"]).expect_code(0);
        let echo = wasm("echo_world");
        let done = mc(["--node", &both, "submit", &echo, "--", "served"]).expect_code(0);
        assert!(done.text().contains("served"), "{done:#?}");
    }
}

#[test]
fn when_nobody_answers_any_more_a_command_says_how_to_go_on() {
    let node = NodeOptions::new().start();
    let (api, here) = (node.api.clone(), Path::new("."));
    let (dir, guest) = (tempfile::tempdir().unwrap(), wasm("ticks"));
    let (ended, out) = (node.submit([&*wasm("exit_zero")]), dir.path().join("out"));
    assert_eq!(node.succeeded(&ended)["exit_code"], 0);
    let id = node.submit([&*guest, "--", "1000", "50"]);
    assert_eq!(node.running(&id), node.id);
    let start = |args: &[&str]| spawn_in(here, [&["--node", &api], args].concat());
    let out = out.to_str().unwrap();
    let submitting = start(&["submit", "--out", out, &guest, "--", "999", "50"]);
    let waiting = start(&["wait", &ended, &id, &ended]);
    let following = start(&["logs", "-f", &id]);
    let listening = start(&["logs", "-f", "--stderr", &id]);
    eventually("another job was handed in", PATIENCE, || {
        let jobs = node.mc(["ps", "--format", "json"]).expect_code(0).json();
        (jobs["jobs"].as_array()?.len() == 3).then_some(())
    });
    eventually("it prints", PATIENCE, || {
        let printed = node.mc(["logs", &id]).expect_code(0).text();
        printed.lines().nth(10).map(drop)
    });
    node.kill();
    let submitted = Finished::of(submitting).expect_code(75);
    let new = id_of(&submitted);
    let result = format!("mc-wasm --node {api} result {new} --out {out}");
    assert!(submitted.stderr.contains(&result), "{submitted:#?}");
    for (done, command) in [
        (submitted, format!("wait {new}")),
        // Those for which it waits still.
        (Finished::of(waiting), format!("wait {id} {ended}")),
        (Finished::of(following), format!("logs -f {id}")),
        (Finished::of(listening), format!("logs -f --stderr {id}")),
    ] {
        let done = done.expect_code(75);
        let again = format!("mc-wasm --node {api} {command}\n");
        assert!(done.stderr.contains(&again), "{again} in {done:#?}");
        assert!(done.stderr.contains("MC0008"), "{done:#?}");
    }
}
