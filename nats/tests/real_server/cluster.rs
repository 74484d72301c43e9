//! Three servers that hold everything three times: the same promises, also while one of them is away.

use futures_util::future::join_all;
use tickwire_nats::budget::{Budget, BudgetError};
use tickwire_nats::leases::{CasError, Entry, Expect, Leases};
use tickwire_nats::setup::{LEASES_BUCKET, SetupError, ensure_bucket};
use tickwire_nats::testing::{NatsServer, free_port};
use tickwire_nats::{ApiError, Bytes, LinkError, Nats};
use tokio::time::timeout;

use crate::{PATIENCE, connect};

const SERVERS: usize = 3;

async fn cluster() -> Vec<NatsServer> {
    let ports: Vec<u16> = (0..SERVERS).map(|_| free_port().unwrap()).collect();
    let routes: Vec<String> = ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
    let start = |(n, port): (usize, &u16)| {
        let config = format!(
            "server_name: n{n}\njetstream {{ store_dir: \"$FOLDER/store\" }}\ncluster {{ name: test, listen: \
             \"127.0.0.1:{port}\", no_advertise: true, routes: [ {} ] }}\n",
            routes.join(", "),
        );
        async move { NatsServer::start_in(NatsServer::new_folder().unwrap(), &config, &[]).await.unwrap() }
    };
    join_all(ports.iter().enumerate().map(start)).await
}

/// Ensures until the cluster has found its leaders.
async fn ensured<T>(mut ensure: impl AsyncFnMut() -> Result<T, SetupError>) -> T {
    let made = async {
        loop {
            match ensure().await {
                Ok(made) => return made,
                // Nobody leads yet: the API is not there, silent, or says so.
                Err(SetupError::Api { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    timeout(PATIENCE, made).await.expect("made in time")
}

/// Writes as an owner does: on while in doubt, and what is its own after all is its own.
async fn renew(leases: &Leases, key: &str, value: &Bytes, mut revision: u64) -> u64 {
    loop {
        match leases.put(key, value.clone(), Expect::Revision(revision)).await {
            Ok(renewed) => return renewed,
            Err(CasError::Conflict) => {
                let all = leases.read_all().await.unwrap_or_default();
                let own = all.into_iter().find(|entry| entry.key == key && entry.value == value);
                revision = own.map_or(revision, |entry| entry.revision);
            }
            Err(CasError::Missing | CasError::Link(LinkError::TimedOut) | CasError::Refused(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

async fn reads(leases: &Leases, expected: &[Entry]) {
    // A replica may be behind for a moment, or nobody may lead.
    let read = async {
        loop {
            match leases.read_all().await {
                Ok(all) if all == expected => return,
                Ok(_) | Err(ApiError::Unavailable(_) | ApiError::Link(LinkError::TimedOut)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    timeout(PATIENCE, read).await.expect("read in time");
}

async fn links(servers: &[NatsServer]) -> Vec<Nats> {
    join_all(servers.iter().map(|server| async { connect(&server.config()).await })).await
}

/// What one of three contenders wrote, round after round.
async fn contend(leases: &[Leases], rounds: u32) -> Entry {
    let (key, mut known, mut owner) = ("shard.x.0", Expect::Absent, None);
    for round in 0..rounds {
        let value = |n: usize| Bytes::from(format!("{round}.{n}"));
        let attempts = leases.iter().enumerate().map(|(n, leases)| leases.put(key, value(n), known));
        let outcomes = join_all(attempts).await;
        let won: Vec<usize> = (0..leases.len()).filter(|n| outcomes[*n].is_ok()).collect();
        assert_eq!(won.len(), 1, "{outcomes:?}");
        let revision = *outcomes[won[0]].as_ref().unwrap();
        known = Expect::Revision(revision);
        owner = Some(Entry { key: key.to_owned(), revision, value: value(won[0]) });
    }
    owner.unwrap()
}

#[tokio::test]
async fn a_lease_has_one_owner_also_while_a_server_is_away() {
    let mut servers = cluster().await;
    let links = links(&servers).await;
    let made = ensured(async || match ensure_bucket(&links[0], LEASES_BUCKET, 3).await {
        Err(error @ SetupError::TooOld { .. }) => Ok(Err(error)),
        made => made.map(Ok),
    });
    if let Err(error) = made.await {
        let text = error.to_string();
        assert!(text.contains("before 2.10.19 it lets two writers win at once"), "{text}");
        assert!(text.contains("nats-server 2.9.") && !error.is_transient(), "{text}");
        return;
    }
    let leases: Vec<Leases> = links.iter().map(Leases::new).collect();
    let owner = contend(&leases, 10).await;
    for leases in &leases {
        reads(leases, std::slice::from_ref(&owner)).await;
    }
    servers[0].stop();
    let renewed = renew(&leases[1], &owner.key, &owner.value, owner.revision);
    let revision = timeout(PATIENCE, renewed).await.expect("renewed in time");
    let late = leases[2].put(&owner.key, Bytes::new(), Expect::Revision(owner.revision)).await;
    assert_eq!(late, Err(CasError::Conflict));
    reads(&leases[2], &[Entry { revision, ..owner }]).await;
}

#[tokio::test]
async fn a_budget_gives_no_token_too_many_also_while_a_server_is_away() {
    let mut servers = cluster().await;
    let links = links(&servers).await;
    let window = std::time::Duration::from_secs(600);
    let budgets: Vec<Budget> =
        join_all(links.iter().map(|nats| ensured(|| Budget::ensure(nats, "kucoin", 5, window, 3)))).await;
    let taken = join_all(budgets.iter().flat_map(|budget| (0..10).map(|_| budget.take("shared")))).await;
    assert_eq!(taken.iter().filter(|token| token.is_ok()).count(), 5, "{taken:?}");
    assert!(taken.iter().all(|token| matches!(token, Ok(()) | Err(BudgetError::Spent))), "{taken:?}");
    servers[0].stop();
    let refused = async {
        loop {
            match budgets[2].take("shared").await {
                Err(BudgetError::Spent) => return,
                Ok(()) => panic!("a token too many"),
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    timeout(PATIENCE, refused).await.expect("refused in time");
}
