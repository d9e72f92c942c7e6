//! What a request asks for, in its query or in its headers.

use super::{
    accept::{self, Accepted, Offer},
    byte_range::ByteRange,
    media_types::CAR_PARAMETERS,
};
use crate::backend::{Error, Reach};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use mc_types::{Cid, ErrorCode};
use serde::Deserialize;
use std::time::Duration;

/// Longest search for a block, in milliseconds.
const MAX_TIMEOUT_MS: u64 = 600_000;

/// Names of forms that other gateways have.
const ELSEWHERE: [&str; 5] = ["tar", "dag-json", "dag-cbor", "json", "cbor"];
/// The form for records of names (IPNS), which do not exist below `/ipfs`.
const RECORD: &str = "application/vnd.ipfs.ipns-record";

/// Why a request is refused, and the status for it.
pub(super) type Refused = (StatusCode, Error);

/// The query. Parameters of other gateways are ignored, and so are those without a value.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Parameters {
    format: Option<String>,
    filename: Option<String>,
    download: Option<String>,
    #[serde(rename = "dag-scope")]
    dag_scope: Option<String>,
    #[serde(rename = "entity-bytes")]
    entity_bytes: Option<String>,
    #[serde(rename = "car-version")]
    car_version: Option<String>,
    #[serde(rename = "car-dups")]
    car_dups: Option<String>,
    #[serde(rename = "car-order")]
    car_order: Option<String>,
    timeout_ms: Option<u64>,
}

impl Parameters {
    /// Without those that have no value.
    fn said(mut self) -> Self {
        for text in [
            &mut self.format,
            &mut self.filename,
            &mut self.download,
            &mut self.dag_scope,
            &mut self.entity_bytes,
            &mut self.car_version,
            &mut self.car_dups,
            &mut self.car_order,
        ] {
            *text = text.take().filter(|text| !text.is_empty());
        }
        self
    }
}

/// How much of a DAG a CAR has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The block that the path ends at.
    Block,
    /// The file, or what it takes to list the directory; of a file, the bytes from a place to another.
    Entity(Option<ByteRange>),
    /// Everything.
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CarForm {
    pub(super) scope: Scope,
    pub(super) duplicates: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One block.
    Raw,
    /// Many, as a CAR.
    Car(CarForm),
    /// The bytes of a file.
    File,
}

/// What is wanted, and from where.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) form: Form,
    pub(super) reach: Reach,
    /// What the client is to call it.
    pub(super) filename: Option<String>,
    /// Whether it is to be saved, and not to be shown.
    pub(super) download: bool,
    /// The choices that came in headers although the query can express them: they are part of the exact address of this
    /// answer.
    in_headers: Vec<(&'static str, String)>,
}

fn usage(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::Usage, message)
}

fn senseless(error: Error) -> Refused {
    (StatusCode::BAD_REQUEST, error)
}

/// A form that this gateway does not have.
fn not_offered(form: &str) -> Refused {
    let message = format!("{form:?} is not offered: only raw, car, and the bytes of files");
    let is_elsewhere = ELSEWHERE.contains(&form) || form.starts_with("application/");
    match is_elsewhere && form != RECORD {
        true => (StatusCode::NOT_ACCEPTABLE, usage(message)),
        false => senseless(usage(message)),
    }
}

impl Wanted {
    pub(super) fn of(query: Parameters, headers: &HeaderMap) -> Result<Self, Refused> {
        let query = query.said();
        let accepted = match accept::best(headers) {
            // The query is stronger.
            Err(_) if query.format.is_some() => None,
            accepted => accepted.map_err(|form| not_offered(&form))?,
        };
        let offer = match query.format.as_deref() {
            Some("raw") => Offer::Raw,
            Some("car") => Offer::Car,
            Some(other) => return Err(not_offered(other)),
            None => accepted.as_ref().map_or(Offer::File, |one| one.offer),
        };
        let mut in_headers = Vec::new();
        let form = match offer {
            Offer::Raw => Form::Raw,
            Offer::File => Form::File,
            Offer::Car => {
                let accepted = accepted.filter(|one| one.offer == Offer::Car);
                let form = car_form(&query, accepted.as_ref(), &mut in_headers);
                Form::Car(form.map_err(senseless)?)
            }
        };
        match form {
            Form::Raw if query.format.is_none() => in_headers.push(("format", "raw".to_owned())),
            Form::Car(_) if query.format.is_none() => in_headers.push(("format", "car".to_owned())),
            _ => {}
        }
        let cached = headers.get(header::CACHE_CONTROL);
        let cached = cached.and_then(|value| value.to_str().ok()).unwrap_or("");
        let timeout = query.timeout_ms.map(|ms| ms.min(MAX_TIMEOUT_MS));
        let reach = if cached.contains("only-if-cached") {
            Reach::Local
        } else {
            Reach::Network {
                timeout: timeout.map(Duration::from_millis),
            }
        };
        Ok(Self {
            form,
            reach,
            filename: query.filename,
            download: query.download.as_deref() == Some("true"),
            in_headers,
        })
    }

