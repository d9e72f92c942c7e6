//! What a request asks for, in its query or in its headers.

use crate::backend::{Error, Reach};
use axum::http::{HeaderMap, header};
use mc_types::{Cid, ErrorCode};
use serde::Deserialize;
use std::time::Duration;

/// Longest search for a block, in milliseconds.
const MAX_TIMEOUT_MS: u64 = 600_000;

pub(super) const RAW: &str = "application/vnd.ipld.raw";
pub(super) const CAR: &str = "application/vnd.ipld.car";

/// The query. Parameters of other gateways are passed over.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Parameters {
    format: Option<String>,
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

/// `entity-bytes`: from a byte to another, or to the end; negative ones count from the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ByteRange {
    from: i64,
    to: Option<i64>,
}

impl ByteRange {
    fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once(':')?;
        let to = match to {
            "*" => None,
            to => Some(to.parse().ok()?),
        };
        Some(Self {
            from: from.parse().ok()?,
            to,
        })
    }

    /// The bytes of a file of this length.
    pub(super) fn of(self, file_bytes: u64) -> std::ops::Range<u64> {
        let place = |at: i64| {
            if at < 0 {
                file_bytes.saturating_sub(at.unsigned_abs())
            } else {
                at.unsigned_abs().min(file_bytes)
            }
        };
        // The last byte is included.
        let end = self
            .to
            .map_or(file_bytes, |to| place(to).saturating_add(1).min(file_bytes));
        place(self.from)..end.max(place(self.from))
    }
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
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) form: Form,
    pub(super) reach: Reach,
}

fn usage(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::Usage, message)
}

impl Wanted {
    pub(super) fn of(query: Parameters, headers: &HeaderMap) -> Result<Self, Error> {
        let accept = headers.get_all(header::ACCEPT).iter();
        let accepted = accept.filter_map(|value| value.to_str().ok());
        let accepted: Vec<_> = accepted.flat_map(|value| value.split(',')).collect();
        let of_type = |name: &str| {
            let found = accepted.iter().find(|item| media_type(item) == name);
            found.map(|item| item.to_lowercase())
        };
        let car = of_type(CAR);
        let form = match query.format.as_deref() {
            Some("raw") => Form::Raw,
            Some("car") => Form::Car(car_form(&query, car.as_deref())?),
            Some(other) => {
                return Err(usage(format!("format: {other:?} is neither raw nor car")));
            }
            None if car.is_some() => Form::Car(car_form(&query, car.as_deref())?),
            None if of_type(RAW).is_some() => Form::Raw,
            None => Form::File,
        };
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
        Ok(Self { form, reach })
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

fn media_type(item: &str) -> String {
    let name = item.split(';').next().unwrap_or_default();
    name.trim().to_lowercase()
}

/// A parameter of a media type.
fn parameter<'a>(item: Option<&'a str>, name: &str) -> Option<&'a str> {
    let pairs = item?.split(';').skip(1);
    let mut pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn car_form(query: &Parameters, accept: Option<&str>) -> Result<CarForm, Error> {
    let given = |in_query: &Option<String>, name| {
        let value = in_query.as_deref().or_else(|| parameter(accept, name));
        value.map(str::to_owned)
    };
    match given(&query.car_version, "version").as_deref() {
        None | Some("1") => {}
        Some(other) => {
            return Err(usage(format!(
                "car-version: {other:?} is not offered, only 1"
            )));
        }
    }
    match given(&query.car_order, "order").as_deref() {
        None | Some("dfs" | "unk") => {}
        Some(other) => {
            return Err(usage(format!(
                "car-order: {other:?} is neither dfs nor unk"
            )));
        }
    }
    let duplicates = match given(&query.car_dups, "dups").as_deref() {
        Some("y") => true,
        None | Some("n") => false,
        Some(other) => return Err(usage(format!("car-dups: {other:?} is neither y nor n"))),
    };
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
mod tests {
    use super::*;

    fn wanted(query: &str, accept: &str) -> Result<Form, String> {
        let query = axum::extract::Query::try_from_uri(&format!("/?{query}").parse().unwrap());
        let axum::extract::Query(query) = query.map_err(|e| e.to_string())?;
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        let wanted = Wanted::of(query, &headers).map_err(|e| e.to_string())?;
        Ok(wanted.form)
    }

    #[test]
    fn forms_are_named_in_the_query_or_accepted() {
        let car = |scope, duplicates| Ok(Form::Car(CarForm { scope, duplicates }));
        assert_eq!(wanted("", "*/*"), Ok(Form::File));
        assert_eq!(wanted("format=raw", "*/*"), Ok(Form::Raw));
        assert_eq!(wanted("", RAW), Ok(Form::Raw));
        assert_eq!(wanted("format=raw", CAR), Ok(Form::Raw));
        assert_eq!(wanted("format=car", ""), car(Scope::All, false));
        let accept = "text/html, application/vnd.ipld.car; version=1; order=dfs; dups=y";
        assert_eq!(wanted("", accept), car(Scope::All, true));
        assert_eq!(wanted("car-dups=n", accept), car(Scope::All, false));
        assert_eq!(
            wanted("format=car&dag-scope=block", ""),
            car(Scope::Block, false)
        );
        let range = ByteRange { from: -5, to: None };
        let entity = car(Scope::Entity(Some(range)), false);
        assert_eq!(
            wanted("format=car&dag-scope=entity&entity-bytes=-5:*", ""),
            entity
        );
        for bad in [
            "format=tar",
            "format=car&dag-scope=some",
            "format=car&car-version=2",
            "format=car&car-dups=maybe",
            "format=car&car-order=bfs",
            "format=car&entity-bytes=1",
            "format=car&entity-bytes=a:b",
        ] {
            assert!(wanted(bad, "").is_err(), "{bad}");
        }
    }

    #[test]
    fn bytes_of_an_entity_count_from_both_ends() {
        for (text, range) in [
            ("0:*", 0..10),
            ("2:4", 2..5),
            ("-3:*", 7..10),
            ("-3:-2", 7..9),
            ("4:100", 4..10),
            ("20:*", 10..10),
            ("-20:-1", 0..10),
        ] {
            assert_eq!(ByteRange::parse(text).unwrap().of(10), range, "{text}");
        }
        let backwards = ByteRange::parse("9223372036854775807:-9223372036854775808");
        assert!(backwards.unwrap().of(10).is_empty());
    }
}
