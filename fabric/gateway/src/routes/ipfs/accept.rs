//! Chooses the offered form that a client prefers, by its `Accept` (RFC 9110, §12.5.1).

use super::media_types::{CAR, CAR_PARAMETERS, RAW};
use axum::http::{HeaderMap, header};

/// The weight of an item without one, in thousandths.
const MOST: u16 = 1000;

/// A form that is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    Raw,
    Car,
    File,
}

/// What a client accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) offer: Offer,
    /// In thousandths.
    weight: u16,
    /// In small letters.
    parameters: Vec<(String, String)>,
}

impl Accepted {
    /// One item of the header, if it names an offered form and the client accepts it.
    fn of(item: &str) -> Option<Self> {
        let mut parts = item.split(';');
        let name = parts.next()?.trim().to_lowercase();
        let offer = match name.as_str() {
            RAW => Offer::Raw,
            CAR => Offer::Car,
            "*/*" | "application/*" | "application/octet-stream" => Offer::File,
            _ => return None,
        };
        let pairs = parts.filter_map(|pair| pair.split_once('='));
        let text = |text: &str| text.trim().trim_matches('"').to_lowercase();
        let parameters: Vec<_> = pairs
            .map(|(name, value)| (text(name), text(value)))
            .collect();
        let weight = parameters.iter().find(|(name, _)| name == "q");
        let weight = weight.map_or(MOST, |(_, value)| thousandths(value));
        (weight > 0).then_some(Self {
            offer,
            weight,
            parameters,
        })
    }

    /// Whether it names what is offered, and is no wildcard.
    const fn is_named(&self) -> bool {
        !matches!(self.offer, Offer::File)
    }

    /// Whether a CAR can be had in this way.
    fn is_offered(&self) -> bool {
        self.offer != Offer::Car
            || CAR_PARAMETERS.iter().all(|(_, name, values)| {
                let value = self.parameter(name);
                value.is_none_or(|value| values.contains(&value))
            })
    }

    /// What it says of a parameter, if anything.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(key, _)| key == name);
        let value = found.map(|(_, value)| value.as_str());
        value.filter(|value| !value.is_empty())
    }
}

/// The offered form that the client prefers. Among equals, a block or a CAR goes before a file, and then the first one
/// wins. A CAR with parameters that are not offered comes last, since the query may override them. `Err` with the name
/// of a form when the client wants only forms that other gateways have.
pub(super) fn best(headers: &HeaderMap) -> Result<Option<Accepted>, String> {
    let values = headers.get_all(header::ACCEPT).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let items: Vec<_> = values.flat_map(|value| value.split(',')).collect();
    let mut best: Option<Accepted> = None;
    for accepted in items.iter().filter_map(|item| Accepted::of(item)) {
        let rank = |one: &Accepted| (one.is_offered(), one.weight, one.is_named());
        if best
            .as_ref()
            .is_none_or(|best| rank(&accepted) > rank(best))
        {
            best = Some(accepted);
        }
    }
    match items.iter().find_map(|item| elsewhere(item)) {
        Some(name) if best.is_none() => Err(name),
        _ => Ok(best),
    }
}

/// The name of a form of content that gateways may have, but not this one.
fn elsewhere(item: &str) -> Option<String> {
    let name = item.split(';').next()?.trim().to_lowercase();
    let is_form = ["application/vnd.ipld.", "application/vnd.ipfs."]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    let is_elsewhere = is_form && ![RAW, CAR].contains(&name.as_str());
    (is_elsewhere || name == "application/x-tar").then_some(name)
}

/// A weight, from 0 to 1 with at most three digits. A text that is no weight counts as if it were not there.
fn thousandths(text: &str) -> u16 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{part:0<3}");
    match (whole, digits.parse::<u16>()) {
        ("0", Ok(part)) if digits.len() == 3 => part,
        _ => MOST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(accept: &[&str]) -> Result<Option<Offer>, String> {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(header::ACCEPT, value.parse().unwrap());
        }
        Ok(best(&headers)?.map(|accepted| accepted.offer))
    }

    #[test]
    fn the_greatest_weight_wins_and_names_before_wildcards() {
        for (accept, expected) in [
            (&[][..], None),
            (&["text/html"], None),
            (&["*/*"], Some(Offer::File)),
            (
                &["text/html, application/vnd.ipld.car, */*;q=0.8"],
                Some(Offer::Car),
            ),
            (&["*/*", "application/vnd.ipld.raw"], Some(Offer::Raw)),
            (
                &["application/vnd.ipld.raw, application/vnd.ipld.car"],
                Some(Offer::Raw),
            ),
            (
                &["application/vnd.ipld.raw;q=0.1, application/vnd.ipld.car;q=0.25"],
                Some(Offer::Car),
            ),
            (
                &[
                    "application/vnd.ipld.car;q=0.999",
                    "Application/Vnd.Ipld.RAW",
                ],
                Some(Offer::Raw),
            ),
            (&["application/vnd.ipld.car; q=0.5, */*"], Some(Offer::File)),
            (
                &["application/vnd.ipld.car;q=0, application/vnd.ipld.raw;q=0.001"],
                Some(Offer::Raw),
            ),
            (&["application/vnd.ipld.car;q=0.0"], None),
            // A form that is not offered in that way comes after the others, whatever its weight.
            (
                &["application/vnd.ipld.car;order=rnd, application/vnd.ipld.raw;q=0.2"],
                Some(Offer::Raw),
            ),
            (&["application/vnd.ipld.car;version=2"], Some(Offer::Car)),
            (
                &["application/vnd.ipld.dag-json, application/vnd.ipld.raw"],
                Some(Offer::Raw),
            ),
        ] {
            assert_eq!(offer(accept), Ok(expected), "{accept:?}");
        }
        for elsewhere in [
            "application/vnd.ipfs.ipns-record",
            "application/x-tar, text/html",
        ] {
            assert!(offer(&[elsewhere]).is_err(), "{elsewhere}");
        }
    }

    /// The example of the specification.
    #[test]
    fn of_two_ways_to_have_a_car_the_one_that_is_offered_is_taken() {
        let accept =
            "application/vnd.ipld.car;order=foo, application/vnd.ipld.car;order=dfs;dups=y;q=0.5";
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        let accepted = best(&headers).unwrap().unwrap();
        assert_eq!(accepted.parameter("order"), Some("dfs"));
        assert_eq!(accepted.parameter("dups"), Some("y"));
    }

    #[test]
    fn parameters_may_be_quoted_and_their_names_of_any_size() {
        let item = r#"application/vnd.ipld.car; Version=1;DUPS="y" ; order = dfs; none=; q=0.7"#;
        let accepted = Accepted::of(item).unwrap();
        assert_eq!(accepted.weight, 700);
        for (name, value) in [("version", "1"), ("dups", "y"), ("order", "dfs")] {
            assert_eq!(accepted.parameter(name), Some(value));
        }
        assert_eq!(accepted.parameter("none"), None);
        for (text, weight) in [
            ("1", MOST),
            ("1.000", MOST),
            ("0.05", 50),
            ("0", 0),
            ("x", MOST),
        ] {
            assert_eq!(thousandths(text), weight, "{text}");
        }
    }
}
