//! A row and its record.

use crate::{Error, database::failed};
use mc_types::{
    Cid, FencingToken, Holder, JobId, JobRecord, JobState, NodeId, Timestamp, canonical,
};
use serde::Serialize;
use sqlx::{Row, any::AnyRow};
use std::{fmt::Display, str::FromStr, sync::Arc};

/// What a record is made from, in the order in which statements name it.
pub(crate) const COLUMNS: &str = "id, task_cid, spec, state, holder, expires, last_node, last_token, \
                                  attempts, not_before, ending, submitted, started, finished";

/// The databases' integers are signed; times and tokens never come near that.
pub(crate) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A record in the form in which many are handed to one statement: JSON, with bytes in hexadecimal.
#[derive(Debug, Serialize)]
pub(crate) struct Written {
    id: String,
    task_cid: String,
    spec: String,
    state: &'static str,
    holder: Option<String>,
    expires: Option<i64>,
    last_node: Option<String>,
    last_token: i64,
    attempts: i64,
    not_before: i64,
    ending: Option<String>,
    submitted: i64,
    started: Option<i64>,
    finished: Option<i64>,
}

impl Written {
    pub(crate) fn of(record: &JobRecord) -> Result<Self, Error> {
        let holder = record.holder.as_ref();
        let at = |at: Timestamp| integer(at.as_millis());
        Ok(Self {
            id: record.id.to_string(),
            task_cid: record.task_cid.to_string(),
            spec: hex(&*record.spec)?,
            state: record.state.as_str(),
            holder: holder.map(|holder| holder.node.to_string()),
            expires: holder.map(|holder| at(holder.expires)),
            last_node: record.last_node.as_ref().map(ToString::to_string),
            last_token: integer(record.last_token.0),
            attempts: i64::from(record.attempts),
            not_before: at(record.not_before),
            ending: record.ending.as_ref().map(hex).transpose()?,
            submitted: at(record.submitted),
            started: record.started.map(at),
            finished: record.finished.map(at),
        })
    }
}

fn hex<T: Serialize>(value: &T) -> Result<String, Error> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let (_, bytes) = canonical::encode(value).map_err(|e| Error::Database {
        reason: e.to_string(),
    })?;
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().map(char::from);
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    Ok(digits.filter_map(digit).collect())
}

pub(crate) fn record(row: &AnyRow) -> Result<JobRecord, Error> {
    let id: String = row.try_get("id").unwrap_or_default();
    read(row).map_err(|reason| Error::CorruptRow { job: id, reason })
}

/// An integer that must not be negative, from a row that does not belong to a job.
pub(crate) fn count(row: &AnyRow, column: usize) -> Result<u64, Error> {
    let value: i64 = row.try_get(column).map_err(failed)?;
    Ok(u64::try_from(value).unwrap_or(0))
}

/// What belongs to a job and has a row in a table of its own.
pub(crate) struct Belonging<'r> {
    pub(crate) row: &'r AnyRow,
    pub(crate) job: JobId,
    /// What it is, for people.
    pub(crate) what: &'static str,
}

impl Belonging<'_> {
    pub(crate) fn corrupt(&self, column: &str) -> Error {
        Error::CorruptRow {
            job: self.job.to_string(),
            reason: format!("the {column} of a {}", self.what),
        }
    }

    pub(crate) fn parsed<T: FromStr>(&self, column: &str) -> Result<T, Error> {
        let text: String = self.row.try_get(column).map_err(failed)?;
        text.parse().map_err(|_| self.corrupt(column))
    }

    pub(crate) fn number(&self, column: &str) -> Result<u64, Error> {
        let value: i64 = self.row.try_get(column).map_err(failed)?;
        u64::try_from(value).map_err(|_| self.corrupt(column))
    }
}

fn read(row: &AnyRow) -> Result<JobRecord, String> {
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

fn column<'r, T>(row: &'r AnyRow, name: &str) -> Result<T, String>
where
    T: sqlx::Decode<'r, sqlx::Any> + sqlx::Type<sqlx::Any>,
{
    row.try_get(name).map_err(|e| e.to_string())
}

fn parsed<T: FromStr<Err: Display>>(row: &AnyRow, name: &str) -> Result<T, String> {
    column::<String>(row, name)?
        .parse()
        .map_err(|e| format!("{name}: {e}"))
}

fn parsed_if_any<T: FromStr<Err: Display>>(row: &AnyRow, name: &str) -> Result<Option<T>, String> {
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
    let mut states = JobState::ALL.into_iter();
    let found = states.find(|state| state.as_str() == text);
    found.ok_or_else(|| format!("unknown state {text:?}"))
}
