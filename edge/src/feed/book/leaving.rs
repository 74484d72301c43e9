//! How the book lets go: a view without clients lingers, then goes, and with the last view of a topic its subscription.

use std::time::Instant;

use super::Book;
use crate::feed::topic::TopicId;
use crate::hub::row::ViewId;

/// Views that linger. Above it the one that has lingered longest goes at once, so that clients who subscribe and leave
/// again and again hold no more subscriptions than this at NATS.
const LINGERING_MAX: usize = 10_000;

impl Book {
    /// Clients of a worker have left views, one entry a client.
    pub fn release(&mut self, worker: u16, views: &[ViewId], now: Instant) {
        for id in views {
            let Some(view) = self.views.get_mut(id) else { continue };
            if view.rise(worker, now) && !std::mem::replace(&mut view.lingers, true) {
                self.lingering.push_back((now + self.linger, *id));
            }
        }
        while self.lingering.len() > LINGERING_MAX {
            if let Some((_, id)) = self.lingering.pop_front() {
                self.let_go(id, None);
            }
        }
    }

    /// Lets go of views whose linger is over.
    pub(super) fn let_go_of_idle(&mut self, now: Instant) {
        while let Some((_, id)) = self.lingering.front().copied().filter(|(due, _)| *due <= now) {
            self.lingering.pop_front();
            self.let_go(id, Some(now));
        }
    }

    /// A view's linger is over, unless somebody came back; who came back and left lingers anew. Without a time there is
    /// no room to linger in.
    fn let_go(&mut self, id: ViewId, now: Option<Instant>) {
        let Some(view) = self.views.get_mut(&id) else { return };
        match view.idle_since.map(|since| since + self.linger) {
            Some(due) if now.is_none_or(|now| due <= now) => self.drop_view(id),
            Some(due) => self.lingering.push_back((due, id)),
            None => view.lingers = false,
        }
    }

    fn drop_view(&mut self, id: ViewId) {
        if let Some(view) = self.views.remove(&id) {
            self.by_name.remove(&view.name);
            self.detach(view.topic, id);
        }
    }

    pub(super) fn detach(&mut self, topic: TopicId, view: ViewId) {
        let Some(state) = self.topics.get_mut(&topic) else { return };
        state.views.retain(|id| *id != view);
        self.drop_topic_if_left(topic);
    }

    /// A topic that is being joined stays until the job is back: answers may wait for it.
    pub(super) fn drop_topic_if_left(&mut self, id: TopicId) {
        if let Some(state) = self.topics.get(&id)
            && state.views.is_empty()
            && state.is_live()
        {
            self.by_topic.remove(&state.topic);
            self.doubted.remove(&id.0);
            self.topics.remove(&id);
        }
    }
}
