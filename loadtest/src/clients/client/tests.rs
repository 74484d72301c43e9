use tickwire_common::wire::error::ErrorCode;
use tickwire_common::wire::frame::{
    self as wire, Connected, Failed, Marks, Outcome, Reply, SNAPSHOT_OPEN, UPDATE_OPEN, push_row,
};
use tickwire_common::wire::limits::Limits;
use tickwire_common::wire::request::{self, Method};

use super::*;

const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn server_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x80 | opcode, 126];
    if payload.len() < 126 {
        out[1] = payload.len() as u8;
    } else {
        out.extend((payload.len() as u16).to_be_bytes());
    }
    out.extend_from_slice(payload);
    out
}

/// The client's frames as text.
fn sent(out: &mut Vec<u8>) -> Vec<String> {
    payloads(out).into_iter().map(|payload| String::from_utf8(payload).unwrap()).collect()
}

/// The payloads of the client's frames, unmasked.
fn payloads(out: &mut Vec<u8>) -> Vec<Vec<u8>> {
    let (mut payloads, mut rest) = (Vec::new(), out.as_slice());
    while let [_, len, tail @ ..] = rest {
        let (len, tail) = match len & 0x7f {
            126 => (usize::from(u16::from_be_bytes([tail[0], tail[1]])), &tail[2..]),
            len => (usize::from(len), tail),
        };
        let (mask, body) = (&tail[..4], &tail[4..4 + len]);
        payloads.push(body.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect());
        rest = &tail[4 + len..];
    }
    out.clear();
    payloads
}

fn welcome(symbols_per_request: usize, message_bytes: usize) -> Vec<u8> {
    let limits = Limits { symbols_per_request, message_bytes, ..Limits::default() };
    server_frame(1, &Connected::new("c", 1_000, limits, None).encode())
}

fn ack(names: &[&str], failed: &[&str]) -> Vec<u8> {
    let outcome = Outcome {
        subscribed: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        failed: Some(failed.iter().map(|name| Failed::new(*name, ErrorCode::UnknownSymbol)).collect()),
        ..Outcome::default()
    };
    let reply = Reply { result: Some(&outcome), ..Reply::new(Some("subscribe"), None, true) };
    server_frame(1, &reply.encode())
}

fn row(open: &[u8], name: &str, v: u64) -> Vec<u8> {
    let mut text = open.to_vec();
    push_row(&mut text, name, &Marks::default(), format!("{{\"v\":{v},\"price\":1}}").as_bytes());
    text.extend_from_slice(wire::DATA_CLOSE);
    server_frame(1, &text)
}

/// The names of a subscribe request that the server would take.
fn asked(request: &str) -> Vec<String> {
    match request::parse(request).unwrap().method {
        Method::Subscribe(subscribe) => subscribe.symbols,
        other => panic!("{other:?}"),
    }
}

struct Rig {
    client: Client,
    bench: Bench,
    out: Vec<u8>,
}

