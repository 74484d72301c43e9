//! What the targets share: a session is driven by lines, so that the recorded fixtures are seeds as they are.

use tickwire_ingestor::rows::Rows;
use tickwire_ingestor::venue::contract::{Carried, Endpoint, Frame, Out, SECOND};
use tickwire_ingestor::venue::find;

/// Symbols that occur in the fixtures.
const KEYS: [&str; 6] = ["BTCUSDT", "NKNUSDT", "BLZETH", "BTC-USDT", "SNX-BTC", "BCHSV-USDT"];

/// Hands each line to a session of `venue` as a frame, a tenth of a second apart, with every deadline on the way; a line
/// `+` or `-` and a letter subscribes or unsubscribes a symbol instead. Every row that comes of it must be one that the
/// edge would take.
pub fn drive(venue: &str, data: &[u8]) {
    let Some(venue) = find(venue) else { panic!("no venue {venue}") };
    let symbols: Vec<Carried> =
        (0..).zip(KEYS).map(|(index, key)| Carried { index, key: key.to_owned() }).collect();
    let mut session = venue.session(&Endpoint { url: String::new(), heartbeat: None });
    let (mut rows, mut out, mut now) = (Rows::new(KEYS.len()), Out::default(), 0);
    session.opened(now, &mut out);
    session.subscribe(symbols.clone(), now, &mut out);
    for line in data.split(|byte| *byte == b'\n') {
        now += SECOND / 10;
        while session.next_deadline().is_some_and(|at| at <= now) && out.events.is_empty() {
            session.deadline(now, &mut out);
        }
        let symbol = |letter: &u8| symbols[usize::from(*letter) % symbols.len()].clone();
        match line {
            [] => session.frame(Frame::Ping, now, &mut out),
            [b'+', letter] => session.subscribe(vec![symbol(letter)], now, &mut out),
            [b'-', letter] => session.unsubscribe(&[symbol(letter).index], now, &mut out),
            _ => session.frame(Frame::Text(line), now, &mut out),
        }
        for update in out.updates.drain(..) {
            if let Some(row) = rows.apply(&update, now) {
                tickwire_common::row::check(row).expect("a row that an edge takes");
            }
        }
        assert_eq!(rows.take_counts().foreign, 0, "an update of a symbol that nobody asked for");
        out.send.clear();
        out.events.clear();
    }
}
