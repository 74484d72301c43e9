//! docs/asyncapi.yaml against the vectors: each message of the server fits exactly one of its schemas, each request that
//! the server understands fits exactly one and each that it refuses none, and every example is a vector. The examples
//! of docs/WIRE.md fit too.

use std::collections::BTreeSet;

use boon::{Compiler, Draft, SchemaIndex, Schemas};
use serde_json::Value;
use tickwire_common::wire::encoding::{Encoding, Layout};
use tickwire_common::wire::error::ErrorCode;

use crate::messages::Vector;
use crate::requests::Requests;
use crate::rows::{Rows, key};
use crate::vectors;

const URL: &str = "file:///asyncapi.yaml";

/// Messages of clients; all others are the server's.
const REQUESTS: [&str; 4] = ["list", "ping", "subscribe", "unsubscribe"];

struct Document {
    read: Value,
    schemas: Schemas,
    /// Each message with its schema.
    messages: Vec<(String, SchemaIndex)>,
}

impl Document {
    fn open() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/asyncapi.yaml");
        let read: Value = serde_norway::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.set_default_draft(Draft::V7);
        compiler.add_resource(URL, read.clone()).unwrap();
        let names = read["components"]["messages"].as_object().unwrap().keys();
        let messages = names.map(|name| {
            let place = format!("{URL}#/components/messages/{name}/payload");
            let schema =
                compiler.compile(&place, &mut schemas).unwrap_or_else(|error| panic!("{name}: {error:#}"));
            (name.clone(), schema)
        });
        let messages = messages.collect();
        Self { read, schemas, messages }
    }

    /// The messages of one side that this text may be.
    fn kinds(&self, text: &str, requests: bool) -> Vec<&str> {
        let Ok(message) = serde_json::from_str::<Value>(text) else { return Vec::new() };
        let side = self.messages.iter().filter(|(name, _)| REQUESTS.contains(&&**name) == requests);
        let fitting = side.filter(|(_, schema)| self.schemas.validate(&message, *schema).is_ok());
        fitting.map(|(name, _)| &**name).collect()
    }
}

/// What the server sends, as (about, text, the message it is where that is plain).
fn sent() -> Vec<(String, String, Option<&'static str>)> {
    let rows: Rows = vectors("rows.json");
    let updates = rows.updates.into_iter().map(|vector| (vector.about, vector.frames));
    let snapshots = rows.snapshots.into_iter().map(|vector| (vector.about, vector.frames));
    let mut all = Vec::new();
    for (about, frames) in updates.chain(snapshots) {
        for encoding in Encoding::ALL {
            let kind = match encoding.layout() {
                Layout::Json => "rows",
                Layout::Array => "listedRows",
            };
            all.push((about.clone(), frames[key(encoding)].clone(), Some(kind)));
        }
    }
    for file in ["replies.json", "events.json"] {
        all.extend(vectors::<Vec<Vector>>(file).into_iter().map(|vector| (vector.about, vector.text, None)));
    }
    all
}

#[test]
fn every_message_of_the_server_fits_one_schema() {
    let document = Document::open();
    let mut seen = BTreeSet::new();
    for (about, text, kind) in sent() {
        let kinds = document.kinds(&text, false);
        assert_eq!(kinds.len(), 1, "{about} is {kinds:?}: {text}");
        assert!(kind.is_none_or(|kind| kinds == [kind]), "{about} is {kinds:?}");
        seen.extend(kinds.into_iter().map(str::to_owned));
    }
    let all = document.messages.iter().map(|(name, _)| name.clone());
    let untested: Vec<_> = all.filter(|name| !seen.contains(name) && !REQUESTS.contains(&&**name)).collect();
    assert_eq!(untested, [""; 0], "a message without a vector");
}

#[test]
fn requests_fit_where_the_server_understands_them() {
    let (document, requests) = (Document::open(), vectors::<Requests>("requests.json"));
    for vector in requests.understood {
        let kinds = document.kinds(&vector.text, true);
        assert_eq!(kinds.len(), 1, "{} is {kinds:?}", vector.about);
    }
    for vector in requests.refused {
        assert_eq!(document.kinds(&vector.text, true), [""; 0], "{}", vector.about);
    }
}

#[test]
fn the_examples_for_people_fit_too() {
    let wire = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/WIRE.md")).unwrap();
    let protocol = wire.split("## Client protocol").nth(1).unwrap();
    let examples: Vec<&str> = protocol.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    assert!(examples.len() > 15, "{}", examples.len());
    let document = Document::open();
    for example in examples {
        let kinds = [document.kinds(example, true), document.kinds(example, false)].concat();
        assert_eq!(kinds.len(), 1, "{kinds:?}: {example}");
    }
}

#[test]
fn every_example_is_a_vector() {
    let requests = vectors::<Requests>("requests.json").understood.into_iter().map(|vector| vector.text);
    let texts = sent().into_iter().map(|(_, text, _)| text).chain(requests);
    let known: Vec<Value> = texts.map(|text| serde_json::from_str(&text).unwrap()).collect();
    let document = Document::open();
    for (name, message) in document.read["components"]["messages"].as_object().unwrap() {
        let examples = message["examples"].as_array().unwrap_or_else(|| panic!("{name} has no example"));
        for example in examples {
            assert!(known.contains(&example["payload"]), "{name}, {}: in no vector", example["name"]);
        }
    }
}

#[test]
fn the_document_names_all_codes_and_subprotocols() {
    let read = Document::open().read;
    let codes: Vec<Value> = ErrorCode::ALL.iter().map(|code| code.as_str().into()).collect();
    assert_eq!(read["components"]["schemas"]["ErrorCode"]["enum"], Value::from(codes));
    let binding = &read["channels"]["stream"]["bindings"]["ws"];
    let offered = &binding["headers"]["properties"]["Sec-WebSocket-Protocol"]["enum"];
    let ours = [Layout::Json, Layout::Array].map(|layout| Value::from(layout.subprotocol()));
    assert_eq!(offered, &Value::from(ours.to_vec()));
}
