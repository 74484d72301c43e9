//! The slow part of a join, away from the feed's loop: subscribe, barrier, snapshot, in this order. After the barrier
//! the server delivers every later row, and the snapshot holds every earlier one, so no row falls between.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{AbortHandle, Abortable};
use futures_util::{Stream, StreamExt as _};
use tickwire_common::symbol::Topic;
use tickwire_nats::snapshot::Snapshots;
use tickwire_nats::subject;
use tickwire_nats::subscribe::Subscription;
use tickwire_nats::{LinkError, Nats};

use super::topic::TopicId;

/// Topics joined in one job: one batch of Direct Get.
pub(super) const JOB_TOPICS_MAX: usize = 512;

/// Live rows of one topic, each with the topic's id.
#[derive(Debug)]
pub(super) struct Rows {
    id: TopicId,
    subscription: Subscription,
}

impl Stream for Rows {
    type Item = (TopicId, Bytes);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let message = std::task::ready!(self.subscription.poll_next_unpin(cx));
        Poll::Ready(message.map(|message| (self.id, message.payload)))
    }
}

/// What a job came to.
#[derive(Debug)]
pub(super) struct Primed {
    pub topics: Vec<(TopicId, Option<Bytes>)>,
    pub streams: Vec<(TopicId, AbortHandle, Abortable<Rows>)>,
    /// NATS was away: the snapshot is to be read again.
    pub failed: bool,
}

/// Subscribes to new topics, then reads their last rows.
#[tracing::instrument(name = "join", skip_all, fields(topics = topics.len()))]
pub(super) async fn join(nats: Nats, snapshots: Snapshots, topics: Vec<(TopicId, Topic)>) -> Primed {
    let mut streams = Vec::with_capacity(topics.len());
    for (id, topic) in &topics {
        let subject = subject::tick(&topic.venue, topic.symbol.as_str());
        // Fails only once the connection is closed for good, when nothing is served any more.
        let Ok(subscription) = nats.subscribe(&subject).await else { continue };
        let (stop, registration) = AbortHandle::new_pair();
        streams.push((*id, stop, Abortable::new(Rows { id: *id, subscription }, registration)));
    }
    let mut primed = read(nats, snapshots, topics).await;
    primed.streams = streams;
    primed
}

/// Reads the last rows of topics that are subscribed already.
#[tracing::instrument(name = "read_last_rows", skip_all, fields(topics = topics.len()))]
pub(super) async fn read(nats: Nats, snapshots: Snapshots, topics: Vec<(TopicId, Topic)>) -> Primed {
    let (ids, topics): (Vec<_>, Vec<_>) = topics.into_iter().unzip();
    let rows = match nats.barrier().await {
        Ok(()) => snapshots.get(&topics).await.map_err(|error| error.0),
        Err(error) => Err(error),
    };
    let failed = rows.as_ref().is_err_and(|error: &LinkError| *error != LinkError::Closed);
    if failed {
        metrics::counter!("tickwire_edge_snapshot_failures_total").increment(1);
    }
    let rows = rows.unwrap_or_else(|_| vec![None; ids.len()]);
    Primed { topics: ids.into_iter().zip(rows).collect(), streams: Vec::new(), failed }
}
