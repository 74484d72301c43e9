use tickwire_common::task::Tasks;
use tickwire_nats::testing::NatsServer;
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn symbols(names: &[&str]) -> Vec<Symbol> {
    names.iter().map(|name| Symbol::new(name).unwrap()).collect()
}

async fn changed(changes: &mut watch::Receiver<u64>) {
    timeout(PATIENCE, changes.changed()).await.expect("nothing changed").unwrap();
}

/// Says the same until it is heard: a listener begins at a moment of its own.
async fn say_until_heard(wants: &Wants, names: &[&str], changes: &mut watch::Receiver<u64>) {
    let saying = async {
        loop {
            let _away = wants.say("binance", &symbols(names)).await;
            if timeout(Duration::from_millis(50), changes.changed()).await.is_ok() {
                return;
            }
        }
    };
    timeout(PATIENCE, saying).await.expect("nothing was heard");
}

#[tokio::test(flavor = "multi_thread")]
async fn wants_are_heard_and_outlive_an_outage() {
    let mut server = NatsServer::start().await.unwrap();
    let nats = Nats::connect(&server.config(), "test").await.unwrap();
    let demand = std::sync::Arc::new(Demand::new("binance", 1, Duration::from_secs(3_600)));
    let (tasks, mut changes) = (Tasks::new(), demand.changes());
    let (running, link, token) = (std::sync::Arc::clone(&demand), nats.clone(), tasks.token());
    tasks.spawn("demand", async move { Ok(running.run(&link, token).await?) });

    let wants = Wants::new(&nats);
    say_until_heard(&wants, &["BTC/USDT"], &mut changes).await;
    assert_eq!(demand.wanted(0), symbols(&["BTC/USDT"]));

    server.restart().await.unwrap();
    say_until_heard(&wants, &["ETH/USDT"], &mut changes).await;
    assert_eq!(demand.export(0), ["BTC/USDT", "ETH/USDT"]);

    let verdict = tasks.run_until_shutdown(std::future::ready(()), PATIENCE).await;
    assert_eq!(verdict.status(), 0, "{verdict:?}");
}

#[tokio::test]
async fn what_the_owner_before_us_knew_is_wanted_and_changes_are_told() {
    let demand = Demand::new("binance", 1, Duration::ZERO);
    let mut changes = demand.changes();
    demand.import(&["BTC/USDT".to_owned(), "no symbol".to_owned()]);
    changed(&mut changes).await;
    assert_eq!(demand.wanted(0), symbols(&["BTC/USDT"]));
    demand.import(&["BTC/USDT".to_owned()]);
    assert!(!changes.has_changed().unwrap(), "a repeat is no change");
}
