//! Error codes and close codes: names and numbers that clients rely on.

use serde::Deserialize;
use tickwire_common::wire::close::CloseCode;
use tickwire_common::wire::error::ErrorCode;

use crate::vectors;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Codes {
    errors: Vec<ErrorRow>,
    closes: Vec<CloseRow>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct ErrorRow {
    code: String,
    num: u16,
    retry: bool,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct CloseRow {
    code: u16,
    reason: String,
    retry: bool,
}

#[test]
fn all_codes_stand_in_the_vectors() {
    let errors = ErrorCode::ALL.map(|code| ErrorRow {
        code: code.as_str().to_owned(),
        num: code.num(),
        retry: code.retry(),
    });
    let closes = CloseCode::ALL.map(|code| CloseRow {
        code: code.num(),
        reason: code.as_str().to_owned(),
        retry: code.retry(),
    });
    assert_eq!(vectors::<Codes>("codes.json"), Codes { errors: errors.into(), closes: closes.into() });
}
