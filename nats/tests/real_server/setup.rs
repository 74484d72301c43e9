//! Streams and buckets: made once, checked afterwards, never changed.

use futures_util::future::join_all;
use tickwire_nats::setup::{
    LAST_STREAM, LEASES_BUCKET, LEASES_MAX_AGE, SetupError, ensure_bucket, ensure_last_stream,
};
use tickwire_nats::testing::NatsServer;
use tickwire_nats::{ApiError, Nats};

use crate::{connect, down, server, up};

/// The library's own client, to look from outside.
async fn jetstream(server: &NatsServer) -> async_nats::jetstream::Context {
    async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap())
}

#[tokio::test]
async fn the_stream_keeps_one_row_a_symbol() {
    let server = server().await;
    let nats = connect(&server.config()).await;
    ensure_last_stream(&nats, 1).await.unwrap();
    ensure_last_stream(&nats, 1).await.unwrap();
    let stream = jetstream(&server).await.get_stream(LAST_STREAM).await.unwrap();
    let config = &stream.cached_info().config;
    assert_eq!(config.subjects, ["md.last.>"]);
    assert_eq!((config.max_messages_per_subject, config.allow_direct), (1, true));
    assert_eq!(
        (config.storage, config.max_age.as_secs()),
        (async_nats::jetstream::stream::StorageType::Memory, 600)
    );
}

#[tokio::test]
async fn many_processes_may_start_at_once() {
    let server = server().await;
    let processes: Vec<Nats> = join_all((0..8).map(|_| connect_to(&server))).await;
    for made in join_all(processes.iter().map(|nats| ensure_last_stream(nats, 1))).await {
        made.unwrap();
    }
    for made in join_all(processes.iter().map(|nats| ensure_bucket(nats, LEASES_BUCKET, 1))).await {
        made.unwrap();
    }
}

async fn connect_to(server: &NatsServer) -> Nats {
    connect(&server.config()).await
}

#[tokio::test]
async fn a_stream_that_would_not_do_is_named_with_the_field() {
    let server = server().await;
    let nats = connect(&server.config()).await;
    let other = async_nats::jetstream::stream::Config {
        name: LAST_STREAM.to_owned(),
        subjects: vec!["md.last.>".to_owned()],
        max_messages_per_subject: 1,
        storage: async_nats::jetstream::stream::StorageType::Memory,
        max_age: std::time::Duration::from_secs(600),
        ..Default::default()
    };
    jetstream(&server).await.create_stream(other).await.unwrap();
    let error = ensure_last_stream(&nats, 1).await.unwrap_err();
    assert!(matches!(&error, SetupError::Mismatch { field, .. } if field == "allow_direct"), "{error}");
    assert!(!error.is_transient());
    let text = error.to_string();
    assert!(text.contains("allow_direct = false and Tickwire needs true"), "{text}");
    assert!(text.contains("nats stream edit MD_LAST"), "{text}");
}

#[tokio::test]
async fn subjects_that_another_stream_has_are_an_error() {
    let server = server().await;
    let nats = connect(&server.config()).await;
    let other = async_nats::jetstream::stream::Config {
        name: "OTHER".to_owned(),
        subjects: vec!["md.>".to_owned()],
        ..Default::default()
    };
    jetstream(&server).await.create_stream(other).await.unwrap();
    let error = ensure_last_stream(&nats, 1).await.unwrap_err();
    assert!(error.to_string().contains("subjects overlap"), "{error}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_bucket_is_one_for_other_tools_too() {
    let server = server().await;
    let nats = connect(&server.config()).await;
    ensure_bucket(&nats, LEASES_BUCKET, 1).await.unwrap();
    ensure_bucket(&nats, LEASES_BUCKET, 1).await.unwrap();
    let bucket = jetstream(&server).await.get_key_value(LEASES_BUCKET).await.unwrap();
    let revision = bucket.create("binance.0", "a".into()).await.unwrap();
    assert!(bucket.create("binance.0", "b".into()).await.is_err(), "only one can own it");
    bucket.update("binance.0", "c".into(), revision).await.unwrap();
    assert_eq!(bucket.get("binance.0").await.unwrap().unwrap(), "c");
}

#[tokio::test]
async fn a_server_without_jetstream_is_told_apart() {
    let server = NatsServer::start_in(NatsServer::new_folder().unwrap(), "", &[]).await.unwrap();
    let nats = connect(&server.config()).await;
    let error = ensure_last_stream(&nats, 1).await.unwrap_err();
    assert!(matches!(error, SetupError::Api { source: ApiError::NotEnabled, .. }), "{error}");
    assert!(error.to_string().contains("JetStream is not enabled"), "{error}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn what_a_restart_lost_is_made_again_and_files_survive() {
    let mut server = server().await;
    let nats = connect(&server.config()).await;
    ensure_last_stream(&nats, 1).await.unwrap();
    ensure_bucket(&nats, LEASES_BUCKET, 1).await.unwrap();
    server.stop();
    down(&nats).await;
    assert!(ensure_last_stream(&nats, 1).await.unwrap_err().is_transient());
    server.restart().await.unwrap();
    up(&nats).await;
    assert!(jetstream(&server).await.get_stream(LAST_STREAM).await.is_err(), "memory does not survive");
    assert!(jetstream(&server).await.get_key_value(LEASES_BUCKET).await.is_ok(), "files do");
    ensure_last_stream(&nats, 1).await.unwrap();
    ensure_bucket(&nats, LEASES_BUCKET, 1).await.unwrap();
}

#[tokio::test]
async fn leases_forget_what_ended_long_ago_unless_somebody_chose_otherwise() {
    let server = server().await;
    let nats = connect(&server.config()).await;
    ensure_bucket(&nats, LEASES_BUCKET, 1).await.unwrap();
    let name = format!("KV_{LEASES_BUCKET}");
    let jetstream = jetstream(&server).await;
    let mut stream = jetstream.get_stream(&name).await.unwrap();
    let mut config = stream.info().await.unwrap().config.clone();
    assert_eq!(config.max_age, LEASES_MAX_AGE);
    config.max_age = std::time::Duration::ZERO;
    jetstream.update_stream(&config).await.unwrap();
    ensure_bucket(&nats, LEASES_BUCKET, 1).await.unwrap();
    assert!(stream.info().await.unwrap().config.max_age.is_zero(), "left as it was chosen");
}
