//! Keys of private tasks, on their way from the submitter to the coordinator and from there to the worker.
//!
//! The submitter seals a task's key to itself and to the node that it submits to. That node keeps the sealed key in its
//! ledger, also for the other coordinators on the same ledger. It passes the key on with each lease, sealed to the
//! worker and for that lease only. All others only see encrypted content.

use crate::{data_dir, error::Error};
use futures::StreamExt;
use mc_content::{
    TaskKey,
    seal::{OVERHEAD_BYTES, SealContext},
};
use mc_gateway::backend::LogBytes;
use mc_net::{
    Identity,
    envelope::{self, Purpose},
};
use mc_types::{Envelope, JobSpec, KeyId, Lease, LogStream, NodeId, SealedKey};
use std::{collections::BTreeMap, path::Path};

/// Most bytes of a log that are sealed together.
pub const MAX_PIECE_BYTES: usize = 64 << 10;
/// Bytes before a sealed piece that tell its length.
pub const LENGTH_BYTES: usize = 4;

/// Seals a key to nodes that grant leases.
pub(crate) fn for_coordinators<'n>(
    key: &TaskKey,
    nodes: impl IntoIterator<Item = &'n NodeId>,
) -> Result<BTreeMap<NodeId, Envelope>, mc_net::Error> {
    let sealed = nodes.into_iter().map(|node| {
        let sealed = envelope::seal(node, Purpose::Leases, key.id(), key.as_bytes())?;
        Ok((node.clone(), sealed))
    });
    sealed.collect()
}

/// Seals a key to the holder of a lease.
pub(crate) fn for_lease(
    key: &TaskKey,
    worker: &NodeId,
    lease: &Lease,
) -> Result<Envelope, mc_net::Error> {
    envelope::seal(worker, by_lease(lease), key.id(), key.as_bytes())
}

/// Opens an envelope; `None` if it does not contain the key with this id.
fn open(identity: &Identity, envelope: &Envelope, purpose: Purpose, id: KeyId) -> Option<TaskKey> {
    let secret = identity.open(envelope, purpose, id)?;
    let key = TaskKey::from_bytes(&secret)?;
    // What it is called decides what is computed.
    (key.id() == id).then_some(key)
}

/// The key that was sealed to the holder of a lease; `None` if that is another, or the key is not the one with this id.
pub(crate) fn open_for_lease(
    identity: &Identity,
    envelope: &Envelope,
    lease: &Lease,
    id: KeyId,
) -> Option<TaskKey> {
    open(identity, envelope, by_lease(lease), id)
}

/// The key of a job that a coordinator may grant leases for; `None` for a job without one.
pub(crate) fn of_job(
    identity: &Identity,
    spec: &JobSpec,
) -> Result<Option<TaskKey>, mc_coordinator::Error> {
    let Some(private) = &spec.task.private else {
        return Ok(None);
    };
    let local = identity.node_id();
    let sealed = spec.key.as_ref().map(|key| &key.coordinators);
    let envelope = sealed.and_then(|sealed| sealed.get(&local));
    envelope
        .and_then(|envelope| open(identity, envelope, Purpose::Leases, private.key))
        .map(Some)
        .ok_or(mc_coordinator::Error::NoKey { node: local })
}

const fn by_lease(lease: &Lease) -> Purpose {
    Purpose::Lease {
        job: lease.job,
        token: lease.token,
    }
}

/// The submitter of a data directory. Its key is there in `user.key`, beside that of the node.
#[derive(Debug)]
pub struct Submitter(Identity);

impl Submitter {
    /// The submitter of the data directory `dir`, created if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] for the directory, [`Error::Net`] for the key.
    pub fn load(dir: &Path) -> Result<Self, Error> {
        data_dir::create_private_dir(dir)?;
        Ok(Self(Identity::load_or_create(&dir.join("user.key"))?))
    }

    /// Seals the key of a task to this submitter, and to the node that it is submitted to.
    ///
    /// # Errors
    ///
    /// [`Error::Net`] when the node's id does not contain its key.
    pub fn seal(&self, key: &TaskKey, node: &NodeId) -> Result<SealedKey, Error> {
        let secret = key.as_bytes();
        let submitter = envelope::seal(&self.0.node_id(), Purpose::Results, key.id(), secret)?;
        Ok(SealedKey {
            submitter,
            coordinators: for_coordinators(key, [node])?,
        })
    }

    /// The key with the id `id` that was sealed to this submitter; `None` if it was sealed to another one.
    #[must_use]
    pub fn open(&self, sealed: &Envelope, id: KeyId) -> Option<TaskKey> {
        open(&self.0, sealed, Purpose::Results, id)
    }
}

/// The place of a piece of a log.
#[must_use]
pub const fn log_place(stream: LogStream, offset: u64) -> SealContext {
    let stream = match stream {
        LogStream::Stdout => 1,
        LogStream::Stderr => 2,
    };
    SealContext::Log { stream, offset }
}

