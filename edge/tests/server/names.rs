//! What names mean: exact, bare, a venue's own key; and where a bare name goes when its venue fails.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tickwire_common::feed::FeedState;
use tickwire_common::shard::shard_of;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::client::Client;
use crate::support::edge::Edge;
use crate::support::eventually;
use crate::support::market::{Market, word};

/// Bare names move after the least time that can be set.
const IMPATIENT: &[&str] = &["--edge.venue_leave_seconds", "1", "--edge.venue_return_seconds", "1"];

/// Two venues that both have BTC/USDT, and an edge that knows them.
async fn two_venues(settings: &[&str]) -> (Market, Edge) {
    let market = Market::open().await;
    market.list("binance", &[("BTC/USDT", "BTCUSDT"), ("BNB/USDT", "BNBUSDT")]).await;
    market.list("kucoin", &[("BTC/USDT", "BTC-USDT"), ("KCS/USDT", "KCS-USDT")]).await;
    let edge = Edge::start(&market.url(), settings).await;
    edge.serves().await;
    edge.knows(4).await;
    (market, edge)
}

#[tokio::test]
async fn every_form_of_a_name_reaches_its_row() {
    let (market, edge) = two_venues(&[]).await;
    let names = ["binance:BTC/USDT", "binance:BTCUSDT", "BTCUSDT", "BTC/USDT", "BTC-USDT", "KCS/USDT"];
    let mut client = Client::subscribed(&edge, &names).await;
    market.tick("binance:BTC/USDT", 100).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let row = client.row().await;
        seen.push((row.symbol, row.venue, row.v));
    }
    seen.sort();
    let row = |name: &str, venue: Option<&str>| (name.to_owned(), venue.map(str::to_owned), 100);
    // A name that names its venue needs no mark.
    let expected = [
        row("BTC/USDT", Some("binance")),
        row("BTCUSDT", Some("binance")),
        row("binance:BTC/USDT", None),
        row("binance:BTCUSDT", None),
    ];
    assert_eq!(seen, expected);
    market.tick("kucoin:BTC/USDT", 200).await;
    let row = client.row().await;
    assert_eq!((row.symbol.as_str(), row.venue.as_deref(), row.v), ("BTC-USDT", Some("kucoin"), 200));
    market.tick("kucoin:KCS/USDT", 300).await;
    assert_eq!(client.row().await.symbol, "KCS/USDT");
    // All the names of one topic cost one subscription.
    assert_eq!(market.subscriptions("binance:BTC/USDT").await, 1);
}

#[tokio::test]
async fn unknown_names_are_told_one_by_one() {
    let (_market, edge) = two_venues(&[]).await;
    let mut client = Client::connect(&edge).await;
    let unknown = ["DOGE/USDT", "binance:KCS/USDT", "bench:S0", "btc/usdt", "", "binance:", "BTC/USDT "];
    let reply = client.subscribe(&[&["BTC/USDT"], &unknown[..]].concat()).await;
    let failed: Vec<_> =
        unknown.iter().map(|name| json!({"symbol": name, "code": "unknown_symbol"})).collect();
    assert_eq!(reply["result"]["failed"], json!(failed));
    assert_eq!(reply["result"]["subscribed"], json!(["BTC/USDT"]));
}

