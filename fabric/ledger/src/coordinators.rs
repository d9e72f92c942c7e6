//! The nodes that grant leases from one ledger, without a leader. Each owns the jobs that were handed in there, until
//! it falls silent and another one takes them.

use crate::{
    Error, Ledger,
    database::failed,
    kind::DatabaseKind,
    row::{COLUMNS, integer, record},
};
use futures::future::BoxFuture;
use mc_types::{JobRecord, NodeId};
use sqlx::AssertSqlSafe;
use std::time::Duration;

impl Ledger {
    /// Writes down that this node is there, and will be for `term`, by the clock of the database. False if the node is
    /// new, or had fallen silent and another node took its jobs: then it has to read again which jobs it owns.
    ///
    /// From the first call on, [`Self::commit`] writes nothing and [`Self::take_over`] takes nothing after another node has
    /// taken over, until this is called again.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub fn renew<'a>(&'a self, term: Duration) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            // First: whether or not this comes through, nobody would take the jobs of a node that is not listed.
            self.join();
            let now = self.database.kind.now();
            let term = integer(u64::try_from(term.as_millis()).unwrap_or(u64::MAX));
            let update = format!("UPDATE coordinators SET expires = {now} + $2 WHERE node = $1");
            let insert = format!(
                "INSERT INTO coordinators (node, expires) VALUES ($1, {now} + $2) ON CONFLICT (node) DO NOTHING"
            );
            for (sql, known) in [(update, true), (insert, false)] {
                let done = sqlx::query(AssertSqlSafe(sql))
                    .bind(self.owner.to_string())
                    .bind(term)
                    .execute(&self.database.writer)
                    .await
                    .map_err(failed)?;
                if done.rows_affected() > 0 {
                    return Ok(known);
                }
            }
            Ok(false)
        })
    }

    /// The other nodes that grant leases from this ledger and are there.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub fn replicas<'a>(&'a self) -> BoxFuture<'a, Result<Vec<NodeId>, Error>> {
        Box::pin(async move {
            let now = self.database.kind.now();
            let sql = format!(
                "SELECT node FROM coordinators WHERE node <> $1 AND expires > {now} ORDER BY node"
            );
            let nodes: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
                .bind(self.owner.to_string())
                .fetch_all(&self.database.readers)
                .await
                .map_err(failed)?;
            Ok(nodes.iter().filter_map(|node| node.parse().ok()).collect())
        })
    }

    /// Whether this node is listed, and its jobs would be taken over if it fell silent.
    pub(crate) async fn is_listed(&self) -> Result<bool, Error> {
        let listed: Option<String> =
            sqlx::query_scalar("SELECT node FROM coordinators WHERE node = $1")
                .bind(self.owner.to_string())
                .fetch_optional(&self.database.readers)
                .await
                .map_err(failed)?;
        Ok(listed.is_some())
    }

    /// The node that owns a job; `None` if there is no such job.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub fn owner_of<'a>(
        &'a self,
        job: mc_types::JobId,
    ) -> BoxFuture<'a, Result<Option<NodeId>, Error>> {
        Box::pin(async move {
            let owner: Option<String> = sqlx::query_scalar("SELECT owner FROM jobs WHERE id = $1")
                .bind(job.to_string())
                .fetch_optional(&self.database.readers)
                .await
                .map_err(failed)?;
            Ok(owner.and_then(|owner| owner.parse().ok()))
        })
    }

    /// Makes the open jobs of nodes that fell silent this node's own, and returns them, oldest first. If several nodes
    /// try at the same time, one gets them. A node that another one has succeeded gets none before it is back.
    ///
    /// # Errors
    ///
    /// [`Error::CorruptRow`] or [`Error::Database`]: then nothing was taken.
    pub fn take_over<'a>(&'a self) -> BoxFuture<'a, Result<Vec<JobRecord>, Error>> {
        Box::pin(async move {
            let kind = self.database.kind;
            let now = kind.now();
            // SQLite has one writer at a time, so that nothing has to be skipped.
            let lock = match kind {
                DatabaseKind::Sqlite => "",
                DatabaseKind::Postgres => "FOR UPDATE SKIP LOCKED",
            };
            // Nobody would find the jobs again that a node takes which is not listed itself.
            let (member, is_member) = match self.has_joined() {
                true => (kind.member("$1"), "AND EXISTS (SELECT 1 FROM member)"),
                false => (String::new(), ""),
            };
            let silent = format!(
                "{member} DELETE FROM coordinators WHERE node IN \
             (SELECT node FROM coordinators WHERE node <> $1 AND expires <= {now} {lock}) {is_member} RETURNING node"
            );
            let take = format!(
                "UPDATE jobs SET owner = $1 WHERE owner = $2 AND ending IS NULL RETURNING {COLUMNS}"
            );
            let mut transaction = self.database.writer.begin().await.map_err(failed)?;
            let mut taken = Vec::new();
            let silent: Vec<String> = sqlx::query_scalar(AssertSqlSafe(silent))
                .bind(self.owner.to_string())
                .fetch_all(&mut *transaction)
                .await
                .map_err(failed)?;
            for node in silent {
                let rows = sqlx::query(AssertSqlSafe(take.clone()))
                    .bind(self.owner.to_string())
                    .bind(node)
                    .fetch_all(&mut *transaction)
                    .await
                    .map_err(failed)?;
                for row in &rows {
                    taken.push(record(row)?);
                }
            }
            transaction.commit().await.map_err(failed)?;
            taken.sort_by_key(|record| record.id);
            Ok(taken)
        })
    }

    /// Writes down that this node is going, so that another one may take its jobs at once.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub fn resign<'a>(&'a self) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            sqlx::query("UPDATE coordinators SET expires = 0 WHERE node = $1")
                .bind(self.owner.to_string())
                .execute(&self.database.writer)
                .await
                .map_err(failed)?;
            Ok(())
        })
    }
}
