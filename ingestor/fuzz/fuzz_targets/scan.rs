//! The JSON reader against serde_json: what it takes, serde_json takes, and what serde_json takes, it takes, but for
//! texts that are no UTF-8 or nested deeper than its bound.
//! `cargo +nightly fuzz run scan fuzz/corpus/scan src/venue/binance/fixtures src/venue/kucoin/fixtures`

#![no_main]

use tickwire_ingestor::venue::scan::{DEPTH_MAX, members};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        let _ = members(data, |_, _| Ok(()));
        return;
    };
    let ours = members(data, |_, _| Ok(())).is_ok();
    let is_object = text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{');
    let theirs = is_object && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    let depth = text.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count();
    if ours || depth <= usize::from(DEPTH_MAX) {
        assert_eq!(ours, theirs, "{text}");
    }
});