/// A log that only the submitter can read: pieces, each sealed for its stream and offset, and each preceded by its
/// length in [`LENGTH_BYTES`] bytes, the lowest first.
pub(crate) fn sealed_log(
    key: &TaskKey,
    stream: LogStream,
    offset: u64,
    bytes: LogBytes,
) -> LogBytes {
    let cipher = key.logs().cipher();
    let mut offset = offset;
    let sealed = bytes.map(move |piece| {
        let piece = piece?;
        let mut frames = Vec::with_capacity(piece.len() + LENGTH_BYTES + OVERHEAD_BYTES);
        for piece in piece.chunks(MAX_PIECE_BYTES) {
            let sealed = cipher.seal(log_place(stream, offset), piece);
            let length = u32::try_from(sealed.len()).unwrap_or(u32::MAX);
            frames.extend_from_slice(&length.to_le_bytes());
            frames.extend_from_slice(&sealed);
            offset += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        }
        Ok(frames.into())
    });
    sealed.boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use futures::{TryStreamExt, stream};
    use mc_types::{FencingToken, JobId, Private, TaskSpec, Timestamp, cid};

    fn lease(token: u64) -> Lease {
        let at = Timestamp::from_millis(1);
        Lease {
            job: JobId::new(at, 1),
            token: FencingToken(token),
            attempt: 1,
            expires: at,
            ttl_ms: 15_000,
        }
    }

    fn task(key: Option<&TaskKey>) -> TaskSpec {
        let private = |key: &TaskKey| Private {
            key: key.id(),
            given: ["/in/a".to_owned()].into(),
        };
        TaskSpec {
            private: key.map(private),
            ..TaskSpec::wasm(cid::of(cid::RAW, b"component"))
        }
    }

    #[test]
    fn a_key_opens_for_the_worker_and_the_lease_that_it_came_with() {
        let (worker, key) = (Identity::generate(), TaskKey::generate());
        let sealed = for_lease(&key, &worker.node_id(), &lease(7)).unwrap();
        let open = |who: &Identity, lease: &Lease| open_for_lease(who, &sealed, lease, key.id());
        let opened = open(&worker, &lease(7)).unwrap();
        assert_eq!(opened.as_bytes(), key.as_bytes());
        assert!(open(&worker, &lease(8)).is_none());
        assert!(open(&Identity::generate(), &lease(7)).is_none());
        let another = TaskKey::generate();
        assert!(open_for_lease(&worker, &sealed, &lease(7), another.id()).is_none());
    }

    #[test]
    fn a_coordinator_opens_what_was_sealed_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let submitter = Submitter::load(dir.path()).unwrap();
        let (node, key) = (Identity::generate(), TaskKey::generate());
        let id = node.node_id();
        let sealed = submitter.seal(&key, &id).unwrap();
        let mut spec = JobSpec::new(task(Some(&key)));
        let refused = of_job(&node, &spec).unwrap_err();
        assert!(
            matches!(refused, mc_coordinator::Error::NoKey { .. }),
            "{refused}"
        );
        spec.key = Some(sealed.clone());
        let opened = of_job(&node, &spec).unwrap().unwrap();
        assert_eq!(opened.as_bytes(), key.as_bytes());
        let other = Identity::generate();
        of_job(&other, &spec).unwrap_err();
        // The submitter opens it, too, also after a restart; nobody else does.
        let again = Submitter::load(dir.path()).unwrap();
        assert!(again.open(&sealed.submitter, key.id()).is_some());
        let elsewhere = tempfile::tempdir().unwrap();
        let stranger = Submitter::load(elsewhere.path()).unwrap();
        assert!(stranger.open(&sealed.submitter, key.id()).is_none());
        let another = TaskKey::generate();
        assert!(again.open(&sealed.submitter, another.id()).is_none());
    }

    #[tokio::test]
    async fn a_log_is_sealed_in_pieces_that_belong_where_they_are() {
        let key = TaskKey::generate();
        let log = vec![vec![7; MAX_PIECE_BYTES + 5], b"end".to_vec()];
        let pieces = log.clone().into_iter().map(|piece| Ok(Bytes::from(piece)));
        let pieces = stream::iter(pieces).boxed();
        let sealed = sealed_log(&key, LogStream::Stdout, 100, pieces);
        let sealed: Vec<Bytes> = sealed.try_collect().await.unwrap();
        let sealed: Vec<u8> = sealed.iter().flatten().copied().collect();
        let (cipher, mut rest, mut offset) = (key.logs().cipher(), sealed.as_slice(), 100);
        let mut opened = Vec::new();
        while let Some((length, frames)) = rest.split_first_chunk::<LENGTH_BYTES>() {
            let length = usize::try_from(u32::from_le_bytes(*length)).unwrap();
            assert!(length <= MAX_PIECE_BYTES + OVERHEAD_BYTES);
            let (frame, after) = frames.split_at(length);
            let place = |stream, offset| log_place(stream, offset);
            assert!(
                cipher
                    .open(place(LogStream::Stderr, offset), frame)
                    .is_err()
            );
            assert!(
                cipher
                    .open(place(LogStream::Stdout, offset + 1), frame)
                    .is_err()
            );
            let piece = cipher
                .open(place(LogStream::Stdout, offset), frame)
                .unwrap();
            offset += u64::try_from(piece.len()).unwrap();
            opened.extend(piece);
            rest = after;
        }
        assert_eq!(opened, log.concat());
    }
}
