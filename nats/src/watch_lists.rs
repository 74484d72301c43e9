//! Watch lists that applications keep in the bucket `md_watch`: any number of keys below a prefix, whose union is what
//! a venue carries. Knows no symbols: names are handed on as they were written.
//!
//! A value is a JSON array of names, or one name a line with `#` comments; a value that is neither leaves the key's
//! last good list in force, and so does a bucket that is away or was lost: a list goes only when its key is removed.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use thiserror::Error;

use crate::bucket::{Bucket, BucketWatch, is_key};
use crate::connect::{LinkError, Nats};
use crate::setup::WATCH_BUCKET;

/// Most names of a union; the others are left out and counted.
pub const NAMES_MAX: usize = 100_000;

/// Longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 256;

/// Why a text is no list.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ListError {
    /// Begins as JSON and is no array of names; says where.
    #[error("is no JSON array of names: {0}")]
    Json(String),
    /// Not UTF-8.
    #[error("is no UTF-8 text")]
    Text,
    /// A name over [`NAME_BYTES_MAX`]; holds its beginning.
    #[error("holds a name of over {NAME_BYTES_MAX} bytes: {0}..")]
    TooLong(String),
}

/// Why a prefix cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WatchError {
    /// Not a key of a bucket.
    #[error("{0:?} is no key: it may hold letters, digits and - / _ = and single dots between them")]
    Prefix(String),
    /// The connection is closed.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// Reads a list: a JSON array of names, or one name a line with `#` comments. In the order written, repeats included.
///
/// # Errors
/// [`ListError`].
pub fn parse_names(value: &[u8]) -> Result<Vec<String>, ListError> {
    let names: Vec<String> = if value.trim_ascii_start().starts_with(b"[") {
        serde_json::from_slice(value).map_err(|error| ListError::Json(error.to_string()))?
    } else {
        let text = std::str::from_utf8(value).map_err(|_| ListError::Text)?;
        text.lines().map(|line| line.split('#').next().unwrap_or_default().to_owned()).collect()
    };
    let trimmed = names.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
    trimmed
        .map(|name| match name.len() {
            0..=NAME_BYTES_MAX => Ok(name.to_owned()),
            _ => Err(ListError::TooLong(name.chars().take(32).collect())),
        })
        .collect()
}

/// Follows watch lists; cheap to clone.
#[derive(Debug, Clone)]
pub struct WatchLists {
    bucket: Bucket,
}

impl WatchLists {
    /// The watch lists over this connection; the bucket comes from
    /// [`ensure_bucket`](crate::setup::ensure_bucket)`(.., WATCH_BUCKET, ..)`.
    pub fn new(nats: &Nats) -> Self {
        Self { bucket: Bucket::new(nats, WATCH_BUCKET) }
    }

    /// The union of the key `prefix` and all keys below it (`prefix.<anything>`), then every change of it. Begins when
    /// the link is up.
    ///
    /// # Errors
    /// [`WatchError`].
    pub async fn watch(&self, prefix: &str) -> Result<WatchedLists, WatchError> {
        if !is_key(prefix) {
            return Err(WatchError::Prefix(prefix.chars().take(NAME_BYTES_MAX).collect()));
        }
        let watch = self.bucket.watch(vec![prefix.to_owned(), format!("{prefix}.>")]).await?;
        Ok(WatchedLists { watch, good: BTreeMap::new(), told: BTreeSet::new() })
    }
}

/// The union of some lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Union {
    /// The names, each once.
    pub names: BTreeSet<String>,
    /// How many names were beyond [`NAMES_MAX`].
    pub left_out: usize,
}

/// Follows the lists below a prefix, see [`WatchLists::watch`].
#[derive(Debug)]
pub struct WatchedLists {
    watch: BucketWatch,
    /// The last good list of each key, and the value it or its faulty successor was read from.
    good: BTreeMap<String, (Bytes, Vec<String>)>,
    told: BTreeSet<String>,
}

impl WatchedLists {
    /// The union as it has become; `None` once the connection is closed. Nothing comes while there is no list.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<Union> {
        loop {
            self.watch.changed().await?;
            self.read_known();
            let union = unite(self.good.values().map(|(_, names)| names));
            if union.names != self.told {
                self.told.clone_from(&union.names);
                return Some(union);
            }
        }
    }

    fn read_known(&mut self) {
        let known = self.watch.values();
        self.good.retain(|key, _| known.contains_key(key));
        for (key, value) in known {
            let (read, names) = self.good.entry(key.clone()).or_default();
            if read == value {
                continue;
            }
            *read = value.clone();
            match parse_names(value) {
                Ok(list) => *names = list,
                Err(error) => {
                    metrics::counter!("tickwire_nats_unreadable_lists_total").increment(1);
                    tracing::warn!(key, %error, "a watch list is unreadable, keeping the last good one");
                }
            }
        }
    }
}

fn unite<'a>(lists: impl Iterator<Item = &'a Vec<String>>) -> Union {
    let mut union = Union { names: BTreeSet::new(), left_out: 0 };
    for name in lists.flatten() {
        if union.names.len() < NAMES_MAX {
            union.names.insert(name.clone());
        } else if !union.names.contains(name) {
            union.left_out += 1;
        }
    }
    union
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_forms_are_read() {
        let expected = ["BTC/USDT", "ETH/USDT", "BTC/USDT"];
        let lines = b"# ours\nBTC/USDT # the first\r\n\n  ETH/USDT\nBTC/USDT";
        assert_eq!(parse_names(lines).unwrap(), expected);
        assert_eq!(parse_names(b"\n[\"BTC/USDT\", \" ETH/USDT \", \"BTC/USDT\", \"\"]").unwrap(), expected);
        assert_eq!(parse_names(b"# nothing").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_list_is_told() {
        for text in ["[1]", "[\"A\"", "[\"A\"] B", "[[\"A\"]]"] {
            assert!(matches!(parse_names(text.as_bytes()), Err(ListError::Json(_))), "{text}");
        }
        assert_eq!(parse_names(b"A\n\xFF"), Err(ListError::Text));
        let long = "A".repeat(NAME_BYTES_MAX + 1);
        assert_eq!(parse_names(long.as_bytes()), Err(ListError::TooLong("A".repeat(32))));
    }

    #[test]
    fn a_union_is_bounded_and_says_what_it_leaves_out() {
        let list = |range: std::ops::Range<usize>| range.map(|n| format!("S{n}")).collect::<Vec<_>>();
        let lists = [list(0..NAMES_MAX), list(NAMES_MAX - 5..NAMES_MAX + 7)];
        let union = unite(lists.iter());
        assert_eq!((union.names.len(), union.left_out), (NAMES_MAX, 7));
    }

    proptest! {
        #[test]
        fn any_names_survive_both_forms(names in prop::collection::vec("[A-Z0-9/:._-]{1,40}", 0..20)) {
            prop_assert_eq!(parse_names(names.join("\n").as_bytes()), Ok(names.clone()));
            prop_assert_eq!(parse_names(&serde_json::to_vec(&names).unwrap()), Ok(names));
        }
    }
}
