//! A way to NATS that can be cut: a TCP relay that stands still on request. What is under way then waits and arrives late,
//! as it does when a network comes back; connections stay open.

use std::net::Ipv4Addr;

use anyhow::Context;
use tickwire_common::task::{Spawner, Tasks};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Bytes that one direction holds while the way is cut, beside what kernels hold.
const BUFFER_BYTES: usize = 16 * 1024;

/// The relay; gone when dropped.
pub(crate) struct Proxy {
    /// Like `nats://127.0.0.1:4222`.
    pub(crate) url: String,
    flowing: watch::Sender<bool>,
    tasks: Tasks,
}

impl Proxy {
    /// Relays to a server like `nats://127.0.0.1:4222`.
    ///
    /// # Errors
    /// If there is no free port.
    pub(crate) async fn start(server: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listen")?;
        let url = format!("nats://{}", listener.local_addr()?);
        let server = server.trim_start_matches("nats://").to_owned();
        let (tasks, flowing) = (Tasks::new(), watch::Sender::new(true));
        let (spawner, gate) = (tasks.spawner(), flowing.subscribe());
        tasks.spawner().spawn("proxy", async move {
            loop {
                let (client, _) = listener.accept().await?;
                relay(&spawner, client, server.clone(), gate.clone());
            }
        });
        Ok(Self { url, flowing, tasks })
    }

    /// Lets nothing through any more, in either direction.
    pub(crate) fn cut(&self) {
        self.flowing.send_replace(false);
    }

    /// Lets everything through again.
    pub(crate) fn heal(&self) {
        self.flowing.send_replace(true);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

fn relay(spawner: &Spawner, client: TcpStream, server: String, mut gate: watch::Receiver<bool>) {
    let stop = spawner.token();
    spawner.spawn_job("relay", async move {
        let both = async {
            gate.wait_for(|flowing| *flowing).await?;
            let server = TcpStream::connect(server).await?;
            let ((from_client, to_client), (from_server, to_server)) =
                (client.into_split(), server.into_split());
            // The end of one direction ends the other.
            tokio::select! {
                done = copy(from_client, to_server, gate.clone()) => done,
                done = copy(from_server, to_client, gate.clone()) => done,
            }
        };
        tokio::select! {
            // Either side may go at any time; its other side sees its connection end.
            _ended = both => {}
            () = stop.cancelled() => {}
        }
        Ok(())
    });
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut gate: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        gate.wait_for(|flowing| *flowing).await?;
        let count = from.read(&mut buffer).await?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
        gate.wait_for(|flowing| *flowing).await?;
        to.write_all(bytes).await?;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use tokio::time::timeout;

    #[tokio::test]
    async fn what_is_sent_while_the_way_is_cut_arrives_when_it_is_healed() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::start(&format!("nats://{}", server.local_addr().unwrap())).await.unwrap();
        let mut client = TcpStream::connect(proxy.url.trim_start_matches("nats://")).await.unwrap();
        let (mut served, _) = server.accept().await.unwrap();
        let mut got = [0; 5];
        client.write_all(b"first").await.unwrap();
        served.read_exact(&mut got).await.unwrap();
        proxy.cut();
        client.write_all(b"later").await.unwrap();
        assert!(timeout(Duration::from_millis(50), served.read_exact(&mut got)).await.is_err(), "it is cut");
        proxy.heal();
        served.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"later");
        drop(served);
        assert_eq!(client.read(&mut got).await.unwrap(), 0, "the end of one side is the end of the other");
    }
}