#[tokio::test]
async fn a_bare_name_moves_to_the_next_venue_and_back() {
    let (market, edge) = two_venues(&[&["--edge.linger_seconds", "0"], IMPATIENT].concat()).await;
    market.feed("binance", FeedState::Live).await;
    market.feed("kucoin", FeedState::Live).await;
    let mut client = Client::subscribed(&edge, &["BTC/USDT"]).await;
    let mut exact = Client::subscribed(&edge, &["binance:BTC/USDT"]).await;
    market.tick("binance:BTC/USDT", 10).await;
    assert_eq!(client.row().await.venue.as_deref(), Some("binance"));
    assert!(!exact.row().await.stale);

    // The other venue's newest row is older: it is told with the next version.
    market.last("kucoin:BTC/USDT", 9).await;
    market.feed("binance", FeedState::Stale).await;
    client.feed("binance", "stale").await;
    let row = client.row().await;
    assert_eq!((row.venue.as_deref(), row.v, row.stale, row.snapshot), (Some("kucoin"), 11, false, false));
    market.tick("binance:BTC/USDT", 11).await;
    let row = exact.row().await;
    assert_eq!((row.v, row.stale), (11, true));
    market.tick("kucoin:BTC/USDT", 20).await;
    let row = client.row().await;
    assert_eq!((row.venue.as_deref(), row.v, row.stale), (Some("kucoin"), 20, false));

    market.feed("binance", FeedState::Live).await;
    client.feed("binance", "live").await;
    // Back it goes to the newest row there.
    let row = client.row().await;
    assert_eq!((row.venue.as_deref(), row.v, row.stale), (Some("binance"), 21, false));
    market.tick("binance:BTC/USDT", 30).await;
    assert_eq!((client.row().await.v, exact.row().await.v), (30, 30));
    eventually("the other venue is left", async || market.subscriptions("kucoin:BTC/USDT").await == 0).await;
    for reason in ["stale", "back"] {
        assert_eq!(edge.metric("tickwire_edge_venue_moves_total", reason).await, 1.0, "{reason}");
    }
}

/// A venue that is not live for a moment only, and one that is live for a moment only, are no reason to move.
#[tokio::test]
async fn a_bare_name_does_not_flicker_with_its_venue() {
    let (market, edge) = two_venues(&["--edge.venue_leave_seconds", "60"]).await;
    market.feed("binance", FeedState::Live).await;
    market.feed("kucoin", FeedState::Live).await;
    let mut client = Client::subscribed(&edge, &["BTC/USDT"]).await;
    for turn in 1..=5 {
        market.feed("binance", FeedState::Stale).await;
        client.feed("binance", "stale").await;
        market.feed("binance", FeedState::Live).await;
        client.feed("binance", "live").await;
        market.tick("binance:BTC/USDT", 10 * turn).await;
        let row = client.row().await;
        assert_eq!((row.venue.as_deref(), row.v), (Some("binance"), 10 * turn));
    }
    assert_eq!(market.subscriptions("kucoin:BTC/USDT").await, 0);
    // From a venue that is down it goes at once; the way back needs its time, which is not over here.
    market.last("kucoin:BTC/USDT", 60).await;
    market.feed("binance", FeedState::Down).await;
    assert_eq!(client.row().await.venue.as_deref(), Some("kucoin"));
    market.feed("binance", FeedState::Live).await;
    client.feed("binance", "live").await;
    market.tick("kucoin:BTC/USDT", 70).await;
    assert_eq!(client.row().await.v, 70);
}

/// Two venues with clocks of their own, feeds that come and go, and clients that come at any moment.
#[tokio::test]
async fn whatever_feeds_do_versions_of_a_bare_name_grow() {
    /// Versions that one venue is behind the other.
    const BEHIND: u64 = 5_000;
    const LAST: u64 = 1_000_000;
    let (market, edge) = two_venues(IMPATIENT).await;
    let edge = Arc::new(edge);
    let mut clients = JoinSet::new();
    let mut v = BEHIND;
    for turn in 0..32 {
        // One is away for long enough and back for long enough, the other now and then for a moment.
        let away = if turn / 8 % 2 == 0 { FeedState::Down } else { FeedState::Stale };
        market.feed("binance", if turn % 8 < 4 { away } else { FeedState::Live }).await;
        market.feed("kucoin", if turn % 5 == 4 { away } else { FeedState::Live }).await;
        clients.spawn(read_growing(Arc::clone(&edge), LAST));
        let over = Instant::now() + Duration::from_millis(400);
        while Instant::now() < over {
            v += 1;
            market.tick("binance:BTC/USDT", v).await;
            market.tick("kucoin:BTC/USDT", v - BEHIND).await;
            tokio::task::yield_now().await;
        }
        market.write_last("binance:BTC/USDT", v).await;
        market.write_last("kucoin:BTC/USDT", v - BEHIND).await;
    }
    market.feed("kucoin", FeedState::Down).await;
    market.feed("binance", FeedState::Live).await;
    eventually("the name has been to and fro, and is where it belongs", async || {
        market.subscriptions("kucoin:BTC/USDT").await == 0
    })
    .await;
    assert!(edge.metric("tickwire_edge_venue_moves_total", "").await >= 4.0);
    assert!(v < LAST);
    market.tick("binance:BTC/USDT", LAST).await;
    let mut venues = BTreeSet::new();
    while let Some(seen) = clients.join_next().await {
        venues.extend(seen.unwrap());
    }
    assert_eq!(venues.len(), 2, "{venues:?}");
}

