//! Jobs as people read them.

use crate::{output, terminal};
use mc_api::JobView;
use mc_config::ByteSize;
use mc_types::{Clock, SteadyClock, Timestamp};
use serde_json::Value;

/// The label that is a job's name.
pub(crate) const NAME: &str = "name";

/// A list of jobs, one a line.
pub(crate) fn table(jobs: &[JobView]) -> String {
    let now = SteadyClock::new().now();
    let head = [
        "ID",
        "NAME",
        "STATE",
        "EXIT",
        "AGE",
        "TRIES",
        "SUBMITTER",
        "NODE",
        "WAITING FOR",
    ];
    let row = |job: &JobView| {
        let or_dash = |text: Option<String>| {
            // An empty column would shift the others for scripts that split lines at blanks.
            let text = text.filter(|text| !text.is_empty());
            text.unwrap_or_else(|| "-".to_owned())
        };
        vec![
            or_dash(job.id.map(|id| id.to_string())),
            or_dash(job.labels.get(NAME).cloned()),
            job.state.to_string(),
            or_dash(job.exit_code.map(|code| code.to_string())),
            or_dash(job.submitted_ms.map(|then| age(now, then))),
            job.attempts.to_string(),
            or_dash(Some(job.submitter.clone())),
            or_dash(job.node.as_ref().map(ToString::to_string)),
            job.waiting_for.clone().unwrap_or_default(),
        ]
    };
    let head = head.map(str::to_owned).to_vec();
    let rows = std::iter::once(head).chain(jobs.iter().map(row));
    output::table(&rows.collect::<Vec<_>>())
}

/// Every field that has a value, a line each, named as in the JSON; times and sizes for people.
pub(crate) fn description(job: &JobView) -> String {
    let now = SteadyClock::new().now();
    let fields = serde_json::to_value(job).unwrap_or_default();
    let fields = fields.as_object().into_iter().flatten();
    let shown = fields.filter(|(_, value)| !is_empty(value));
    let line = |(field, value): (&String, &Value)| {
        let name = field.strip_suffix("_ms").unwrap_or(field);
        let name = name.strip_suffix("_bytes").unwrap_or(name);
        let text = field_text(field, value, now);
        format!("{name:<18} {}\n", terminal::escaped(&text))
    };
    shown.map(line).collect()
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty)
}

fn field_text(field: &str, value: &Value, now: Timestamp) -> String {
    match (field, value.as_u64(), value) {
        ("wall_ms", Some(millis), _) => format!("{}.{:03} s", millis / 1000, millis % 1000),
        (_, Some(bytes), _) if field.ends_with("_bytes") => size(bytes),
        (_, Some(millis), _) if field.ends_with("_ms") => {
            let seconds = i64::try_from(millis / 1000).unwrap_or(i64::MAX);
            let local = mc_system::time::local(seconds).unwrap_or_else(|| millis.to_string());
            format!("{local}, {} ago", age(now, millis))
        }
        (_, _, Value::String(text)) => text.clone(),
        (_, _, Value::Object(pairs)) if pairs.values().all(Value::is_string) => {
            let pair = |(name, value): (&String, &Value)| {
                format!("{name}={}", value.as_str().unwrap_or_default())
            };
            pairs.iter().map(pair).collect::<Vec<_>>().join(", ")
        }
        _ => value.to_string(),
    }
}

/// How long ago something was, in its largest unit.
fn age(now: Timestamp, then_ms: u64) -> String {
    let seconds = now.as_millis().saturating_sub(then_ms) / 1000;
    let units = [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')];
    let unit = units.into_iter().find(|(unit, _)| seconds >= 2 * unit);
    let (unit, name) = unit.unwrap_or((1, 's'));
    format!("{}{name}", seconds / unit)
}

/// A number of bytes that need not be exact.
fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(shift, _)| bytes >> shift >= 10) {
        Some((shift, name)) => format!("{} {name}", bytes >> shift),
        None => ByteSize(bytes).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_the_largest_unit_that_says_enough() {
        let now = Timestamp::from_millis(1_000_000_000_000);
        for (seconds, shown) in [
            (0, "0s"),
            (59, "59s"),
            (119, "119s"),
            (120, "2m"),
            (7199, "119m"),
            (7200, "2h"),
            (172_800, "2d"),
        ] {
            assert_eq!(age(now, now.as_millis() - seconds * 1000), shown);
        }
        assert_eq!(age(now, now.as_millis() + 5000), "0s", "of another clock");
    }

    #[test]
    fn sizes_are_rounded_down() {
        assert_eq!(size(11_534_336), "11 MiB");
        assert_eq!(size(1234), "1234B");
        assert_eq!(size(65_536), "64 KiB");
    }

    #[test]
    fn a_list_has_something_in_each_column() {
        let job = JobView {
            submitted_ms: Some(1),
            ..JobView::default()
        };
        let table = table(&[job]);
        let row = table.lines().nth(1).unwrap();
        let cells: Vec<_> = row.split_whitespace().collect();
        assert_eq!((cells.len(), cells[0], cells[2]), (8, "-", "queued"));
    }

    #[test]
    fn a_description_has_a_line_for_each_value_and_none_for_what_is_not_known() {
        let job = JobView {
            wall_ms: Some(1234),
            memory_peak_bytes: Some(64 << 20),
            message: Some("two\nlines".to_owned()),
            labels: [("team".to_owned(), "physics".to_owned())].into(),
            ..JobView::default()
        };
        let text = description(&job);
        for line in [
            "wall               1.234 s",
            "memory_peak        64 MiB",
            "message            two\\nlines",
            "labels             team=physics",
            "state              queued",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} in {text}");
        }
        assert!(!text.contains("exit_code"), "{text}");
    }
}
