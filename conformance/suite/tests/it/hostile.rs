//! Tasks that mean no good, and a node that goes on.

use mc_artifacts::guest;
use mc_conformance::{Node, NodeOptions, eventually, mc};
use mc_content::{Block, car};
use std::{
    io::Write,
    net::TcpStream,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

#[test]
fn a_node_serves_others_while_hostile_tasks_end_as_documented() {
    let node = NodeOptions::new().start();
    let submit = |options: &[&str], name: &str| {
        let component = guest(name).display().to_string();
        node.submit(options.iter().copied().chain([&*component]))
    };
    let hostile = [
        (submit(&["--fuel", "1000000000"], "cpu_forever"), 152),
        (submit(&["--timeout", "1s"], "cpu_forever"), 124),
        (submit(&["--fuel", "300000000"], "sleep_forever"), 152),
        (submit(&["--memory", "64MiB"], "memory_hog"), 137),
        (submit(&["--output", "1MiB"], "output_flood"), 153),
        (submit(&["--files", "2000"], "file_bomb"), 0),
        (submit(&["--handles", "500"], "handle_leak"), 0),
        (submit(&[], "trap_recursion"), 134),
        (submit(&[], "trap_stack"), 134),
    ];
    let begun = Instant::now();
    let good = guest("echo_world").display().to_string();
    let done = node
        .mc(["submit", &good, "--", "still here"])
        .expect_code(0);
    assert!(done.text().contains("still here"));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
    for (id, code) in hostile {
        node.mc(["wait", &id]).expect_code(code);
    }
    node.mc(["submit", &good]).expect_code(0);
}

/// A module that takes many seconds to compile.
fn slow_to_compile() -> Vec<u8> {
    let step = "(local.set 0 (i32.xor (i32.add (local.get 0) (i32.const 77)) (local.get 1)))
        (if (local.get 0) (then (local.set 1 (i32.mul (local.get 0) (local.get 1)))))";
    let steps = step.repeat(1000);
    let function = format!("(func (param i32 i32) {steps})");
    let functions = function.repeat(150);
    let text =
        format!(r#"(module (memory (export "memory") 1) (func (export "_start")) {functions})"#);
    wat::parse_str(text).unwrap()
}

/// The processes that a node has started.
fn children(node: &Node) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", node.pid())).unwrap();
    let of = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children"));
    let children = tasks.flatten().filter_map(|task| of(task).ok());
    children.map(|list| list.split_whitespace().count()).sum()
}

/// Otherwise its compiler would take processors and memory for minutes, and the place of a guest.
#[test]
fn the_compiler_of_a_job_that_is_called_off_ends() {
    let node = NodeOptions::new().flags(["--slots", "1"]).start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("slow.wasm");
    std::fs::write(&path, slow_to_compile()).unwrap();
    let id = node.submit([path.to_str().unwrap()]);
    eventually("it is compiled", Duration::from_secs(30), || {
        (children(&node) > 0).then_some(())
    });
    node.mc(["cancel", &id]).expect_code(0);
    eventually("no compiler is left", Duration::from_secs(3), || {
        (children(&node) == 0).then_some(())
    });
}

#[test]
fn a_component_that_is_too_large_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("giant.wasm");
    std::fs::write(&path, b"\0asm\x0d\0\x01\0").unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(129 << 20).unwrap();
    let refused = mc(["run", path.to_str().unwrap()]).expect_code(65);
    assert!(refused.stderr.contains("at most"), "{}", refused.stderr);
}

/// Bytes that a slow upload promises.
const PROMISED: usize = 1 << 20;

/// A connection on which a CAR is uploaded whose only block does not come.
fn upload(api: &str) -> TcpStream {
    let host = api.trim_start_matches("http://");
    let block = Block::encode(mc_types::cid::RAW, vec![7_u8; PROMISED]).unwrap();
    let [head, _] = car::section(&block);
    let mut begin = car::header(&[]).to_vec();
    begin.extend_from_slice(&head);
    let request = format!(
        "POST /api/v1/content HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n\r\n",
        begin.len() + PROMISED
    );
    let mut stream = TcpStream::connect(host).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream.write_all(&begin).unwrap();
    stream
}

/// They bring what an upload has to bring at least, and would be there for a quarter of an hour.
#[test]
fn uploads_that_come_slowly_give_their_places_to_others() {
    let node = NodeOptions::new().start();
    let mut slow: Vec<_> = (0..64).map(|_| upload(&node.api)).collect();
    let (stop, stopped) = mpsc::channel::<()>();
    let each_second = Duration::from_secs(1);
    let dripping = thread::spawn(move || {
        while stopped.recv_timeout(each_second) == Err(mpsc::RecvTimeoutError::Timeout) {
            for stream in &mut slow {
                // The node hangs up on some of them.
                let _ = stream.write_all(&[7; 1100]);
            }
        }
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "quick").unwrap();
    let begun = Instant::now();
    node.mc(["add", file.path().to_str().unwrap()])
        .expect_code(0);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?}");
    drop(stop);
    dripping.join().unwrap();
}
