//! What members tell each other: the values of their keys in `md_leases` (JSON) and the request for a post with its
//! answers. Anyone may write to NATS, so whatever cannot be read is nothing, never an error that stops us.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::post::{Name, Post, is_name};

/// Most shards of a venue that another member is believed.
const SHARDS_MAX: u32 = 1_024;
/// Most venues that another member is believed.
const VENUES_MAX: usize = 64;

/// Value of `member.<id>`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberValue {
    /// Shards of each venue that it can carry.
    pub venues: BTreeMap<Name, u32>,
    /// It hands everything over and takes nothing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub draining: bool,
    /// It has ended in order.
    #[serde(default, skip_serializing_if = "is_false")]
    pub left: bool,
}

/// Value of `shard.<venue>.<n>` and `catalogue.<venue>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseValue {
    /// Id of the member; empty if it is free for everyone.
    pub owner: Name,
    /// Names this tenure: tells own writes from those of an earlier or another one.
    pub nonce: Name,
    /// Symbols of the post, as its owner knows them, for members that do not run the venue.
    #[serde(default)]
    pub weight: u64,
}

/// A question to the owner of a post, on its own subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Give a post away.
    Release(Release),
}

/// The wish of a member for a post that another one holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Key of the post.
    pub post: String,
    /// Who wants it.
    pub to: Name,
    /// The name of the new tenure.
    pub nonce: Name,
}

/// The answer to a [`Release`]: one line of JSON, then the rows as the owner's board exports them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The lease is written to the one who asked.
    HandOver {
        /// Revision of that write.
        revision: u64,
        /// What the board needs to go on without a gap; this module does not look into it.
        rows: Bytes,
    },
    /// Not now; the reason is for logs.
    Refused(String),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    HandOver { revision: u64 },
    Refused { reason: String },
}

impl MemberValue {
    /// Reads a value; `None` if it is not one.
    pub fn read(value: &[u8]) -> Option<Self> {
        let read: Self = serde_json::from_slice(value).ok()?;
        let sane = read.venues.len() <= VENUES_MAX
            && read.venues.iter().all(|(venue, shards)| is_name(venue) && *shards <= SHARDS_MAX);
        sane.then_some(read)
    }

    /// As JSON.
    pub fn to_bytes(&self) -> Bytes {
        json(self)
    }
}

impl LeaseValue {
    /// Reads a value; `None` if it is not one.
    pub fn read(value: &[u8]) -> Option<Self> {
        serde_json::from_slice(value).ok()
    }

    /// As JSON.
    pub fn to_bytes(&self) -> Bytes {
        json(self)
    }

    /// Whether nobody has it.
    pub fn is_free(&self) -> bool {
        self.owner.is_empty()
    }
}

impl Release {
    /// As the payload of a request.
    pub fn to_bytes(&self) -> Bytes {
        json(&Request::Release(self.clone()))
    }

    /// Reads a request's payload.
    pub fn read(payload: &[u8]) -> Option<(Post, Self)> {
        let Request::Release(release) = serde_json::from_slice(payload).ok()?;
        let post = Post::of_key(&release.post)?;
        (is_name(&release.to) && !release.nonce.is_empty()).then_some((post, release))
    }
}

impl Answer {
    /// As the payload of a reply.
    pub fn to_bytes(&self) -> Bytes {
        let (line, rows) = match self {
            Self::HandOver { revision, rows } => (Line::HandOver { revision: *revision }, rows.as_ref()),
            Self::Refused(reason) => (Line::Refused { reason: reason.clone() }, [].as_slice()),
        };
        let mut bytes = json(&line).to_vec();
        bytes.push(b'\n');
        bytes.extend_from_slice(rows);
        Bytes::from(bytes)
    }

    /// Reads a reply's payload.
    pub fn read(payload: &Bytes) -> Option<Self> {
        let end = memchr::memchr(b'\n', payload)?;
        match serde_json::from_slice(payload.get(..end)?).ok()? {
            Line::HandOver { revision } => Some(Self::HandOver { revision, rows: payload.slice(end + 1..) }),
            Line::Refused { reason } => Some(Self::Refused(reason)),
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// These types have string keys only, which is all that can fail.
fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_read_as_they_are_written() {
        let venues = BTreeMap::from([(Name::from("binance"), 16)]);
        let member = MemberValue { venues, draining: true, left: false };
        assert_eq!(MemberValue::read(&member.to_bytes()), Some(member.clone()));
        assert_eq!(&member.to_bytes()[..], br#"{"venues":{"binance":16},"draining":true}"#);
        let lease = LeaseValue { owner: "a".into(), nonce: "a.1".into(), weight: 9 };
        assert_eq!(LeaseValue::read(&lease.to_bytes()), Some(lease));
    }

    #[test]
    fn a_post_is_asked_for_and_handed_over() {
        let release = Release { post: "shard.binance.3".into(), to: "b".into(), nonce: "b.9".into() };
        let text = br#"{"release":{"post":"shard.binance.3","to":"b","nonce":"b.9"}}"#;
        assert_eq!(&release.to_bytes()[..], text);
        assert_eq!(Release::read(text), Some((Post::shard("binance", 3), release)));
        let rows = Bytes::from_static(b"any\nthing");
        for answer in [Answer::HandOver { revision: 7, rows }, Answer::Refused("busy".into())] {
            assert_eq!(Answer::read(&answer.to_bytes()), Some(answer));
        }
    }

    #[test]
    fn members_that_cannot_be_are_nobody() {
        for value in [&br#"{"venues":{"a.b":1}}"#[..], br#"{"venues":{"a":99999}}"#, b"{}", b"", b"7"] {
            assert_eq!(MemberValue::read(value), None);
        }
    }

    proptest! {
        #[test]
        fn outside_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), text: String) {
            for payload in [bytes, text.into_bytes()] {
                let _ = (MemberValue::read(&payload), LeaseValue::read(&payload), Release::read(&payload));
                let _ = Answer::read(&Bytes::from(payload));
            }
        }
    }
}
