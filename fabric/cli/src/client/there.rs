//! Whether a node is still there that has not answered yet.

use super::{NodeClient, content::Pieces};
use futures::{StreamExt, stream};
use mc_api::paths;
use reqwest::Response;
use std::time::Duration;

/// How long a node may be silent before it is asked for a sign of life, how long that may take, and how often in a row
/// it may fail. A frozen process, or a machine that hangs, never closes a connection.
const SILENT: Duration = Duration::from_secs(5);
const THERE_WITHIN: Duration = Duration::from_secs(5);
const SILENT_ROUNDS: usize = 2;

impl NodeClient {
    /// What the node at `base` gives, for as long as it is there.
    pub(super) async fn while_there<T>(
        &self,
        base: &str,
        given: impl Future<Output = Result<T, reqwest::Error>>,
    ) -> Result<T, reqwest::Error> {
        tokio::select! {
            biased;
            given = given => given,
            gone = self.gone(base) => Err(gone),
        }
    }

    /// The pieces of an answer, unless its node goes away.
    pub(super) fn pieces(&self, base: String, response: Response) -> Pieces {
        let reading = (self.clone(), base, response.bytes_stream().boxed());
        let next = |(client, base, mut pieces): (Self, String, Pieces)| async move {
            let piece = async { pieces.next().await.transpose() };
            let piece = client.while_there(&base, piece).await?;
            Ok::<_, reqwest::Error>(piece.map(|piece| (piece, (client, base, pieces))))
        };
        stream::try_unfold(reading, next).boxed()
    }

    /// Returns once a node does not answer any more.
    async fn gone(&self, base: &str) -> reqwest::Error {
        let mut silent = 0;
        loop {
            tokio::time::sleep(SILENT).await;
            let asked = self.http.head(format!("{base}{}", paths::NODE));
            match asked.timeout(THERE_WITHIN).send().await {
                Ok(_) => silent = 0,
                Err(error) => {
                    silent += 1;
                    if silent == SILENT_ROUNDS {
                        return error;
                    }
                }
            }
        }
    }
}
