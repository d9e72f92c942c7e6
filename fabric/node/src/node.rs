//! Starting a node, and stopping it in order.

use crate::{
    Error, advert, archive,
    backend::{self, NodeBackend},
    caps,
    content::{Content, Served, usual_max_bytes},
    coordination::{Dht, Jobs, NodeKeys},
    data_dir::{DataDir, NodeFile},
    departures,
    dispatcher::{self, Inbound, Roles},
    layers, own_requests,
    peers::Peers,
};
use futures::future::BoxFuture;
use mc_config::{Config, Placement};
use mc_content::Store;
use mc_coordinator::{Archive, Coordinator, Duty, Parts, Retention};
use mc_execution::{
    ExecutionError, Executors,
    wasm::{self, Allocation, Bounds, CompileLimits, Compiler, Wasm},
};
use mc_gateway::Server;
use mc_ledger::{Ledger, Location};
use mc_net::{Identity, Multiaddr, NetworkHandle, Started};
use mc_protocol::Announcement;
use mc_scheduler::Topology;
use mc_supervision::Supervisor;
use mc_types::{NodeId, SteadyClock};
use mc_worker::{Caps, Worker};
use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The usual ports.
const API_PORT: u16 = 7780;
const P2P_PORT: u16 = 7781;
/// Copies of guests' memories, for checkpoints, take no more than one part of so many of what is lent.
const COPIED_PART: u64 = 8;
/// How long a node waits after its start before it announces its content: many nodes live for one command only.
const BEFORE_PROVIDING: Duration = Duration::from_secs(3);
/// How long running attempts may take to end when the node stops.
const ATTEMPT_GRACE: Duration = Duration::from_millis(1_800);
/// How long pending offers may take to be answered then.
const OFFER_GRACE: Duration = Duration::from_millis(500);
/// How long a node may take to stop in order. Some of its parts wait for a database, which may not answer for ever.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// How long a failed node may take: its other parts may wait for the failed one for ever.
const FAILED_STOP_WITHIN: Duration = Duration::from_secs(10);
/// How long a database may take to answer for the first time.
const DATABASE_WITHIN: Duration = Duration::from_secs(10);
/// How many connections to the HTTP API a node accepts at least, even with a low limit on open files.
const MIN_CONNECTIONS: usize = 64;
/// After this time without a block a search for blocks is given up.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a node is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To stay: it takes the usual ports where they are free.
    Daemon,
    /// For one command that waits for its job: it takes any free ports, as the roles below do.
    Embedded,
    /// For one command that submits a job and does not wait: it runs nothing, since it ends before the job does.
    HandIn,
    /// For one command that only reads: it runs nothing, grants no lease and lets none expire.
    Look,
}

impl Mode {
    /// How many tasks it runs at a time.
    fn slots(self, config: &Config) -> u32 {
        match self {
            Self::Daemon | Self::Embedded => config.slots(),
            Self::HandIn | Self::Look => 0,
        }
    }

    const fn duty(self) -> Duty {
        match self {
            Self::Look => Duty::Records,
            _ => Duty::Grants,
        }
    }
}

/// A running node. Dropped without [`Self::shutdown`], it ends too, but in no order.
#[derive(Debug)]
pub struct Node {
    config: Config,
    data_dir: DataDir,
    api_url: String,
    addresses: Vec<String>,
    store: Store,
    ledger: Ledger,
    net: NetworkHandle,
    coordinator: Coordinator,
    worker: Worker,
    /// Stops the HTTP API.
    closing: CancellationToken,
    /// Stops what talks to peers and to the ledger.
    stopping: CancellationToken,
    tasks: Tasks,
    _ends: Ends,
}

/// The tasks of a node, by when they end.
#[derive(Debug)]
struct Tasks {
    server: Supervisor,
    all: Supervisor,
    /// The task that owns the swarm ends last.
    network: Supervisor,
}

/// What ends with a node, however it does.
#[derive(Debug)]
struct Ends {
    _tasks: DropGuard,
    _server: DropGuard,
}

