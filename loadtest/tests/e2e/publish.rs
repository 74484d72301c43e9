//! `tickwire-loadtest clients --publish`: edge and NATS measured without an ingestor, clients held against the store,
//! and nothing left behind, however the run ends.

use std::process::Stdio;

use serde_json::Value;
use tickwire_nats::testing::NatsServer;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::PATIENCE;
use crate::http;
use crate::process::{Program, Scratch, command};
use crate::stack::edge_words;

/// A nats-server with nothing in it, and an edge at it.
struct World {
    edge: Program,
    nats: NatsServer,
    scratch: Scratch,
}

impl World {
    async fn start() -> Self {
        let scratch = Scratch::new();
        let nats = NatsServer::start().await.unwrap();
        let mut edge = Program::spawn("tickwire-edge", &edge_words(&nats, ""), &scratch);
        edge.ready().await;
        Self { edge, nats, scratch }
    }

    /// The load test at this edge, not yet started.
    fn clients(&self, words: &str) -> Command {
        let stream = self.edge.urls[0].replace("http://", "ws://");
        let words = format!("clients --url {stream}/v1/stream --nats {} {words}", self.nats.url());
        command("tickwire-loadtest", &words.split_whitespace().collect::<Vec<_>>())
    }

    /// Exit status and what was said.
    async fn run(&self, words: &str) -> (Option<i32>, String) {
        let output = timeout(PATIENCE, self.clients(words).output()).await.expect("it ends").unwrap();
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).join("\n");
        (output.status.code(), said)
    }

    /// Waits until the edge has followed: the catalogue has no made-up symbol any more.
    async fn lists_nothing(&self) {
        let symbols = format!("{}/v1/symbols", self.edge.urls[0]);
        http::until("the made-up symbols are gone", async || !http::get(&symbols).await.1.contains("bench:"))
            .await;
    }
}

#[tokio::test]
async fn a_run_with_rows_of_its_own() {
    let world = World::start().await;
    let [html, json] = ["x.html", "y.json"].map(|name| world.scratch.file(name));
    let words = format!(
        "--publish 200 --publish-symbols 5 --clients 20 --ramp 200ms --warmup 200ms --duration 3s \
         --threshold lost=0 --threshold unseen=0 --threshold behind_store=0 --threshold errors=0 \
         --threshold connected=20 \
         --report {} --json {}",
        html.display(),
        json.display()
    );
    let (status, said) = world.run(&words).await;
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("behind_store=0"), "{said}");
    let json: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    // 3 s of 200 rows, and a few more until the end of the window has gone round.
    let count = |pointer: &str| json.pointer(pointer).and_then(Value::as_u64).unwrap();
    assert!((600..=700).contains(&count("/publisher/offered")), "{said}");
    assert_eq!(count("/publisher/published"), count("/publisher/offered"), "{said}");
    assert_eq!((count("/store/symbols"), count("/store/slots")), (5, 100), "{said}");
    for none in ["not_stored", "store_lacks", "behind_store", "ahead_of_store"] {
        assert_eq!(json["store"][none], 0, "{none}: {said}");
    }
    let page = std::fs::read_to_string(html).unwrap();
    assert!(
        page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n") && page.contains("--publish 200")
    );
    world.lists_nothing().await;
}

#[tokio::test]
async fn rows_of_others_are_held_against_the_store_too() {
    let world = World::start().await;
    let mut publisher =
        world.clients("--publish 100 --publish-symbols 3 --clients 1 --warmup 0s --duration 60s");
    let mut publisher = publisher.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    says(&mut publisher, "measure").await;
    let words = "--symbols all --clients 10 --ramp 0s --warmup 0s --duration 2s --threshold behind_store=0";
    let (status, said) = world.run(words).await;
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("store      30 symbols at clients compared, behind 0"), "{said}");
    interrupt(&publisher).await;
    assert!(timeout(PATIENCE, publisher.wait()).await.expect("it ends").unwrap().success());
    world.lists_nothing().await;
}

#[tokio::test]
async fn an_interrupt_at_any_time_leaves_no_symbol_behind() {
    let world = World::start().await;
    for phase in ["ramp", "warm-up", "measure"] {
        let words = "--publish 50 --publish-symbols 2 --clients 3 --ramp 3s --warmup 3s --duration 60s";
        let mut child = world.clients(words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        says(&mut child, phase).await;
        interrupt(&child).await;
        timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap();
        world.lists_nothing().await;
    }
}

#[tokio::test]
async fn without_nats_or_a_server_that_follows_it_nothing_begins() {
    let mut world = World::start().await;
    let elsewhere = NatsServer::start().await.unwrap();
    let own = std::mem::replace(&mut world.nats, elsewhere);
    let (status, said) = world.run("--publish 10 --clients 1 --duration 1s").await;
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("does not list bench:S0; does it use the same NATS?"), "{said}");
    world.nats = own;
    let (status, said) = world.run("--clients 1 --publish 0 --symbols all").await;
    assert_eq!(status, Some(2), "{said}");
    assert!(
        said.contains("--publish: 1 to 1000000") && said.contains("--symbols all: leave it out"),
        "{said}"
    );
}

/// Waits for a progress line of this phase, and keeps reading so that the program never waits for us.
async fn says(child: &mut Child, phase: &str) {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let word = format!(" s  {phase} ");
    let mut seen = String::new();
    let found = timeout(PATIENCE, async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(&word) {
                return true;
            }
            seen.push_str(&line);
        }
        false
    });
    assert!(found.await.expect("in time"), "{phase}: {seen}");
    // The pipe stays open: what is written to it from now on is little.
    child.stderr = Some(lines.into_inner().into_inner());
}

async fn interrupt(child: &Child) {
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
}
