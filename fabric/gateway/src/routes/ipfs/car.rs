//! DAGs as CARs.

use super::{
    Content,
    request::{CAR, CarForm, Scope},
    response::{Head, set},
};
use crate::backend::{Blocks, Error};
use axum::{body::Body, http::StatusCode, response::Response};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use mc_content::{
    Block, BlockSource, Order, car, ordered, ordered_by,
    unixfs::{self, Kind},
};
use mc_types::Cid;
use std::{collections::HashSet, ops::Range, sync::Arc};
use tokio::sync::mpsc;

type Stored = Result<(Cid, Bytes), mc_content::Error>;

pub(super) async fn respond(
    content: &Content,
    head: &Head<'_>,
    way: Vec<(Cid, Bytes)>,
    form: &CarForm,
) -> Result<Response, Error> {
    // Before anything is promised, the end of the path has to be there.
    let end = content.blocks.get(&head.cid).await?;
    let order = Order {
        duplicates: form.duplicates,
    };
    let blocks = Arc::new(content.blocks.clone());
    let range = match form.scope {
        Scope::Entity(Some(bytes)) => {
            let stat = unixfs::stat(&content.blocks, head.cid).await?;
            (stat.kind == Kind::File).then(|| bytes.of(stat.file_bytes))
        }
        _ => None,
    };
    let below = match (form.scope, range) {
        (Scope::Block, _) => stream::iter([Ok((head.cid, end))]).boxed(),
        (Scope::All, _) => ordered(blocks, vec![head.cid], order).boxed(),
        (Scope::Entity(_), Some(range)) => touched(content.blocks.clone(), head.cid, range).boxed(),
        (Scope::Entity(_), None) => {
            ordered_by(blocks, vec![head.cid], order, unixfs::entity_links).boxed()
        }
    };
    let mut given: HashSet<Cid> = HashSet::new();
    let duplicates = form.duplicates;
    let all = stream::iter(way.into_iter().map(Ok)).chain(below);
    let all = all.filter(move |block: &Stored| {
        let mut is_new = |cid| duplicates || given.insert(cid);
        std::future::ready(block.as_ref().map_or(true, |(cid, _)| is_new(*cid)))
    });
    let sections = all.flat_map(|block| {
        let sections = block.map(|(cid, bytes)| car::section(&Block::hashed(cid, bytes)));
        let (pieces, failure) = match sections {
            Ok(pieces) => (Some(pieces), None),
            Err(error) => (None, Some(error)),
        };
        let pieces = pieces.into_iter().flatten().map(Ok);
        stream::iter(pieces.chain(failure.map(Err)))
    });
    let car = stream::iter([Ok(car::header(&[head.cid]))]).chain(sections);
    let body = if content.is_head {
        Body::empty()
    } else {
        Body::from_stream(car)
    };
    let mut response = head.response(StatusCode::OK, body);
    let dups = if form.duplicates { "y" } else { "n" };
    let headers = response.headers_mut();
    let kind = format!("{CAR}; version=1; order=dfs; dups={dups}");
    set(headers, "content-type", &kind);
    set(headers, "accept-ranges", "none");
    let name = format!("attachment; filename=\"{}.car\"", head.cid);
    set(headers, "content-disposition", &name);
    Ok(response)
}

/// The blocks that have some of the bytes of a file, in order.
fn touched(blocks: Blocks, cid: Cid, range: Range<u64>) -> impl Stream<Item = Stored> + Send {
    let (sender, mut receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let noted = Noted {
            blocks,
            touched: sender.clone(),
        };
        let read = unixfs::cat_range(&noted, cid, range, tokio::io::sink()).await;
        if let Err(error) = read {
            // The client may have gone.
            let _ = sender.send(Err(error)).await;
        }
    });
    stream::poll_fn(move |cx| receiver.poll_recv(cx))
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

    async fn get(&self, cid: &Cid) -> Result<Bytes, mc_content::Error> {
        let bytes = self.blocks.get(cid).await?;
        let gone = |_| mc_content::Error::Closed;
        let touched = Ok((*cid, bytes.clone()));
        self.touched.send(touched).await.map_err(gone)?;
        Ok(bytes)
    }
}
