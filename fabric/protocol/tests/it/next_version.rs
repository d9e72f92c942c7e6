//! This version and the next one, which has more fields, kinds, codes and reasons, in both directions.

use crate::samples::{self, TOKEN, job, node};
use ipld_core::ipld::Ipld;
use mc_protocol::{
    Error, Heard, MAX_BYTES, Request, Response, Unsupported, decode, decode_message, encode,
};
use mc_types::{
    AttemptResult, Change, Clause, ErrorCode, FailureReason, FencingToken, JobId, NodeId,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fmt::Debug};

/// Requests of the next version.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NextRequest {
    Describe {
        #[serde(default)]
        detail: u8,
    },
    Heartbeat {
        job: JobId,
        token: FencingToken,
        running: bool,
        #[serde(default)]
        since_ms: u64,
        #[serde(default)]
        joules: u64,
    },
    Suspend {
        job: JobId,
    },
}

/// Responses of the next version.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NextResponse {
    Renewed {
        ttl_ms: u64,
        #[serde(rename = "sisters", default)]
        replicas: Vec<NodeId>,
        #[serde(default)]
        hurry: bool,
    },
    Stale {
        #[serde(default)]
        since_ms: u64,
    },
    Error {
        code: String,
        message: String,
        #[serde(default)]
        again_after_ms: Option<u64>,
    },
    Unsupported {
        kind: String,
    },
    Suspended,
}

/// What one version says, as the other one hears it.
fn heard<S: Serialize, H: DeserializeOwned>(said: &S) -> Heard<H> {
    decode_message(&encode(said).unwrap()).unwrap()
}

/// By which name a message was not understood.
fn unsupported<H: Debug>(heard: Heard<H>) -> String {
    heard.map_err(|Unsupported { kind, .. }| kind).unwrap_err()
}

fn map(ipld: &mut Ipld) -> &mut BTreeMap<String, Ipld> {
    match ipld {
        Ipld::Map(map) => map,
        _ => unreachable!("not a map"),
    }
}

/// The map at a path.
fn at<'a>(ipld: &'a mut Ipld, path: &[&str]) -> &'a mut BTreeMap<String, Ipld> {
    path.iter()
        .fold(map(ipld), |inner, key| map(inner.get_mut(*key).unwrap()))
}

fn ipld<T: Serialize>(value: &T) -> Ipld {
    decode(&encode(value).unwrap()).unwrap()
}

/// What only the next version knows.
fn surprise() -> Ipld {
    let inner = Ipld::List(vec![Ipld::Integer(1), Ipld::Bytes(vec![2]), Ipld::Null]);
    Ipld::Map([("inner".to_owned(), inner)].into())
}

/// A message with one field more.
fn with_more<T: Serialize>(message: &T) -> Ipld {
    match ipld(message) {
        Ipld::String(kind) => {
            let fields = Ipld::Map([("surprise".to_owned(), surprise())].into());
            Ipld::Map([(kind, fields)].into())
        }
        mut message => {
            for fields in map(&mut message).values_mut() {
                map(fields).insert("surprise".to_owned(), surprise());
            }
            message
        }
    }
}

#[test]
fn a_field_that_the_next_version_adds_to_any_message_is_skipped() {
    for (name, request) in samples::requests() {
        assert_eq!(heard(&with_more(&request)), Ok(request), "{name}");
    }
    for (name, response) in samples::responses() {
        assert_eq!(heard(&with_more(&response)), Ok(response), "{name}");
    }
}

#[track_caller]
fn reads_with_more<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let mut more = ipld(value);
    map(&mut more).insert("surprise".to_owned(), surprise());
    assert_eq!(&decode::<T>(&encode(&more).unwrap()).unwrap(), value);
}

#[test]
fn a_field_that_the_next_version_adds_to_an_advert_or_a_grant_is_skipped() {
    reads_with_more(&samples::advert());
    reads_with_more(&samples::task_advert());
    reads_with_more(&samples::completion_advert());
    reads_with_more(&samples::grant());
}

