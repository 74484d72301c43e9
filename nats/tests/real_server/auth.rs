//! Every way to prove who we are, and what happens when it fails.

use std::fs;
use std::path::{Path, PathBuf};

use tickwire_nats::testing::NatsServer;
use tickwire_nats::{ConnectError, Nats, NatsConfig};

use crate::{PATIENCE, connect};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Whether the link stays down until the server has refused it several times.
async fn is_refused(server: &NatsServer, config: &NatsConfig, log: &str) -> bool {
    let nats = Nats::connect(config, "test").await.unwrap();
    let refused = async {
        while server.log().matches(log).count() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("the server refuses");
    !nats.is_connected()
}

#[tokio::test]
async fn user_and_password() {
    let server = NatsServer::start_with("authorization { user: ann, password: secret }").await.unwrap();
    let with = |password: &str| NatsConfig {
        user: Some("ann".to_owned()),
        password: Some(password.to_owned()),
        ..server.config()
    };
    connect(&with("secret")).await.barrier().await.unwrap();
    assert!(is_refused(&server, &with("wrong"), "authentication error").await);
}

#[tokio::test]
async fn token() {
    let server = NatsServer::start_with("authorization { token: opensesame }").await.unwrap();
    let with = |token: &str| NatsConfig { token: Some(token.to_owned()), ..server.config() };
    connect(&with("opensesame")).await.barrier().await.unwrap();
    assert!(is_refused(&server, &with("wrong"), "authentication error").await);
}

#[tokio::test]
async fn credentials_file() {
    let operator = fs::read_to_string(fixture("operator.conf")).unwrap();
    let server = NatsServer::start_in(NatsServer::new_folder().unwrap(), &operator, &[]).await.unwrap();
    let config = NatsConfig { credentials_file: Some(fixture("user.creds")), ..server.config() };
    connect(&config).await.barrier().await.unwrap();
    assert!(is_refused(&server, &server.config(), "authentication error").await);
}

#[tokio::test]
async fn tls_with_our_own_authority() {
    let tls = format!(
        "tls {{ cert_file: {:?}, key_file: {:?} }}",
        fixture("server.pem").display().to_string(),
        fixture("server.key").display().to_string(),
    );
    let server = NatsServer::start_with(&tls).await.unwrap();
    let trusting = NatsConfig { tls_ca: Some(fixture("ca.pem")), tls_required: true, ..server.config() };
    connect(&trusting).await.barrier().await.unwrap();
    assert!(is_refused(&server, &server.config(), "TLS handshake error").await, "the authority is unknown");
}

#[tokio::test]
async fn tls_with_a_certificate_of_ours() {
    let file = |name: &str| fixture(name).display().to_string();
    let tls = format!(
        "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}",
        file("server.pem"),
        file("server.key"),
        file("ca.pem"),
    );
    let server = NatsServer::start_with(&tls).await.unwrap();
    let anonymous = NatsConfig { tls_ca: Some(fixture("ca.pem")), ..server.config() };
    let ours = NatsConfig {
        tls_cert: Some(fixture("client.pem")),
        tls_key: Some(fixture("client.key")),
        ..anonymous.clone()
    };
    connect(&ours).await.barrier().await.unwrap();
    assert!(is_refused(&server, &anonymous, "TLS handshake error").await);
}

#[tokio::test]
async fn what_can_never_work_is_an_error_at_once() {
    let missing = NatsConfig { credentials_file: Some("/nowhere.creds".into()), ..NatsConfig::default() };
    assert!(matches!(Nats::connect(&missing, "test").await, Err(ConnectError::Credentials { .. })));
    for url in ["ws://localhost", "http://localhost", "nats://ann:secret@localhost", "nats://"] {
        let error = Nats::connect(&NatsConfig::at(url), "test").await.unwrap_err();
        assert!(matches!(error, ConnectError::Url(_)), "{url}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
