//! The stream and the buckets that Tickwire needs: created when they are missing, checked when they are there. Never
//! changes what exists: somebody chose it, and says so or deletes it.
//!
//! A stream in memory does not survive the restart of a single server, so ensure again whenever
//! [`LinkState::epoch`](crate::LinkState) grows.

use std::time::Duration;

use serde_json::{Value, json};
use thiserror::Error;

use crate::api::ApiError;
use crate::connect::Nats;
use crate::subject::ALL_LAST;

/// The stream of last values.
pub const LAST_STREAM: &str = "MD_LAST";
/// The bucket that says who owns which shard of which venue.
pub const LEASES_BUCKET: &str = "md_leases";
/// The bucket of instruments.
pub const CATALOGUE_BUCKET: &str = "md_catalogue";
/// The bucket of watch lists, written by applications.
pub const WATCH_BUCKET: &str = "md_watch";

/// A symbol that was not written for this long is gone. A small multiple of
/// [`REFRESH_INTERVAL`](crate::last_value::REFRESH_INTERVAL).
pub const LAST_MAX_AGE: Duration = Duration::from_secs(600);

/// A lease that was not renewed for this long is nobody's, and what is left of it goes: names of processes that ended.
/// Leases end by their own, far shorter times; this only keeps the bucket small.
pub const LEASES_MAX_AGE: Duration = Duration::from_secs(3_600);

/// The first nats-server whose compare-and-set holds among several servers: before, two that wrote in the same moment
/// both won (<https://github.com/nats-io/nats-server/issues/4320>), or two that created
/// (<https://github.com/nats-io/nats-server/pull/5794>). A single server always kept it.
const CAS_IN_CLUSTERS: Version = (2, 10, 19);

type Version = (u32, u32, u32);

/// Why a stream cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SetupError {
    /// It exists, but would not do what we need.
    #[error(
        "the stream {stream} has {field} = {found} and Tickwire needs {wanted}: change it with `nats stream edit \
             {stream}`, or delete it with `nats stream rm {stream}` and it will be created anew"
    )]
    Mismatch {
        /// Name of the stream.
        stream: String,
        /// The first field that differs, as the JetStream API names it.
        field: String,
        /// Its value, JSON.
        found: String,
        /// The value needed, JSON.
        wanted: String,
    },
    /// The servers are too old to keep it on several of them.
    #[error(
        "nats-server {version} cannot keep the stream {stream} on several servers: before {} it lets two writers win at \
             once; upgrade NATS, or keep it on one server (nats.replicas = 1)",
        written(CAS_IN_CLUSTERS)
    )]
    TooOld {
        /// Name of the stream.
        stream: String,
        /// What the server calls itself.
        version: String,
    },
    /// It could not be read or created.
    #[error("cannot set up the stream {stream}: {source}")]
    Api {
        /// Name of the stream.
        stream: String,
        /// What the server said.
        source: ApiError,
    },
}

impl SetupError {
    /// Whether trying again later can help without a person's hand.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Api { source: ApiError::Link(_) | ApiError::Unavailable(_), .. })
    }
}

/// Makes sure that [`LAST_STREAM`] exists and keeps the newest row a symbol, in memory, on `replicas` servers.
///
/// # Errors
/// [`SetupError`], each with what to do about it.
pub async fn ensure_last_stream(nats: &Nats, replicas: u32) -> Result<(), SetupError> {
    let needed = json!({
        "subjects": [ALL_LAST],
        "storage": "memory",
        "max_msgs_per_subject": 1,
        "discard": "old",
        "max_age": nanoseconds(LAST_MAX_AGE),
        // Not set by the server on its own; without it every snapshot would queue at the stream's leader.
        "allow_direct": true,
        "num_replicas": replicas,
    });
    // Acknowledgements are only sent where one is asked for, so no_ack stays a choice of whoever made the stream.
    ensure(nats, LAST_STREAM, needed, json!({"retention": "limits", "no_ack": true})).await.map(|_info| ())
}

