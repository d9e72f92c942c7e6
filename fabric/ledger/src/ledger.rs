//! Opening and closing.

use crate::{
    Error,
    database::{Database, failed},
    kind::DatabaseKind,
    location::Location,
};
use futures::future::BoxFuture;
use mc_types::NodeId;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// A cheap handle to a ledger.
#[derive(Debug, Clone)]
pub struct Ledger {
    pub(crate) database: Database,
    /// The node in whose name it is written.
    pub(crate) owner: NodeId,
    /// Whether this node counts as a coordinator: then it writes jobs only while it is listed as one.
    joined: Arc<AtomicBool>,
}

impl Ledger {
    /// Opens the ledger at `location` in the name of `owner`, creating or migrating it.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`], [`Error::NewerSchema`], [`Error::Unreachable`], [`Error::Locked`] or
    /// [`Error::DiskFull`].
    pub fn open<'a>(location: &'a Location, owner: NodeId) -> BoxFuture<'a, Result<Self, Error>> {
        Box::pin(async move {
            let ledger = Self {
                database: Database::open(location).await?,
                owner,
                joined: Arc::default(),
            };
            ledger.adopt_unowned().await?;
            Ok(ledger)
        })
    }

    /// Connects to the database at `location` if that is a server's, and changes nothing there.
    ///
    /// # Errors
    ///
    /// Why it cannot be reached.
    pub fn try_out<'a>(location: &'a Location) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(Database::try_out(location))
    }

    /// From now on this node writes no jobs unless it is listed among the coordinators.
    pub(crate) fn join(&self) {
        self.joined.store(true, Ordering::Relaxed);
    }

    /// Whether this node has joined the coordinators.
    pub(crate) fn has_joined(&self) -> bool {
        self.joined.load(Ordering::Relaxed)
    }

    /// Jobs that were written before jobs had owners belong to the only node there was.
    async fn adopt_unowned(&self) -> Result<(), Error> {
        sqlx::query("UPDATE jobs SET owner = $1 WHERE owner = ''")
            .bind(self.owner.to_string())
            .execute(&self.database.writer)
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// Makes this node the owner of all jobs, under whichever id it owned them before: it may have got another key
    /// since. Only for a ledger that no other node uses.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn own_all<'a>(&'a self) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            sqlx::query("UPDATE jobs SET owner = $1 WHERE owner <> $1")
                .bind(self.owner.to_string())
                .execute(&self.database.writer)
                .await
                .map_err(failed)?;
            Ok(())
        })
    }

    /// Whether other nodes may use it at the same time.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.database.kind == DatabaseKind::Postgres
    }

    /// The node in whose name it is written.
    #[must_use]
    pub const fn owner(&self) -> &NodeId {
        &self.owner
    }

    /// Waits for running statements and closes the connections.
    pub fn close<'a>(&'a self) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.database.close().await;
        })
    }
}
