//! Binance's side of the sockets: acknowledges every request, sends one trade of each symbol that is asked for, and says
//! what it carries.

use std::collections::BTreeSet;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tickwire_common::task::Tasks;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use crate::catalogue::testing::soon;

pub(super) struct Market {
    pub(super) url: String,
    /// Streams of trades.
    carried: watch::Receiver<BTreeSet<String>>,
}

impl Market {
    pub(super) async fn open(tasks: &Tasks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let (sender, carried) = watch::channel(BTreeSet::new());
        let (spawner, token) = (tasks.spawner(), tasks.token());
        tasks.spawn("market", async move {
            while let Some(accepted) = token.run_until_cancelled(listener.accept()).await {
                spawner.spawn_job("socket", serve(accepted?.0, sender.clone()));
            }
            Ok(())
        });
        Self { url, carried }
    }

    /// Waits until exactly these bases, against USDT, are carried.
    pub(super) async fn carries(&self, bases: &[&str]) {
        let expected: BTreeSet<String> =
            bases.iter().map(|base| format!("{}usdt@trade", base.to_lowercase())).collect();
        let mut carried = self.carried.clone();
        soon(&format!("{expected:?}"), carried.wait_for(|carried| *carried == expected)).await.unwrap();
    }
}

async fn serve(stream: TcpStream, carried: watch::Sender<BTreeSet<String>>) -> anyhow::Result<()> {
    let mut socket = accept_async(stream).await?;
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        let request: Value = serde_json::from_str(&text)?;
        socket.send(Message::text(json!({"result": null, "id": request["id"]}).to_string())).await?;
        let streams = request["params"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let trades: Vec<&str> = streams.filter(|stream| stream.ends_with("@trade")).collect();
        if request["method"] == "SUBSCRIBE" {
            for stream in &trades {
                let data = json!({"e": "trade", "E": 1, "t": 1, "p": "1"});
                let trade = json!({"stream": stream, "data": data}).to_string();
                socket.send(Message::text(trade)).await?;
            }
            carried.send_modify(|carried| carried.extend(trades.iter().map(|stream| (*stream).to_owned())));
        } else {
            carried.send_modify(|carried| carried.retain(|stream| !trades.contains(&stream.as_str())));
        }
    }
    Ok(())
}
