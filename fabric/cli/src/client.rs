//! The HTTP client.

mod content;
mod logs;
mod there;
mod upload;

pub(crate) use content::{RemoteBlocks, write_to_disk};
pub(crate) use upload::file_pieces;

use crate::{failure::Failure, home::Home};
use bytes::{Bytes, BytesMut};
use mc_api::{
    CheckpointList, DhtPeers, DhtRecord, ErrorBody, FsckView, GcQuery, GcView, JobIds, JobList,
    JobListQuery, JobQuery, JobView, MigrateRequest, NodeList, NodeQuery, NodeView, PinList,
    PinView, SubmitRequest, paths,
};
use mc_config::without_password;
use mc_options::JobName;
use mc_types::{CheckpointRecord, Cid, ErrorCode, JobId, JobSpec, JobState, NodeId, Why};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header::RETRY_AFTER};
use serde::{Serialize, de::DeserializeOwned};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// How long it may take to connect. Nodes are near.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often each of several nodes is asked before giving up, and the pause in between.
const ROUNDS: usize = 3;
const BETWEEN_NODES: Duration = Duration::from_millis(200);
/// How long one request waits for a job before the next one, in milliseconds; and how much longer a healthy node may
/// take.
const WAIT_MS: u64 = 20_000;
const WAIT_QUEUED_MS: u64 = 2_000;
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// How often a node that has too much to do is asked again, and the longest pause that it may ask for. Before a node
/// refuses, it lets the request wait for 20 seconds.
const MAX_PAUSES: usize = 30;
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// Longest answer that is read whole: longer than the longest list of jobs, and shorter than a machine's memory, since
/// any server may answer.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// The API of a node, or of several that share a ledger: when one is gone, another is asked.
#[derive(Debug, Clone)]
pub(crate) struct NodeClient {
    bases: Arc<[String]>,
    turns: watch::Sender<Turn>,
    http: reqwest::Client,
    /// The data directory whose node is meant. When that node ends with its command, another one takes its place.
    home: Option<Arc<Home>>,
}

/// Which node is asked.
#[derive(Debug)]
struct Turn {
    /// How often another one was turned to.
    number: usize,
    base: String,
}

/// How often nodes that do not answer are still asked.
#[derive(Debug)]
pub(crate) struct Tries {
    left: usize,
    /// The turn in which the last request was made.
    turn: usize,
    /// How often the node had too much to do.
    pauses: usize,
}

impl Tries {
    const fn new(left: usize) -> Self {
        Self {
            left,
            turn: 0,
            pauses: 0,
        }
    }
}

impl NodeClient {
    /// `urls` is one URL, or several with commas between them.
    pub(crate) fn new(urls: &str) -> Result<Self, Failure> {
        let each = mc_config::urls(urls);
        let each = each.iter().map(|url| url.trim().trim_end_matches('/'));
        let bases: Vec<_> = each.map(str::to_owned).collect();
        if let Some(url) = bases.iter().find(|url| !is_url(url)) {
            let shown = without_password(url);
            return Err(
                Failure::usage(format!("{shown:?} is not the URL of a node"))
                    .with_hint("give one such as http://127.0.0.1:7780"),
            );
        }
        // The HTTP client wants one, though it is not used. Another part may have chosen before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy()
            // Nodes are spoken to without TLS, and reading the machine's certificates takes time.
            .tls_certs_only([])
            .build();
        let http = http.map_err(|e| Failure::internal(e.to_string()))?;
        let first = Turn {
            number: 0,
            base: bases.first().cloned().unwrap_or_default(),
        };
        Ok(Self {
            bases: bases.into(),
            turns: watch::Sender::new(first),
            http,
            home: None,
        })
    }

    /// The same, of the node that a data directory has now.
    pub(crate) fn at(self, home: Arc<Home>) -> Self {
        Self {
            home: Some(home),
            ..self
        }
    }

    fn base(&self) -> String {
        self.turns.borrow().base.clone()
    }

    fn turn(&self) -> usize {
        self.turns.borrow().number
    }

