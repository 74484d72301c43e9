//! Binance's session and codec on hostile frames, one a line.
//! `cargo +nightly fuzz run binance fuzz/corpus/binance src/venue/binance/fixtures`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tickwire_ingestor_fuzz::drive("binance", data));
