//! All four encodings of rows as anyone may publish them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::row::check;

fn framed(encoding: Encoding, row: &str) -> String {
    let (mut out, name) = (Vec::new(), "bench:A");
    encoding.push_row(&mut out, &EdgeRow { name, id: 7, venue: None, stale: false, row: row.as_bytes() });
    String::from_utf8(out).unwrap()
}

#[test]
fn each_choice_has_its_place_and_comes_back_from_its_parts() {
    for (index, encoding) in Encoding::ALL.into_iter().enumerate() {
        assert_eq!(encoding.index(), index);
        assert_eq!(Encoding::new(encoding.layout(), encoding.numbers()), encoding);
        let layout = encoding.layout();
        assert_eq!(Layout::of_subprotocol(layout.subprotocol()), Some(layout));
    }
}

/// Anyone may publish rows: what should be a number and is none is passed on in objects and unknown in lists.
#[test]
fn fields_that_should_be_numbers() {
    let row = r#"{"v":1,"price":null,"bid":"1.5","ask":[1.5],"high":true,"low":2,"ts":{}}"#;
    assert_eq!(framed(Encoding::Json, row), row.replacen('{', r#"{"symbol":"bench:A","#, 1));
    let strings = row.replacen('{', r#"{"symbol":"bench:A","#, 1).replace(":2,", r#":"2","#);
    assert_eq!(framed(Encoding::JsonString, row), strings);
    assert_eq!(framed(Encoding::Array, row), "[7,1,0,0,null,null,null,null,null,null,null,2]");
    assert_eq!(framed(Encoding::ArrayString, row), r#"[7,1,0,0,null,null,null,null,null,null,null,"2"]"#);
}

/// Fields of a row as anyone may publish them: known names or not, and any digits.
fn fields() -> impl Strategy<Value = BTreeMap<&'static str, String>> {
    let names = prop::sample::select(vec!["price", "low", "ts", "own", "volume", "change"]);
    let digits = "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?([eE][+-]?[0-9]{1,2})?";
    prop::collection::btree_map(names, digits, 0..6)
}

proptest! {
    #[test]
    fn digits_are_the_publishers_in_every_encoding(
        v in any::<u64>(),
        fields in fields(),
        blank in "[ \t]{0,2}",
    ) {
        let field = |(name, digits)| format!(",{blank}\"{name}\"{blank}:{blank}{digits}{blank}");
        let row = format!("{{\"v\":{v}{}}}", fields.iter().map(field).collect::<String>());
        prop_assert_eq!(check(row.as_bytes()), Ok(v));
        for numbers in [Numbers::Number, Numbers::String] {
            let object = framed(Encoding::new(Layout::Json, numbers), &row);
            let object: BTreeMap<&str, &RawValue> = serde_json::from_str(&object).unwrap();
            let list = framed(Encoding::new(Layout::Array, numbers), &row);
            let list: Vec<&RawValue> = serde_json::from_str(&list).unwrap();
            for (name, digits) in &fields {
                let quoted = numbers == Numbers::String && DECIMALS.contains(name);
                let expected = if quoted { format!("\"{digits}\"") } else { digits.clone() };
                prop_assert_eq!(object[name].get(), &expected);
                let cell = COLS.iter().position(|col| col == name).map(|column| list[column].get());
                prop_assert_eq!(cell.unwrap_or(&expected), &expected);
            }
            prop_assert_eq!(list[1].get(), v.to_string());
        }
    }
}
