//! Words on feeds as they come, what is told of them, and what is wanted of venues that carry on demand.

use std::time::Instant;

use futures_util::FutureExt as _;
use tickwire_common::feed::FeedStatus;
use tickwire_common::symbol::{Symbol, Topic};
use tickwire_common::time::now_ms;
use tickwire_common::wire::frame::feed_status;
use tickwire_nats::Bytes;
use tickwire_nats::subject::parse_feed;
use tickwire_nats::subscribe::Message;

use super::demand::Said;
use super::health::Heard;
use super::topic::TopicId;
use super::{CATALOGUE_PATIENCE, Feed};
use crate::ws::frame;

impl Feed {
    /// Takes in words on shards. Without news the clock's next turn is soon enough to judge: with many shards somebody
    /// speaks all the time.
    pub(super) fn feed_states(&mut self, messages: &[Message]) {
        let heard: Vec<Heard> = messages.iter().filter_map(|message| self.hear(message)).collect();
        if heard.contains(&Heard::News) {
            self.look_at_feeds();
        }
    }

    fn hear(&mut self, message: &Message) -> Option<Heard> {
        let (venue, shard) = parse_feed(message.subject.as_str())?;
        let status = serde_json::from_slice::<FeedStatus>(&message.payload);
        let heard = status.map_or(Heard::Refused, |status| {
            self.book.health.hear(&venue, &shard, status, Instant::now(), now_ms())
        });
        if heard == Heard::Refused {
            // Anyone with the right may publish there, so one line for each would flood the log.
            metrics::counter!("tickwire_edge_refused_feed_states_total").increment(1);
            tracing::debug!(venue, shard, "a feed state is refused");
        }
        Some(heard)
    }

    pub(super) fn link(&mut self) {
        let (state, now) = (*self.nats.state().borrow(), Instant::now());
        self.book.health.link(state.connected, now, now_ms());
        if state.connected && state.epoch != self.epoch {
            self.book.doubt_all(now);
            self.patient_until = now + CATALOGUE_PATIENCE;
            self.epoch = state.epoch;
        }
        self.look_at_feeds();
    }

    /// Tells every client of venues whose state has changed, and ingestors what they may not have heard.
    pub(super) fn look_at_feeds(&mut self) {
        let now = Instant::now();
        let changes = self.book.look_at_feeds(now, now_ms());
        self.keep_feeds();
        let feeds = self.book.health.feeds();
        self.standing.note(feeds);
        for venue in changes.venues {
            let Some(feed) = feeds.get(&venue) else { continue };
            let status = &feed.status;
            tracing::info!(venue, state = status.state.as_str(), reason = status.reason, "feed");
            let news = frame::text(&feed_status(false, &[(&venue, status)]));
            self.hub.tell(&venue.into(), &news);
        }
        let on_demand = feeds.all().filter(|(_, feed)| feed.status.demand);
        self.demand.venues(on_demand.map(|(venue, _)| venue), now);
        changes.resumed.iter().for_each(|venue| self.demand.again(venue, now));
        self.say_wants(now);
    }

    /// New clients are to see when the last tick was, which moves without a change of state.
    fn keep_feeds(&self) {
        let feeds = self.book.health.feeds();
        let all: Vec<(&str, &FeedStatus)> = feeds.all().map(|(venue, feed)| (venue, &feed.status)).collect();
        let snapshot = if all.is_empty() { Bytes::new() } else { frame::text(&feed_status(true, &all)) };
        self.hub.keep_feeds(snapshot);
    }

    /// Says at once that topics have got their first client.
    pub(super) fn want(&mut self, fresh: &[(TopicId, Topic)]) {
        if !fresh.is_empty() {
            fresh.iter().for_each(|(_, topic)| self.demand.want(topic));
            self.say_wants(Instant::now());
        }
    }

    fn say_wants(&mut self, now: Instant) {
        let Said { all, fresh } = self.demand.take(now);
        for venue in all {
            let symbols = self.book.symbols_of(&venue);
            self.say_want(&venue, &symbols, now);
        }
        for (venue, symbols) in fresh {
            self.say_want(&venue, &symbols, now);
        }
    }

    /// The feed does not wait for room in the way out; what finds none is said again.
    fn say_want(&mut self, venue: &str, symbols: &[Symbol], now: Instant) {
        let said = tokio::task::unconstrained(self.wants.say(venue, symbols)).now_or_never();
        if let Some(Ok(())) = said {
            self.book.meters.wants.increment(symbols.len() as u64);
        } else {
            tracing::debug!(venue, "wants are not said now, and soon again");
            self.demand.again(venue, now);
        }
    }
}
