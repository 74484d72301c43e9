//! One process asks another.

use std::time::Duration;

use tickwire_nats::peers::{AskError, Asked, Peers};
use tickwire_nats::publish::{PublishError, Publisher};
use tickwire_nats::{Bytes, LinkError, subject};
use tokio::time::{Instant, timeout};

use crate::{PATIENCE, connect, down, server, up};

async fn answer_next(asked: &mut Asked, answer: Bytes) -> Bytes {
    let question = timeout(PATIENCE, asked.next()).await.expect("a question in time").expect("open");
    question.reply.answer(answer).await.unwrap();
    question.payload
}

#[tokio::test]
async fn a_question_finds_its_peer_and_the_answer_its_asker() {
    let server = server().await;
    let (here, there) = (connect(&server.config()).await, connect(&server.config()).await);
    let (peers, others) = (Peers::new(&here), Peers::new(&there));
    let (mut a, mut b) = (others.listen("a").await.unwrap(), others.listen("b").await.unwrap());
    there.barrier().await.unwrap();
    let (answer, question) = tokio::join!(
        peers.ask("b", Bytes::from_static(b"release"), PATIENCE),
        answer_next(&mut b, Bytes::from_static(b"taken")),
    );
    assert_eq!((answer.unwrap(), question), (Bytes::from_static(b"taken"), Bytes::from_static(b"release")));
    let (answer, _) = tokio::join!(peers.ask("a", Bytes::new(), PATIENCE), answer_next(&mut a, Bytes::new()));
    assert_eq!(answer.unwrap(), Bytes::new());
}

#[tokio::test]
async fn a_word_without_asker_is_passed_over() {
    let server = server().await;
    let nats = connect(&server.config()).await;
    let peers = Peers::new(&nats);
    let mut asked = peers.listen("a").await.unwrap();
    Publisher::new(&nats).publish(&subject::fleet("a"), Bytes::from_static(b"hello")).await.unwrap();
    let (answer, question) = tokio::join!(
        peers.ask("a", Bytes::from_static(b"1"), PATIENCE),
        answer_next(&mut asked, Bytes::from_static(b"2")),
    );
    assert_eq!((answer.unwrap(), question), (Bytes::from_static(b"2"), Bytes::from_static(b"1")));
}

#[tokio::test]
async fn who_is_not_there_who_is_silent_and_who_is_cut_off_are_told_apart() {
    let mut server = server().await;
    let nats = connect(&server.config()).await;
    let peers = Peers::new(&nats);
    let ask = |patience| peers.ask("a", Bytes::from_static(b"?"), patience);
    let started = Instant::now();
    assert_eq!(ask(PATIENCE).await, Err(AskError::NoSuchPeer));
    assert!(started.elapsed() < PATIENCE, "told at once");
    let asked = peers.listen("a").await.unwrap();
    nats.barrier().await.unwrap();
    assert_eq!(ask(Duration::from_millis(50)).await, Err(AskError::TimedOut));
    drop(asked);
    nats.barrier().await.unwrap();
    assert_eq!(ask(PATIENCE).await, Err(AskError::NoSuchPeer));
    server.stop();
    down(&nats).await;
    assert_eq!(ask(PATIENCE).await, Err(AskError::Link(LinkError::Disconnected)));
    let mut early = peers.listen("a").await.unwrap();
    server.restart().await.unwrap();
    up(&nats).await;
    let (answer, _) = tokio::join!(ask(PATIENCE), answer_next(&mut early, Bytes::from_static(b"!")));
    assert_eq!(answer.unwrap(), "!");
}

#[tokio::test]
async fn words_may_be_as_large_as_nats_takes_and_no_larger() {
    let server = server().await;
    let nats = connect(&server.config()).await;
    let peers = Peers::new(&nats);
    let mut asked = peers.listen("a").await.unwrap();
    let answering = async {
        let question = timeout(PATIENCE, asked.next()).await.expect("in time").expect("open");
        let max = question.reply.max_bytes();
        let refused = question.reply.answer(Bytes::from(vec![b'x'; max + 1])).await;
        assert_eq!(refused, Err(PublishError::TooLarge { bytes: max + 1 }));
        question.reply.answer(Bytes::from(vec![b'x'; max])).await.unwrap();
        max
    };
    let (answer, max) = tokio::join!(peers.ask("a", Bytes::new(), PATIENCE), answering);
    assert_eq!((max, answer.unwrap().len()), (1024 * 1024, 1024 * 1024));
    let refused = peers.ask("a", Bytes::from(vec![b'x'; max + 1]), PATIENCE).await;
    assert_eq!(refused, Err(AskError::TooLarge { bytes: max + 1 }));
}