    /// The exact address of this answer, independent of headers; `None` if the client used it.
    pub(super) fn location(&self, uri: &Uri) -> Option<String> {
        if self.in_headers.is_empty() {
            return None;
        }
        let given = uri.query().unwrap_or_default().split('&');
        let says = |pair: &&str| {
            pair.split_once('=')
                .is_some_and(|(_, value)| !value.is_empty())
        };
        let given = given.filter(says);
        let given = given.map(str::to_owned);
        let said = self.in_headers.iter();
        let said = said.map(|(name, value)| format!("{name}={value}"));
        let query: Vec<_> = given.chain(said).collect();
        Some(format!("{}?{}", uri.path(), query.join("&")))
    }

    /// The name of exactly this answer.
    pub(super) fn etag(&self, cid: &Cid) -> String {
        match self.form {
            Form::Raw => format!("\"{cid}.raw\""),
            Form::File => format!("\"{cid}\""),
            Form::Car(form) => format!("W/\"{cid}.car.{}\"", form.label()),
        }
    }
}

impl CarForm {
    /// Tells different CARs of one DAG apart.
    fn label(&self) -> String {
        let scope = match self.scope {
            Scope::Block => "block".to_owned(),
            Scope::All => "all".to_owned(),
            Scope::Entity(None) => "entity".to_owned(),
            Scope::Entity(Some(range)) => {
                let to = range.to.map(|to| to.to_string()).unwrap_or_default();
                format!("entity.{}.{to}", range.from)
            }
        };
        format!("{scope}.{}", if self.duplicates { "y" } else { "n" })
    }
}

fn car_form(
    query: &Parameters,
    accepted: Option<&Accepted>,
    in_headers: &mut Vec<(&'static str, String)>,
) -> Result<CarForm, Error> {
    let in_query = [&query.car_version, &query.car_order, &query.car_dups];
    let mut duplicates = false;
    for (said, (name, in_accept, values)) in in_query.into_iter().zip(CAR_PARAMETERS) {
        let accepted = || accepted.and_then(|one| one.parameter(in_accept));
        let Some(value) = said.as_deref().or_else(accepted) else {
            continue;
        };
        if !values.contains(&value) {
            let values = values.join(" and ");
            let message = format!("{name}: {value:?} is not offered, only {values}");
            return Err(usage(message));
        }
        if said.is_none() {
            in_headers.push((name, value.to_owned()));
        }
        duplicates |= name == "car-dups" && value == "y";
    }
    let range = query.entity_bytes.as_deref().map(|text| {
        ByteRange::parse(text)
            .ok_or_else(|| usage(format!("entity-bytes: {text:?} is not from:to or from:*")))
    });
    let range = range.transpose()?;
    let scope = match (query.dag_scope.as_deref(), range) {
        (None | Some("all"), None) => Scope::All,
        (Some("block"), None) => Scope::Block,
        (Some("entity"), range) => Scope::Entity(range),
        // As the specification has it, asking for bytes means asking for the entity.
        (None | Some("all" | "block"), range) => Scope::Entity(range),
        (Some(other), _) => {
            let message = format!("dag-scope: {other:?} is none of block, entity and all");
            return Err(usage(message));
        }
    };
    Ok(CarForm { scope, duplicates })
}

#[cfg(test)]
mod tests;