fn sample(wanted: &str) -> Request {
    let mut samples = samples::requests().into_iter();
    samples.find(|(name, _)| *name == wanted).unwrap().1
}

#[test]
fn what_is_part_of_a_message_may_grow_and_what_has_a_cid_may_not() {
    let lenient: [(&str, &[&str]); 6] = [
        ("announce", &["announce"]),
        ("offer", &["offer", "lease"]),
        ("offer", &["offer", "job"]),
        ("finish", &["finish", "ending", "completed"]),
        ("finish", &["finish", "ending", "completed", "usage"]),
        (
            "finish-rejected",
            &["finish", "ending", "failed", "rejected"],
        ),
    ];
    let strict: [(&str, &[&str]); 3] = [
        ("offer", &["offer", "job", "task"]),
        ("offer", &["offer", "job", "task", "limits"]),
        ("finish", &["finish", "ending", "completed", "outcome"]),
    ];
    for (name, path) in lenient {
        let mut more = ipld(&sample(name));
        at(&mut more, path).insert("surprise".to_owned(), surprise());
        assert_eq!(heard(&more), Ok(sample(name)), "{path:?}");
    }
    for (name, path) in strict {
        let mut more = ipld(&sample(name));
        at(&mut more, path).insert("surprise".to_owned(), surprise());
        let kind = unsupported(heard::<_, Request>(&more));
        assert_eq!(Some(&&*kind), path.first(), "{path:?}");
    }
}

#[test]
fn the_next_version_is_understood_as_far_as_this_one_goes() {
    let describe = NextRequest::Describe { detail: 2 };
    assert_eq!(heard(&describe), Ok(Request::Describe));
    let heartbeat = NextRequest::Heartbeat {
        job: job(),
        token: TOKEN,
        running: true,
        since_ms: 1_234,
        joules: 5,
    };
    assert_eq!(heard(&heartbeat), Ok(sample("heartbeat")));
    let suspend = NextRequest::Suspend { job: job() };
    assert_eq!(unsupported(heard::<_, Request>(&suspend)), "suspend");

    let renewed = NextResponse::Renewed {
        ttl_ms: 7,
        replicas: vec![node()],
        hurry: true,
    };
    let replicas = vec![node()];
    assert_eq!(
        heard(&renewed),
        Ok(Response::Renewed {
            ttl_ms: 7,
            replicas
        })
    );
    let stale = NextResponse::Stale { since_ms: 3 };
    assert_eq!(heard(&stale), Ok(Response::Stale));
    let error = NextResponse::Error {
        code: "MC9999".to_owned(),
        message: "out of juice".to_owned(),
        again_after_ms: Some(10),
    };
    let expected = Response::error(ErrorCode::Unknown, "out of juice");
    assert_eq!(heard(&error), Ok(expected));
    let suspended = heard::<_, Response>(&NextResponse::Suspended);
    assert_eq!(unsupported(suspended), "suspended");
}

#[test]
fn the_next_version_understands_this_one() {
    let describe = NextRequest::Describe { detail: 0 };
    assert_eq!(heard(&Request::Describe), Ok(describe));
    let heartbeat = NextRequest::Heartbeat {
        job: job(),
        token: TOKEN,
        running: true,
        since_ms: 1_234,
        joules: 0,
    };
    assert_eq!(heard(&sample("heartbeat")), Ok(heartbeat));
    let renewed = Response::Renewed {
        ttl_ms: 7,
        replicas: Vec::new(),
    };
    let expected = NextResponse::Renewed {
        ttl_ms: 7,
        replicas: Vec::new(),
        hurry: false,
    };
    assert_eq!(heard(&renewed), Ok(expected));
    let stale = NextResponse::Stale { since_ms: 0 };
    assert_eq!(heard(&Response::Stale), Ok(stale));
    let error = Response::error(ErrorCode::Ledger, "it cannot be read");
    let expected = NextResponse::Error {
        code: "MC0017".to_owned(),
        message: "it cannot be read".to_owned(),
        again_after_ms: None,
    };
    assert_eq!(heard(&error), Ok(expected));
    let kind = "suspend".to_owned();
    let answer = Response::Unsupported { kind: kind.clone() };
    assert_eq!(heard(&answer), Ok(NextResponse::Unsupported { kind }));
}

