//! Tries to reach the network, and says what that comes to.

use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

fn main() {
    let told = |name: &str, kind: Option<std::io::ErrorKind>| println!("{name}: {kind:?}");
    told(
        "connect",
        TcpStream::connect("127.0.0.1:80").err().map(|e| e.kind()),
    );
    told(
        "listen",
        TcpListener::bind("127.0.0.1:0").err().map(|e| e.kind()),
    );
    told(
        "datagrams",
        UdpSocket::bind("127.0.0.1:0").err().map(|e| e.kind()),
    );
    let resolved = "example.org:80".to_socket_addrs();
    println!("resolve: {}", resolved.is_err());
}
