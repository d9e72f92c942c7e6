//! Fetching blocks.

use super::{
    Client,
    command::{Command, SessionKey},
};
use crate::FetchError;
use bytes::Bytes;
use mc_types::{Cid, NodeId};
use std::time::Duration;
use tokio::sync::mpsc;

/// Fetches blocks that belong together.
#[derive(Debug)]
pub struct Session {
    key: SessionKey,
    client: Client,
}

impl Session {
    /// A block, verified. Any number may be under way at a time.
    ///
    /// # Errors
    ///
    /// [`FetchError::NotFound`] when nobody who could be asked has it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the want.
    pub async fn get(&self, cid: Cid) -> Result<Bytes, FetchError> {
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
                // It ends as soon as the loop takes what waits before, or has ended itself.
                runtime.spawn(async move { commands.send(close).await });
            }
        }
    }
}

impl Client {
    /// Opens a session that fetches blocks from `providers` first, then from connected peers, then from those that the
    /// DHT names. `timeout` replaces the usual patience; it also holds while no block comes from peers that promise
    /// one.
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
