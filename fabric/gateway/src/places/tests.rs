use super::*;
use axum::{
    Router,
    http::StatusCode,
    middleware::from_fn_with_state,
    routing::{get, post},
};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;

type App = TowerToHyperService<Router>;

/// One place, for which nobody waits long.
fn one(within: Duration, grace: Duration) -> Arc<Places> {
    Arc::new(Places {
        within,
        grace,
        ..Places::new(1, "uploads")
    })
}

fn shortly() -> Arc<Places> {
    one(Duration::from_millis(50), Duration::from_millis(50))
}

async fn ask(app: &App, path: &str) -> Response {
    let request = Request::builder().uri(path).body(Body::empty());
    app.call(request.unwrap()).await.unwrap()
}

async fn send(app: &App, body: Body) -> Response {
    let request = Request::builder().method("POST").uri("/").body(body);
    app.call(request.unwrap()).await.unwrap()
}

async fn text(response: Response) -> String {
    let body = axum::body::to_bytes(response.into_body(), 1 << 10).await;
    String::from_utf8(body.unwrap().to_vec()).unwrap()
}

fn never() -> Body {
    Body::from_stream(stream::pending::<Result<Bytes, Infallible>>())
}

fn answering(places: &Arc<Places>) -> App {
    let router = Router::new()
        .route("/much", get(async || never()))
        .route("/little", get(async || "little"))
        .layer(from_fn_with_state(Arc::clone(places), answered_in_turn));
    TowerToHyperService::new(router)
}

async fn count(body: Bytes) -> String {
    body.len().to_string()
}

/// Counts the bytes of what it is sent.
fn taking(places: &Arc<Places>) -> App {
    let router = Router::new()
        .route("/", post(count))
        .layer(from_fn_with_state(Arc::clone(places), uploaded_in_turn));
    TowerToHyperService::new(router)
}

#[tokio::test]
async fn no_more_answers_are_under_way_than_there_are_places() {
    let places = shortly();
    let app = answering(&places);
    let little = ask(&app, "/little").await;
    assert_eq!(places.free.available_permits(), 1);
    let much = ask(&app, "/much").await;
    assert_eq!(places.free.available_permits(), 0);
    drop(much);
    assert_eq!(places.free.available_permits(), 1);
    assert_eq!(text(little).await, "little");
}

#[tokio::test]
async fn whoever_finds_no_place_is_told_when_to_come_again() {
    let places = shortly();
    let app = answering(&places);
    let much = ask(&app, "/much").await;
    let refused = ask(&app, "/little").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let again = refused.headers()[header::RETRY_AFTER].to_str().unwrap();
    assert_eq!(again.parse(), Ok(AGAIN_SECONDS));
    let said = text(refused).await;
    assert!(said.contains("MC0021"), "{said}");
    assert!(said.contains("too many uploads"), "{said}");
    drop(much);
    assert_eq!(ask(&app, "/little").await.status(), StatusCode::OK);
    // Nobody waits any more.
    assert_eq!(places.wanted.available_permits(), 0);
}

#[tokio::test]
async fn whoever_waits_gets_the_place_that_becomes_free() {
    let places = one(Duration::from_secs(20), GRACE);
    let app = answering(&places);
    let much = ask(&app, "/much").await;
    let (little, ()) = tokio::join!(ask(&app, "/little"), async {
        tokio::task::yield_now().await;
        drop(much);
    });
    assert_eq!(little.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_upload_that_does_not_come_gives_its_place_to_the_next() {
    let places = one(Duration::from_secs(20), Duration::from_millis(50));
    let app = taking(&places);
    let (slow, quick) = tokio::join!(send(&app, never()), async {
        tokio::task::yield_now().await;
        send(&app, Body::from("quick")).await
    });
    assert_eq!(slow.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(slow.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(text(quick).await, "5");
    assert_eq!(places.wanted.available_permits(), 0);
}

#[tokio::test]
async fn pieces_that_come_often_and_are_small_keep_no_place() {
    let places = one(Duration::from_secs(20), Duration::from_millis(50));
    let app = taking(&places);
    // A thousand bytes a second, one by one.
    let drops = stream::unfold((), async |()| {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Some((Ok::<_, Infallible>(Bytes::from_static(b"x")), ()))
    });
    let (slow, quick) = tokio::join!(send(&app, Body::from_stream(drops.boxed())), async {
        tokio::task::yield_now().await;
        send(&app, Body::from("quick")).await
    });
    assert_eq!(slow.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(text(quick).await, "5");
}

#[tokio::test]
async fn an_upload_may_be_slow_while_nobody_waits() {
    let places = shortly();
    let app = taking(&places);
    let slow = stream::iter(["a", "b", "c"]).then(|piece| async move {
        tokio::time::sleep(Duration::from_millis(60)).await;
        Ok::<_, Infallible>(Bytes::from_static(piece.as_bytes()))
    });
    assert_eq!(text(send(&app, Body::from_stream(slow)).await).await, "3");
}

#[tokio::test]
async fn an_upload_that_comes_fast_enough_keeps_its_place() {
    // Each piece earns a second, and all take longer than is granted in any case.
    let piece = Bytes::from(vec![0; usize::try_from(BYTES_PER_SECOND).unwrap()]);
    let places = one(Duration::from_secs(2), Duration::from_secs(1));
    let app = taking(&places);
    let pieces = stream::iter(std::iter::repeat_n(piece, 8)).then(|piece| async move {
        tokio::time::sleep(Duration::from_millis(400)).await;
        Ok::<_, Infallible>(piece)
    });
    let (fast, other) = tokio::join!(send(&app, Body::from_stream(pieces)), async {
        tokio::task::yield_now().await;
        send(&app, Body::from("other")).await
    });
    assert_eq!(fast.status(), StatusCode::OK);
    assert_eq!(other.status(), StatusCode::SERVICE_UNAVAILABLE);
}
