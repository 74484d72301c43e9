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
            view.next.into_iter().for_each(|next| self.detach(next, id));
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
            self.by_topic.remove(&state.place.topic);
            self.doubted.remove(&id.0);
            self.topics.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::feed::book::tests::PATIENCE;
    use crate::feed::names::Names;
    use crate::hub::ask::{AnswerForm, SubscribeAsk};
    use crate::hub::client::ClientId;

    const LINGER: Duration = Duration::from_secs(30);

    /// A client subscribes to so many symbols that nobody has, and leaves them once they are joined.
    fn come_and_go(book: &mut Book, symbols: std::ops::Range<usize>, now: Instant) {
        let names = Names::new(vec![], true);
        let form = AnswerForm { req_id: None, time_in: 0, snapshot: true, since: 0, throttle_ms: 0 };
        let client = ClientId { worker: 0, key: 0, generation: 1 };
        let asked = symbols.map(|n| format!("bench:S{n}")).collect();
        book.subscribe(SubscribeAsk { client, names: asked, form }, &names);
        let joined = book.take_work(true).fresh;
        joined.iter().for_each(|(id, _)| book.primed(*id, None, false, now));
        let mut views: Vec<ViewId> =
            book.views.values().filter(|view| !view.lingers).map(|view| view.id).collect();
        views.sort();
        book.release(0, &views, now);
    }

    #[test]
    fn not_more_views_linger_than_there_is_room_for() {
        let (mut book, now) = (Book::new(1, LINGER, PATIENCE), Instant::now());
        come_and_go(&mut book, 0..LINGERING_MAX, now);
        assert_eq!((book.views.len(), book.topics.len()), (LINGERING_MAX, LINGERING_MAX));
        come_and_go(&mut book, LINGERING_MAX..LINGERING_MAX + 7, now);
        assert_eq!((book.views.len(), book.topics.len()), (LINGERING_MAX, LINGERING_MAX));
        assert!(!book.by_name.contains_key("bench:S6") && book.by_name.contains_key("bench:S7"));
        book.tidy(now + LINGER);
        assert_eq!((book.views.len(), book.topics.len(), book.lingering.len()), (0, 0, 0));
    }

    #[test]
    fn who_has_clients_again_does_not_go_for_want_of_room() {
        let (mut book, now) = (Book::new(1, LINGER, PATIENCE), Instant::now());
        come_and_go(&mut book, 0..1, now);
        let back = book.views.values_mut().next().map(|view| view.sit(0));
        assert!(back.is_some());
        come_and_go(&mut book, 1..LINGERING_MAX + 1, now);
        assert!(book.by_name.contains_key("bench:S0"));
        book.tidy(now + LINGER);
        assert_eq!(book.views.len(), 1);
    }
}