/// Reads rows of the name until the last; gives whose they were.
async fn read_growing(edge: Arc<Edge>, last: u64) -> BTreeSet<String> {
    let mut client = Client::subscribed(&edge, &["BTC/USDT"]).await;
    let (mut v, mut venues) = (0, BTreeSet::new());
    while v < last {
        let row = client.row().await;
        assert!(row.v > v, "{row:?} after {v}");
        v = row.v;
        venues.extend(row.venue);
    }
    venues
}

/// Another shard of the venue is no reason to move.
#[tokio::test]
async fn a_bare_name_looks_at_its_own_shard() {
    let (market, edge) = two_venues(IMPATIENT).await;
    let (own, shards) = (shard_of("BTC/USDT", 2), 2);
    for shard in 0..shards {
        market.shard("binance", shard, word(FeedState::Live, shards)).await;
    }
    market.feed("kucoin", FeedState::Live).await;
    market.last("binance:BTC/USDT", 10).await;
    market.last("kucoin:BTC/USDT", 12).await;
    let mut client = Client::subscribed(&edge, &["BTC/USDT"]).await;
    assert_eq!(client.row().await.venue.as_deref(), Some("binance"));
    market.shard("binance", 1 - own, word(FeedState::Down, shards)).await;
    client.feed("binance", "down").await;
    market.tick("binance:BTC/USDT", 11).await;
    let row = client.row().await;
    assert_eq!((row.venue.as_deref(), row.v, row.stale), (Some("binance"), 11, false));
    market.shard("binance", own, word(FeedState::Down, shards)).await;
    let row = client.row().await;
    assert_eq!((row.venue.as_deref(), row.v, row.stale), (Some("kucoin"), 12, false));
}

#[tokio::test]
async fn a_name_that_moves_tells_the_newest_row_of_where_it_goes() {
    let (market, edge) = two_venues(&[]).await;
    market.feed("binance", FeedState::Live).await;
    market.last("binance:BTC/USDT", 10).await;
    market.last("kucoin:BTC/USDT", 15).await;
    let mut client = Client::subscribed(&edge, &["BTC/USDT"]).await;
    assert_eq!(client.row().await.v, 10);
    market.feed("binance", FeedState::Down).await;
    let row = client.row().await;
    assert_eq!((row.v, row.venue.as_deref()), (15, Some("kucoin")));
}

#[tokio::test]
async fn a_venue_that_comes_later_can_take_over() {
    let market = Market::open().await;
    market.list("binance", &[("BTC/USDT", "BTCUSDT")]).await;
    let edge = Edge::start(&market.url(), &[]).await;
    edge.knows(1).await;
    let mut client = Client::subscribed(&edge, &["BTC/USDT"]).await;
    market.list("kucoin", &[("BTC/USDT", "BTC-USDT")]).await;
    edge.knows(2).await;
    market.last("kucoin:BTC/USDT", 5).await;
    market.feed("binance", FeedState::Down).await;
    let row = client.row().await;
    assert_eq!((row.v, row.venue.as_deref()), (5, Some("kucoin")));
}

#[tokio::test]
async fn before_the_catalogue_names_are_not_called_unknown() {
    let market = Market::open().await;
    let edge = Edge::start(&market.url(), &[]).await;
    let mut client = Client::connect(&edge).await;
    let reply = client.subscribe(&["BTC/USDT"]).await;
    assert_eq!((&reply["success"], &reply["error"]["code"]), (&json!(false), &json!("feed_down")), "{reply}");
    assert_eq!(reply["error"]["retry"], true);
    let ready = edge.admin("/readyz").await;
    assert!(ready.status == 503 && ready.body.contains("catalogue"), "{ready:?}");
    market.list("binance", &[("BTC/USDT", "BTCUSDT")]).await;
    edge.serves().await;
    assert_eq!(client.subscribe(&["BTC/USDT"]).await["success"], true);
}