#[test]
fn a_policy_of_the_next_version_is_none_to_whoever_runs_the_job() {
    let mut offer = ipld(&sample("offer"));
    let policy = Ipld::String("coin-toss".to_owned());
    at(&mut offer, &["offer", "job"]).insert("policy".to_owned(), policy);
    let Ok(Request::Offer { job, .. }) = heard(&offer) else {
        panic!("{offer:?}");
    };
    assert_eq!(job.policy, None);
    assert_eq!(job.priority, 7);
}

#[test]
fn a_reason_of_the_next_version_is_one_that_is_not_known() {
    let mut finish = ipld(&sample("finish-rejected"));
    let failed = at(&mut finish, &["finish", "ending", "failed"]);
    let fields = failed.remove("rejected").unwrap();
    failed.insert("evicted".to_owned(), fields);
    let Ok(Request::Finish { ending, .. }) = heard(&finish) else {
        panic!("{finish:?}");
    };
    let reason = FailureReason::Other {
        kind: "evicted".to_owned(),
        code: Some(ErrorCode::CorruptContent),
        message: "no such entry".to_owned(),
    };
    assert_eq!(ending, AttemptResult::Failed(reason));
}

#[test]
fn a_clause_of_the_next_version_is_one_that_is_not_known() {
    let mut why = ipld(&Response::Why(Box::new(samples::why())));
    let fields = at(&mut why, &["why"]);
    let Some(Ipld::List(lacks)) = fields.get_mut("lacks") else {
        panic!("{fields:?}");
    };
    map(&mut lacks[0]).insert("clause".to_owned(), surprise());
    let Some(Ipld::List(changes)) = map(fields.get_mut("nearest").unwrap()).get_mut("changes")
    else {
        panic!("{why:?}");
    };
    changes[0] = Ipld::String("another_moon".to_owned());
    let Ok(Response::Why(why)) = heard(&why) else {
        panic!("{why:?}");
    };
    assert_eq!(why.lacks[0].clause, Clause::Unknown);
    let nearest = why.nearest.as_ref().unwrap();
    assert_eq!(nearest.changes[0], Change::Unknown);
    assert_eq!(why.lacks[1..], samples::why().lacks[1..]);
}

#[test]
fn what_is_no_message_of_any_version_is_an_error_and_ends_nothing_else() {
    let two_kinds = BTreeMap::from([("solicit", 1), ("surprise", 2)]);
    let none = BTreeMap::<&str, u8>::new();
    let mut deep = encode(&BTreeMap::from([("describe", 1)])).unwrap();
    deep.pop();
    deep.extend(vec![0x81; 100_000]);
    for bytes in [
        Vec::new(),
        b"junk".to_vec(),
        encode(&7).unwrap(),
        encode(&none).unwrap(),
        encode(&two_kinds).unwrap(),
        deep,
    ] {
        let start = bytes.iter().take(20).collect::<Vec<_>>();
        assert!(decode_message::<Request>(&bytes).is_err(), "{start:?}");
        assert!(decode_message::<Response>(&bytes).is_err(), "{start:?}");
    }
    let long = vec![0; MAX_BYTES + 1];
    let bytes = long.len();
    let too_large = decode_message::<Request>(&long);
    assert_eq!(too_large, Err(Error::TooLarge { bytes }));
    let name = "x".repeat(10_000);
    assert_eq!(unsupported(heard::<_, Request>(&name)).len(), 64);
}

/// Every prefix and every changed byte of every request is read without a panic.
#[test]
fn damaged_requests_are_read_or_refused() {
    for (name, request) in samples::requests() {
        let good = encode(&request).unwrap();
        for length in 0..good.len() {
            assert!(
                decode_message::<Request>(&good[..length]).is_err(),
                "{name}: {length}"
            );
        }
        for position in 0..good.len() {
            let mut bad = good.clone();
            bad[position] ^= 0x55;
            let _ = decode_message::<Request>(&bad);
        }
    }
}