    /// The node that is asked, as messages name it.
    fn shown(&self) -> String {
        without_password(&self.base())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base()))
    }

    /// Tries for a first request: one node is asked once, several in turn.
    pub(crate) fn tries(&self) -> Tries {
        Tries::new(match self.bases.len() {
            1 => 1,
            several => several * ROUNDS,
        })
    }

    /// Tries for an operation in progress: then even a single node is asked again.
    fn tries_to_resume(&self) -> Tries {
        Tries::new(self.bases.len() * ROUNDS)
    }

    /// Takes note that a request is made now.
    pub(crate) fn begin(&self, tries: &mut Tries) {
        tries.turn = self.turn();
    }

    /// Whether another node is asked than the one that was then.
    pub(crate) fn has_turned(&self, tries: &Tries) -> bool {
        self.turn() != tries.turn
    }

    /// Whether to ask once more, after a pause, because the node that was asked last is gone, or has too much to do. If
    /// it is gone and there is another one, that is asked from now on.
    pub(crate) async fn asks_again(&self, failure: &Failure, tries: &mut Tries) -> bool {
        if let Some(pause) = failure.again_after()
            && tries.pauses < MAX_PAUSES
        {
            tries.pauses += 1;
            tokio::time::sleep(pause).await;
            return true;
        }
        if failure.code() == ErrorCode::NodeUnreachable && self.comes_home(tries).await {
            return true;
        }
        tries.left = tries.left.saturating_sub(1);
        if !failure.is_away() || tries.left == 0 {
            return false;
        }
        self.turns.send_if_modified(|turn| {
            // Of several requests that fail together, the first one turns.
            let turns = turn.number == tries.turn;
            if turns {
                turn.number = turn.number.wrapping_add(1);
                // One that is alone may not be any more where it was first.
                if self.bases.len() > 1
                    && let Some(base) = self.bases.get(turn.number % self.bases.len())
                {
                    turn.base.clone_from(base);
                }
            }
            turns
        });
        tokio::time::sleep(BETWEEN_NODES).await;
        true
    }

    /// Whether the data directory has a new node by now.
    async fn comes_home(&self, tries: &Tries) -> bool {
        let Some(home) = &self.home else {
            return false;
        };
        let mut keeper = home.keeper().await;
        // Of several requests that fail together, the first one finds it.
        if self.has_turned(tries) {
            return true;
        }
        let Some(base) = home.find_next(&mut keeper).await else {
            return false;
        };
        self.turns.send_modify(|turn| {
            turn.number = turn.number.wrapping_add(1);
            turn.base = base;
        });
        true
    }

    /// Sends a request once; returns the response if it is a success, and the node's error otherwise.
    async fn send_once(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let base = self.base();
        let sent = self.while_there(&base, request.send()).await;
        let response = sent.map_err(|e| self.unreachable(&e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let again_after = again_after(&response);
        let body = self.whole(&base, response).await.unwrap_or_default();
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(body) => Err(Failure::from(body).with_pause(again_after)),
            Err(_) => {
                let message = format!("{} answered {status}: is it a node?", self.shown());
                Err(Failure::new(ErrorCode::NodeUnreachable, message))
            }
        }
    }

    /// Sends a request, and repeats it with other nodes if necessary. All requests may be repeated. `request` makes the
    /// request for a node.
    async fn send(&self, request: impl Fn() -> RequestBuilder) -> Result<Response, Failure> {
        self.in_turn(|| self.send_once(request())).await
    }

    /// The same, and reads the whole answer.
    async fn bytes(&self, request: impl Fn() -> RequestBuilder) -> Result<Bytes, Failure> {
        self.in_turn(|| self.bytes_once(request())).await
    }

    async fn bytes_once(&self, request: RequestBuilder) -> Result<Bytes, Failure> {
        let base = self.base();
        let response = self.send_once(request).await?;
        self.whole(&base, response).await
    }

    /// The whole answer of the node at `base`, unless the node goes away.
    async fn whole(&self, base: &str, response: Response) -> Result<Bytes, Failure> {
        let read = self.while_there(base, read(response)).await;
        let read = read.map_err(|e| self.unreachable(&e))?;
        read.ok_or_else(|| {
            let base = without_password(base);
            let message = format!("{base} gave a longer answer than any node");
            Failure::new(ErrorCode::NodeUnreachable, message)
        })
    }

    /// Asks one node after the other until one answers.
    async fn in_turn<T, A>(&self, ask: impl Fn() -> A) -> Result<T, Failure>
    where
        A: Future<Output = Result<T, Failure>>,
    {
        let mut tries = self.tries();
        loop {
            self.begin(&mut tries);
            let failure = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if !self.asks_again(&failure, &mut tries).await {
                return Err(failure);
            }
        }
    }

    async fn json<T: DeserializeOwned>(
        &self,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<T, Failure> {
        // A server that answers anything else is no node: then another one is asked, too.
        self.in_turn(|| {
            let answer = self.bytes_once(request());
            async move { self.parsed(&answer.await?) }
        })
        .await
    }

    fn parsed<T: DeserializeOwned>(&self, answer: &[u8]) -> Result<T, Failure> {
        serde_json::from_slice(answer).map_err(|e| {
            let message = format!("{} gave another answer than a node does: {e}", self.shown());
            Failure::new(ErrorCode::NodeUnreachable, message)
        })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.json(|| self.request(Method::GET, path)).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.json(|| self.request(Method::POST, path).json(body))
            .await
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let message = format!("the node {} does not answer: {cause}", self.shown());
        Failure::new(ErrorCode::NodeUnreachable, message)
            .with_hint("check the URL, or start a node with: mc-wasm node")
    }

    pub(crate) async fn node(&self) -> Result<NodeView, Failure> {
        self.get(paths::NODE).await
    }

    /// The same, asked once: no other node should replace one that is only being looked for.
    pub(crate) async fn node_once(&self) -> Result<NodeView, Failure> {
        let request = self.request(Method::GET, paths::NODE);
        self.parsed(&self.bytes_once(request).await?)
    }

    pub(crate) async fn nodes(&self, query: &NodeQuery) -> Result<NodeList, Failure> {
        self.json(|| self.request(Method::GET, paths::NODES).query(query))
            .await
    }

    /// Submits a job, once: another node that shares the ledger needs the job's content first.
    pub(crate) async fn submit(&self, id: JobId, job: JobSpec) -> Result<JobView, Failure> {
        let request = SubmitRequest { id: Some(id), job };
        let request = self.request(Method::POST, paths::JOBS).json(&request);
        self.parsed(&self.bytes_once(request).await?)
    }

    pub(crate) async fn job(&self, id: JobId) -> Result<JobView, Failure> {
        self.get(&paths::with(paths::JOB, id)).await
    }

    /// Whether a job makes no progress as long as this node runs.
    pub(crate) async fn is_stuck(&self, job: &JobView) -> Result<bool, Failure> {
        let (Some(id), Some(home)) = (job.id, &self.home) else {
            return Ok(false);
        };
        if job.state.is_terminal() || !home.is_idle().await {
            return Ok(false);
        }
        // Jobs of other nodes are not found by a beginning of their ids.
        let kept: JobIds = self.get(&paths::with(paths::JOBS_BEGINNING, id)).await?;
        Ok(!kept.ids.is_empty())
    }

    /// The job once its state is another than `seen`, or after a while: a short one for a job that is queued, of
    /// which it changes what it waits for.
    pub(crate) async fn wait(&self, id: JobId, seen: JobState) -> Result<JobView, Failure> {
        let wait_ms = match seen {
            JobState::Queued => WAIT_QUEUED_MS,
            _ => WAIT_MS,
        };
        let path = paths::with(paths::JOB, id);
        let query = JobQuery {
            seen: Some(seen),
            wait_ms: Some(wait_ms),
        };
        let within = Duration::from_millis(wait_ms) + ANSWER_WITHIN;
        let request = || self.request(Method::GET, &path).query(&query);
        self.json(|| request().timeout(within)).await
    }

    pub(crate) async fn jobs(
        &self,
        state: Option<JobState>,
        limit: u32,
    ) -> Result<JobList, Failure> {
        let query = JobListQuery {
            state,
            limit: Some(limit),
        };
        self.json(|| self.request(Method::GET, paths::JOBS).query(&query))
            .await
    }

    /// The job that somebody means.
    pub(crate) async fn find(&self, name: &JobName) -> Result<JobId, Failure> {
        let text = match name {
            JobName::Id(id) => return Ok(*id),
            JobName::Beginning(text) => text,
        };
        let found: JobIds = self.get(&paths::with(paths::JOBS_BEGINNING, text)).await?;
        match found.ids.as_slice() {
            [id] => Ok(*id),
            [] => {
                let message = format!("no job of this node has an id that begins with {text}");
                let hint = "jobs of other nodes are found by their whole id";
                Err(Failure::new(ErrorCode::NotFound, message).with_hint(hint))
            }
            ids => {
                let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
                let message = format!("several jobs begin with {text}: {}", ids.join(", "));
                Err(Failure::usage(message).with_hint("give more of the id"))
            }
        }
    }

    pub(crate) async fn cancel(&self, id: JobId) -> Result<JobView, Failure> {
        let path = paths::with(paths::JOB_CANCEL, id);
        self.json(|| self.request(Method::POST, &path)).await
    }

    pub(crate) async fn why(&self, id: JobId) -> Result<Why, Failure> {
        self.get(&paths::with(paths::JOB_WHY, id)).await
    }

    pub(crate) async fn checkpoints(&self, id: JobId) -> Result<CheckpointList, Failure> {
        self.get(&paths::with(paths::JOB_CHECKPOINTS, id)).await
    }

    pub(crate) async fn checkpoint(&self, id: JobId) -> Result<CheckpointRecord, Failure> {
        let path = paths::with(paths::JOB_CHECKPOINTS, id);
        self.json(|| self.request(Method::POST, &path)).await
    }

    pub(crate) async fn migrate(&self, id: JobId, to: NodeId) -> Result<JobView, Failure> {
        let path = paths::with(paths::JOB_MIGRATE, id);
        self.post(&path, &MigrateRequest { to }).await
    }

    pub(crate) async fn pins(&self) -> Result<PinList, Failure> {
        self.get(paths::PINS).await
    }

    pub(crate) async fn pin(&self, name: &str, cid: Cid) -> Result<PinView, Failure> {
        let path = paths::with(paths::PIN, name);
        let pin = PinView {
            name: name.to_owned(),
            cid,
        };
        self.json(|| self.request(Method::PUT, &path).json(&pin))
            .await
    }

    pub(crate) async fn unpin(&self, name: &str) -> Result<(), Failure> {
        let path = paths::with(paths::PIN, name);
        self.send(|| self.request(Method::DELETE, &path))
            .await
            .map(drop)
    }

    pub(crate) async fn gc(&self, now: bool) -> Result<GcView, Failure> {
        let query = GcQuery { now };
        self.json(|| self.request(Method::POST, paths::GC).query(&query))
            .await
    }

    pub(crate) async fn fsck(&self) -> Result<FsckView, Failure> {
        self.json(|| self.request(Method::POST, paths::FSCK)).await
    }

    pub(crate) async fn dht_providers(&self, cid: &Cid) -> Result<DhtPeers, Failure> {
        self.get(&paths::with(paths::DHT_PROVIDERS, cid)).await
    }

    pub(crate) async fn dht_peers(&self) -> Result<DhtPeers, Failure> {
        self.get(paths::DHT_PEERS).await
    }

    pub(crate) async fn dht_record(&self, key: &str) -> Result<DhtRecord, Failure> {
        self.get(&paths::with(paths::DHT_RECORD, key)).await
    }
}

/// Whether that is the URL of a single node, with the comma in its password.
fn is_url(url: &str) -> bool {
    let place = url.rsplit_once('@').map_or(url, |(_, place)| place);
    url.starts_with("http://") && mc_config::is_http_url(url) && !place.contains(',')
}

/// After what time a node that has too much to do wants to be asked again.
fn again_after(response: &Response) -> Option<Duration> {
    if response.status() != StatusCode::SERVICE_UNAVAILABLE {
        return None;
    }
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    let pause = Duration::from_secs(seconds.parse().ok()?);
    Some(pause.min(MAX_PAUSE))
}

/// All of an answer, unless it is too long.
async fn read(mut response: Response) -> Result<Option<Bytes>, reqwest::Error> {
    let mut all = BytesMut::new();
    while let Some(piece) = response.chunk().await? {
        if piece.len() > MAX_ANSWER_BYTES - all.len() {
            return Ok(None);
        }
        all.extend_from_slice(&piece);
    }
    Ok(Some(all.freeze()))
}

#[cfg(test)]
mod tests;