impl Node {
    /// Starts a node. It answers requests when this returns. `compiler` is a program with its first arguments that
    /// compiles programs missing in the cache, as [`mc_execution::wasm::compile_here`] does.
    ///
    /// Futures of this crate's interface are boxed: rustc compiles the body of a future again in each crate that awaits
    /// it, together with all futures inside it.
    ///
    /// # Errors
    ///
    /// [`Error`] says what went wrong, and [`Error::hint`] what to do about it.
    #[must_use]
    pub fn start(
        config: Config,
        mode: Mode,
        compiler: Option<(PathBuf, Vec<OsString>)>,
    ) -> BoxFuture<'static, Result<Self, Error>> {
        Box::pin(Self::start_all(config, mode, compiler))
    }

    async fn start_all(
        config: Config,
        mode: Mode,
        compiler: Option<(PathBuf, Vec<OsString>)>,
    ) -> Result<Self, Error> {
        let data_dir = DataDir::open(&config.data_dir)?;
        let max_bytes = config.content.max.map(|max| max.0);
        let options = mc_content::Options {
            max_bytes: max_bytes.or_else(|| usual_max_bytes(&data_dir.blocks())),
            ..mc_content::Options::default()
        };
        let store = Store::open(&data_dir.blocks(), options).await?;
        let identity = Identity::load_or_create(&data_dir.identity())?;
        let location = Location::of(config.ledger.url.as_deref(), &data_dir.ledger());
        let ledger = open(&location, identity.node_id()).await?;
        let slots = mode.slots(&config);
        let caps = caps::of(&config, slots, &data_dir.scratch());
        let executors = executors(&config, slots, compiler)?;
        let server = bind(&config, mode).await?;
        let started = join(&config, mode, &identity, (&store, data_dir.peers())).await?;
        let Started {
            client: net,
            requests,
            peers: connected,
            task: net_task,
        } = started;

        let ended = CancellationToken::new();
        let stopping = ended.child_token();
        let all = Supervisor::new(stopping.clone());
        // A failed node answers no requests.
        let closing = all.failing().child_token();
        // From here on, a failure leaves nothing behind.
        let (ends, closes) = (ended.clone().drop_guard(), closing.clone().drop_guard());
        let tasks = Tasks {
            server: all.group(closing.clone()),
            network: all.group(stopping.clone()),
            all,
        };
        tasks.network.essential_handle("network", net_task);
        let (until, written) = (stopping.clone(), store.clone());
        tasks.all.essential("block writer", async move {
            until.run_until_cancelled(written.closed()).await;
        });
        let content = Content::new(store.clone(), net.clone(), &config.content.gateways);
        let (asks, own) = own_requests::queue();
        let peers = Peers::new(net.clone(), asks);
        let dht = Arc::new(Dht(net.clone()));
        let keys = Arc::new(NodeKeys {
            identity: identity.clone(),
            network: config.network.clone(),
        });
        let parts = Parts {
            jobs: Arc::new(Jobs(ledger.clone())),
            content: Arc::new(content.clone()),
            peers: Arc::new(peers.clone()),
            discovery: dht.clone(),
            keys: keys.clone(),
            connected: connected.clone(),
            clock: Arc::new(SteadyClock::new()),
            duty: mode.duty(),
        };
        if let Some(path) = &config.ledger.archive {
            // Checked now, so that an unwritable archive shows at start and not when a job is old.
            let written = archive::append(path, &[]);
            written.map_err(|source| Error::Io {
                path: path.clone(),
                source,
            })?;
        }
        let rules = scheduler_config(&config, identity.node_id());
        let coordinator = Coordinator::start(parts, rules, &tasks.all, stopping.clone()).await?;
        if let Some(keep) = config.ledger.keep.filter(|_| mode != Mode::Look) {
            let retention = Retention {
                keep: keep.0,
                archive: config.ledger.archive.clone().map(archive),
            };
            let retain = coordinator.clone().retain(retention, stopping.clone());
            tasks.all.essential("archive", retain);
        }
        let options = mc_worker::Options {
            announcement: announcement(&config, slots, &caps),
            caps,
            scratch: data_dir.scratch(),
            before: data_dir.before(),
            outbox: data_dir.outbox(),
            silent_terms: config.worker.silent_terms,
        };
        let parts = mc_worker::Parts {
            executors,
            content: Arc::new(content.clone()),
            peers: Arc::new(peers.clone()),
            completions: dht,
            keys,
        };
        let worker = Worker::new(options, parts, tasks.all.group(stopping.clone()), &ended);
        let undelivered = worker.resume();
        if let Err(error) = coordinator.began_anew(undelivered).await {
            tracing::warn!(error = %mc_types::with_causes(&error), "what ran here before goes on only when its leases expire");
        }
        tasks.all.serve("pins", provide_pins(content.clone()));
        let roles = Roles {
            coordinator: coordinator.clone(),
            worker: worker.clone(),
            content: content.clone(),
        };
        let others = requests;
        let with = (tasks.all.clone(), stopping.clone());
        let answering = dispatcher::run(roles, Inbound { own, others }, with.clone());
        tasks.all.essential("dispatcher", answering);
        let leaving = departures::run(coordinator.clone(), connected.clone(), stopping.clone());
        tasks.all.essential("departures of peers", leaving);
        let announcing = mc_worker::announce(worker.clone(), connected, with);
        tasks.all.essential("announcements", announcing);
        let advertising = advert::run(content.clone(), worker.clone(), stopping.clone());
        tasks.all.essential("advert of the node", advertising);

        let api_url = format!("http://{}", server.address());
        let id = net.local_id().clone();
        let parts = backend::Parts {
            content,
            coordinator: coordinator.clone(),
            worker: worker.clone(),
            ledger: ledger.clone(),
            peers,
            net: net.clone(),
            identity,
            tasks: tasks.all.clone(),
        };
        let backend = NodeBackend::new(&config, parts);
        let serving = server.serve(Arc::new(backend), closing.clone());
        tasks.server.essential("HTTP API", serving);
        let addresses = net
            .addresses()
            .await?
            .iter()
            .map(Multiaddr::to_string)
            .collect();
        let node_file = NodeFile {
            api: api_url.clone(),
            pid: std::process::id(),
            id,
            is_embedded: mode != Mode::Daemon,
        };
        data_dir.write_node_file(&node_file)?;
        Ok(Self {
            config,
            data_dir,
            api_url,
            addresses,
            store,
            ledger,
            net,
            coordinator,
            worker,
            closing,
            stopping,
            tasks,
            _ends: Ends {
                _tasks: ends,
                _server: closes,
            },
        })
    }

    /// The URL of its HTTP API.
    #[must_use]
    pub fn api_url(&self) -> &str {
        &self.api_url
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> &NodeId {
        self.net.local_id()
    }

    /// Its addresses, each ending in its id.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// What it was started with.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Returns when a part has failed without which the node is useless. Then it answers no more requests, and the
    /// caller must call [`Self::shutdown`]. Otherwise this does not return.
    ///
    /// # Cancel safety
    ///
    /// It only looks.
    #[must_use]
    pub fn failed(&self) -> BoxFuture<'static, Error> {
        let tasks = self.tasks.all.clone();
        Box::pin(async move { tasks.failed().await.into() })
    }

    /// What it has failed for, if it has.
    #[must_use]
    pub fn failure(&self) -> Option<Error> {
        self.tasks.all.failure().map(Error::from)
    }

    /// Stops it: attempts that do not end at once give their leases back, and everything that was
    /// acknowledged is on disk. A part that does not end, such as one that waits for a database, is left behind.
    #[must_use]
    pub fn shutdown(self) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let within = match self.tasks.all.failing().is_cancelled() {
                true => FAILED_STOP_WITHIN,
                false => STOP_WITHIN,
            };
            self.stop_within(within).await;
        })
    }

    /// Stops it, in order if that takes no longer than `within`; returns whether it did.
    async fn stop_within(self, within: Duration) -> bool {
        let stopped = tokio::time::timeout(within, self.stop_all()).await;
        if stopped.is_err() {
            tracing::warn!("the node ends without having stopped in order");
        }
        stopped.is_ok()
    }

    async fn stop_all(self) {
        self.data_dir.remove_node_file();
        self.closing.cancel();
        self.worker.shutdown(ATTEMPT_GRACE).await;
        self.tasks.server.join().await;
        self.coordinator.settle(OFFER_GRACE).await;
        self.stopping.cancel();
        // Those that were not settled are cut off now.
        self.coordinator.settle(OFFER_GRACE).await;
        self.tasks.all.join().await;
        self.ledger.close().await;
        self.net.shutdown().await;
        self.tasks.network.join().await;
        self.store.close().await;
    }
}

