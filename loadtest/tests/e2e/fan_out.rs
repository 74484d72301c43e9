//! Many clients of one symbol cost NATS one subscription, and none when they have gone.

use futures_util::future::join_all;

use crate::client::Client;
use crate::http;
use crate::stack::{Setup, Stack};

const CLIENTS: usize = 200;
const TOPIC: &str = "binance:BTC/USDT";
const SUBJECT: &str = "md.tick.binance.BTC=2FUSDT";

#[tokio::test]
async fn two_hundred_clients_are_one_subscription() {
    let setup = Setup {
        exchange: "--symbols 2",
        symbols: "BTC/USDT",
        edge: "--edge.linger_seconds 1",
        ..Setup::default()
    };
    let stack = Stack::start(setup).await;
    let join = async || {
        let mut client = stack.client().await;
        client.subscribe(&[TOPIC]).await;
        client
    };
    let mut clients: Vec<Client> = join_all((0..CLIENTS).map(|_| join())).await;
    assert_eq!(stack.nats.subscriptions_of(SUBJECT).await.unwrap(), 1);
    let least = clients.iter().filter_map(|client| client.newest.get(TOPIC).copied()).max().unwrap_or(0);
    // Two rows of the live stream each.
    join_all(clients.iter_mut().map(async |client| {
        let mut live = 0;
        while live < 2 {
            let row = client.row().await;
            live += u32::from(!row.is_snapshot && row.v > least);
        }
    }))
    .await;
    assert_eq!(stack.nats.subscriptions_of(SUBJECT).await.unwrap(), 1);
    drop(clients);
    http::until("the edge has left the symbol", async || {
        stack.nats.subscriptions_of(SUBJECT).await.unwrap() == 0
    })
    .await;
}
