//! By which names a node may be asked: its own, and no others, since web pages can make theirs lead here.

use mc_conformance::{Node, NodeOptions, mc};
use std::{
    io::{Read, Write},
    net::TcpStream,
};

/// The status and body of the answer to a request as it stands here.
fn answer(node: &Node, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(node.api.trim_start_matches("http://")).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap_or_default().to_owned();
    (status, text)
}

fn status_for(node: &Node, host: &str) -> String {
    let request = format!("GET /api/v1/node HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    answer(node, &request).0
}

#[test]
fn a_node_is_asked_by_its_own_names_and_those_of_its_setting() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    std::fs::write(&config, "[api]\nhosts = ['gw1.example']\n").unwrap();
    let flags = ["--config", config.to_str().unwrap()];
    let node = NodeOptions::new().flags(flags).start();
    let port = node.api.rsplit(':').next().unwrap();
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for name in ["gw1.example", "GW1.Example.", "localhost", machine.trim()] {
        assert_eq!(
            status_for(&node, &format!("{name}:{port}")),
            "200",
            "{name}"
        );
    }
    for name in ["evil.example", "gw1.example.evil.example", "me@127.0.0.1"] {
        assert_eq!(
            status_for(&node, &format!("{name}:{port}")),
            "400",
            "{name}"
        );
    }
    let url = format!("http://localhost:{port}");
    mc(["--node", &url, "ps"]).expect_code(0);
}

#[test]
fn a_page_whose_name_leads_here_is_refused_wherever_the_name_stands() {
    let node = NodeOptions::new().start();
    let host = node.api.trim_start_matches("http://");
    let rest = "connection: close\r\n\r\n";
    for request in [
        format!("GET /api/v1/node HTTP/1.1\r\nhost: evil.example\r\n{rest}"),
        format!("GET /api/v1/node HTTP/1.1\r\nhost: {host}\r\nhost: evil.example\r\n{rest}"),
        format!("GET http://evil.example/api/v1/node HTTP/1.1\r\nhost: {host}\r\n{rest}"),
        format!("GET http://evil.example/api/v1/node HTTP/1.1\r\nhost: evil.example\r\n{rest}"),
        format!("GET /api/v1/node HTTP/1.1\r\nhost: {host}\r\norigin: null\r\n{rest}"),
    ] {
        let (status, text) = answer(&node, &request);
        assert_eq!(status, "400", "{request}{text}");
        assert!(!text.contains(&node.id), "{request}{text}");
    }
    // What is refused by name says what to do.
    let (_, text) = answer(
        &node,
        &format!("GET /metrics HTTP/1.1\r\nhost: gw1.example\r\n{rest}"),
    );
    assert!(
        text.contains("gw1.example") && text.contains("api.hosts"),
        "{text}"
    );
}