/// Opens the ledger, unless its database says nothing at all. Once it answers, bringing the schema up to date may take
/// longer.
async fn open(location: &Location, owner: NodeId) -> Result<Ledger, Error> {
    let tried = tokio::time::timeout(DATABASE_WITHIN, Ledger::try_out(location)).await;
    tried.unwrap_or_else(|_| {
        let reason = "it does not answer".to_owned();
        Err(mc_ledger::Error::Unreachable { reason })
    })?;
    Ok(Ledger::open(location, owner).await?)
}

/// Where the coordinator writes jobs that it is to forget.
fn archive(path: PathBuf) -> Arc<dyn Archive> {
    Arc::new(archive::OldJobs(path))
}

fn scheduler_config(config: &Config, local: NodeId) -> mc_scheduler::Config {
    let placement = &config.placement;
    mc_scheduler::Config {
        lease_ttl: config.lease.ttl.0,
        policy: placement.policy,
        topology: Topology {
            local: Some(local),
            children: Placement::ids(&placement.children),
            peers: Placement::ids(&placement.peers),
        },
        ..mc_scheduler::Config::default()
    }
}

fn executors(
    config: &Config,
    slots: u32,
    compiler: Option<(PathBuf, Vec<OsString>)>,
) -> Result<Executors, ExecutionError> {
    let limits = CompileLimits {
        program_bytes: config.compile.max_component.0,
        time: config.compile.time.0,
        memory_bytes: config.compile.memory.0,
        code_bytes: config.compile.max_code.0,
    };
    // A guest that is being killed still holds its slot, so there are some to spare.
    let guests = slots.saturating_mul(2).max(1);
    let options = wasm::Options {
        cache_dir: Some(config.cache.dir.clone()),
        cache_max_bytes: config.cache.max.0,
        allocation: Allocation::Pooling { slots: guests },
        target: wasm::Target::Native,
        compiler: compiler.map(|(program, args)| Compiler {
            program,
            args,
            limits,
        }),
        // What keeps a lease goes before what runs under it.
        on_guest_thread: Some(mc_system::priority::give_way),
    };
    let guests = usize::try_from(guests).unwrap_or(usize::MAX);
    let wasm = Wasm::new(
        &options,
        Bounds {
            guests,
            compilers: caps::compilers(config),
            copied_bytes: config.memory_bytes() / COPIED_PART,
        },
    )?;
    Ok(Executors::new(vec![Arc::new(wasm)]))
}

