//! Binance spot: public market data over the combined WebSocket. Three streams a symbol (`trade`, `bookTicker`,
//! `ticker`) make one row. Official pages: github.com/binance/binance-spot-api-docs, `web-socket-streams.md` and
//! `rest-api.md`.

pub mod codec;
pub mod discovery;
pub mod facts;
pub mod session;

#[cfg(test)]
mod tests;

use super::contract::{AnswerError, Endpoint, Instrument, RestRequest, Session, Turnover, Venue};
use super::facts::{Facts, RestLimits};

/// The venue `binance`.
#[derive(Debug)]
pub struct Binance;

impl Venue for Binance {
    fn id(&self) -> &'static str {
        "binance"
    }

    fn facts(&self) -> &'static Facts {
        &facts::FACTS
    }

    fn discovery(&self) -> RestRequest {
        discovery::REQUEST
    }

    fn instruments(&self, answer: &[u8]) -> Result<Vec<Instrument>, AnswerError> {
        discovery::read(answer)
    }

    fn rest_limits(&self) -> Option<&'static RestLimits> {
        Some(&facts::REST_LIMITS)
    }

    fn announced_weight(&self, answer: &[u8]) -> Option<u32> {
        discovery::announced_weight(answer)
    }

    fn turnover(&self) -> Option<RestRequest> {
        Some(discovery::TICKERS)
    }

    fn turnovers(&self, answer: &[u8]) -> Result<Vec<Turnover>, AnswerError> {
        discovery::read_turnovers(answer)
    }

    fn endpoint(&self, ws_url: Option<&str>, _answer: &[u8], _nonce: u64) -> Result<Endpoint, AnswerError> {
        let origin = ws_url.unwrap_or(facts::FACTS.ws_url).trim_end_matches('/');
        // Streams are named by SUBSCRIBE, not in the URL: a long list does not fit there.
        Ok(Endpoint { url: format!("{origin}/stream"), heartbeat: None })
    }

    fn session(&self, _endpoint: &Endpoint) -> Box<dyn Session> {
        Box::new(session::BinanceSession::new())
    }
}
