//! One file to many nodes at once, each behind a link of its own: what a node can give and take is limited, and
//! not the processors that all of them share here. Needs root and iproute2.

use crate::{
    arguments::Arguments,
    fleet::start_all,
    plain_http::Server,
    recovery::pause,
    report::{Report, rounded},
};
use anyhow::{Context, Result, bail};
use mc_conformance::{Namespace, Node, NodeOptions};
use std::{
    thread,
    time::{Duration, Instant},
};

/// How long the nodes have to find each other.
const TO_MEET: Duration = Duration::from_secs(5);
/// The interface of each node.
const LINK: &str = "uplink";

/// A node behind its link.
struct Place {
    namespace: Namespace,
    node: Node,
}

impl Place {
    /// Bytes that the link has carried so far: `tx` are those that were sent, `rx` those that came.
    fn carried(&self, direction: &str) -> Result<f64> {
        let path = format!("/sys/class/net/{LINK}/statistics/{direction}_bytes");
        let read = self.namespace.command("cat").arg(path).output()?;
        let text = String::from_utf8(read.stdout)?;
        Ok(text.trim().parse()?)
    }

    /// Adds a file of this process's; gives its CID.
    fn add(&self, path: &str) -> Result<String> {
        let added = self.node.mc(["add", path]).expect_code(0).text();
        let cid = added.split_whitespace().next().context("a CID")?;
        Ok(cid.to_owned())
    }

    /// Fetches a file into the node's store, and pins it.
    fn fetch(&self, cid: &str) {
        self.node.mc(["pin", "add", cid]).expect_code(0);
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<Report> {
    let (usual_nodes, mebibytes, mbit) = match arguments.short {
        true => (6, 32, 100),
        false => (20, 256, 200),
    };
    let nodes = arguments.agents.unwrap_or(usual_nodes);
    let files = tempfile::tempdir()?;
    let file = |name: &str, seed: u64| -> Result<String> {
        let path = files.path().join(name);
        std::fs::write(&path, noise(seed, mebibytes << 20))?;
        Ok(path.to_str().context("a path that is no text")?.to_owned())
    };
    let switch = Namespace::new();
    switch.forward();
    let seeder = place(&switch, 0, mbit, None)?;
    let others = (1..=nodes).map(|number| place(&switch, number, mbit, Some(&seeder.node)));
    let others = others.collect::<Result<Vec<_>>>()?;
    pause(TO_MEET);

    let first = others.first().context("a node")?;
    let alone = seeder.add(&file("alone", 1)?)?;
    let begun = Instant::now();
    first.fetch(&alone);
    let one = begun.elapsed().as_secs_f64();

    let path = file("shared", 2)?;
    let shared = seeder.add(&path)?;
    let (sent, received) = (seeder.carried("tx")?, carried_to(&others)?);
    let all = at_once(&others, |place| {
        place.fetch(&shared);
        Ok(())
    })?;
    let sent = seeder.carried("tx")? - sent;
    let received = carried_to(&others)? - received;
    let server = Server::start(
        &seeder.namespace,
        &path,
        &format!("{}:8080", address_of(0).1),
    )?;
    let bytes = mebibytes << 20;
    let by_http = at_once(&others, |place| server.download(&place.namespace, bytes))?;

    let count = f64::from(u32::try_from(nodes)?);
    let share = sent / received;
    let mut report = Report::default();
    report.set("nodes", nodes);
    report.set("bytes", u64::try_from(mebibytes << 20)?);
    report.set("link_mbit_per_s", mbit);
    report.set("one_transfer_s", rounded(one));
    report.set("all_s", rounded(all));
    report.set("times_one_transfer", rounded(all / one));
    report.set("by_http_from_one_server_s", rounded(by_http));
    report.set("share_of_seeder", rounded(share));
    let needed = f64::from(u32::try_from(mebibytes << 20)?) * count;
    report.set("sent_by_all", rounded(received / needed));
    report.set(
        "form",
        format!(
            "a seeder and {nodes} nodes, each a process of mc-wasm in a network namespace, whose cable carries \
             {mbit} Mbit/s in each direction; libp2p TCP/noise/yamux; stores on disk"
        ),
    );
    let others_give = "the nodes give each other most of it";
    report.must(others_give, share < if arguments.short { 0.7 } else { 0.4 });
    Ok(report)
}

fn place(switch: &Namespace, number: usize, mbit: u32, seeder: Option<&Node>) -> Result<Place> {
    let namespace = Namespace::new();
    let (near, far) = address_of(number);
    let port = format!("port{number}");
    let address = |ip: &str| format!("{ip}/24");
    switch.connect((&port, &address(&near)), &namespace, (LINK, &address(&far)));
    namespace.default_route(&near);
    namespace.limit(LINK, mbit);
    switch.limit(&port, mbit);
    let options = NodeOptions {
        ip: Some(far),
        namespace: Some(namespace.name().to_owned()),
        ..NodeOptions::new().flags(["--no-execute"])
    };
    let options = match seeder {
        None => options,
        Some(seeder) => options.bootstrap(seeder),
    };
    let node = start_all(vec![options]).pop().context("a node")?;
    Ok(Place { namespace, node })
}

/// Of a place: its router's address, and its own.
fn address_of(number: usize) -> (String, String) {
    (format!("10.79.{number}.1"), format!("10.79.{number}.2"))
}

/// How long it takes, in seconds, until all places have done something that they begin at once.
fn at_once(places: &[Place], work: impl Fn(&Place) -> Result<()> + Sync) -> Result<f64> {
    let begun = Instant::now();
    let work = &work;
    thread::scope(|scope| {
        let working = places.iter().map(|place| scope.spawn(move || work(place)));
        let working: Vec<_> = working.collect();
        working
            .into_iter()
            .try_for_each(|done| done.join().unwrap_or_else(|_| bail!("a place panicked")))
    })?;
    Ok(begun.elapsed().as_secs_f64())
}

fn carried_to(places: &[Place]) -> Result<f64> {
    places.iter().map(|place| place.carried("rx")).sum()
}

/// Bytes that do not repeat.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = (0..length / 8).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.collect()
}
