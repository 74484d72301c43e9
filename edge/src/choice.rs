//! What a client chooses with its upgrade and keeps: the subprotocol, by `Sec-WebSocket-Protocol`, and how numbers are
//! written, by `?numbers=`. Other parameters of the address are left alone.
//!
//! The first offer that we know wins (RFC 6455 section 4.2.2 leaves the choice to the server). A client that offers only
//! what we do not know is upgraded without a subprotocol, as the same section wants, and would get objects; browsers and
//! most libraries then fail the connection on their own.

use axum::extract::Query;
use axum::http::{HeaderMap, Uri};
use serde::Deserialize;
use tickwire_common::wire::encoding::{Encoding, Layout, Numbers, UnknownNumbers};

use crate::ws::handshake;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// How rows look.
    pub encoding: Encoding,
    /// What to answer, if anything that we know was offered.
    pub subprotocol: Option<&'static str>,
}

#[derive(Deserialize)]
struct Params {
    numbers: Option<String>,
}

/// Reads the choice of an upgrade request.
///
/// # Errors
/// [`UnknownNumbers`], also if `numbers` is there twice.
pub fn choose(headers: &HeaderMap, uri: &Uri) -> Result<Choice, UnknownNumbers> {
    let Query(params) = Query::<Params>::try_from_uri(uri).map_err(|_| UnknownNumbers)?;
    let numbers = params.numbers.map_or(Ok(Numbers::default()), |numbers| numbers.parse())?;
    let layout = handshake::offers(headers).find_map(Layout::of_subprotocol);
    let encoding = Encoding::new(layout.unwrap_or_default(), numbers);
    Ok(Choice { encoding, subprotocol: layout.map(Layout::subprotocol) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderValue, header};

    fn chosen(offers: &[&'static str], address: &'static str) -> Result<Choice, UnknownNumbers> {
        let offers =
            offers.iter().map(|offer| (header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(offer)));
        choose(&offers.collect(), &Uri::from_static(address))
    }

    #[test]
    fn the_first_offer_that_is_known_wins() {
        let plain = Choice { encoding: Encoding::Json, subprotocol: None };
        let json = Choice { encoding: Encoding::Json, subprotocol: Some("tickwire.v1.json") };
        let array = Choice { encoding: Encoding::Array, subprotocol: Some("tickwire.v1.array") };
        for (offers, expected) in [
            (&[][..], plain),
            (&["tickwire.v1.json"], json),
            (&["tickwire.v1.array, tickwire.v1.json"], array),
            (&["tickwire.v2.json,tickwire.v1.json ,tickwire.v1.array"], json),
            (&["graphql-ws", "tickwire.v1.array"], array),
            (&["Tickwire.v1.array", "mqtt"], plain),
        ] {
            assert_eq!(chosen(offers, "/v1/stream"), Ok(expected), "{offers:?}");
        }
    }

    #[test]
    fn numbers_are_numbers_unless_strings_are_asked_for() {
        let encoding = |address| chosen(&["tickwire.v1.array"], address).map(|choice| choice.encoding);
        for address in ["/v1/stream", "/v1/stream?", "/v1/stream?numbers=number", "/v1/stream?token=a&b"] {
            assert_eq!(encoding(address), Ok(Encoding::Array), "{address}");
        }
        assert_eq!(encoding("/v1/stream?a=1&numbers=%73tring"), Ok(Encoding::ArrayString));
        for query in
            ["numbers=", "numbers", "numbers=String", "numbers=float", "numbers=string&numbers=string"]
        {
            let address: Uri = format!("/v1/stream?{query}").parse().unwrap();
            assert_eq!(choose(&HeaderMap::new(), &address), Err(UnknownNumbers), "{query}");
        }
    }
}
