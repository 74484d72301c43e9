//! `tickwire-loadtest clients` as a process against a small real WebSocket server that speaks the client protocol and
//! breaks it on purpose. The server begins to send when the progress line says that the window is open, and the run is
//! ended by SIGINT when every client has taken everything, so every count is exact.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tickwire_common::time::now_us;
use tickwire_common::wire::frame::{self, Connected, DATA_CLOSE, Marks, Outcome, Reply};
use tickwire_common::wire::limits::Limits;
use tickwire_common::wire::request::{self, Method};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

const SYMBOL: &str = "binance:BTC/USDT";

/// Rows that the server sends, and the time between them.
const ROWS: u64 = 100;
const PACE: Duration = Duration::from_millis(3);

/// How long anything here may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the server does to one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Row 40 is never sent.
    Drop,
    /// Rows 40 and 41 are swapped.
    Swap,
    /// Row 40 is sent twice.
    Repeat,
    /// Rows 40 and 41 are folded into 42, which says so.
    Fold,
    /// Each message comes in three fragments, with a ping between.
    Fragments,
    /// Close 1012 in place of row 40.
    Close,
}

/// `(v, skipped)` of the rows that a connection with this fault gets.
fn rows(fault: Fault, start: u64) -> Vec<(u64, u32)> {
    let mut rows: Vec<(u64, u32)> = (1..=ROWS).map(|k| (start + k * 1_000, 0)).collect();
    match fault {
        Fault::None | Fault::Fragments => {}
        Fault::Drop => drop(rows.remove(40)),
        Fault::Swap => rows.swap(40, 41),
        Fault::Repeat => rows.insert(40, rows[40]),
        Fault::Fold => {
            rows[42].1 = 2;
            rows.drain(40..42);
        }
        Fault::Close => rows.truncate(40),
    }
    rows
}

type Socket = WebSocketStream<TcpStream>;

/// Serves one connection for each fault. `go` carries the `v` to start above; 0 means not yet.
async fn serve(listener: TcpListener, faults: Vec<Fault>, go: watch::Receiver<u64>, taken: mpsc::Sender<()>) {
    let mut connections = JoinSet::new();
    for fault in faults {
        let mut stream = listener.accept().await.unwrap().0;
        let mut head = [0; 15];
        while stream.peek(&mut head).await.unwrap() < head.len() {}
        while &head == b"GET /v1/symbols" {
            let body = format!("{{\"data\":[{{\"symbol\":\"{SYMBOL}\"}}]}}");
            let answer = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let mut request = BufReader::new(&mut stream).lines();
            while request.next_line().await.unwrap().is_some_and(|line| !line.is_empty()) {}
            stream.write_all(answer.as_bytes()).await.unwrap();
            drop(stream);
            stream = listener.accept().await.unwrap().0;
            while stream.peek(&mut head).await.unwrap() < head.len() {}
        }
        connections.spawn(connection(stream, fault, go.clone(), taken.clone()));
    }
    while let Some(done) = connections.join_next().await {
        done.unwrap();
    }
}

/// One connection, until the client has closed; tells `taken` when the client has taken everything.
async fn connection(stream: TcpStream, fault: Fault, mut go: watch::Receiver<u64>, taken: mpsc::Sender<()>) {
    let mut socket = tokio_tungstenite::accept_hdr_async(stream, choose_protocol).await.unwrap();
    greet(&mut socket).await;
    let start = *go.wait_for(|start| *start > 0).await.unwrap();
    let mut pace = tokio::time::interval(PACE);
    for (v, skipped) in rows(fault, start) {
        pace.tick().await;
        send(&mut socket, fault, &row(frame::UPDATE_OPEN, v, skipped)).await;
    }
    if fault == Fault::Close {
        let close = CloseFrame { code: 1012.into(), reason: "restart".into() };
        socket.send(Message::Close(Some(close))).await.unwrap();
    }
    // The pong comes back when everything before the ping has been taken.
    let _ = socket.send(Message::Ping("end".into())).await;
    while let Some(Ok(message)) = socket.next().await {
        if matches!(message, Message::Pong(_) | Message::Close(_)) {
            let _ = taken.send(()).await;
        }
    }
}

