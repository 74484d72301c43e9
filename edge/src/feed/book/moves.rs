//! Names without venue: which venue serves each, as catalogue and feeds change. A view stays where it is until the topic
//! it goes to has a row, so nobody sees a gap; then that row is shown at once.

use std::time::Instant;

use super::Book;
use crate::feed::names::{Found, Names};
use crate::feed::pick::Why;
use crate::feed::topic::TopicId;
use crate::hub::row::ViewId;

impl Book {
    /// The catalogue has changed: a name without venue may be served by others now.
    pub fn find_again(&mut self, names: &Names, now: Instant) {
        let mut moves = Vec::new();
        let feeds = self.health.feeds();
        for view in self.views.values_mut().filter(|view| view.choice.is_open()) {
            if let Ok(Found::AnyOf(topics)) = names.resolve(&view.name)
                && view.choice.offer(topics, feeds, now)
            {
                moves.push((view.id, Why::Delisted));
            }
        }
        self.head_for_choices(moves);
        self.choose_again(now);
    }

    /// Feeds or candidates have changed, or time is up for somebody.
    pub(super) fn choose_again(&mut self, now: Instant) {
        let (mut moves, mut soonest) = (Vec::new(), None);
        let feeds = self.health.feeds();
        for view in self.views.values_mut().filter(|view| view.choice.is_open()) {
            let (why, again_at) = view.choice.next(feeds, now, &self.patience);
            moves.extend(why.map(|why| (view.id, why)));
            soonest = soonest.into_iter().chain(again_at).min();
        }
        self.choose_at = soonest;
        self.head_for_choices(moves);
    }

    fn head_for_choices(&mut self, moves: Vec<(ViewId, Why)>) {
        for (id, why) in moves {
            self.meters.moved(why);
            self.head_for_choice(id);
        }
    }

    fn head_for_choice(&mut self, id: ViewId) {
        let Some(view) = self.views.get_mut(&id) else { return };
        let Some(place) = view.choice.place() else { return };
        tracing::debug!(venue = &*place.topic.venue, symbol = %place.topic.symbol, "a bare name moves");
        let (now_at, before) = (view.topic, view.next.take());
        if self.by_topic.get(&place.topic) != Some(&now_at) {
            let next = self.topic(place, id);
            if let Some(view) = self.views.get_mut(&id) {
                view.next = Some(next);
            }
            if self.topics.get(&next).is_some_and(|topic| topic.last.is_some()) {
                self.show(id, next);
            }
        }
        if let Some(before) = before {
            self.detach(before, id);
        }
    }

    /// Takes a view to a topic; gives whether it was on its way there.
    pub(super) fn arrive(&mut self, id: ViewId, topic: TopicId) -> bool {
        let Some(view) = self.views.get_mut(&id) else { return false };
        if view.next.take_if(|next| *next == topic).is_none() {
            return false;
        }
        let before = std::mem::replace(&mut view.topic, topic);
        self.detach(before, id);
        true
    }
}
