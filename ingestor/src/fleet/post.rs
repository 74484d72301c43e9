//! What is leased: the shards of a venue, and the right to keep a venue's catalogue. Names of keys in `md_leases`
//! are here and nowhere else.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// First part of a member's key.
const MEMBER: &str = "member";
const CATALOGUE: &str = "catalogue";
const SHARD: &str = "shard";

/// Longest name of a venue or member that is read from outside.
const NAME_BYTES_MAX: usize = 64;

/// Name of a member, a venue or a tenure: short, shared, compared often.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Name(Arc<str>);

/// One thing that exactly one member does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Post {
    /// Id of the venue, like `binance`.
    pub venue: Name,
    /// Which work of that venue.
    pub part: Part,
}

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Reading the venue's list and writing it to `md_catalogue`.
    Catalogue,
    /// Carrying the symbols of one shard.
    Shard(u32),
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for Name {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.to_string()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl Post {
    /// The right to keep the catalogue of `venue`.
    pub fn catalogue(venue: &str) -> Self {
        Self { venue: Name::from(venue), part: Part::Catalogue }
    }

    /// One shard of `venue`.
    pub fn shard(venue: &str, shard: u32) -> Self {
        Self { venue: Name::from(venue), part: Part::Shard(shard) }
    }

    /// Everything there is to do for a venue with so many shards.
    pub fn all_of(venue: &Name, shards: u32) -> impl Iterator<Item = Self> {
        let parts = std::iter::once(Part::Catalogue).chain((0..shards).map(Part::Shard));
        parts.map(move |part| Self { venue: Name::clone(venue), part })
    }

    /// The post of a key, like `shard.binance.3`; `None` for any other key.
    pub fn of_key(key: &str) -> Option<Self> {
        let (kind, rest) = key.split_once('.')?;
        match kind {
            CATALOGUE => is_name(rest).then(|| Self::catalogue(rest)),
            SHARD => {
                let (venue, shard) = rest.rsplit_once('.')?;
                is_name(venue).then_some(Self::shard(venue, shard.parse().ok()?))
            }
            _ => None,
        }
    }
}

/// As its key in the bucket, and in logs.
impl fmt::Display for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            Part::Catalogue => write!(f, "{CATALOGUE}.{}", self.venue),
            Part::Shard(shard) => write!(f, "{SHARD}.{}.{shard}", self.venue),
        }
    }
}

/// Key of a member.
pub fn member_key(id: &str) -> String {
    format!("{MEMBER}.{id}")
}

/// The member of a key, or `None` for any other key.
pub fn member_of_key(key: &str) -> Option<&str> {
    let id = key.strip_prefix(MEMBER)?.strip_prefix('.')?;
    is_name(id).then_some(id)
}

/// Whether a name can be part of a key and of a subject.
pub fn is_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        for post in [Post::catalogue("binance"), Post::shard("binance-usdm", 0), Post::shard("x", u32::MAX)] {
            assert_eq!(Post::of_key(&post.to_string()), Some(post));
        }
        assert_eq!(Post::shard("kucoin", 7).to_string(), "shard.kucoin.7");
        assert_eq!(member_of_key(&member_key("a1")), Some("a1"));
    }

    #[test]
    fn other_keys_are_none_of_ours() {
        let keys =
            ["", "shard", "shard.", "shard.x", "shard.x.", "shard.x.-1", "shard.x.4294967296", "shard.a.b.1"];
        for key in keys.into_iter().chain(["catalogue.", "catalogue.a.b", "meta", "member.x", "shard.ü.1"]) {
            assert_eq!(Post::of_key(key), None, "{key}");
        }
        for key in ["member", "member.", "member.a.b", "members.a", "shard.x.1"] {
            assert_eq!(member_of_key(key), None, "{key}");
        }
    }
}
