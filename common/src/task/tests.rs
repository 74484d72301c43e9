use std::future::{pending, ready};

use tokio::time::{Instant, sleep};

use super::*;

const GRACE: Duration = Duration::from_secs(10);

async fn serve_until(token: CancellationToken, drain: Duration) -> anyhow::Result<()> {
    token.cancelled().await;
    sleep(drain).await;
    Ok(())
}

fn failure_of(verdict: &Verdict) -> String {
    verdict.failure.as_ref().unwrap().to_string()
}

#[tokio::test(start_paused = true)]
async fn drains_cleanly_and_no_longer_than_the_slowest_task() {
    let tasks = Tasks::new();
    tasks.spawn("fast", serve_until(tasks.token(), Duration::from_secs(1)));
    tasks.spawn("slow", serve_until(tasks.token(), Duration::from_secs(4)));
    let started = Instant::now();

    let verdict = tasks.run_until_shutdown(sleep(Duration::from_secs(100)), GRACE).await;

    assert_eq!(verdict, Verdict { failure: None, unfinished: vec![] });
    assert_eq!(verdict.status(), 0);
    assert_eq!(started.elapsed(), Duration::from_secs(104));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_ends_takes_the_others_down() {
    let tasks = Tasks::new();
    tasks.spawn("catalogue", serve_until(tasks.token(), Duration::ZERO));
    tasks.spawn("feed", ready(Ok(())));

    let verdict = tasks.run_until_shutdown(pending(), GRACE).await;

    assert_eq!(failure_of(&verdict), "task feed ended although nobody asked it to");
    assert_eq!((verdict.unfinished.len(), verdict.status()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn an_error_is_told_with_its_causes() {
    let tasks = Tasks::new();
    let error = anyhow::anyhow!("connection refused").context("publish a row");
    tasks.spawn_last("admin", serve_until(tasks.last_token(), Duration::ZERO));
    tasks.spawn("publisher", ready(Err(error)));

    let verdict = tasks.run_until_shutdown(pending(), GRACE).await;

    assert_eq!(failure_of(&verdict), "task publisher failed: publish a row: connection refused");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_with_a_name() {
    let tasks = Tasks::new();
    tasks.spawn("driver", async { panic!("made to") });

    let verdict = tasks.run_until_shutdown(pending(), GRACE).await;

    assert_eq!(failure_of(&verdict), "task driver panicked");
}

#[tokio::test(start_paused = true)]
async fn a_failure_while_draining_counts_too() {
    let tasks = Tasks::new();
    let token = tasks.token();
    tasks.spawn("flush", async move {
        token.cancelled().await;
        anyhow::bail!("broker gone")
    });

    let verdict = tasks.run_until_shutdown(ready(()), GRACE).await;

    assert_eq!(failure_of(&verdict), "task flush failed: broker gone");
}

/// Sets its flag when it is dropped: proof that an aborted future is gone.
struct Dropped(CancellationToken);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[tokio::test(start_paused = true)]
async fn names_and_aborts_what_exceeds_the_grace() {
    let tasks = Tasks::new();
    let gone = CancellationToken::new();
    let witness = Dropped(gone.clone());
    tasks.spawn("punctual", serve_until(tasks.token(), Duration::from_secs(9)));
    tasks.spawn("stuck", async move {
        let _witness = witness;
        pending().await
    });
    let started = Instant::now();

    let verdict = tasks.run_until_shutdown(ready(()), GRACE).await;

    assert_eq!(verdict, Verdict { failure: None, unfinished: vec!["stuck".to_owned()] });
    assert_eq!((started.elapsed(), verdict.status()), (GRACE, 1));
    gone.cancelled().await;
}

#[tokio::test(start_paused = true)]
async fn the_last_ones_end_after_everybody_else() {
    let tasks = Tasks::new();
    let asked = tasks.token();
    let last = tasks.last_token();
    let still_up = last.clone();
    tasks.spawn("clients", async move {
        asked.cancelled().await;
        sleep(Duration::from_secs(3)).await;
        anyhow::ensure!(!still_up.is_cancelled(), "the admin port left before the clients");
        Ok(())
    });
    tasks.spawn_last("admin", serve_until(last.clone(), Duration::ZERO));

    let verdict = tasks.run_until_shutdown(ready(()), GRACE).await;

    assert_eq!(verdict.failure, None);
    assert!(last.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn jobs_may_end_but_not_fail() {
    let tasks = Tasks::new();
    let spawner = tasks.spawner();
    tasks.spawn("parent", async move {
        spawner.spawn_job("refresh", ready(Ok(())));
        sleep(Duration::from_secs(60)).await;
        spawner.spawn_job("reload", ready(Err(anyhow::anyhow!("bad file"))));
        serve_until(spawner.token(), Duration::ZERO).await
    });
    let started = Instant::now();

    let verdict = tasks.run_until_shutdown(pending(), GRACE).await;

    assert_eq!(failure_of(&verdict), "task reload failed: bad file");
    assert_eq!(started.elapsed(), Duration::from_secs(60));
}

#[tokio::test]
async fn threads_are_supervised_like_tasks() {
    let tasks = Tasks::new();
    tasks.spawner().spawn_thread("worker-0", || anyhow::bail!("poll failed")).unwrap();

    let verdict = tasks.run_until_shutdown(pending(), GRACE).await;

    assert_eq!(failure_of(&verdict), "task worker-0 failed: poll failed");
}

#[tokio::test]
async fn a_panicking_thread_is_a_failure() {
    let tasks = Tasks::new();
    tasks.spawner().spawn_thread("worker-1", || panic!("made to")).unwrap();

    let verdict = tasks.run_until_shutdown(pending(), GRACE).await;

    assert_eq!(failure_of(&verdict), "task worker-1 panicked");
}

/// The handler is in place before the future is polled: without it this signal would end the test process.
#[tokio::test]
async fn a_signal_asks_for_shutdown() {
    let shutdown = shutdown_signal().unwrap();
    let tasks = Tasks::new();
    tasks.spawn("feed", serve_until(tasks.token(), Duration::ZERO));
    let pid = std::process::id().to_string();
    let sent = std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert!(sent.success());

    let verdict = tasks.run_until_shutdown(shutdown, GRACE).await;

    assert_eq!(verdict.status(), 0);
}

#[test]
fn a_drop_half_way_is_a_failure_only_where_nobody_wanted_the_end() {
    assert_eq!(failure(None, true), None);
    assert_eq!(failure(None, false).as_deref(), Some("was dropped before its end"));
}
