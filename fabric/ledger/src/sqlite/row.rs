//! A row and its record.

use crate::Error;
use mc_types::{Cid, FencingToken, Holder, JobRecord, JobState, NodeId, Timestamp, canonical};
use sqlx::{Row, sqlite::SqliteRow};
use std::{fmt::Display, str::FromStr, sync::Arc};

/// SQLite's integers are signed; times and tokens never come near that.
pub(super) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn record(row: &SqliteRow) -> Result<JobRecord, Error> {
    let id: String = row.try_get("id").unwrap_or_default();
    read(row).map_err(|reason| Error::CorruptRow { job: id, reason })
}

fn read(row: &SqliteRow) -> Result<JobRecord, String> {
    let spec: Vec<u8> = column(row, "spec")?;
    let ending: Option<Vec<u8>> = column(row, "ending")?;
    let last_token = FencingToken(unsigned(column(row, "last_token")?)?);
    let expires: Option<i64> = column(row, "expires")?;
    let holder = match (parsed_if_any(row, "holder")?, expires) {
        (Some(node), Some(expires)) => Some(Holder {
            node,
            token: last_token,
            expires: at(expires)?,
        }),
        _ => None,
    };
    Ok(JobRecord {
        id: parsed(row, "id")?,
        task_cid: parsed::<Cid>(row, "task_cid")?,
        spec: Arc::new(canonical::decode(&spec).map_err(|e| format!("spec: {e}"))?),
        state: state(&column::<String>(row, "state")?)?,
        holder,
        last_node: parsed_if_any::<NodeId>(row, "last_node")?,
        last_token,
        attempts: u32::try_from(column::<i64>(row, "attempts")?).map_err(|e| e.to_string())?,
        not_before: at(column(row, "not_before")?)?,
        ending: match ending {
            Some(bytes) => Some(canonical::decode(&bytes).map_err(|e| format!("ending: {e}"))?),
            None => None,
        },
        submitted: at(column(row, "submitted")?)?,
        started: column::<Option<i64>>(row, "started")?.map(at).transpose()?,
        finished: column::<Option<i64>>(row, "finished")?
            .map(at)
            .transpose()?,
    })
}

fn column<'r, T>(row: &'r SqliteRow, name: &str) -> Result<T, String>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(name).map_err(|e| e.to_string())
}

fn parsed<T: FromStr<Err: Display>>(row: &SqliteRow, name: &str) -> Result<T, String> {
    column::<String>(row, name)?
        .parse()
        .map_err(|e| format!("{name}: {e}"))
}

fn parsed_if_any<T: FromStr<Err: Display>>(
    row: &SqliteRow,
    name: &str,
) -> Result<Option<T>, String> {
    let text: Option<String> = column(row, name)?;
    text.map(|text| text.parse().map_err(|e| format!("{name}: {e}")))
        .transpose()
}

fn unsigned(value: i64) -> Result<u64, String> {
    u64::try_from(value).map_err(|_| format!("{value} is negative"))
}

fn at(millis: i64) -> Result<Timestamp, String> {
    unsigned(millis).map(Timestamp::from_millis)
}

fn state(text: &str) -> Result<JobState, String> {
    let states = [
        JobState::Queued,
        JobState::Assigned,
        JobState::Running,
        JobState::Succeeded,
        JobState::Failed,
        JobState::Cancelled,
    ];
    let found = states.into_iter().find(|state| state.as_str() == text);
    found.ok_or_else(|| format!("unknown state {text:?}"))
}
