//! How clients talk to a server, as templates of `fanbench`, which itself knows no server.

/// The protocol of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speech {
    /// Version 1, JSON.
    Tickwire,
    /// That of the small peers: one message with all symbols, rows of `ticks.<symbol>` as they are.
    Ticks,
    /// A connect command, then a subscribe command a symbol.
    Centrifugo,
    /// The protocol of NATS itself.
    NatsWebSocket,
}

/// The path, the subject, the row and the messages of Tickwire.
const TICKWIRE: &[&str] = &[
    "--path",
    "/v1/stream",
    "--unit",
    "us",
    "--marker",
    r#""v":"#,
    "--symbol",
    "bench:S{i}",
    "--subject",
    "md.tick.bench.S{i}",
    "--subscribe",
    r#"{"method":"subscribe","params":{"channel":"ticker","symbol":[{syms}]},"req_id":1}"#,
    "--payload",
    r#"{"v":{ts},"price":95000.5,"bid":95000.4,"ask":95000.6,"percent_change":0.25,"volume":12345.678,"ts":1763627520119}"#,
];

const TICKS: &[&str] = &["--subscribe", r#"{"op":"subscribe","symbols":[{syms}]}"#];

const CENTRIFUGO: &[&str] = &[
    "--path",
    "/connection/websocket",
    "--hello",
    r#"{"id":1,"connect":{}}"#,
    "--subscribe",
    r#"each:{"id":1{i},"subscribe":{"channel":"{sym}"}}"#,
];

const NATS_WEBSOCKET: &[&str] = &[
    "--path",
    "/",
    "--hello",
    "CONNECT {\"verbose\":false,\"protocol\":1}\r\n",
    "--subscribe",
    "each:SUB ticks.{sym} 1{i}\r\n",
];

impl Speech {
    /// The templates, as arguments.
    pub(crate) fn templates(self) -> &'static [&'static str] {
        match self {
            Self::Tickwire => TICKWIRE,
            Self::Ticks => TICKS,
            Self::Centrifugo => CENTRIFUGO,
            Self::NatsWebSocket => NATS_WEBSOCKET,
        }
    }
}
