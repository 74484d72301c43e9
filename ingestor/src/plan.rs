//! Which socket carries which symbols. Pure: symbols in, chunks below the venue's limit out. Each symbol is carried
//! exactly once.

use crate::venue::contract::{Carried, Instrument};
use crate::venue::facts::Facts;

/// The symbols of each socket, numbered by their place in `instruments`. The chunks are as even as can be: a socket
/// with few symbols dies as rarely as a full one, and costs as much.
pub fn sockets(instruments: &[Instrument], facts: &Facts) -> Vec<Vec<Carried>> {
    let count = instruments.len().div_ceil(facts.symbols_per_socket.max(1));
    let mut sockets: Vec<Vec<Carried>> = vec![Vec::new(); count];
    for (index, (place, instrument)) in (0u32..).zip(instruments.iter().enumerate()) {
        // `count` is above 0 where there is an instrument.
        if let Some(socket) = sockets.get_mut(place % count) {
            socket.push(Carried { index, key: instrument.key.clone() });
        }
    }
    sockets
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::venue::REGISTRY;

    fn instrument(number: usize) -> Instrument {
        Instrument::spot(&format!("S{number}"), "USDT", &format!("K{number}"), None).unwrap()
    }

    proptest! {
        #[test]
        fn every_symbol_is_carried_once_and_no_limit_is_passed(count in 0usize..1_500, venue in 0..REGISTRY.len()) {
            let facts = REGISTRY[venue].facts();
            let instruments: Vec<Instrument> = (0..count).map(instrument).collect();
            let sockets = sockets(&instruments, facts);
            prop_assert!(sockets.iter().all(|socket| (1..=facts.symbols_per_socket).contains(&socket.len())));
            prop_assert_eq!(sockets.len(), count.div_ceil(facts.symbols_per_socket));
            let mut carried: Vec<Carried> = sockets.into_iter().flatten().collect();
            carried.sort_by_key(|symbol| symbol.index);
            let all = (0u32..).zip(&instruments).map(|(index, listed)| Carried { index, key: listed.key.clone() });
            prop_assert_eq!(carried, all.collect::<Vec<_>>());
        }
    }
}
