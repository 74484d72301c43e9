//! KuCoin's session and codec on hostile frames, one a line.
//! `cargo +nightly fuzz run kucoin fuzz/corpus/kucoin src/venue/kucoin/fixtures`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let welcomed = [br#"{"type":"welcome"}"#, &b"\n"[..], data].concat();
    tickwire_ingestor_fuzz::drive("kucoin", &welcomed);
});