#[expect(clippy::result_large_err, reason = "the library's signature")]
fn choose_protocol(
    request: &tokio_tungstenite::tungstenite::handshake::server::Request,
    mut response: tokio_tungstenite::tungstenite::handshake::server::Response,
) -> Result<
    tokio_tungstenite::tungstenite::handshake::server::Response,
    tokio_tungstenite::tungstenite::handshake::server::ErrorResponse,
> {
    let protocol = request.headers()["sec-websocket-protocol"].clone();
    response.headers_mut().insert("sec-websocket-protocol", protocol);
    Ok(response)
}

/// Welcome, ack and snapshot.
async fn greet(socket: &mut Socket) {
    say(socket, Connected::new("test", 10_000, Limits::default(), None).encode()).await;
    let text = socket.next().await.unwrap().unwrap().into_text().unwrap();
    let Method::Subscribe(subscribe) = request::parse(&text).unwrap().method else { panic!("{text}") };
    assert_eq!((subscribe.symbols.as_slice(), subscribe.snapshot), (&[SYMBOL.to_owned()][..], true));
    let outcome = Outcome { subscribed: Some(subscribe.symbols), total: 1, ..Outcome::default() };
    let ack = Reply { result: Some(&outcome), ..Reply::new(Some("subscribe"), Some("1"), true) };
    say(socket, ack.encode()).await;
    say(socket, row(frame::SNAPSHOT_OPEN, 5, 0)).await;
}

fn row(open: &[u8], v: u64, skipped: u32) -> Vec<u8> {
    let mut text = open.to_vec();
    let row = format!("{{\"v\":{v},\"price\":64231.57}}");
    frame::push_row(&mut text, SYMBOL, &Marks { skipped, ..Marks::default() }, row.as_bytes());
    text.extend_from_slice(DATA_CLOSE);
    text
}

async fn say(socket: &mut Socket, text: Vec<u8>) {
    socket.send(Message::text(String::from_utf8(text).unwrap())).await.unwrap();
}

/// Sends a row's message; in fragments on a connection with that fault.
async fn send(socket: &mut Socket, fault: Fault, text: &[u8]) {
    if fault != Fault::Fragments {
        return say(socket, text.to_vec()).await;
    }
    let thirds = text.len() / 3;
    let parts = [(0x01, &text[..thirds]), (0x00, &text[thirds..2 * thirds]), (0x80, &text[2 * thirds..])];
    for (head, part) in parts {
        let mut bytes = vec![head, u8::try_from(part.len()).unwrap()];
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\x89\x02hi");
        let stream = socket.get_mut();
        // Byte by byte: every frame is cut everywhere.
        for byte in bytes {
            stream.write_all(&[byte]).await.unwrap();
        }
    }
}

/// The program with these words behind `clients`.
fn clients(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickwire-loadtest"));
    command.arg("clients").args(words.split_whitespace());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn interrupt(child: &Child) {
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
}

/// Reads progress lines until one says that the window is open, and every connection is there.
async fn window(child: &mut Child) -> tokio::io::Lines<BufReader<tokio::process::ChildStderr>> {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("  measure ") {
            return lines;
        }
    }
    panic!("the window never opened");
}

struct Outcomes {
    status: i32,
    table: String,
    json: Value,
}

impl Outcomes {
    fn count(&self, pointer: &str) -> u64 {
        self.json
            .pointer(pointer)
            .and_then(Value::as_u64)
            .unwrap_or_else(|| panic!("{pointer}\n{}", self.json))
    }
}

