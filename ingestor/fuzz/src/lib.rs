//! What the targets share: a session is driven by lines, so that the recorded fixtures are seeds as they are.

use tickwire_ingestor::rows::Rows;
use tickwire_ingestor::venue::contract::{Carried, Endpoint, Frame, Out, SECOND};
use tickwire_ingestor::venue::find;

/// Symbols that occur in the fixtures.
const KEYS: [&str; 6] = ["BTCUSDT", "NKNUSDT", "BLZETH", "BTC-USDT", "SNX-BTC", "BCHSV-USDT"];

/// Hands each line to a session of `venue` as a frame, a tenth of a second apart, with every deadline on the way. Every
/// row that comes of it must be one that the edge would take.
pub fn drive(venue: &str, data: &[u8]) {
    let Some(venue) = find(venue) else { panic!("no venue {venue}") };
    let symbols = (0..).zip(KEYS).map(|(index, key)| Carried { index, key: key.to_owned() }).collect();
    let mut session = venue.session(symbols, &Endpoint { url: String::new(), heartbeat: None });
    let (mut rows, mut out, mut now) = (Rows::new(KEYS.len()), Out::default(), 0);
    session.opened(now, &mut out);
    for line in data.split(|byte| *byte == b'\n') {
        now += SECOND / 10;
        while session.next_deadline().is_some_and(|at| at <= now) && out.events.is_empty() {
            session.deadline(now, &mut out);
        }
        let frame = if line.is_empty() { Frame::Ping } else { Frame::Text(line) };
        session.frame(frame, now, &mut out);
        for update in out.updates.drain(..) {
            let row = rows.apply(&update, now).expect("a symbol that is carried");
            tickwire_common::row::check(row).expect("a row that an edge takes");
        }
        out.send.clear();
        out.events.clear();
    }
}
