//! Rows in, messages out, in every encoding.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use tickwire_common::row;
use tickwire_common::wire::encoding::{COLS, EdgeRow, Encoding, RowKind};

use crate::vectors;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rows {
    pub updates: Vec<Update>,
    pub snapshots: Vec<Snapshot>,
}

#[derive(Deserialize)]
pub(crate) struct Update {
    pub about: String,
    #[serde(flatten)]
    row: RowIn,
    pub frames: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Snapshot {
    pub about: String,
    rows: Vec<RowIn>,
    pub frames: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct RowIn {
    name: String,
    id: u32,
    venue: Option<String>,
    stale: bool,
    skipped: u32,
    row: String,
}

/// The key of an encoding in `frames`.
pub(crate) fn key(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Json => "json",
        Encoding::JsonString => "json_string",
        Encoding::Array => "array",
        Encoding::ArrayString => "array_string",
    }
}

/// A message as the edge puts it together: the row, and for a skipped client the mark in its place.
fn message(encoding: Encoding, kind: RowKind, rows: &[RowIn]) -> String {
    let mut out = encoding.open(kind).to_vec();
    for (at, row) in rows.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let (name, venue, row_bytes) = (&*row.name, row.venue.as_deref(), row.row.as_bytes());
        let mark = encoding
            .push_row(&mut out, &EdgeRow { name, id: row.id, venue, stale: row.stale, row: row_bytes });
        if row.skipped > 0 {
            let mut skipped = Vec::new();
            encoding.push_skipped(&mut skipped, row.skipped);
            out.splice(mark, skipped);
        }
    }
    out.extend_from_slice(encoding.close());
    String::from_utf8(out).unwrap()
}

fn check(about: &str, kind: RowKind, rows: &[RowIn], frames: &BTreeMap<String, String>) {
    for row in rows {
        row::check(row.row.as_bytes()).unwrap_or_else(|error| panic!("{about}: {error}"));
    }
    assert_eq!(frames.len(), Encoding::COUNT, "{about}");
    for encoding in Encoding::ALL {
        let (made, expected) = (message(encoding, kind, rows), &frames[key(encoding)]);
        assert_eq!(&made, expected, "{about}, {encoding:?}");
        serde_json::from_str::<serde_json::Value>(&made).unwrap();
    }
}

#[test]
fn every_row_is_framed_as_the_vectors_say() {
    let rows: Rows = vectors("rows.json");
    for update in &rows.updates {
        check(&update.about, RowKind::Update, std::slice::from_ref(&update.row), &update.frames);
    }
    for snapshot in &rows.snapshots {
        check(&snapshot.about, RowKind::Snapshot, &snapshot.rows, &snapshot.frames);
    }
    let names: BTreeSet<&str> = rows.updates.iter().map(|update| &*update.about).collect();
    assert_eq!(names.len(), rows.updates.len(), "each vector says what it is about");
}

/// Whoever reads lists by the columns of the reply gets what readers of objects get.
#[test]
fn lists_and_objects_say_the_same() {
    let rows: Rows = vectors("rows.json");
    for update in &rows.updates {
        let read = |key: &str| serde_json::from_str::<serde_json::Value>(&update.frames[key]).unwrap();
        for (objects, lists) in [("json", "array"), ("json_string", "array_string")] {
            let (objects, lists) = (read(objects), read(lists));
            let (object, list) = (&objects["data"][0], lists[1].as_array().unwrap());
            assert!(list.len() <= COLS.len());
            for (column, name) in COLS.into_iter().enumerate().skip(1) {
                let cell = list.get(column).unwrap_or(&serde_json::Value::Null);
                let absent = match name {
                    "skipped" => 0.into(),
                    _ => serde_json::Value::Null,
                };
                match name {
                    "stale" => assert_eq!(*cell == 1, object[name] == true, "{}", update.about),
                    _ => assert_eq!(cell, object.get(name).unwrap_or(&absent), "{}", update.about),
                }
            }
        }
    }
}
