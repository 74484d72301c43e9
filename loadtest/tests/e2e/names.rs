//! Names without a venue, and by the venue's own key.

use crate::client::{Client, Row};
use crate::http;
use crate::stack::{Setup, Stack};

const BARE: &str = "BTC/USDT";
const BINANCE: &str = "binance:BTC/USDT";

/// Reads until a venue serves the bare name, then two more of its rows.
async fn served_by(client: &mut Client, venue: &str) {
    let named = format!("{venue:?}");
    let is_of = |row: &Row| row.fields["venue"] == named;
    while !is_of(&client.row_of(BARE).await) {}
    for _ in 0..2 {
        let row = client.row_of(BARE).await;
        assert!(is_of(&row), "{row:?}");
    }
}

/// A name moves to the venue that has prices, and back when the better one has been there for a while. That its `v` only
/// grows is checked by the client.
#[tokio::test]
async fn a_bare_name_is_served_by_whoever_has_prices() {
    let setup = Setup {
        exchange: "--symbols 2 --rate 10",
        symbols: "BTC/USDT,ETH/USDT",
        ingestor: "--venues.binance.stale_after_seconds 2",
        edge: "--edge.venue_order binance,kucoin --edge.venue_leave_seconds 1 --edge.venue_return_seconds 2",
    };
    let stack = Stack::start(setup).await;
    let mut client = stack.client().await;
    client.feed("binance", "live").await;
    client.feed("kucoin", "live").await;
    client.subscribe(&[BARE, BINANCE]).await;
    served_by(&mut client, "binance").await;
    http::post(&stack.exchange.admin("/control/quiesce?venue=binance")).await;
    client.feed("binance", "stale").await;
    assert_eq!(client.feeds["kucoin"], "live");
    served_by(&mut client, "kucoin").await;
    let shown = client.newest[BINANCE];
    http::post(&stack.exchange.admin("/control/resume?venue=binance")).await;
    client.feed("binance", "live").await;
    served_by(&mut client, "binance").await;
    assert!(client.newest[BINANCE] > shown, "who named the venue stayed with it");
}

/// Rows come under the name that was asked for, each as a subscription of its own.
#[tokio::test]
async fn the_venues_own_keys_are_names() {
    let setup = Setup { exchange: "--symbols 2 --rate 10", symbols: "all", ..Setup::default() };
    let stack = Stack::start(setup).await;
    let mut client = stack.client().await;
    let names = ["binance:BTCUSDT", "ETHUSDT", "kucoin:BTC-USDT"];
    client.subscribe(&names).await;
    for name in names {
        let first = client.row_of(name).await;
        let venue = first.fields.get("venue").map(String::as_str);
        assert_eq!(venue, (!name.contains(':')).then_some("\"binance\""), "{first:?}");
        assert!(client.row_of(name).await.v > first.v);
    }
}
