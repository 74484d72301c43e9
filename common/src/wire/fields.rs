//! Where the fields of a row are: a scanner over the bytes of one flat walk, without a parse. For rows that have passed
//! [`crate::row::check`]; of anything else it gives some fields or none, and does not panic.

use std::ops::Range;

/// One field of the object. A key that is written with escapes keeps them, and so matches no name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field<'a> {
    /// Without its quotes.
    pub key: &'a [u8],
    /// Where the value stands in the row, without the blanks around it.
    pub value: Range<usize>,
}

/// The fields of an object, in order; what is inside of a value is passed over.
pub(super) fn fields(row: &[u8]) -> Fields<'_> {
    // Behind the brace.
    Fields { row, at: 1 }
}

/// See [`fields`].
#[derive(Debug)]
pub(super) struct Fields<'a> {
    row: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        self.skip(b", \t\r\n");
        if self.row.get(self.at) != Some(&b'"') {
            return None;
        }
        let end = string_end(self.row, self.at);
        let key = self.row.get(self.at + 1..end.checked_sub(1)?)?;
        self.at = end;
        self.skip(b": \t\r\n");
        let start = self.at;
        self.at = value_end(self.row, start);
        let value = self.row.get(start..self.at)?;
        Some(Field { key, value: start..start + value.trim_ascii_end().len() })
    }
}

impl Fields<'_> {
    #[inline]
    fn skip(&mut self, bytes: &[u8]) {
        while self.row.get(self.at).is_some_and(|byte| bytes.contains(byte)) {
            self.at += 1;
        }
    }
}

/// Behind the closing quote of the string that begins at `at`.
#[inline]
fn string_end(row: &[u8], mut at: usize) -> usize {
    at += 1;
    loop {
        match row.get(at) {
            None => return row.len(),
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
        }
    }
}

/// At the comma or brace behind the value that begins at `at`.
#[inline]
fn value_end(row: &[u8], mut at: usize) -> usize {
    let mut depth = 0u32;
    while let Some(byte) = row.get(at) {
        match byte {
            b'"' => {
                at = string_end(row, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' if depth == 0 => break,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::value::RawValue;
    use std::collections::BTreeMap;

    fn read(row: &str) -> Vec<(&str, &str)> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        fields(row.as_bytes()).map(|field| (text(field.key), &row[field.value])).collect()
    }

    #[test]
    fn blanks_strings_and_nested_values() {
        let row =
            "{\"v\":7 , \"a,b\" :\t\"}\\\",\" ,\"n\":{\"p\":[1,{\"q\":\"]\"}],\"r\":2} ,\"price\": 1.5 }";
        let expected =
            [("v", "7"), ("a,b", r#""}\",""#), ("n", r#"{"p":[1,{"q":"]"}],"r":2}"#), ("price", "1.5")];
        assert_eq!(read(row), expected);
        assert_eq!(read("{}"), []);
        assert_eq!(read(r#"{"\u0076":1,"\\":2}"#), [(r"\u0076", "1"), (r"\\", "2")]);
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Into::into),
            "[ -~]{0,6}".prop_map(Into::into),
            Just(serde_json::Value::Null),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
                prop::collection::btree_map("[a-z\"]{0,2}", inner, 0..3)
                    .prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_fields_are_those_that_serde_reads(object in prop::collection::btree_map("[a-z]{1,3}", value(), 0..6)) {
            for row in [serde_json::to_string(&object).unwrap(), serde_json::to_string_pretty(&object).unwrap()] {
                let expected: BTreeMap<&str, &RawValue> = serde_json::from_str(&row).unwrap();
                let read: BTreeMap<&str, &str> = read(&row).into_iter().collect();
                let expected: BTreeMap<&str, &str> =
                    expected.iter().map(|(key, value)| (*key, value.get())).collect();
                prop_assert_eq!(read, expected);
            }
        }

        #[test]
        fn random_bytes_end_and_never_panic(row in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(fields(&row).count() <= row.len());
        }

        #[test]
        fn broken_rows_end_and_never_panic(row in "[{}\\[\\]\",:\\\\a1 ]{0,40}") {
            prop_assert!(fields(row.as_bytes()).count() <= row.len());
        }
    }
}
