use super::*;
use crate::catalogue::testing::{Exchange, binance};
use crate::config::Filter;

fn listed(names: &[&str]) -> Symbols {
    Symbols::Listed(names.iter().map(|name| (*name).to_owned()).collect())
}

#[tokio::test]
async fn all_mistakes_of_all_venues_that_answer_are_one_message() {
    let (first, second) = (Exchange::start(&["BTC", "ETH"]).await, Exchange::start(&["BTC"]).await);
    let down = Exchange::start(&["BTC"]).await;
    down.refuses("503 Service Unavailable\r\n");
    let names = binance(listed(&["BTC/USDT", "ethusdt", "NOPE"]), &first.url);
    let mut filter = binance(Symbols::Demand, &second.url);
    filter.selection.filter = Filter { quotes: vec!["EUR".to_owned()], ..Filter::default() };
    let lost = binance(listed(&["NOPE"]), &down.url);
    let refused = check_start([(&names, &first.rest()), (&filter, &second.rest()), (&lost, &down.rest())])
        .await
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "venues.binance.symbols: ethusdt (did you mean ETH/USDT?), NOPE: not traded at binance now; correct or remove \
         the name\nvenues.binance.quote matches nothing that binance trades now; correct or remove it"
    );
}

#[tokio::test]
async fn what_cannot_be_wrong_is_not_asked() {
    let exchange = Exchange::start(&["BTC"]).await;
    let mut from_file = binance(listed(&[]), &exchange.url);
    from_file.selection.file = Some("list".into());
    for config in [binance(Symbols::All, &exchange.url), binance(Symbols::Demand, &exchange.url), from_file] {
        assert_eq!(check_start([(&config, &exchange.rest())]).await, Ok(()));
    }
    assert_eq!(exchange.asked().len(), 0);
    let right = binance(listed(&["BTCUSDT"]), &exchange.url);
    assert_eq!(check_start([(&right, &exchange.rest())]).await, Ok(()));
    assert_eq!(exchange.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_venue_that_is_silent_does_not_hold_the_others() {
    // Takes connections into its queue and answers none.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _tls = Exchange::start(&[]).await;
    let url = format!("http://{}", silent.local_addr().unwrap());
    let config = binance(listed(&["NOPE"]), &url);
    let rest = Rest::new(&url).unwrap();
    let begin = tokio::time::Instant::now();
    assert_eq!(check_start([(&config, &rest)]).await, Ok(()));
    assert!(begin.elapsed() <= PATIENCE + Duration::from_secs(1), "{:?}", begin.elapsed());
}
