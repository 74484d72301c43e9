//! What changes of a venue's catalogue while it runs: which symbols are listed, and which are muted. The instruments
//! themselves are made at the start, those that are listed later included, so that channels and prices have places.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// One flag pair an instrument, by its position in the catalogue.
#[derive(Debug, Default)]
pub(crate) struct Listings {
    places: Vec<Place>,
    /// Grows with every listing and delisting.
    generation: AtomicU64,
}

#[derive(Debug)]
struct Place {
    listed: AtomicBool,
    muted: AtomicBool,
}

impl Listings {
    /// `count` places, of which the first `listed` are listed.
    pub(crate) fn new(count: usize, listed: usize) -> Self {
        let place = |at| Place { listed: AtomicBool::new(at < listed), muted: AtomicBool::new(false) };
        Self { places: (0..count).map(place).collect(), generation: AtomicU64::new(0) }
    }

    pub(crate) fn is_listed(&self, position: usize) -> bool {
        self.places.get(position).is_some_and(|place| place.listed.load(Ordering::Relaxed))
    }

    pub(crate) fn is_muted(&self, position: usize) -> bool {
        self.places.get(position).is_some_and(|place| place.muted.load(Ordering::Relaxed))
    }

    /// Lists or delists; false if it was so already.
    pub(crate) fn set_listed(&self, position: usize, listed: bool) -> bool {
        let changed =
            self.places.get(position).is_some_and(|p| p.listed.swap(listed, Ordering::Relaxed) != listed);
        self.generation.fetch_add(changed.into(), Ordering::Release);
        changed
    }

    /// Mutes or unmutes what is subscribed from now on; false if it was so already.
    pub(crate) fn set_muted(&self, position: usize, muted: bool) -> bool {
        self.places.get(position).is_some_and(|p| p.muted.swap(muted, Ordering::Relaxed) != muted)
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_once() {
        let listings = Listings::new(3, 2);
        assert!(listings.is_listed(1) && !listings.is_listed(2) && !listings.is_listed(9));
        assert!(
            listings.set_listed(2, true) && !listings.set_listed(2, true) && !listings.set_listed(9, true)
        );
        assert_eq!(listings.generation(), 1);
        assert!(listings.set_muted(0, true) && listings.is_muted(0) && !listings.is_muted(1));
        assert_eq!(listings.generation(), 1, "muting changes no listing");
    }
}