/// Makes sure that a bucket exists, in the shape of <https://github.com/nats-io/nats-architecture-and-design> ADR-8,
/// so that every NATS tool takes it for a key-value bucket. History is 1, nothing expires but in [`LEASES_BUCKET`],
/// which forgets after [`LEASES_MAX_AGE`] or what its maker chose.
///
/// # Errors
/// [`SetupError`], each with what to do about it.
pub async fn ensure_bucket(nats: &Nats, bucket: &str, replicas: u32) -> Result<(), SetupError> {
    let mut needed = json!({
        "subjects": [format!("$KV.{bucket}.>")],
        "max_msgs_per_subject": 1,
        "allow_direct": true,
        "num_replicas": replicas,
    });
    let mut created = json!({
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "allow_rollup_hdrs": true,
        "deny_delete": true,
    });
    if bucket == LEASES_BUCKET {
        created["max_age"] = nanoseconds(LEASES_MAX_AGE).into();
    } else {
        needed["max_age"] = 0.into();
    }
    let stream = bucket_stream(bucket);
    let info = ensure(nats, &stream, needed, created).await?;
    let replicas = info.pointer("/config/num_replicas").and_then(Value::as_u64);
    let version = nats.server_version();
    if bucket == LEASES_BUCKET && replicas > Some(1) && read(&version).is_some_and(|v| v < CAS_IN_CLUSTERS) {
        return Err(SetupError::TooOld { stream, version });
    }
    Ok(())
}

/// `2.10.19` out of `2.10.19-RC.1`; `None` for a development build without number.
fn read(version: &str) -> Option<Version> {
    let mut numbers = version.split(['.', '-', '+']).map_while(|part| part.parse().ok());
    Some((numbers.next()?, numbers.next()?, numbers.next()?))
}

fn written((major, minor, patch): Version) -> String {
    format!("{major}.{minor}.{patch}")
}

/// The stream below a bucket.
pub(crate) fn bucket_stream(bucket: &str) -> String {
    format!("KV_{bucket}")
}

/// `needed` is checked; `chosen` is only used to create. Returns what the server says of the stream.
#[tracing::instrument(name = "ensure_stream", skip_all, fields(stream))]
pub(crate) async fn ensure(
    nats: &Nats,
    stream: &str,
    needed: Value,
    chosen: Value,
) -> Result<Value, SetupError> {
    let failed = |source| SetupError::Api { stream: stream.to_owned(), source };
    let found = match info(nats, stream).await {
        Err(ApiError::NotFound) => match create(nats, stream, &needed, chosen).await {
            // Another process was faster, perhaps with another version's configuration. If nothing of that name is
            // there, our subjects belong to some other stream.
            Err(taken @ ApiError::Taken(_)) => info(nats, stream).await.map_err(|_| taken),
            created => created,
        },
        found => found,
    };
    let found = found.map_err(failed)?;
    check(stream, &needed, &found)?;
    Ok(found)
}

async fn info(nats: &Nats, stream: &str) -> Result<Value, ApiError> {
    nats.api(&format!("STREAM.INFO.{stream}"), &json!({})).await
}

async fn create(nats: &Nats, stream: &str, needed: &Value, chosen: Value) -> Result<Value, ApiError> {
    let mut config = chosen;
    if let (Some(config), Some(needed)) = (config.as_object_mut(), needed.as_object()) {
        config.insert("name".to_owned(), stream.into());
        config.extend(needed.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    let created = nats.api(&format!("STREAM.CREATE.{stream}"), &config).await?;
    tracing::info!(stream, "created the stream");
    Ok(created)
}

/// Compares what the server has with what we need, field by field. The server leaves out false fields.
fn check(stream: &str, needed: &Value, info: &Value) -> Result<(), SetupError> {
    let found = info.get("config").unwrap_or(&Value::Null);
    for (field, wanted) in needed.as_object().into_iter().flatten() {
        let found = found.get(field).unwrap_or(&Value::Bool(false));
        // More copies than we ask for do no harm.
        let enough = field == "num_replicas" && found.as_u64() >= wanted.as_u64();
        if found != wanted && !enough {
            return Err(SetupError::Mismatch {
                stream: stream.to_owned(),
                field: field.clone(),
                found: found.to_string(),
                wanted: wanted.to_string(),
            });
        }
    }
    Ok(())
}

pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        for (text, version) in [
            ("2.9.10", Some((2, 9, 10))),
            ("2.10.19", Some(CAS_IN_CLUSTERS)),
            ("2.12.0-RC.1", Some((2, 12, 0))),
            ("3.0.0+build", Some((3, 0, 0))),
            ("dev", None),
            ("", None),
        ] {
            assert_eq!(read(text), version, "{text}");
        }
        assert!(read("2.9.10") < Some(CAS_IN_CLUSTERS) && read("2.14.5") > Some(CAS_IN_CLUSTERS));
    }
}
