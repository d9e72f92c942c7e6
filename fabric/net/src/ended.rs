//! Finds out whether a process has ended after its connection was closed.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};
use tokio::{net::TcpStream, time::timeout};

/// How often we try, and the pause in between. When a process is killed, the system first closes its connections one by
/// one, and only then stops accepting new ones, so the first tries may still succeed.
const LOOKS: u32 = 8;
const BETWEEN: Duration = Duration::from_millis(100);
/// How many tries in a row must be refused. A process that is being restarted has ended too, but one that only closed a
/// connection has not.
const REFUSALS: u32 = 2;
/// How long a machine may take to refuse a connection.
const ANSWER_WITHIN: Duration = Duration::from_millis(300);

/// Whether the machine refuses connections at all these addresses several times. Silence does not count: the machine
/// may be cut off.
pub(crate) async fn refused(places: &[SocketAddr]) -> bool {
    let mut refusals = 0;
    for look in 0..LOOKS {
        if look > 0 {
            tokio::time::sleep(BETWEEN).await;
        }
        refusals = match all_refuse(places).await {
            true => refusals + 1,
            false => 0,
        };
        if refusals == REFUSALS {
            return true;
        }
    }
    false
}

async fn all_refuse(places: &[SocketAddr]) -> bool {
    for place in places {
        match timeout(ANSWER_WITHIN, TcpStream::connect(place)).await {
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {}
            _ => return false,
        }
    }
    !places.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn only_places_where_nobody_listens_refuse() {
        let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = listening.local_addr().unwrap();
        let closed = {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap()
        };
        assert!(refused(&[closed]).await);
        assert!(!refused(&[closed, alive]).await);
        assert!(!refused(&[]).await, "nothing is known");
    }

    #[tokio::test]
    async fn a_process_that_is_still_being_taken_down_is_looked_at_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = listener.local_addr().unwrap();
        tokio::spawn(async move {
            tokio::time::sleep(BETWEEN).await;
            drop(listener);
        });
        assert!(refused(&[place]).await);
    }
}
