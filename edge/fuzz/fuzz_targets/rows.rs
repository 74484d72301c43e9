//! Rows that anyone may publish: what passes the check is valid JSON in every encoding, folded or not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use tickwire_common::row::check;
use tickwire_common::wire::encoding::{EdgeRow, Encoding, RowKind};

fuzz_target!(|row: &[u8]| {
    if check(row).is_err() {
        return;
    }
    for encoding in Encoding::ALL {
        let mut plain = encoding.open(RowKind::Update).to_vec();
        let edge_row = EdgeRow { name: "bench:A", id: 7, venue: Some("bench"), stale: true, row };
        let mark = encoding.push_row(&mut plain, &edge_row);
        let (mut folded, mut skipped) = (plain.clone(), Vec::new());
        encoding.push_skipped(&mut skipped, 12);
        folded.splice(mark, skipped);
        for mut text in [plain, folded] {
            text.extend_from_slice(encoding.close());
            serde_json::from_slice::<&RawValue>(&text).expect("a message is JSON");
        }
    }
});
