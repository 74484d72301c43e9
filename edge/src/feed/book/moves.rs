//! Names without venue: which venue serves each, as catalogue and feeds change.

use tickwire_common::symbol::Topic;

use super::Book;
use crate::feed::names::{Found, Names};
use crate::feed::view::ViewState;
use crate::hub::row::ViewId;

impl Book {
    /// The catalogue has changed: a name without venue may be served by others now.
    pub fn find_again(&mut self, names: &Names) {
        for view in self.views.values_mut().filter(|view| view.tells_venue) {
            if let Ok(Found::AnyOf(candidates)) = names.resolve(&view.name) {
                view.candidates = candidates;
            }
        }
        self.choose_again();
    }

    /// Feeds have changed: names without venue go to the first live one.
    pub fn choose_again(&mut self) {
        let is_stale = |venue: &str| self.health.is_stale(venue);
        let bare = self.views.values().filter(|view| view.tells_venue);
        let moves: Vec<(ViewId, Topic)> = bare
            .filter_map(|view| {
                let current = self.topics.get(&view.topic).map(|state| &state.topic)?;
                let choice = ViewState::choice(&view.candidates, Some(current), is_stale)?;
                (choice != *current).then_some((view.id, choice))
            })
            .collect();
        for (id, choice) in moves {
            tracing::info!(venue = &*choice.venue, symbol = %choice.symbol, "a bare name moves");
            let topic = self.topic(choice, id);
            if let Some(view) = self.views.get_mut(&id) {
                let before = std::mem::replace(&mut view.topic, topic);
                self.detach(before, id);
            }
            self.show(id);
        }
    }
}
