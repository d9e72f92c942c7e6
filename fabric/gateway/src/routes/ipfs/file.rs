//! Single blocks, and files as their bytes; both also in part.

use super::{
    content::Content,
    media_types::RAW,
    response::{Head, disposition, set},
};
use crate::backend::Error;
use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use mc_content::{
    BlockSource,
    unixfs::{self, EntryKind},
};
use mc_types::{ErrorCode, cid};
use std::ops::Range;

/// Which bytes of a file of this length a request wants.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    All,
    Some(Range<u64>),
    /// Bytes beyond the end of the file.
    Beyond,
}

/// `Range: bytes=…` with one range. Requests for several ranges, or in other units, get the whole file, as HTTP allows;
/// so do clients whose part belongs to another version (`If-Range`).
fn part(headers: &HeaderMap, etag: &str, bytes: u64) -> Part {
    let has = headers.get(header::IF_RANGE);
    if has.is_some_and(|has| has.as_bytes() != etag.as_bytes()) {
        return Part::All;
    }
    let text = headers.get(header::RANGE).and_then(|v| v.to_str().ok());
    let Some((from, to)) = text
        .and_then(|text| text.strip_prefix("bytes="))
        .and_then(|range| range.trim().split_once('-'))
    else {
        return Part::All;
    };
    let range = match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(from), Ok(to)) if from <= to => from..to.saturating_add(1).min(bytes),
        (Ok(from), Err(_)) if to.is_empty() => from..bytes,
        (Err(_), Ok(last)) if from.is_empty() => bytes.saturating_sub(last)..bytes,
        _ => return Part::All,
    };
    if range.start < range.end {
        Part::Some(range)
    } else {
        Part::Beyond
    }
}

/// One block.
pub(super) async fn raw(
    content: &Content,
    head: &Head<'_>,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let bytes = content.blocks.get(&head.cid).await?;
    let total = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let part = part(headers, &head.etag, total);
    let mut response = ranged(head, part, total, |range| {
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        match content.is_head {
            true => Body::empty(),
            false => Body::from(bytes.slice(place(range.start)..place(range.end))),
        }
    });
    set(response.headers_mut(), "content-type", RAW);
    let usual = Some(format!("{}.bin", head.cid));
    let name = disposition("attachment", &content.wanted, usual);
    set(response.headers_mut(), "content-disposition", &name);
    Ok(response)
}

/// The bytes of a file.
pub(super) async fn respond(
    content: &Content,
    head: &Head<'_>,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let no_file = || {
        let message = format!("{} is not a file", head.path);
        let hint = "ask for it with ?format=car, or for a file in it by its path";
        Error::new(ErrorCode::Usage, message).with_hint(hint)
    };
    // Good blocks of other codecs are not malformed.
    if !matches!(head.cid.codec(), cid::RAW | cid::DAG_PB) {
        return Err(no_file());
    }
    let stat = unixfs::stat(&content.blocks, head.cid).await?;
    if stat.kind != EntryKind::File {
        return Err(no_file());
    }
    // A file without the lengths of its parts is refused: it would be cut off, or seem empty.
    unixfs::cat_range(&content.blocks, head.cid, 0..0, tokio::io::sink()).await?;
    let total = stat.file_bytes;
    let part = part(headers, &head.etag, total);
    let mut response = ranged(head, part, total, |range| {
        match content.is_head {
            true => Body::empty(),
            // If the file cannot be read to its end, the connection is cut off, since the length was promised.
            false => {
                let blocks = content.blocks.clone();
                Body::from_stream(unixfs::stream(blocks, head.cid.into(), range))
            }
        }
    });
    // The client determines the type of the bytes. The sandbox keeps a browser from running them.
    set(
        response.headers_mut(),
        "content-type",
        "application/octet-stream",
    );
    let wanted = &content.wanted;
    if wanted.download || wanted.filename.is_some() {
        let kind = if wanted.download {
            "attachment"
        } else {
            "inline"
        };
        let name = disposition(kind, wanted, None);
        set(response.headers_mut(), "content-disposition", &name);
    }
    Ok(response)
}

fn ranged(
    head: &Head<'_>,
    part: Part,
    total: u64,
    body: impl FnOnce(Range<u64>) -> Body,
) -> Response {
    let (status, range) = match part {
        Part::All => (StatusCode::OK, 0..total),
        Part::Some(range) => (StatusCode::PARTIAL_CONTENT, range),
        Part::Beyond => {
            let mut response = head.response(StatusCode::RANGE_NOT_SATISFIABLE, Body::empty());
            let whole = format!("bytes */{total}");
            set(response.headers_mut(), "content-range", &whole);
            return response;
        }
    };
    let mut response = head.response(status, body(range.clone()));
    let headers = response.headers_mut();
    set(headers, "accept-ranges", "bytes");
    set(
        headers,
        "content-length",
        &(range.end - range.start).to_string(),
    );
    if status == StatusCode::PARTIAL_CONTENT {
        let span = format!("bytes {}-{}/{total}", range.start, range.end - 1);
        set(headers, "content-range", &span);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "\"tag\"";

    #[test]
    fn a_part_is_given_to_who_has_the_rest_of_the_same() {
        for (has, expected) in [
            (TAG, Part::Some(1..3)),
            ("\"other\"", Part::All),
            ("W/\"tag\"", Part::All),
            ("Fri, 27 Nov 2026 07:00:00 GMT", Part::All),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, "bytes=1-2".parse().unwrap());
            headers.insert(header::IF_RANGE, has.parse().unwrap());
            assert_eq!(part(&headers, TAG, 10), expected, "{has}");
        }
    }

    #[test]
    fn ranges_are_those_of_http() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, text.parse().unwrap());
            part(&headers, TAG, 10)
        };
        assert_eq!(part(&HeaderMap::new(), TAG, 10), Part::All);
        assert_eq!(of("bytes=0-0"), Part::Some(0..1));
        assert_eq!(of("bytes=2-"), Part::Some(2..10));
        assert_eq!(of("bytes=-3"), Part::Some(7..10));
        assert_eq!(of("bytes=-30"), Part::Some(0..10));
        assert_eq!(of("bytes=5-500"), Part::Some(5..10));
        assert_eq!(of("bytes=10-"), Part::Beyond);
        assert_eq!(of("bytes=10-20"), Part::Beyond);
        assert_eq!(of("bytes=-0"), Part::Beyond);
        for other in [
            "bytes=5-4",
            "bytes=a-b",
            "lines=1-2",
            "bytes=1-2,4-5",
            "bytes=",
        ] {
            assert_eq!(of(other), Part::All, "{other}");
        }
    }
}
