//! DAGs as CARs.

use super::{
    byte_range::{ByteRange, Covered},
    content::Content,
    media_types::CAR,
    request::{CarForm, Scope},
    response::{Head, disposition, set},
};
use crate::backend::{Blocks, Error};
use axum::{body::Body, http::StatusCode, response::Response};
use bytes::Bytes;
use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use mc_content::{
    BlockSource, Order, car, links, ordered_by,
    unixfs::{self, EntryKind},
};
use mc_types::{Cid, ErrorCode, cid};
use std::{collections::HashSet, ops::Range, sync::Arc};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

type Stored = Result<(Cid, Bytes), mc_content::Error>;

pub(super) async fn respond(
    content: &Content,
    head: &Head<'_>,
    way: Vec<(Cid, Bytes)>,
    form: &CarForm,
) -> Result<Response, Error> {
    // The end of the path has to be there before the answer promises anything.
    let end = content.blocks.get(&head.cid).await?;
    let selected = selected(content, head.cid, &end, form.scope).await?;
    let order = Order {
        duplicates: form.duplicates,
    };
    let body = if content.is_head {
        // Not an empty body of known length: the length of a CAR is unknown before it is sent.
        Body::from_stream(stream::empty::<Result<Bytes, mc_content::Error>>())
    } else {
        let below = below(content.blocks.clone(), (head.cid, end), selected, order);
        let header = stream::iter([Ok(car::header(&[head.cid]))]);
        // The head of the answer leaves before anything can break the answer off: otherwise the client would see a dead
        // server.
        let leaves = stream::once(tokio::task::yield_now());
        let leaves = leaves.filter_map(|()| std::future::ready(None));
        Body::from_stream(header.chain(leaves).chain(sections(way, below, order)))
    };
    let mut response = head.response(StatusCode::OK, body);
    let dups = if form.duplicates { "y" } else { "n" };
    let headers = response.headers_mut();
    let kind = format!("{CAR}; version=1; order=dfs; dups={dups}");
    set(headers, "content-type", &kind);
    set(headers, "accept-ranges", "none");
    let usual = Some(format!("{}.car", head.cid));
    let name = disposition("attachment", &content.wanted, usual);
    set(headers, "content-disposition", &name);
    Ok(response)
}

/// The blocks that are selected, from the end of the path on.
fn below(
    blocks: Blocks,
    (cid, end): (Cid, Bytes),
    selected: Selected,
    order: Order,
) -> BoxStream<'static, Stored> {
    let root = vec![cid];
    match selected {
        Selected::Block => stream::iter([Ok((cid, end))]).boxed(),
        // Further down, a block that cannot be parsed counts as one without links.
        Selected::All => ordered_by(Arc::new(blocks), root, order, links::as_known).boxed(),
        Selected::Bytes(range) => touched(blocks, cid, range).boxed(),
        Selected::Entity => ordered_by(Arc::new(blocks), root, order, entity_links).boxed(),
    }
}

/// The parts of an entity that are known.
fn entity_links(cid: &Cid, bytes: &[u8]) -> Result<Vec<Cid>, mc_content::Error> {
    links::unless_unreadable(unixfs::entity_links(cid, bytes))
}

/// The sections of a CAR with the blocks on the path, and then the blocks below its end.
fn sections(
    way: Vec<(Cid, Bytes)>,
    below: BoxStream<'static, Stored>,
    order: Order,
) -> impl Stream<Item = Result<Bytes, mc_content::Error>> + Send {
    let mut given: HashSet<Cid> = HashSet::new();
    let all = stream::iter(way.into_iter().map(Ok)).chain(below);
    let all = all.filter(move |block: &Stored| {
        // Blocks that stand in their CIDs are never sent.
        let mut is_new =
            |cid| cid::inline(&cid).is_none() && (order.duplicates || given.insert(cid));
        std::future::ready(block.as_ref().map_or(true, |(cid, _)| is_new(*cid)))
    });
    all.flat_map(|block| {
        let sections = block.map(|(cid, bytes)| car::section_of(&cid, bytes));
        let (pieces, failure) = match sections {
            Ok(pieces) => (Some(pieces), None),
            Err(error) => (None, Some(error)),
        };
        let pieces = pieces.into_iter().flatten().map(Ok);
        stream::iter(pieces.chain(failure.map(Err)))
    })
}

