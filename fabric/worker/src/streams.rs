//! What an attempt wrote to its streams, if it came to no outcome.

use crate::{Content, content::Sink};
use mc_content::{Error, TaskKey};
use mc_execution::{Deferred, LogFiles};
use mc_protocol::Request;
use mc_types::{Cid, FencingToken, JobId, cid};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The two streams of an attempt, as content of this node.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredStreams {
    /// Standard output: a UnixFS file.
    #[serde(with = "cid::portable")]
    pub stdout: Cid,
    /// Standard error: a UnixFS file.
    #[serde(with = "cid::portable")]
    pub stderr: Cid,
}

impl StoredStreams {
    /// Stores what is in the files, encrypted if there is a key.
    pub(crate) async fn store(
        content: &Arc<dyn Content>,
        logs: &LogFiles,
        key: Option<&TaskKey>,
    ) -> Result<Self, Error> {
        let made = Deferred::new(Sink(Arc::clone(content)));
        let (stdout, stderr) = logs.add(key, &made).await?;
        made.flush().await?;
        Ok(Self { stdout, stderr })
    }

    /// How a coordinator is told, with the lease as it was signed.
    pub(crate) fn request(
        self,
        (job, token, attempt): (JobId, FencingToken, u32),
        grant: Vec<u8>,
    ) -> Request {
        Request::Wrote {
            job,
            token,
            attempt,
            stdout: self.stdout,
            stderr: self.stderr,
            grant,
        }
    }
}
