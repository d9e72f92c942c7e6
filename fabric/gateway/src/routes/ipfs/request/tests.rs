use super::super::media_types::{CAR, RAW};
use super::*;

fn wanted(query: &str, accept: &str) -> Result<Form, String> {
    let query = axum::extract::Query::try_from_uri(&format!("/?{query}").parse().unwrap());
    let axum::extract::Query(query) = query.map_err(|e| e.to_string())?;
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, accept.parse().unwrap());
    let wanted = Wanted::of(query, &headers);
    let wanted = wanted.map_err(|(status, e)| format!("{} {e}", status.as_u16()))?;
    Ok(wanted.form)
}

#[test]
fn forms_are_named_in_the_query_or_accepted() {
    let car = |scope, duplicates| Ok(Form::Car(CarForm { scope, duplicates }));
    assert_eq!(wanted("", "*/*"), Ok(Form::File));
    assert_eq!(wanted("format=raw", "*/*"), Ok(Form::Raw));
    assert_eq!(wanted("", RAW), Ok(Form::Raw));
    assert_eq!(wanted("format=raw", CAR), Ok(Form::Raw));
    assert_eq!(wanted("format=raw", "application/x-tar"), Ok(Form::Raw));
    assert!(wanted("", "application/x-tar").is_err());
    assert_eq!(wanted("format=car", ""), car(Scope::All, false));
    let accept = "text/html, application/vnd.ipld.car; version=1; order=dfs; dups=y";
    assert_eq!(wanted("", accept), car(Scope::All, true));
    assert_eq!(wanted("car-dups=n", accept), car(Scope::All, false));
    assert_eq!(
        wanted("format=car&dag-scope=block", ""),
        car(Scope::Block, false)
    );
    // A parameter without a value counts as not given; one that is not for a CAR does not matter.
    let nothing = "format=&dag-scope=&entity-bytes=&car-dups=";
    assert_eq!(wanted(nothing, CAR), car(Scope::All, false));
    assert_eq!(
        wanted("format=raw&dag-scope=x&car-dups=z", ""),
        Ok(Form::Raw)
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
fn forms_of_other_gateways_are_not_acceptable_and_others_make_no_sense() {
    for (query, accept, status) in [
        ("format=tar", "*/*", "406"),
        ("format=dag-json", RAW, "406"),
        ("", "application/vnd.ipld.dag-cbor", "406"),
        ("", "text/html, application/x-tar", "406"),
        ("format=ipns-record", "*/*", "400"),
        ("", RECORD, "400"),
        ("format=nonsense", "*/*", "400"),
        ("", "application/vnd.ipld.car; order=rnd", "400"),
        ("car-dups=maybe", CAR, "400"),
    ] {
        let refused = wanted(query, accept).unwrap_err();
        assert!(refused.starts_with(status), "{query} {accept}: {refused}");
    }
    // The query says what the header does not say well.
    let car = CarForm {
        scope: Scope::All,
        duplicates: false,
    };
    let accept = "application/vnd.ipld.car; order=rnd";
    assert_eq!(wanted("car-order=dfs", accept), Ok(Form::Car(car)));
}

#[test]
fn what_headers_said_belongs_to_the_address() {
    let location = |uri: &str, accept: &str| {
        let uri: Uri = uri.parse().unwrap();
        let query = axum::extract::Query::try_from_uri(&uri);
        let axum::extract::Query(query) = query.map_err(|e| e.to_string()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        let wanted = Wanted::of(query, &headers).map_err(|(_, e)| e.to_string());
        wanted.unwrap().location(&uri)
    };
    assert_eq!(location("/ipfs/a/b?format=raw", RAW), None);
    assert_eq!(location("/ipfs/a/b", "*/*"), None);
    assert_eq!(location("/ipfs/a/b", RAW).unwrap(), "/ipfs/a/b?format=raw");
    let accept = format!("{CAR};dups=y;order=unk");
    assert_eq!(
        location("/ipfs/a/b?dag-scope=all&car-order=dfs", &accept).unwrap(),
        "/ipfs/a/b?dag-scope=all&car-order=dfs&car-dups=y&format=car"
    );
    // A name that ends as one without a value would.
    assert_eq!(
        location("/ipfs/a/b?filename=YQ==&download=", RAW).unwrap(),
        "/ipfs/a/b?filename=YQ==&format=raw"
    );
}
