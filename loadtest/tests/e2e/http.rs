//! Plain HTTP questions, and waiting for an answer that only asking can tell.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::PATIENCE;

/// How often a question is asked again.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Status and body.
pub async fn get(url: &str) -> (u16, String) {
    // reqwest wants a TLS provider even for plain HTTP; another test of this process may have installed it.
    let _already = rustls::crypto::ring::default_provider().install_default();
    let answer = reqwest::get(url).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

pub async fn json(url: &str) -> Value {
    let (status, body) = get(url).await;
    assert_eq!(status, 200, "{url}: {body}");
    serde_json::from_str(&body).unwrap()
}

pub async fn post(url: &str) -> Value {
    let _already = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new().post(url).send().await.unwrap().json().await.unwrap()
}

/// The sum of a counter over all its labels; 0 if it is not there.
pub async fn counter(url: &str, name: &str) -> u64 {
    let (_, body) = get(url).await;
    let lines = body.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// Asks until the answer is yes.
pub async fn until(what: &str, mut asked: impl AsyncFnMut() -> bool) {
    let asking = async {
        let mut turns = interval(ASK_EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !asked().await {
            turns.tick().await;
        }
    };
    timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}
