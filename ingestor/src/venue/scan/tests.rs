use proptest::prelude::*;

use super::*;

fn read(bytes: &[u8]) -> Result<Vec<(&[u8], Value<'_>)>, Malformed> {
    let mut seen = Vec::new();
    members(bytes, |key, value| {
        seen.push((key, value));
        Ok(())
    })?;
    Ok(seen)
}

#[test]
fn members_come_as_slices_of_the_frame() {
    let frame = br#" {"a": "x\"y", "b":[1,{"c":null}] ,"d":{"e":-1.5e+3},"f":true,"g":null,"h":0} "#;
    let expected: Vec<(&[u8], Value<'_>)> = vec![
        (b"a", Value::Text(br#"x\"y"#)),
        (b"b", Value::Array(br#"[1,{"c":null}]"#)),
        (b"d", Value::Object(br#"{"e":-1.5e+3}"#)),
        (b"f", Value::Bool(true)),
        (b"g", Value::Null),
        (b"h", Value::Number(b"0")),
    ];
    assert_eq!(read(frame), Ok(expected));
    assert_eq!(Value::Text(br#"x\"y"#).text().unwrap().as_ref(), b"x\"y");
}

#[test]
fn what_is_not_one_object_is_refused() {
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(40), "]".repeat(40));
    for frame in [
        "",
        "{",
        "[]",
        "1",
        "{}{}",
        "{} x",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a":01}"#,
        r#"{"a":1.}"#,
        r#"{"a":-}"#,
        r#"{"a":1e}"#,
        r#"{"a":+1}"#,
        r#"{"a":.5}"#,
        r#"{"a":NaN}"#,
        r#"{"a":tru}"#,
        r#"{"a":"\x"}"#,
        r#"{"a":"\u12"}"#,
        "{\"a\":\"\n\"}",
        r#"{a:1}"#,
        &deep,
    ] {
        assert_eq!(read(frame.as_bytes()), Err(Malformed::Syntax), "{frame}");
    }
}

#[test]
fn integers_are_exact_or_refused() {
    assert_eq!(Value::Number(b"9223372036854775807").integer(), Ok(i64::MAX));
    assert_eq!(Value::Text(b"-1").integer(), Ok(-1));
    for digits in ["", "-", "9223372036854775808", "1.5", "1e3", "+1", "x"] {
        assert_eq!(Value::Text(digits.as_bytes()).integer(), Err(Malformed::Number), "{digits}");
    }
    assert_eq!(Value::Null.integer(), Err(Malformed::Number));
    assert_eq!(Value::Null.decimal(), Ok(None));
}

/// JSON of the kinds that venues send, and more.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "\\PC{0,8}".prop_map(Into::into),
        "[\\x00-\\x7f]{0,6}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::hash_map("\\PC{0,4}", inner, 0..5)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// What serde_json reads from the same member.
fn as_json(value: Value<'_>) -> serde_json::Value {
    match value {
        Value::Text(_) => String::from_utf8(value.text().unwrap().into_owned()).unwrap().into(),
        Value::Number(raw) | Value::Object(raw) | Value::Array(raw) => serde_json::from_slice(raw).unwrap(),
        Value::Bool(value) => value.into(),
        Value::Null => serde_json::Value::Null,
    }
}

proptest! {
    #[test]
    fn reads_what_serde_json_reads(map in prop::collection::hash_map("\\PC{0,6}", json(), 0..6), pretty: bool) {
        let object = serde_json::Value::Object(map.into_iter().collect());
        let text = if pretty { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) }.unwrap();
        let seen: serde_json::Map<String, serde_json::Value> = read(text.as_bytes())
            .unwrap()
            .into_iter()
            .map(|(key, value)| (as_json(Value::Text(key)).as_str().unwrap().to_owned(), as_json(value)))
            .collect();
        // Of the same text, for printing a float and reading it back may differ in the last digit.
        prop_assert_eq!(serde_json::Value::Object(seen), serde_json::from_str::<serde_json::Value>(&text).unwrap());
    }

    #[test]
    fn refuses_what_serde_json_refuses(text in r#"[{}\[\]",:0-9eE.+\-a-c \\ntu]{0,24}"#) {
        let ours = read(text.as_bytes()).is_ok();
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok() && text.trim_start().starts_with('{');
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = read(&bytes);
    }
}
