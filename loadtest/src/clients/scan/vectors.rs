//! The shared test vectors (`common/vectors`), as a client has to read them.

use serde_json::Value;
use tickwire_common::row::read_v;

use super::{Kind, Malformed, Scanner, ticker};
use crate::clients::{array, notice};

const ROWS: &str = include_str!("../../../../common/vectors/rows.json");
const REPLIES: &str = include_str!("../../../../common/vectors/replies.json");
const EVENTS: &str = include_str!("../../../../common/vectors/events.json");

/// `(name or number, v, skipped)` of each row.
type Heads = Vec<(String, u64, u64)>;

fn vectors(text: &str, list: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(text).unwrap();
    file[list].as_array().unwrap_or_else(|| panic!("{list}: no such list")).clone()
}

/// What the rows of a vector are, named by `key`.
fn expected(vector: &Value, key: &str) -> Heads {
    let one = [vector.clone()];
    let rows = vector.get("rows").and_then(Value::as_array).map_or(&one[..], Vec::as_slice);
    let head = |row: &Value| {
        let name = row[key].as_str().map_or_else(|| row[key].to_string(), str::to_owned);
        (name, read_v(row["row"].as_str().unwrap().as_bytes()).unwrap(), row["skipped"].as_u64().unwrap_or(0))
    };
    rows.iter().map(head).collect()
}

fn objects(frame: &str) -> (Kind, Result<Heads, Malformed>) {
    let (kind, bytes) = ticker(frame.as_bytes()).unwrap();
    let mut heads = Heads::new();
    let result = Scanner::default().rows(bytes, |row| {
        heads.push((String::from_utf8(row.name.to_vec()).unwrap(), row.v, row.skipped));
    });
    (kind, result.map(|()| heads))
}

fn arrays(frame: &str) -> (Kind, Result<Heads, Malformed>) {
    let (kind, bytes) = array::ticker(frame.as_bytes()).unwrap();
    let mut heads = Heads::new();
    let result = array::rows(bytes, |row| heads.push((row.id.to_string(), row.v, row.skipped)));
    (kind, result.map(|()| heads))
}

#[test]
fn all_encodings_of_a_vector_are_the_same_rows() {
    let mut read = 0;
    for (list, kind) in [("updates", Kind::Update), ("snapshots", Kind::Snapshot)] {
        for vector in vectors(ROWS, list) {
            let frame = |encoding: &str| vector["frames"][encoding].as_str().unwrap().to_owned();
            for encoding in ["json", "json_string"] {
                assert_eq!(
                    objects(&frame(encoding)),
                    (kind, Ok(expected(&vector, "name"))),
                    "{encoding} {vector}"
                );
            }
            for encoding in ["array", "array_string"] {
                assert_eq!(
                    arrays(&frame(encoding)),
                    (kind, Ok(expected(&vector, "id"))),
                    "{encoding} {vector}"
                );
            }
            read += 1;
        }
    }
    assert!(read > 0, "there are vectors");
}

#[test]
fn replies_and_events_are_understood() {
    for file in [REPLIES, EVENTS] {
        let vectors: Vec<Value> = serde_json::from_str(file).unwrap();
        assert!(!vectors.is_empty(), "there are vectors");
        for vector in vectors {
            let text = vector["text"].as_str().unwrap_or_else(|| panic!("{vector}"));
            assert!(notice::parse(text.as_bytes()).is_ok(), "{text}");
        }
    }
}
