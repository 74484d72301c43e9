//! Venues that carry what clients want: what the edge says of it, when, and how soon a price is there.

use std::time::Duration;

use tickwire_common::want::WANT_REPEAT_MS;
use tokio::time::Instant;

use crate::support::client::Client;
use crate::support::edge::Edge;
use crate::support::market::Market;
use crate::support::on_demand::OnDemand;
use crate::support::{eventually, in_time};

const REPEAT: Duration = Duration::from_millis(WANT_REPEAT_MS);

/// A market with a venue on demand, and an edge that knows of it.
async fn scene(market: &Market, settings: &[&str]) -> Edge {
    market.list("binance", &[("A", "AA"), ("B", "BB"), ("C", "CC")]).await;
    let edge = Edge::start(&market.url(), settings).await;
    edge.knows(3).await;
    eventually("the feed is known", async || edge.get("/v1/feeds").await.json()["data"][0]["demand"] == true)
        .await;
    edge
}

#[tokio::test]
async fn the_first_client_has_its_first_price_within_a_second() {
    let market = Market::open().await;
    let mut ingestor = OnDemand::open(&market, "binance").await;
    let edge = scene(&market, &[]).await;
    let mut client = Client::connect(&edge).await;
    for (v, name) in [(1, "binance:A"), (2, "B"), (3, "binance:CC")] {
        let asked = Instant::now();
        let names = [name];
        let (reply, served) = tokio::join!(client.subscribe(&names), ingestor.serve(v));
        assert_eq!((&reply["success"], served.len()), (&true.into(), 1), "{reply}");
        let row = client.row().await;
        assert_eq!((row.symbol.as_str(), row.v, row.stale, row.snapshot), (name, v, false, false));
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    }
    assert!(edge.metric("tickwire_edge_wants_total", "").await >= 3.0);
    // A second client costs no want: what it asks for is there.
    let mut second = Client::subscribed(&edge, &["binance:A"]).await;
    assert_eq!(second.row().await.v, 1);
}

#[tokio::test]
async fn wants_are_repeated_while_somebody_wants_and_then_forgotten() {
    let market = Market::open().await;
    let mut ingestor = OnDemand::open(&market, "binance").await;
    let edge = scene(&market, &["--edge.linger_seconds", "0"]).await;
    let mut first = Client::connect(&edge).await;
    let (_, _) = tokio::join!(first.subscribe(&["binance:A"]), ingestor.serve(1));
    let mut second = Client::connect(&edge).await;
    let (_, _) = tokio::join!(second.subscribe(&["binance:B"]), ingestor.serve(1));
    let heard = Instant::now();
    let all = loop {
        let mut names = ingestor.want().await;
        names.sort();
        if names.len() == 2 {
            break names;
        }
    };
    assert_eq!(all, ["A", "B"]);
    assert!(heard.elapsed() <= REPEAT + Duration::from_secs(2), "{:?}", heard.elapsed());
    drop(first);
    eventually("the topic is left", async || market.subscriptions("binance:A").await == 0).await;
    // What was on its way may still name it; the repeat after that does not.
    in_time("a repeat without it", async { while ingestor.want().await != ["B"] {} }).await;
    assert_eq!(ingestor.want().await, ["B"]);
}

#[tokio::test]
async fn an_ingestor_that_begins_anew_hears_at_once_what_is_wanted() {
    let market = Market::open().await;
    let mut ingestor = OnDemand::open(&market, "binance").await;
    let edge = scene(&market, &[]).await;
    let mut client = Client::connect(&edge).await;
    let (_, _) = tokio::join!(client.subscribe(&["A", "binance:B"]), ingestor.serve(1));
    assert_eq!([client.row().await.v, client.row().await.v], [1, 1]);
    // Right behind a repeat, so that the next one is far.
    in_time("a repeat", async { while ingestor.want().await.len() < 2 {} }).await;
    let begun = Instant::now();
    ingestor.restart().await;
    let mut served = ingestor.serve(2).await;
    served.sort();
    assert_eq!(served, ["A", "B"]);
    assert_eq!([client.row().await.v, client.row().await.v], [2, 2]);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_edge_that_learns_later_of_the_demand_says_what_its_clients_have() {
    let market = Market::open().await;
    market.list("binance", &[("A", "AA")]).await;
    let edge = Edge::start(&market.url(), &[]).await;
    edge.knows(1).await;
    let mut client = Client::subscribed(&edge, &["A"]).await;
    let mut ingestor = OnDemand::open(&market, "binance").await;
    assert_eq!(ingestor.serve(7).await, ["A"]);
    assert_eq!(client.row().await.v, 7);
}