fn announcement(config: &Config, slots: u32, caps: &Caps) -> Announcement {
    Announcement {
        slots_total: slots,
        slots_free: slots,
        cpus: mc_system::inventory::cpus(),
        memory_bytes: caps.total.memory_bytes,
        lent: caps.lent(),
        labels: config.worker.labels.clone(),
        yours: Vec::new(),
        revision: mc_protocol::REVISION,
    }
}

/// Takes the configured address, or else the usual port, or else any.
async fn bind(config: &Config, mode: Mode) -> Result<Server, Error> {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let own = mc_system::inventory::host_name();
    let hosts: Vec<_> = config.api.hosts.iter().cloned().chain(own).collect();
    // The other half of the open files is for the store, the ledger and peers.
    let connections = usize::try_from(mc_system::inventory::open_files() / 2);
    let connections = connections.unwrap_or(usize::MAX).max(MIN_CONNECTIONS);
    let bind = |listen| {
        let hosts = hosts.clone();
        Server::bind(mc_gateway::Options {
            listen,
            hosts,
            connections,
        })
    };
    if let Some(listen) = config.api.listen {
        return Ok(bind(listen).await?);
    }
    if mode == Mode::Daemon
        && let Ok(server) = bind(loopback(API_PORT)).await
    {
        return Ok(server);
    }
    Ok(bind(loopback(0)).await?)
}

/// Joins the network on the configured addresses, or else the usual port, or else any.
async fn join(
    config: &Config,
    mode: Mode,
    identity: &Identity,
    (store, peer_cache): (&Store, PathBuf),
) -> Result<Started, Error> {
    let bootstrap = config.bootstrap();
    let options = |listen| {
        Ok::<_, Error>(mc_net::Options {
            network: config.network.clone(),
            listen,
            bootstrap: multiaddrs(&bootstrap)?,
            peer_cache: Some(peer_cache.clone()),
            mdns: config.p2p.mdns,
            dht: config.p2p.dht,
            relay: config.p2p.relay,
            ipfs: config.p2p.ipfs,
            ipfs_dht: multiaddrs(&config.p2p.ipfs_dht)?,
            agent: concat!("mc-wasm/", env!("CARGO_PKG_VERSION")).to_owned(),
            fetch_timeout: FETCH_TIMEOUT,
        })
    };
    let start = |options| mc_net::start(identity.clone(), options, Arc::new(Served(store.clone())));
    if !config.p2p.listen.is_empty() {
        return Ok(start(options(multiaddrs(&config.p2p.listen)?)?).await?);
    }
    if mode == Mode::Daemon
        && let Ok(started) = start(options(every_interface(P2P_PORT)?)?).await
    {
        return Ok(started);
    }
    Ok(start(options(every_interface(0)?)?).await?)
}

fn every_interface(port: u16) -> Result<Vec<Multiaddr>, Error> {
    multiaddrs(&[
        format!("/ip4/0.0.0.0/tcp/{port}"),
        format!("/ip4/0.0.0.0/udp/{port}/quic-v1"),
    ])
}

fn multiaddrs(texts: &[String]) -> Result<Vec<Multiaddr>, Error> {
    let parse = |text: &String| {
        text.parse().map_err(|e| {
            let reason = format!("{e}");
            Error::Net(mc_net::Error::Address {
                address: text.clone(),
                reason,
            })
        })
    };
    texts.iter().map(parse).collect()
}

/// Announces this node's content in the DHT again: its user's pins, and layers. Workers ask the coordinators for the
/// inputs of jobs.
async fn provide_pins(content: Content) {
    tokio::time::sleep(BEFORE_PROVIDING).await;
    let pins = content.store().pins().await;
    for (name, root) in pins.unwrap_or_default() {
        match layers::of_pin(&name) {
            Some(digest) => content.net().provide(digest.cid()).await,
            None if name.contains('/') => {}
            None => content.net().announce(root).await,
        }
    }
}

#[cfg(test)]
mod tests;
