//! A way to a node that breaks, as if the node had been killed at that moment.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// Bytes that are passed on at a time.
const PIECE_BYTES: usize = 64 << 10;

/// What all connections of one way share.
struct Way {
    to: String,
    /// What a client sends last.
    last: &'static str,
    /// How many pieces of the answer still arrive.
    pieces: usize,
    is_broken: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

/// The URL of a way to the node at `api` that breaks once a client has sent `last` and `pieces` of the answer have been
/// passed on: all connections then, and for good. The node has what was sent, and goes on.
///
/// # Panics
///
/// When no port is free.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "a failed expectation is how a test fails"
)]
pub fn way_that_breaks(api: &str, last: &'static str, pieces: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let way = Arc::new(Way {
        to: api.trim_start_matches("http://").to_owned(),
        last,
        pieces,
        is_broken: AtomicBool::new(false),
        streams: Mutex::default(),
    });
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            if way.is_broken.load(Ordering::SeqCst) {
                return;
            }
            let way = Arc::clone(&way);
            // One that cannot be carried on is closed.
            thread::spawn(move || way.carry(client));
        }
    });
    url
}

impl Way {
    fn carry(self: Arc<Self>, mut client: TcpStream) -> std::io::Result<()> {
        let mut node = TcpStream::connect(&self.to)?;
        let (mut from_client, mut to_node) = (client.try_clone()?, node.try_clone()?);
        self.streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend([client.try_clone()?, node.try_clone()?]);
        let is_last = Arc::new(AtomicBool::new(false));
        let (way, said) = (Arc::clone(&self), Arc::clone(&is_last));
        thread::spawn(move || {
            let mut piece = vec![0; PIECE_BYTES];
            while let Ok(read @ 1..) = from_client.read(&mut piece) {
                let sent = piece.get(..read).unwrap_or_default();
                let last = way.last.as_bytes();
                if sent.windows(last.len()).any(|part| part == last) {
                    said.store(true, Ordering::SeqCst);
                }
                if to_node.write_all(sent).is_err() {
                    break;
                }
            }
            let _ = to_node.shutdown(Shutdown::Write);
        });
        let mut piece = vec![0; PIECE_BYTES];
        let mut left = self.pieces;
        while let Ok(read @ 1..) = node.read(&mut piece) {
            if is_last.load(Ordering::SeqCst) {
                let Some(fewer) = left.checked_sub(1) else {
                    self.cut();
                    return Ok(());
                };
                left = fewer;
            }
            client.write_all(piece.get(..read).unwrap_or_default())?;
        }
        client.shutdown(Shutdown::Both)
    }

    fn cut(&self) {
        self.is_broken.store(true, Ordering::SeqCst);
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in streams.iter() {
            // It may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
