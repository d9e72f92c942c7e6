//! Fetching blocks.

use super::{
    NetworkHandle,
    command::{Command, SessionKey},
};
use crate::FetchError;
use bytes::Bytes;
use mc_types::{Cid, NodeId, Verified};
use std::time::Duration;
use tokio::sync::mpsc;

/// Fetches blocks that belong together.
#[derive(Debug)]
pub struct Session {
    key: SessionKey,
    client: NetworkHandle,
}

impl Session {
    /// A block. Any number may be under way at a time.
    ///
    /// # Errors
    ///
    /// [`FetchError::NotFound`] when no reachable peer has it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the want.
    pub async fn get(&self, cid: Cid) -> Result<Verified<Bytes>, FetchError> {
        let get = |reply| Command::Get {
            session: self.key,
            cid,
            reply,
        };
        self.client.ask(get).await.map_err(|_| FetchError::Closed)?
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let close = Command::CloseSession { session: self.key };
        if let Err(mpsc::error::TrySendError::Full(close)) = self.client.commands.try_send(close) {
            let commands = self.client.commands.clone();
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                // It ends once the loop has taken the commands before it, or has ended itself.
                runtime.spawn(async move { commands.send(close).await });
            }
        }
    }
}

impl NetworkHandle {
    /// Opens a session that fetches blocks from `providers` first, then from connected peers, then from peers that the
    /// DHT names. `timeout` replaces the default patience; it also applies to peers that promise a block and do not
    /// send it.
    ///
    /// # Errors
    ///
    /// [`FetchError::Closed`].
    pub async fn session(
        &self,
        providers: Vec<NodeId>,
        timeout: Option<Duration>,
    ) -> Result<Session, FetchError> {
        let open = |reply| Command::OpenSession {
            providers,
            timeout,
            reply,
        };
        let key = self.ask(open).await.map_err(|_| FetchError::Closed)?;
        Ok(Session {
            key,
            client: self.clone(),
        })
    }
}
