//! Whether a process has ended whose connection was closed.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};
use tokio::{net::TcpStream, time::timeout};

/// How often we look, and the pause in between. When a process is killed, the system first closes its connections one
/// after the other, and then stops accepting new ones: at first the process may seem to be there still.
const LOOKS: u32 = 8;
const BETWEEN: Duration = Duration::from_millis(100);
/// How often in a row nobody must be listening. A process that is just being started again has ended all the same, but
/// one that closed a connection by itself has not.
const REFUSALS: u32 = 2;
/// How long a machine may take to say that nobody listens.
const ANSWER_WITHIN: Duration = Duration::from_millis(300);

/// Whether the machine says, of all these places and several times, that nobody listens there. Silence says nothing:
/// the machine may have been cut off.
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
