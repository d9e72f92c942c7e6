use super::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 0\r\nconnection: close\r\n\r\n\
                    {\"code\":\"MC0021\",\"message\":\"too many uploads\"}";
const GONE: &str = "HTTP/1.1 404 Not Found\r\nretry-after: 0\r\nconnection: close\r\n\r\n\
                    {\"code\":\"MC0013\",\"message\":\"no job\"}";
const FOREIGN: &str = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\nsorry";
const FINE: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nfine";

/// A node that gives these answers, one to each connection, and then no more.
async fn node(answers: &'static [&'static str]) -> NodeClient {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.unwrap();
            assert!(read > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    NodeClient::new(&format!("http://{address}")).unwrap()
}

async fn get(client: &NodeClient) -> Result<Bytes, Failure> {
    client.bytes(|| client.request(Method::GET, "/x")).await
}

#[tokio::test]
async fn a_node_that_has_too_much_to_do_is_asked_again() {
    let client = node(&[BUSY, BUSY, FINE]).await;
    assert_eq!(get(&client).await.unwrap(), "fine");
}

#[tokio::test]
async fn a_node_that_says_no_is_asked_once() {
    let client = node(&[GONE, FINE]).await;
    let failure = get(&client).await.unwrap_err();
    assert_eq!(failure.code(), ErrorCode::NotFound);
    assert_eq!(failure.message(), "no job");
    let client = node(&[FOREIGN, FINE]).await;
    let failure = get(&client).await.unwrap_err();
    assert_eq!(failure.code(), ErrorCode::NodeUnreachable);
    assert!(failure.message().contains("is it a node?"), "{failure:?}");
}

#[tokio::test]
async fn answers_are_read_to_their_end_and_parsed() {
    let client = node(&[FINE]).await;
    let failure = client.get::<u64>("/x").await.unwrap_err();
    assert!(failure.message().contains("another answer"), "{failure:?}");
}

#[test]
fn what_is_no_url_of_a_node_is_refused_without_its_password() {
    for url in [
        "127.0.0.1:7780",
        "https://gw.example",
        "http://u:secret@",
        "",
        "ftp://u:secret@gw.example",
    ] {
        let failure = NodeClient::new(url).unwrap_err();
        assert_eq!(failure.code(), ErrorCode::Usage, "{url}");
        assert!(!failure.message().contains("secret"), "{failure:?}");
    }
    let several = NodeClient::new("http://gw1.example/, http://u:a,b@gw2.example:7780").unwrap();
    assert_eq!(several.bases.len(), 2);
    assert_eq!(several.base(), "http://gw1.example");
    assert_eq!(several.tries().left, 2 * ROUNDS);
}
