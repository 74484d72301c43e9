//! A subscribe on its way through the book: names become views with seats, and the answer waits until every topic among
//! them is joined.

use std::collections::BTreeSet;
use std::sync::Arc;

use tickwire_common::wire::error::ErrorCode;
use tickwire_common::wire::frame::Failed;

use super::{Book, Out, TOPICS_MAX};
use crate::feed::choice::Choice;
use crate::feed::meters::Source;
use crate::feed::names::Names;
use crate::feed::stand::Place;
use crate::feed::topic::{AnswerKey, Phase, TopicId, TopicState};
use crate::feed::view::ViewState;
use crate::hub::ask::SubscribeAsk;
use crate::hub::client::{Answer, Grant};
use crate::hub::row::ViewId;

/// An answer that waits for its topics.
#[derive(Debug)]
pub(super) struct Waiting {
    ask: SubscribeAsk,
    /// Views, each with where its snapshot comes from if there is one.
    views: Vec<(ViewId, Source)>,
    failed: Vec<Failed>,
    pub(super) missing: usize,
}

impl Book {
    /// Counts the client's seats, and answers once every topic is joined.
    pub fn subscribe(&mut self, mut ask: SubscribeAsk, names: &Names) {
        let (mut views, mut failed, mut topics) = (Vec::new(), Vec::new(), BTreeSet::new());
        // The names are not kept: an answer may wait for seconds while NATS is away.
        for name in std::mem::take(&mut ask.names) {
            match self.view(&name, names) {
                Ok(id) => {
                    let Some(view) = self.views.get_mut(&id) else { continue };
                    view.sit(ask.client.worker);
                    let joined = self.topics.get(&view.topic).is_some_and(TopicState::is_live);
                    views.push((id, if joined { Source::Memory } else { Source::Store }));
                    topics.insert(view.topic.0);
                }
                Err(code) => failed.push(Failed::new(name, code)),
            }
        }
        let key = self.waiting.insert(Waiting { ask, views, failed, missing: 0 });
        let missing = topics.into_iter().filter(|id| self.wait_for(TopicId(*id), key)).count();
        if let Some(waiting) = self.waiting.get_mut(key) {
            waiting.missing = missing;
        }
        self.answer_if_complete(key);
    }

    fn wait_for(&mut self, id: TopicId, key: AnswerKey) -> bool {
        match self.topics.get_mut(&id).map(|topic| &mut topic.phase) {
            Some(Phase::Priming(waiters)) => {
                waiters.push(key);
                true
            }
            _ => false,
        }
    }

    /// The view of a name, made if it is new.
    fn view(&mut self, name: &str, names: &Names) -> Result<ViewId, ErrorCode> {
        if let Some(id) = self.by_name.get(name) {
            return Ok(*id);
        }
        let found = names.resolve(name)?;
        let choice = Choice::new(found, self.health.feeds());
        let place = choice.place().ok_or(ErrorCode::UnknownSymbol)?;
        if self.topics.len() >= TOPICS_MAX && !self.by_topic.contains_key(&place.topic) {
            return Err(ErrorCode::Overloaded);
        }
        let id = ViewId(self.next_view);
        self.next_view = self.next_view.wrapping_add(1);
        let topic = self.topic(place, id);
        let view = ViewState::new(id, name, choice, topic, self.workers);
        self.by_name.insert(Arc::clone(&view.name), id);
        self.views.insert(id, view);
        Ok(id)
    }

    /// The topic's id, with this view on it; a new topic is to be joined.
    pub(super) fn topic(&mut self, mut place: Place, view: ViewId) -> TopicId {
        if let Some(id) = self.by_topic.get(&place.topic) {
            if let Some(state) = self.topics.get_mut(id) {
                state.views.push(view);
            }
            return *id;
        }
        let id = TopicId(self.next_topic);
        self.next_topic += 1;
        self.by_topic.insert(place.topic.clone(), id);
        let is_stale = !self.health.feeds().stand(&mut place).is_live();
        self.topics.insert(id, TopicState::new(place, is_stale, view));
        self.fresh.push(id);
        id
    }

    /// Answers once nothing is missing.
    pub(super) fn answer_if_complete(&mut self, key: AnswerKey) {
        if self.waiting.get(key).is_none_or(|waiting| waiting.missing > 0) {
            return;
        }
        let Some(waiting) = self.waiting.try_remove(key) else { return };
        let grants = waiting.views.iter().filter_map(|(id, source)| self.grant(*id, *source)).collect();
        let SubscribeAsk { client, form, .. } = waiting.ask;
        self.out.push(Out::Answer(Answer { client, form, grants, failed: waiting.failed }));
    }

    fn grant(&mut self, id: ViewId, source: Source) -> Option<Grant> {
        let view = self.views.get_mut(&id)?;
        let last = self.topics.get(&view.topic).and_then(|topic| view.frame(view.topic, topic));
        self.meters.snapshot(if last.is_some() { source } else { Source::None });
        Some(Grant { name: Arc::clone(&view.name), view: id, last })
    }
}
