//! Every venue's REST answers: instruments and invitations.
//! `cargo +nightly fuzz run discovery fuzz/corpus/discovery src/venue/binance/fixtures src/venue/kucoin/fixtures`

#![no_main]

use tickwire_ingestor::venue::REGISTRY;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for venue in REGISTRY {
        let _ = venue.instruments(data);
        let _ = venue.announced_weight(data);
        let _ = venue.turnovers(data);
        let _ = venue.endpoint(None, data, 1);
    }
});
