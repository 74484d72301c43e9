use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::catalogue::testing::install_tls;
use crate::venue::binance::Binance;

const REQUEST: RestRequest = RestRequest { post: false, path: "/list?a=b", weight: 1, bytes_max: 16 };

/// Asks a server that gives this answer once; returns what it was asked too.
async fn ask(request: RestRequest, answer: &str) -> (Result<Vec<u8>, RestError>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rest = client(&listener);
    tokio::join!(rest.ask(request), serve(&listener, answer))
}

fn client(listener: &TcpListener) -> Rest {
    install_tls();
    Rest::new(&format!("http://{}/venue/", listener.local_addr().unwrap())).unwrap()
}

/// Answers one question; returns it.
async fn serve(listener: &TcpListener, answer: &str) -> String {
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut asked = vec![0; 4_096];
    let read = socket.read(&mut asked).await.unwrap();
    socket.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8_lossy(&asked[..read]).into_owned()
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
async fn a_pause_is_kept_by_every_question_of_the_venue() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rest = client(&listener);
    let refusal = answer("429 Too Many Requests", "retry-after: 30\r\n", "");
    let (first, _) = tokio::join!(rest.ask(REQUEST), serve(&listener, &refusal));
    assert!(matches!(first, Err(RestError::TooMany { .. })), "{first:?}");
    // Nobody answers any more: what is asked now would hang.
    for request in [REQUEST, RestRequest { path: "/other", post: true, ..REQUEST }] {
        let held = rest.clone().ask(request).await;
        let Err(RestError::Held { pause }) = held else { panic!("{held:?}") };
        assert!(pause > Duration::from_secs(20) && pause <= Duration::from_secs(30), "{pause:?}");
    }
}

#[tokio::test]
async fn weight_that_others_spent_is_left_to_them() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    install_tls();
    let rest = Rest::of(&Binance, &format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let spent = answer("200 OK", "x-mbx-used-weight-1m: 1000\r\n", "{}");
    let (body, _) = tokio::join!(rest.ask(REQUEST), serve(&listener, &spent));
    assert_eq!(body.unwrap(), b"{}");
    rest.announced(1_200);
    let held = rest.ask(REQUEST).await;
    assert!(matches!(held, Err(RestError::Held { pause }) if pause <= Duration::from_secs(60)), "{held:?}");
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