/// Which blocks a CAR is to have.
enum Selected {
    Block,
    Bytes(Range<u64>),
    Entity,
    All,
}

/// Determines these blocks, and refuses a CAR that could not be completed: once the headers are out, this node could
/// only break off.
async fn selected(
    content: &Content,
    cid: Cid,
    end: &[u8],
    scope: Scope,
) -> Result<Selected, Error> {
    match scope {
        Scope::Block => Ok(Selected::Block),
        Scope::All => {
            links::of(&cid, end)?;
            Ok(Selected::All)
        }
        Scope::Entity(None) => {
            unixfs::entity_links(&cid, end)?;
            Ok(Selected::Entity)
        }
        Scope::Entity(Some(range)) => {
            unixfs::entity_links(&cid, end)?;
            bytes(content, cid, range).await
        }
    }
}

/// The blocks of a range of bytes. Anything but a file is sent whole, and so is a file without the lengths of its
/// parts.
async fn bytes(content: &Content, cid: Cid, range: ByteRange) -> Result<Selected, Error> {
    let blocks = &content.blocks;
    let stat = match unixfs::stat(blocks, cid).await {
        Ok(stat) if stat.kind == EntryKind::File => stat,
        Ok(_) | Err(mc_content::Error::Malformed { .. }) => return Ok(Selected::Entity),
        Err(error) => return Err(error.into()),
    };
    match range.of(stat.file_bytes) {
        Covered::Nothing => Ok(Selected::Block),
        Covered::Outside => {
            let bytes = stat.file_bytes;
            let message = format!("entity-bytes: none of them is in the file of {bytes} bytes");
            Err(Error::new(ErrorCode::Usage, message))
        }
        Covered::Some(range) => {
            let told = unixfs::cat_range(blocks, cid, 0..0, tokio::io::sink()).await;
            Ok(told.map_or(Selected::Entity, |_| Selected::Bytes(range)))
        }
    }
}

/// The blocks that have some of the bytes of a file, in order.
fn touched(blocks: Blocks, cid: Cid, range: Range<u64>) -> impl Stream<Item = Stored> + Send {
    let (sender, mut receiver) = mpsc::channel(1);
    let reading = AbortOnDropHandle::new(tokio::spawn(async move {
        let noted = Noted {
            blocks,
            touched: sender.clone(),
        };
        let read = unixfs::cat_range(&noted, cid, range, tokio::io::sink()).await;
        match read {
            // A reader of these blocks comes as far as this one.
            Ok(_) | Err(mc_content::Error::Malformed { .. }) => {}
            // The client may have gone.
            Err(error) => drop(sender.send(Err(error)).await),
        }
    }));
    let end = async move {
        // What was cut off by a panic must not look complete.
        let ended = reading.await;
        ended
            .err()
            .map(|e| Err(mc_content::Error::Source(e.to_string())))
    };
    let end = stream::once(end).filter_map(std::future::ready);
    stream::poll_fn(move |cx| receiver.poll_recv(cx)).chain(end)
}

/// Passes on what is read.
struct Noted {
    blocks: Blocks,
    touched: mpsc::Sender<Stored>,
}

impl BlockSource for Noted {
    /// In order.
    fn ahead(&self) -> usize {
        1
    }

    async fn load(&self, cid: &Cid) -> Result<Bytes, mc_content::Error> {
        let bytes = self.blocks.load(cid).await?;
        let gone = |_| mc_content::Error::Closed;
        let touched = Ok((*cid, bytes.clone()));
        self.touched.send(touched).await.map_err(gone)?;
        Ok(bytes)
    }
}