/// Runs one client for each fault through a whole sequence of rows.
async fn run(faults: &[Fault], symbols: &str, words: &str) -> Outcomes {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let json = std::env::temp_dir().join(format!("tickwire-clients-{}.json", address.port()));
    let (go, going) = watch::channel(0);
    let (taken, mut all_taken) = mpsc::channel(faults.len());
    let mut server = JoinSet::new();
    server.spawn(serve(listener, faults.to_vec(), going, taken));
    let flags = format!(
        "--url ws://{address}/v1/stream --clients {} --symbols {symbols} --ramp 0s --warmup 0s --duration 60s --json {} {words}",
        faults.len(),
        json.display()
    );
    let mut child = clients(&flags).spawn().unwrap();
    // Held until the end, so that progress lines have a reader.
    let _progress = window(&mut child).await;
    go.send(now_us()).unwrap();
    for _ in faults {
        all_taken.recv().await.unwrap();
    }
    interrupt(&child).await;
    let output = child.wait_with_output().await.unwrap();
    server.shutdown().await;
    let report = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    std::fs::remove_file(&json).unwrap();
    let status = output.status.code().unwrap();
    Outcomes { status, table: String::from_utf8(output.stdout).unwrap(), json: report }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("the test takes too long")
}

#[tokio::test]
async fn a_server_without_fault_passes() {
    let words = "--threshold lost=0 --threshold disorder=0 --threshold duplicates=0 --threshold connected=3 \
                 --threshold rows=300 --threshold errors=0 --threshold closed=0 --threshold max=30s";
    let run = in_time(run(&[Fault::None, Fault::Fragments, Fault::None], "all", words)).await;
    assert_eq!(run.status, 0, "{}", run.table);
    assert!(run.table.contains("verdict    pass"), "{}", run.table);
    assert_eq!((run.count("/counters/rows"), run.count("/counters/snapshot_rows")), (300, 3));
    assert_eq!((run.count("/delivery/published"), run.count("/delivery/owed")), (ROWS, 300));
    assert_eq!((run.count("/latency_us/rows"), run.count("/connected")), (300, 3));
    assert_eq!(run.json["interrupted"], Value::Bool(true));
    assert_eq!(run.json["drained"], Value::Bool(true));
}

#[tokio::test]
async fn every_fault_is_found_and_told_apart() {
    let faults = [Fault::None, Fault::Drop, Fault::Swap, Fault::Repeat, Fault::Fold, Fault::Close];
    let run =
        in_time(run(&faults, SYMBOL, "--threshold lost=1 --threshold disorder=1 --threshold closed=0")).await;
    assert_eq!(run.status, 99, "{}", run.table);
    // One row dropped, and one that came behind a newer one.
    assert_eq!(
        (run.count("/delivery/lost"), run.count("/delivery/clients_with_loss")),
        (2, 2),
        "{}",
        run.table
    );
    assert_eq!((run.count("/counters/disorder"), run.count("/counters/duplicates")), (1, 1));
    assert_eq!((run.count("/delivery/skipped"), run.count("/counters/closes/1012")), (2, 1));
    assert_eq!((run.count("/connected"), run.count("/delivery/published")), (5, ROWS));
    let held: Vec<&Value> = (0..3).map(|i| &run.json["thresholds"][i]["pass"]).collect();
    assert_eq!(held, [&Value::Bool(false), &Value::Bool(true), &Value::Bool(false)], "{}", run.table);
}

#[tokio::test]
async fn wrong_usage_and_an_absent_server_have_their_own_status() {
    let status = async |words: &str| {
        let output = in_time(clients(words).output()).await.unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, message) = status("--symbols A --threshold p98=1s").await;
    assert!(code == 2 && message.contains("p50, p90, p99"), "{code} {message}");
    let (code, message) = status("--symbols A --url wss://127.0.0.1/").await;
    assert!(code == 2 && message.contains("wss:// is not supported yet"), "{code} {message}");
    let free: SocketAddr = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let words = format!("--symbols A --clients 2 --ramp 0s --quiet --url ws://{free}/");
    let output = in_time(clients(&words).output()).await.unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{table}");
    assert!(
        table.contains("2 connect: connection refused") && table.contains("no client connected"),
        "{table}"
    );
    assert!(output.stderr.is_empty(), "quiet means no progress");
}
