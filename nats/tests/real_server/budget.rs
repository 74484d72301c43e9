//! Budgets: the server itself refuses what is too much, in any stretch of a window's length.

use std::time::Duration;

use futures_util::future::join_all;
use tickwire_nats::LinkError;
use tickwire_nats::budget::{Budget, BudgetError};
use tickwire_nats::setup::SetupError;
use tokio::time::{Instant, timeout};

use crate::{PATIENCE, connect, down, server, up};

const COUNT: u32 = 5;
/// So long that a loaded machine takes all tokens within it.
const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn of_many_processes_only_as_many_get_a_token_as_there_are() {
    let server = server().await;
    let links = join_all((0..4).map(|_| connect_to(&server))).await;
    let ensured = links.iter().map(|nats| Budget::ensure(nats, "kucoin", COUNT, LONG, 1));
    let budgets: Vec<Budget> = join_all(ensured).await.into_iter().map(Result::unwrap).collect();
    let taken = join_all(budgets.iter().flat_map(|budget| (0..10).map(|_| budget.take("shared")))).await;
    let got = taken.iter().filter(|token| token.is_ok()).count();
    let spent = taken.iter().filter(|token| **token == Err(BudgetError::Spent)).count();
    assert_eq!((got, spent), (COUNT as usize, 35), "{taken:?}");
    assert_eq!(budgets[0].take("10.0.0.2").await, Ok(()), "another address has its own");
    let other = Budget::ensure(&links[0], "binance-usdm", 1, LONG, 1).await.unwrap();
    assert_eq!(other.take("shared").await, Ok(()), "and so has another venue");
    assert_eq!(other.take("shared").await, Err(BudgetError::Spent));
}

async fn connect_to(server: &tickwire_nats::testing::NatsServer) -> tickwire_nats::Nats {
    connect(&server.config()).await
}

/// When each token was given, out of a budget that is asked again and again.
async fn tokens(budget: &Budget, count: usize) -> Vec<(Instant, Instant)> {
    let mut given = Vec::new();
    while given.len() < count {
        let asked = Instant::now();
        match budget.take("shared").await {
            Ok(()) => given.push((asked, Instant::now())),
            Err(BudgetError::Spent) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
    given
}

#[tokio::test]
async fn a_token_comes_back_when_its_window_has_passed_and_not_before() {
    let server = server().await;
    let nats = connect(&server.config()).await;
    let window = Duration::from_millis(700);
    let budget = Budget::ensure(&nats, "kucoin", COUNT, window, 1).await.unwrap();
    let given = timeout(PATIENCE, tokens(&budget, 3 * COUNT as usize)).await.expect("given in time");
    for pair in given.windows(COUNT as usize + 1) {
        // From the earliest moment of the first to the latest of the one that is too much for its window.
        let (first, last) = (pair[0].0, pair[COUNT as usize].1);
        assert!(last - first >= window, "{COUNT} + 1 tokens within {:?}", last - first);
    }
}

#[tokio::test]
async fn what_differs_is_named_with_what_to_do() {
    let server = server().await;
    let nats = connect(&server.config()).await;
    Budget::ensure(&nats, "kucoin", COUNT, LONG, 1).await.unwrap();
    for (count, window, wanted) in [(COUNT + 1, LONG, "max_msgs_per_subject"), (COUNT, 2 * LONG, "max_age")] {
        let error = Budget::ensure(&nats, "kucoin", count, window, 1).await.unwrap_err();
        assert!(matches!(&error, SetupError::Mismatch { field, .. } if field == wanted), "{error}");
        assert!(error.to_string().contains("nats stream rm MD_BUDGET_kucoin"), "{error}");
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn what_a_restart_lost_is_told_and_made_again() {
    let mut server = server().await;
    let nats = connect(&server.config()).await;
    let budget = Budget::ensure(&nats, "kucoin", 1, LONG, 1).await.unwrap();
    budget.take("shared").await.unwrap();
    server.stop();
    down(&nats).await;
    assert_eq!(budget.take("shared").await, Err(BudgetError::Link(LinkError::Disconnected)));
    server.restart().await.unwrap();
    up(&nats).await;
    assert_eq!(budget.take("shared").await, Err(BudgetError::Missing));
    let budget = Budget::ensure(&nats, "kucoin", 1, LONG, 1).await.unwrap();
    budget.take("shared").await.unwrap();
}
