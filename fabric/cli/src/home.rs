//! The node of the data directory: a running one, or one of this command's own. When the node of another command ends
//! with that command, this command's takes its place, since jobs and blocks are in the directory.

use crate::{client::NodeClient, failure::Failure, output};
use futures::future::BoxFuture;
use mc_config::Config;
use mc_node::{Error, Mode, Node, NodeFile};
use mc_options::Global;
use std::{
    ffi::OsString,
    mem,
    path::PathBuf,
    time::{Duration, Instant},
};
use tokio::sync::{Mutex, MutexGuard};

/// How long a process may hold the directory without answering: it is starting or stopping, or is no node.
const PATIENCE: Duration = Duration::from_secs(20);
/// After this time the user is told what is waited for.
const TELL_AFTER: Duration = Duration::from_secs(2);
/// The pause between two tries. Commands that would run jobs go before commands that only read.
const PAUSE: Duration = Duration::from_millis(25);
const PAUSE_TO_LOOK: Duration = Duration::from_millis(250);

/// A data directory, for one command.
#[derive(Debug)]
pub(crate) struct Home {
    global: Global,
    config: Config,
    /// What the command needs a node for.
    mode: Mode,
    keeper: Mutex<Keeper>,
}

/// Who has the node that this command talks to.
#[derive(Debug)]
pub(crate) enum Keeper {
    Nobody,
    /// Another process.
    Other(NodeFile),
    /// This one.
    Own(Box<Node>),
}

impl Home {
    pub(crate) fn new(global: &Global, config: Config, mode: Mode) -> Self {
        Self {
            global: global.clone(),
            config,
            mode,
            keeper: Mutex::new(Keeper::Nobody),
        }
    }

    /// The current node. While this is locked, no other request looks for a new one.
    pub(crate) async fn keeper(&self) -> MutexGuard<'_, Keeper> {
        self.keeper.lock().await
    }

    /// Finds a node, or starts one; gives its URL. Of several commands that do so at the same time, one starts a node
    /// and the others find that. It is boxed, since it holds all that starts a node.
    pub(crate) fn find<'a>(
        &'a self,
        keeper: &'a mut Keeper,
    ) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let (mut since, mut holder, mut is_told) = (Instant::now(), None::<u32>, false);
            loop {
                if let Some(file) = running(&self.config).await {
                    let url = file.api.clone();
                    *keeper = Keeper::Other(file);
                    return Ok(url);
                }
                let locked = match Node::start(self.config.clone(), self.mode, compiler()).await {
                    Ok(node) => {
                        self.tell_of_own();
                        let url = node.api_url().to_owned();
                        *keeper = Keeper::Own(Box::new(node));
                        return Ok(url);
                    }
                    Err(locked @ Error::DataDirLocked { .. }) => locked,
                    Err(error) => return Err(error.into()),
                };
                // Each that comes and goes has time of its own.
                if let Error::DataDirLocked { pid, .. } = &locked
                    && *pid != holder
                {
                    (since, holder) = (Instant::now(), *pid);
                }
                if since.elapsed() > PATIENCE {
                    return Err(locked.into());
                }
                if !is_told && since.elapsed() > TELL_AFTER {
                    output::note(&self.global, &format!("{locked}: waiting for it"));
                    is_told = true;
                }
                tokio::time::sleep(self.pause()).await;
            }
        })
    }

    /// The URL of the node that replaces one that no longer answers, if any. A permanent node is not replaced: its user
    /// starts it again.
    pub(crate) fn find_next<'a>(&'a self, keeper: &'a mut Keeper) -> BoxFuture<'a, Option<String>> {
        Box::pin(async move {
            let lost = match &*keeper {
                Keeper::Other(file) if file.is_embedded => file.pid,
                _ => return None,
            };
            if self.mode == Mode::Look {
                tokio::time::sleep(self.pause()).await;
            }
            let found = running(&self.config).await;
            if found.is_some_and(|found| found.pid == lost) {
                return None;
            }
            match self.find(keeper).await {
                Ok(url) => Some(url),
                Err(failure) => {
                    let note = format!("no other node takes its place: {}", failure.message());
                    output::note(&self.global, &note);
                    None
                }
            }
        })
    }

    const fn pause(&self) -> Duration {
        match self.mode {
            Mode::Look => PAUSE_TO_LOOK,
            _ => PAUSE,
        }
    }

    fn tell_of_own(&self) {
        let takes_no_work = match self.mode {
            Mode::Look => ", which runs no jobs",
            _ => "",
        };
        let dir = self.config.data_dir.display();
        let note =
            format!("no node is running on {dir}; using one of this command's own{takes_no_work}");
        output::note(&self.global, &note);
    }

    /// Whether the node's jobs make no progress as long as it runs. With a shared database, other nodes may run them.
    pub(crate) async fn is_idle(&self) -> bool {
        let looks = self.mode == Mode::Look && self.config.ledger.url.is_none();
        looks && matches!(*self.keeper().await, Keeper::Own(_))
    }

    /// Whether the node ends with a command, this one or another.
    pub(crate) async fn is_embedded(&self) -> bool {
        match &*self.keeper().await {
            Keeper::Nobody => false,
            Keeper::Other(file) => file.is_embedded,
            Keeper::Own(_) => true,
        }
    }

    /// Ends the node, if it is this command's own.
    pub(crate) async fn close(&self) {
        let keeper = mem::replace(&mut *self.keeper().await, Keeper::Nobody);
        if let Keeper::Own(node) = keeper {
            if let Some(failure) = node.failure() {
                // What the command says otherwise is that nobody answers any more.
                output::error(&failure.to_string());
            }
            (*node).shutdown().await;
        }
    }
}

/// This program as a compiler, if it knows where it is.
pub(crate) fn compiler() -> Option<(PathBuf, Vec<OsString>)> {
    Some((std::env::current_exe().ok()?, vec!["compile".into()]))
}

/// The running node of the data directory, if there is one. Its file may belong to a node that was killed, so the node
/// is asked for its identity.
async fn running(config: &Config) -> Option<NodeFile> {
    let file = NodeFile::read(&config.data_dir)?;
    let client = NodeClient::new(&file.api).ok()?;
    let node = client.node_once().await.ok()?;
    (node.id == file.id).then_some(file)
}
