//! What is done to the fleet. Each event begins with everything carried and clients connected, and ends with everything
//! carried again.

use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::time::{Instant, sleep, sleep_until};

use crate::args::Event;
use crate::http;
use crate::report::Outcome;
use crate::run::{LIVELY, RECOVERY, Stage};

/// Longer than a lease of 2 s and everybody's margins.
const FREEZE: Duration = Duration::from_secs(6);
/// How long NATS is away.
const AWAY: Duration = Duration::from_secs(2);
/// How often is looked whether something has come.
const LOOK: Duration = Duration::from_millis(100);
/// Work counts as even when the busiest ingestor has at most so much more than the least busy, in percent of a fair
/// share: twice the tenth that each may be away from it.
const EVEN_PERCENT: u64 = 20;

/// Lets an event happen, and waits until the fleet is whole again.
///
/// # Errors
/// What did not come about.
pub(crate) async fn happen(stage: &mut Stage<'_>, event: Event, outcome: &mut Outcome) -> anyhow::Result<()> {
    match event {
        Event::Undisturbed | Event::Start => undisturbed(stage, outcome).await,
        Event::Drain => drain(stage, 0, outcome).await,
        Event::Kill => kill(stage, outcome).await,
        Event::Freeze => freeze(stage, outcome).await,
        Event::Partition => partition(stage, outcome).await,
        Event::Nats => nats(stage, false, outcome).await,
        Event::NatsBare => nats(stage, true, outcome).await,
        Event::Cut => cut(stage, outcome).await,
        Event::Silent => silent(stage, outcome).await,
        Event::Listing => listing(stage, outcome).await,
        Event::Rolling => rolling(stage, outcome).await,
        Event::Lifetime => lifetime(stage, outcome).await,
    }
}

async fn undisturbed(stage: &mut Stage<'_>, outcome: &mut Outcome) -> anyhow::Result<()> {
    outcome.note("all live after", stage.fleet.started_in);
    sleep(stage.args.look()).await;
    stage.recovered().await
}

/// An ingestor is asked to end, and another takes its place: two planned hand-overs.
async fn drain(stage: &mut Stage<'_>, number: usize, outcome: &mut Outcome) -> anyhow::Result<()> {
    let begun = Instant::now();
    let ingestor = stage.fleet.ingestors.get_mut(number).context("no such ingestor")?;
    ingestor.signal("TERM").await?;
    ingestor.ended_well().await?;
    outcome.note("ended after", begun.elapsed());
    if stage.fleet.ingestors.len() > 1 {
        stage.recovered().await?;
    }
    start_again(stage, number, outcome).await
}

async fn start_again(stage: &mut Stage<'_>, number: usize, outcome: &mut Outcome) -> anyhow::Result<()> {
    let begun = Instant::now();
    let ingestor = stage.fleet.ingestors.get_mut(number).context("no such ingestor")?;
    *ingestor = ingestor.launch.start()?;
    ingestor.ready().await?;
    even(stage).await?;
    outcome.note("even after", begun.elapsed());
    stage.recovered().await
}

