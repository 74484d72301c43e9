//! The stream of last rows as it is in production: there, with a row of every symbol that clients will ask for.

use anyhow::Context;
use tickwire_common::time::now_us;
use tickwire_nats::publish::Publisher;
use tickwire_nats::setup::ensure_last_stream;
use tickwire_nats::{Nats, NatsConfig, subject};

/// Makes the stream on a fresh nats-server and puts in `bench:S0`, `bench:S1` and so on.
///
/// # Errors
/// If the server does not do its part.
pub(crate) async fn fill(port: u16, symbols: u32) -> anyhow::Result<()> {
    let nats = Nats::connect(&NatsConfig::at(format!("nats://127.0.0.1:{port}")), "bench").await?;
    nats.connected().await.context("connect to NATS")?;
    ensure_last_stream(&nats, 1).await?;
    let publisher = Publisher::new(&nats);
    for number in 0..symbols {
        let row = format!(
            r#"{{"v":{},"price":95000.5,"bid":95000.4,"ask":95000.6,"percent_change":0.25,"volume":12345.678,"ts":1763627520119}}"#,
            now_us()
        );
        publisher.publish(&subject::last("bench", &format!("S{number}")), row.into()).await?;
    }
    publisher.flush().await?;
    nats.drain().await;
    Ok(())
}
