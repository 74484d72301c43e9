//! The bucket of leases: compare-and-swap on revisions, and reads that may come from a replica that is behind.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use tickwire_ingestor::fleet::{Entry, Outcome};
use tickwire_nats::Bytes;

/// Readings that a replica can be behind by.
const BEHIND_MAX: usize = 3;

#[derive(Default)]
pub struct Bucket {
    keys: BTreeMap<String, (u64, Bytes)>,
    revision: u64,
    /// The newest last; the front ones are what a late replica shows.
    readings: VecDeque<Rc<Vec<Entry>>>,
    changed: bool,
}

impl Bucket {
    pub fn put(&mut self, key: String, value: Bytes, expected: u64) -> Outcome {
        if self.keys.get(&key).map_or(0, |(revision, _)| *revision) != expected {
            return Outcome::Conflict;
        }
        self.revision += 1;
        self.keys.insert(key, (self.revision, value));
        self.changed = true;
        Outcome::Stored(self.revision)
    }

    pub fn read(&mut self, behind: usize) -> Rc<Vec<Entry>> {
        if self.changed || self.readings.is_empty() {
            let entry = |(key, (revision, value)): (&String, &(u64, Bytes))| Entry {
                key: key.clone(),
                revision: *revision,
                value: value.clone(),
            };
            self.readings.push_back(Rc::new(self.keys.iter().map(entry).collect()));
            self.changed = false;
        }
        while self.readings.len() > BEHIND_MAX + 1 {
            self.readings.pop_front();
        }
        let at = self.readings.len().saturating_sub(1 + behind);
        Rc::clone(&self.readings[at])
    }

    /// The server came back without its disk: revisions begin again.
    pub fn wipe(&mut self) {
        *self = Self::default();
    }
}