/// Waits until every ingestor carries its share.
async fn even(stage: &Stage<'_>) -> anyhow::Result<()> {
    let deadline = Instant::now() + RECOVERY;
    loop {
        let carried = stage.fleet.ingestor_metric("tickwire_ingest_symbols").await;
        let fair = carried.iter().sum::<u64>() / (carried.len() as u64).max(1);
        let [least, most] =
            [carried.iter().min(), carried.iter().max()].map(|n| n.copied().unwrap_or_default());
        if fair > 0 && (most - least) * 100 <= fair * EVEN_PERCENT {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the work is not even: {carried:?} symbols");
        sleep(LOOK).await;
    }
}

/// Kills one ingestor after the other; each time the longest that a symbol was without a tick is the take-over.
async fn kill(stage: &mut Stage<'_>, outcome: &mut Outcome) -> anyhow::Result<()> {
    for run in 0..stage.args.kills() {
        sleep(stage.args.calm()).await;
        let number = run % stage.fleet.ingestors.len().max(1);
        stage.watcher.seen().mark_gaps();
        stage.fleet.ingestors.get_mut(number).context("no ingestor")?.kill().await?;
        if stage.fleet.ingestors.len() == 1 {
            start_again(stage, number, outcome).await?;
        }
        stage.recovered().await?;
        let ticks = stage.watcher.seen().ticks();
        outcome.take_overs.push(ticks.worst_symbol.us);
        eprintln!("  take-over {} of {}: {} ms", run + 1, stage.args.kills(), ticks.worst_symbol.us / 1_000);
        if stage.fleet.ingestors.len() > 1 {
            start_again(stage, number, outcome).await?;
        }
    }
    Ok(())
}

/// An ingestor stands still past its lease; when it goes on, others have what it had.
async fn freeze(stage: &mut Stage<'_>, outcome: &mut Outcome) -> anyhow::Result<()> {
    let begun = Instant::now();
    stage.watcher.seen().mark_gaps();
    stage.fleet.ingestors.first().context("no ingestor")?.signal("STOP").await?;
    taken_over(stage, outcome).await?;
    sleep_until(begun + FREEZE).await;
    stage.fleet.ingestors.first().context("no ingestor")?.signal("CONT").await?;
    whole_again(stage).await
}

/// An ingestor's way to NATS stands still past its lease, and then lets everything through that was on it.
async fn partition(stage: &mut Stage<'_>, outcome: &mut Outcome) -> anyhow::Result<()> {
    let begun = Instant::now();
    stage.watcher.seen().mark_gaps();
    stage.fleet.proxy.cut();
    let taken_over = taken_over(stage, outcome).await;
    sleep_until(begun + FREEZE).await;
    stage.fleet.proxy.heal();
    taken_over?;
    whole_again(stage).await
}

/// Waits until others carry what one has lost; a fleet of one has no others.
async fn taken_over(stage: &Stage<'_>, outcome: &mut Outcome) -> anyhow::Result<()> {
    if stage.fleet.ingestors.len() > 1 {
        stage.recovered().await?;
        outcome.take_overs.push(stage.watcher.seen().ticks().worst_symbol.us);
    }
    Ok(())
}

async fn whole_again(stage: &Stage<'_>) -> anyhow::Result<()> {
    stage.recovered().await?;
    even(stage).await?;
    stage.recovered().await
}

async fn nats(stage: &mut Stage<'_>, bare: bool, outcome: &mut Outcome) -> anyhow::Result<()> {
    stage.fleet.nats.stop();
    if bare {
        std::fs::remove_dir_all(stage.fleet.nats.folder().join("store"))
            .context("empty the store of NATS")?;
    }
    sleep(AWAY).await;
    stage.fleet.nats.restart().await?;
    let begun = Instant::now();
    let own = stage.fleet.own().await?;
    stage.watcher.store_filled(&own, RECOVERY).await?;
    outcome.note("every last value stored after", begun.elapsed());
    stage.recovered().await?;
    for process in stage.fleet.ingestors.iter().chain(&stage.fleet.edges) {
        http::get(&process.admin("/readyz")).await?;
    }
    Ok(())
}

async fn cut(stage: &mut Stage<'_>, outcome: &mut Outcome) -> anyhow::Result<()> {
    let cut = stage.fleet.control("cut").await?;
    outcome.notes.push(format!("{} sockets", cut["cut"]));
    stage.recovered().await
}

/// One symbol of each venue is granted and stays silent, until it is asked for again: somebody has to find that out.
async fn silent(stage: &mut Stage<'_>, outcome: &mut Outcome) -> anyhow::Result<()> {
    // With the streams that we subscribe to for a symbol: all of them are to be silent, or the one that speaks hides them.
    let venues = [("binance", 3), ("kucoin", 2)];
    for (venue, _) in venues {
        stage.fleet.control(&format!("mute?venue={venue}&symbol=ETH/USDT")).await?;
    }
    stage.fleet.control("cut").await?;
    let deadline = Instant::now() + RECOVERY;
    loop {
        let stats = stage.fleet.stats().await?;
        if venues.iter().all(|(venue, streams)| stats[venue]["streams_muted"].as_u64() >= Some(*streams)) {
            break;
        }
        ensure!(Instant::now() < deadline, "nobody subscribes again after the cut");
        sleep(LOOK).await;
    }
    for (venue, _) in venues {
        stage.fleet.control(&format!("unmute?venue={venue}&symbol=ETH/USDT")).await?;
    }
    let begun = Instant::now();
    stage.recovered().await.context("a granted but silent stream")?;
    outcome.note("the silent ones tick after", begun.elapsed().saturating_sub(LIVELY));
    // A symbol has several streams: statistics alone make it tick, and leave out its moves.
    stage.watcher.seen().mark();
    sleep(stage.args.look()).await;
    stage.recovered().await
}

/// Of each venue two symbols go, and two come.
async fn listing(stage: &mut Stage<'_>, outcome: &mut Outcome) -> anyhow::Result<()> {
    let before = stage.fleet.own().await?;
    for venue in ["binance", "kucoin"] {
        let of = before.symbols.keys().filter_map(|topic| topic.strip_prefix(venue)?.strip_prefix(':'));
        for symbol in of.rev().take(2) {
            stage.fleet.control(&format!("delist?venue={venue}&symbol={symbol}")).await?;
        }
        let reserve = ["SIM", "SIM"].iter().zip(first_reserve(&before, venue)..);
        for (name, number) in reserve {
            stage.fleet.control(&format!("list?venue={venue}&symbol={name}{number:04}/USDT")).await?;
        }
    }
    let after = stage.fleet.own().await?;
    ensure!(after.symbols.len() == before.symbols.len(), "the exchange lists another number of symbols");
    stage.watcher.seen().learn(&after);
    let begun = Instant::now();
    stage.recovered().await.context("the new ones")?;
    outcome.note("new ones tick after", begun.elapsed());
    // A symbol's streams are subscribed one after the other, and statistics come every other second.
    sleep(stage.args.look()).await;
    gone(stage, &before, &after).await
}

/// The number of the first made-up symbol that is not listed. Listed are those up to some number, and nothing else.
fn first_reserve(own: &tickwire_loadtest::watch::Own, venue: &str) -> u32 {
    let number = |topic: &String| {
        topic.strip_prefix(venue)?.strip_prefix(":SIM")?.strip_suffix("/USDT")?.parse::<u32>().ok()
    };
    own.symbols.keys().filter_map(number).max().map_or(1, |last| last + 1)
}

/// Waits until no edge lists what was delisted.
async fn gone(
    stage: &Stage<'_>,
    before: &tickwire_loadtest::watch::Own,
    after: &tickwire_loadtest::watch::Own,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + RECOVERY;
    let delisted: Vec<&String> =
        before.symbols.keys().filter(|topic| !after.symbols.contains_key(*topic)).collect();
    for edge in &stage.fleet.edges {
        loop {
            let listed = http::get(&edge.url("/v1/symbols")).await?;
            let left = delisted.iter().find(|topic| listed.contains(&format!("\"{topic}\"")));
            let Some(left) = left else { break };
            ensure!(Instant::now() < deadline, "{} still lists {left}", edge.launch.name);
            sleep(LOOK).await;
        }
    }
    Ok(())
}

/// As in an upgrade: every process of ours ends and comes back, one after the other.
async fn rolling(stage: &mut Stage<'_>, outcome: &mut Outcome) -> anyhow::Result<()> {
    for number in 0..stage.fleet.ingestors.len() {
        sleep(stage.args.calm()).await;
        drain(stage, number, outcome).await?;
    }
    for edge in &mut stage.fleet.edges {
        edge.signal("TERM").await?;
        edge.ended_well().await?;
        let urls = edge.urls.clone();
        *edge = edge.launch.start()?;
        edge.ready().await?;
        ensure!(urls.first() == edge.urls.first(), "{} came back elsewhere", edge.launch.name);
    }
    stage.recovered().await
}

/// Long enough for every socket to reach its end twice.
async fn lifetime(stage: &mut Stage<'_>, outcome: &mut Outcome) -> anyhow::Result<()> {
    let opened = async |stage: &Stage<'_>| -> anyhow::Result<u64> {
        let stats = stage.fleet.stats().await?;
        let venues = stats.as_object().into_iter().flatten();
        Ok(venues.filter_map(|(_, stats)| stats["sockets_opened"].as_u64()).sum())
    };
    let before = opened(stage).await?;
    sleep(Duration::from_secs(stage.args.lifetime() * 2)).await;
    outcome.notes.push(format!("{} sockets replaced", opened(stage).await? - before));
    stage.recovered().await
}