impl Rig {
    /// A client of these names whose request is out.
    fn new(names: &[&str]) -> Self {
        let mut bench = Bench::new(names.iter().map(|name| (*name).to_owned()).collect()).unwrap();
        let symbols: Vec<u32> = (0..names.len() as u32).collect();
        let mut client = Client::new(Class::Steady, bench.delivery.add_client(&symbols), Encoding::Json);
        client.stage = Stage::Upgrading;
        Self { client, bench, out: Vec::new() }
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<usize, End> {
        self.client.receive(bytes, 1_000, &mut self.bench, &mut self.out)
    }
}

#[test]
fn a_client_goes_from_handshake_to_rows_in_one_read() {
    let mut rig = Rig::new(&["A", "B"]);
    let stream = [
        ANSWER,
        &welcome(100, 10_000),
        &ack(&["A"], &["B"]),
        &row(SNAPSHOT_OPEN, "A", 5),
        &row(UPDATE_OPEN, "A", 6),
    ]
    .concat();
    assert_eq!(rig.receive(&stream), Ok(stream.len()));
    assert_eq!(rig.client.stage, Stage::Live);
    assert_eq!(asked(&sent(&mut rig.out)[0]), ["A", "B"]);
    let tally = &rig.bench.tally;
    assert_eq!((tally.snapshot_rows, tally.update_rows, tally.symbols_taken), (1, 1, 1));
    assert_eq!((tally.refusals.list().as_str(), tally.errors()), ("1 unknown_symbol", 1));
}

#[test]
fn requests_keep_within_the_limits_and_wait_for_each_other() {
    let mut rig = Rig::new(&["A", "B", "C", "D", "E"]);
    let hello = [ANSWER, &welcome(2, 10_000)].concat();
    rig.receive(&hello).unwrap();
    for names in [&["A", "B"][..], &["C", "D"], &["E"]] {
        let requests = sent(&mut rig.out);
        assert_eq!(requests.len(), 1);
        assert_eq!(asked(&requests[0]), names);
        assert_eq!(rig.client.stage, Stage::Subscribing);
        rig.receive(&ack(names, &[])).unwrap();
    }
    assert!(rig.out.is_empty() && rig.client.stage == Stage::Live);
}

#[test]
fn requests_keep_within_the_message_size() {
    let names: Vec<String> = (0..60).map(|i| format!("venue:SYMBOL-{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut rig = Rig::new(&names);
    rig.receive(&[ANSWER, &welcome(1_000, 400)].concat()).unwrap();
    let mut all = Vec::new();
    while rig.client.stage == Stage::Subscribing {
        let requests = sent(&mut rig.out);
        assert!(requests[0].len() <= 400, "{}", requests[0]);
        all.extend(asked(&requests[0]));
        rig.receive(&ack(&[], &[])).unwrap();
    }
    assert_eq!(all, names);
}

#[test]
fn an_update_first_is_told_where_the_server_had_a_row() {
    let mut rig = Rig::new(&["A"]);
    rig.receive(&[ANSWER, &welcome(9, 999), &ack(&["A"], &[]), &row(UPDATE_OPEN, "A", 6)].concat()).unwrap();
    assert_eq!(rig.bench.tally.without_snapshot, 0, "the first row of a symbol has no snapshot before it");
    let mut late = Client::new(Class::Steady, rig.bench.delivery.add_client(&[0]), Encoding::Json);
    late.stage = Stage::Upgrading;
    let stream = [ANSWER, &welcome(9, 999), &ack(&["A"], &[]), &row(UPDATE_OPEN, "A", 7)].concat();
    late.receive(&stream, 2_000, &mut rig.bench, &mut rig.out).unwrap();
    assert_eq!(rig.bench.tally.without_snapshot, 1);
}

/// A client that has had rows up to `v` and is upgrading again.
fn back(rig: &mut Rig, v: u64) {
    assert_eq!(rig.bench.delivery.comes_back(rig.client.slots), v);
    rig.client.connect(v);
    rig.client.stage = Stage::Upgrading;
}

#[test]
fn a_client_that_comes_back_asks_for_news_only() {
    let mut rig = Rig::new(&["A"]);
    let hello = [ANSWER, &welcome(9, 999), &ack(&["A"], &[])].concat();
    rig.receive(&[&hello[..], &row(SNAPSHOT_OPEN, "A", 5_000_000)].concat()).unwrap();
    assert!(!sent(&mut rig.out)[0].contains("since"));
    back(&mut rig, 5_000_000);
    rig.receive(&hello).unwrap();
    let request = sent(&mut rig.out).remove(0);
    assert!(request.contains(r#""since":3000000"#) && asked(&request) == ["A"], "{request}");
    rig.receive(&[row(SNAPSHOT_OPEN, "A", 5_000_000), row(UPDATE_OPEN, "A", 6_000_000)].concat()).unwrap();
    let errors = (rig.bench.tally.disorder, rig.bench.tally.duplicates, rig.bench.classes.went_back());
    assert_eq!((errors, rig.client.stage), ((0, 0, 0), Stage::Live));
    back(&mut rig, 6_000_000);
    rig.receive(&[&hello[..], &row(SNAPSHOT_OPEN, "A", 4_999_999)].concat()).unwrap();
    assert_eq!(rig.bench.classes.of(Class::Steady).went_back, 1);
}

#[test]
fn arrays_go_by_the_numbers_of_the_ack() {
    let mut rig = Rig::new(&["A", "B"]);
    rig.client.encoding = Encoding::Array;
    let text = String::from_utf8(ANSWER.to_vec()).unwrap();
    let answer = text.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: tickwire.v1.array\r\n\r\n");
    let ack = br#"{"method":"subscribe","success":true,"result":{"subscribed":["A","B"],"ids":{"A":9,"B":4},"cols":["id","v","skipped","stale","price"]}}"#;
    let rows = [&br#"["s",[4,7,0,0,1.5],[9,8]]"#[..], br#"["u",[9,10,2,0,1.5]]"#, br#"["u",[5,10]]"#];
    let rows = rows.map(|text| server_frame(1, text)).concat();
    rig.receive(&[answer.as_bytes(), &welcome(9, 999), &server_frame(1, ack), &rows].concat()).unwrap();
    let tally = &rig.bench.tally;
    assert_eq!((tally.snapshot_rows, tally.update_rows, tally.rows_not_asked), (2, 1, 1));
    assert_eq!(rig.bench.classes.of(Class::Steady).skipped, 2);
    let held: Vec<u64> = rig.bench.delivery.held(rig.client.slots).map(|(_, v, _)| v).collect();
    assert_eq!((held, tally.malformed), (vec![10, 7], 0));
}

#[test]
fn only_steady_clients_are_judged() {
    let mut rig = Rig::new(&["A"]);
    rig.client.class = Class::Flapping;
    let rows = [row(SNAPSHOT_OPEN, "A", 5), row(UPDATE_OPEN, "A", 6)].concat();
    rig.receive(&[ANSWER, &welcome(9, 999), &ack(&["A"], &[]), &rows].concat()).unwrap();
    rig.receive(&server_frame(1, &wire::slow_reader(3, 4))).unwrap();
    let own = rig.bench.classes.of(Class::Flapping).clone();
    assert_eq!((own.rows, own.slow_reader, rig.bench.tally.slow_reader), (1, 1, 0));
    assert_eq!(rig.bench.latency.end_second().unwrap().rows, 0);
}

#[test]
fn pings_are_answered_and_closes_echoed() {
    let mut rig = Rig::new(&["A"]);
    rig.receive(ANSWER).unwrap();
    rig.receive(&server_frame(9, b"are you there")).unwrap();
    assert_eq!(sent(&mut rig.out), ["are you there"]);
    assert_eq!(rig.receive(&server_frame(8, &1012u16.to_be_bytes())), Err(End::Closed(1012)));
    assert_eq!(payloads(&mut rig.out), [1012u16.to_be_bytes()]);
}

#[test]
fn a_flood_of_pings_is_not_answered_without_end() {
    let mut rig = Rig::new(&["A"]);
    rig.receive(ANSWER).unwrap();
    let ping = server_frame(9, &[b'x'; 125]);
    for _ in 0..2_000 {
        rig.receive(&ping).unwrap();
    }
    assert!(rig.out.len() < OUTBOX_BYTES_MAX + 200, "{}", rig.out.len());
}

#[test]
fn what_is_not_the_protocol_is_counted() {
    let mut rig = Rig::new(&["A"]);
    rig.receive(ANSWER).unwrap();
    rig.receive(&server_frame(1, b"hello")).unwrap();
    rig.receive(&row(UPDATE_OPEN, "B", 1)).unwrap();
    rig.receive(&server_frame(1, br#"{"type":"update","data":[{"v":9,"symbol":"A"}],"channel":"ticker"}"#))
        .unwrap();
    let tally = &rig.bench.tally;
    assert_eq!((tally.malformed, tally.rows_not_asked, tally.update_rows), (1, 1, 1));
    assert_eq!(rig.receive(&[0x82, 0]), Err(End::Framing(FrameError::Binary)));
}

#[test]
fn a_refused_handshake_ends_the_client() {
    let mut rig = Rig::new(&["A"]);
    assert_eq!(rig.receive(b"HTTP/1.1 503 Busy\r\n"), Ok(0));
    let end = rig.receive(b"HTTP/1.1 503 Busy\r\n\r\n").unwrap_err();
    assert_eq!(end.to_string(), "handshake: HTTP 503");
}
