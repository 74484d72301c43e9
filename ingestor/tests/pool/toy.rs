//! A venue of a few words. Client: `sub 7 A,B`, `unsub 8 A`. Server: `ok 7`, `full 7`, `px A 12` (the twelfth news of A),
//! `bye` (the socket will be closed soon).

use tickwire_common::row::Row;
use tickwire_ingestor::venue::contract::{
    AnswerError, Carried, Endpoint, Event, Frame, Instrument, Micros, Orders, Out, RestRequest, SECOND,
    Session, Update, Venue,
};
use tickwire_ingestor::venue::facts::{Facts, Rate};
use tickwire_ingestor::venue::subscriptions::{Refusal, Request, Shape, Subscriptions, TOPICS_MAX};

/// The venue.
pub struct Toy;

const FACTS: Facts = Facts {
    ws_url: "ws://127.0.0.1:1",
    rest_url: "http://127.0.0.1:1",
    symbols_per_socket: 100,
    topics_per_socket_max: 100,
    topics_per_symbol: 1,
    connects: Rate { count: 1, per: SECOND },
    lifetime: SECOND,
    message_bytes_max: 1 << 16,
};

const SHAPE: Shape = Shape {
    topics: 1,
    mixed: true,
    units_max: 100,
    units_per_request: 50,
    request_bytes: 4_096,
    topic_bytes: [8; TOPICS_MAX],
    interval: SECOND / 1_000,
    ack_timeout: 10 * SECOND,
    first_data: SECOND / 2,
};

impl Venue for Toy {
    fn id(&self) -> &'static str {
        "toy"
    }

    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn discovery(&self) -> RestRequest {
        RestRequest { post: false, path: "/", weight: 1, bytes_max: 1 }
    }

    fn instruments(&self, _answer: &[u8]) -> Result<Vec<Instrument>, AnswerError> {
        Ok(Vec::new())
    }

    fn endpoint(&self, ws_url: Option<&str>, _answer: &[u8], _nonce: u64) -> Result<Endpoint, AnswerError> {
        Ok(Endpoint { url: ws_url.unwrap_or(FACTS.ws_url).to_owned(), heartbeat: None })
    }

    fn session(&self, _endpoint: &Endpoint) -> Box<dyn Session> {
        Box::new(ToySession(Subscriptions::new(&SHAPE)))
    }
}

struct ToySession(Subscriptions);

impl ToySession {
    fn read(&mut self, text: &str, now: Micros, out: &mut Out) {
        match *text.split(' ').collect::<Vec<_>>() {
            ["ok", id] => assert!(self.0.taken(id.parse().unwrap(), now, out)),
            ["full", id] => {
                assert!(self.0.refused(id.parse().unwrap(), (Refusal::Full, "full"), now, out));
            }
            ["px", name, nth] => {
                let fields = Row { price: nth.parse().ok(), ..Row::default() };
                let orders = Orders { price: Orders::of(nth.parse().unwrap()), ..Orders::NONE };
                self.0.tell((name.as_bytes(), 0), now, out, |symbol| Update { symbol, fields, orders });
            }
            ["bye"] => out.events.push(Event::Retire),
            _ => panic!("{text}"),
        }
    }

    fn send_due(&mut self, now: Micros, out: &mut Out) {
        self.0.send_due(now, out, |Request { id, subscribe, units }| {
            let names: Vec<&str> = units.iter().map(|(_, name)| *name).collect();
            format!("{} {id} {}", if *subscribe { "sub" } else { "unsub" }, names.join(","))
        });
    }
}

impl Session for ToySession {
    fn opened(&mut self, _now: Micros, _out: &mut Out) {}

    fn subscribe(&mut self, symbols: Vec<Carried>, now: Micros, out: &mut Out) {
        self.0.subscribe(symbols.into_iter().map(|symbol| (symbol.index, symbol.key)), now, out);
        self.send_due(now, out);
    }

    fn unsubscribe(&mut self, symbols: &[u32], now: Micros, out: &mut Out) {
        self.0.unsubscribe(symbols);
        self.send_due(now, out);
    }

    fn frame(&mut self, frame: Frame<'_>, now: Micros, out: &mut Out) {
        if let Frame::Text(text) = frame {
            self.read(str::from_utf8(text).unwrap(), now, out);
        }
        self.send_due(now, out);
    }

    fn deadline(&mut self, now: Micros, out: &mut Out) {
        let wrong = self.0.deadline(now, out);
        out.events.extend(wrong.map(Event::Reconnect));
        self.send_due(now, out);
    }

    fn next_deadline(&self) -> Option<Micros> {
        self.0.next_deadline()
    }
}
