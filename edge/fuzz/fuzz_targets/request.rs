//! Client requests: every text is a request or a rejection with a code, and nothing panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tickwire_common::wire::request::{Method, parse};

fuzz_target!(|text: &str| {
    match parse(text) {
        Ok(request) => {
            if let Method::Subscribe(subscribe) = request.method {
                assert!(!subscribe.symbols.is_empty());
            }
        }
        Err(rejection) => assert!(!rejection.message.is_empty()),
    }
});
