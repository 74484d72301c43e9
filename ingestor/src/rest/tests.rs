use std::sync::Once;

use tickwire_common::telemetry::{self, Format};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const REQUEST: RestRequest = RestRequest { post: false, path: "/list?a=b", bytes_max: 16 };

/// Asks a server that gives this answer once; returns what it was asked too.
async fn ask(request: RestRequest, answer: &str) -> (Result<Vec<u8>, RestError>, String) {
    static TLS: Once = Once::new();
    TLS.call_once(|| drop(telemetry::init("test", Format::Text, "off", None).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rest = Rest::new(&format!("http://{}/venue/", listener.local_addr().unwrap())).unwrap();
    let server = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4_096];
        let read = socket.read(&mut asked).await.unwrap();
        socket.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&asked[..read]).into_owned()
    };
    tokio::join!(rest.ask(request), server)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn the_official_path_is_added_to_the_configured_origin() {
    let (body, asked) = ask(REQUEST, &answer("200 OK", "", "{}")).await;
    assert_eq!(body.unwrap(), b"{}");
    assert!(asked.starts_with("GET /venue/list?a=b HTTP/1.1\r\n"), "{asked}");
    let (_, asked) = ask(RestRequest { post: true, ..REQUEST }, &answer("200 OK", "", "{}")).await;
    assert!(asked.starts_with("POST /venue/list?a=b HTTP/1.1\r\n"), "{asked}");
}

#[tokio::test]
async fn an_answer_is_bounded() {
    let (body, _) = ask(REQUEST, &answer("200 OK", "", &"x".repeat(17))).await;
    assert!(matches!(body, Err(RestError::TooLarge(16))), "{body:?}");
}

#[tokio::test]
async fn a_venue_that_wants_peace_gets_it() {
    for (status, header, seconds) in [
        ("429 Too Many Requests", "retry-after: 7\r\n", 7),
        ("418 I'm a teapot", "", 60),
        ("429 Too Many Requests", "retry-after: 999999\r\n", 3_600),
        ("429 Too Many Requests", "retry-after: soon\r\n", 60),
    ] {
        let error = ask(REQUEST, &answer(status, header, "")).await.0.unwrap_err();
        assert_eq!(error.pause(), Duration::from_secs(seconds), "{error}");
    }
}

#[tokio::test]
async fn other_failures_are_told() {
    let error = ask(REQUEST, &answer("503 Service Unavailable", "", "")).await.0.unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.pause()),
        ("status 503 Service Unavailable", Duration::ZERO)
    );
    let (cut, _) = ask(REQUEST, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await;
    assert!(matches!(cut, Err(RestError::Transport(_))), "{cut:?}");
}
