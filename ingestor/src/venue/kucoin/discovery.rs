//! KuCoin spot over REST: the symbols, what was traded of them, and the invitation ("bullet") that names server and
//! token of the next socket. Official pages, each with its weight: kucoin-universal-sdk, `spec/rest/api`, "Get All
//! Symbols", "Get All Tickers" and "Get Public Token - Classic".

use serde::Deserialize;
use serde_json::value::RawValue;
use tickwire_common::decimal::Decimal;
use url::Url;

use super::facts;
use crate::venue::contract::{AnswerError, Endpoint, Heartbeat, Instrument, RestRequest, Turnover};

/// All symbols.
pub const SYMBOLS: RestRequest =
    RestRequest { post: false, path: "/api/v2/symbols", weight: 4, bytes_max: 32 << 20 };

/// What was traded of all symbols, anew every 2 s. Some 500 bytes a symbol.
pub const TICKERS: RestRequest =
    RestRequest { post: false, path: "/api/v1/market/allTickers", weight: 15, bytes_max: 16 << 20 };

/// Server and token for one public socket.
pub const BULLET: RestRequest =
    RestRequest { post: true, path: "/api/v1/bullet-public", weight: 10, bytes_max: 64 << 10 };

const OK: &str = "200000";

#[derive(Deserialize)]
struct Answer<T> {
    code: String,
    #[serde(default)]
    msg: String,
    data: Option<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    symbol: String,
    base_currency: String,
    quote_currency: String,
    price_increment: Option<String>,
    enable_trading: bool,
}

#[derive(Deserialize)]
struct Tickers<'a> {
    #[serde(borrow)]
    ticker: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ticker {
    symbol: String,
    vol_value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bullet {
    token: String,
    instance_servers: Vec<Server>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Server {
    endpoint: String,
    ping_interval: Option<u64>,
    ping_timeout: Option<u64>,
}

/// Reads the symbols that trade now. One that cannot be read is left out.
///
/// # Errors
/// [`AnswerError`].
pub fn read_symbols(answer: &[u8]) -> Result<Vec<Instrument>, AnswerError> {
    let entries: Vec<&RawValue> = open(answer)?;
    Ok(entries.iter().filter_map(|raw| instrument(raw.get())).collect())
}

/// Reads what was traded in 24 h. A symbol that cannot be read is left out.
///
/// # Errors
/// [`AnswerError`].
pub fn read_turnovers(answer: &[u8]) -> Result<Vec<Turnover>, AnswerError> {
    let tickers: Tickers<'_> = open(answer)?;
    let read = |raw: &&RawValue| {
        let ticker: Ticker = serde_json::from_str(raw.get()).ok()?;
        Turnover::read(ticker.symbol, &ticker.vol_value)
    };
    Ok(tickers.ticker.iter().filter_map(read).collect())
}

/// Reads the invitation and makes the socket's address of it.
///
/// # Errors
/// [`AnswerError`].
pub fn read_bullet(ws_url: Option<&str>, answer: &[u8], nonce: u64) -> Result<Endpoint, AnswerError> {
    let bullet: Bullet = open(answer)?;
    let server = bullet.instance_servers.into_iter().next();
    let server = server.ok_or_else(|| AnswerError::Shape("no server in the invitation".to_owned()))?;
    let origin = ws_url.unwrap_or(&server.endpoint);
    let mut url = Url::parse(origin).map_err(|error| AnswerError::Shape(format!("endpoint: {error}")))?;
    url.query_pairs_mut().append_pair("token", &bullet.token).append_pair("connectId", &nonce.to_string());
    let millis = |value: Option<u64>, default| value.map_or(default, |ms| ms.clamp(1_000, 120_000) * 1_000);
    let heartbeat = Heartbeat {
        interval: millis(server.ping_interval, facts::HEARTBEAT.interval),
        timeout: millis(server.ping_timeout, facts::HEARTBEAT.timeout),
    };
    Ok(Endpoint { url: url.into(), heartbeat: Some(heartbeat) })
}

fn open<'a, T: Deserialize<'a>>(answer: &'a [u8]) -> Result<T, AnswerError> {
    let answer: Answer<T> =
        serde_json::from_slice(answer).map_err(|error| AnswerError::Shape(error.to_string()))?;
    match answer.data {
        Some(data) if answer.code == OK => Ok(data),
        _ => Err(AnswerError::Refused { code: answer.code, text: answer.msg }),
    }
}

fn instrument(raw: &str) -> Option<Instrument> {
    let entry: Entry = serde_json::from_str(raw).ok()?;
    let price_step = entry.price_increment.and_then(|text| Decimal::parse(text.as_bytes()).ok());
    let instrument = Instrument::spot(&entry.base_currency, &entry.quote_currency, &entry.symbol, price_step);
    instrument.filter(|_| entry.enable_trading)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_read_one_by_one() {
        let answer = br#"{"code":"200000","data":{"time":1602832092060,"ticker":[
            {"symbol":"BTC-USDT","symbolName":"BTC-USDT","volValue":"35.0000000000123","vol":"1"},
            {"symbol":"NEW-USDT","volValue":null}]}}"#;
        let read = read_turnovers(answer).unwrap();
        let told: Vec<_> = read.iter().map(|one| (one.key.as_str(), one.quote_volume.as_str())).collect();
        assert_eq!(told, [("BTC-USDT", "35.0000000000123")]);
        let refused = read_turnovers(br#"{"code":"429000","msg":"Too Many Requests"}"#);
        assert!(matches!(refused, Err(AnswerError::Refused { code, .. }) if code == "429000"));
    }
}
