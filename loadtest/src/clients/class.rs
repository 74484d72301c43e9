//! The kinds of clients in a mix, and what is counted of each. Steady clients are the ones whom latency, loss and
//! thresholds judge; what the others suffer is expected, and told here.

use std::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::tally::Reasons;

/// How a client behaves once it has subscribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Reads everything at once.
    Steady,
    /// Reads at a bounded rate.
    Slow,
    /// Never reads again.
    Stalled,
    /// Leaves after a while and comes back.
    Flapping,
}

impl Class {
    /// All of them, in the order of [`Classes`].
    pub(crate) const ALL: [Self; 4] = [Self::Steady, Self::Slow, Self::Stalled, Self::Flapping];

    /// The word of `--mix` and of reports.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Slow => "slow",
            Self::Stalled => "stalled",
            Self::Flapping => "flapping",
        }
    }
}

/// What happened to the clients of one class, from the first connect to the end of the drain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ClassTally {
    /// How many there are.
    pub(crate) clients: u64,
    /// Of them, live when the window ended.
    pub(crate) connected: u64,
    /// Update rows, of any kind.
    pub(crate) rows: u64,
    /// Rows that were told as folded into others.
    pub(crate) skipped: u64,
    /// `slow_reader` events.
    pub(crate) slow_reader: u64,
    /// Times that a client was live again after it had left or lost its connection.
    pub(crate) reconnects: u64,
    /// Attempts to come back that did not end in an ack.
    pub(crate) failed_returns: u64,
    /// Rows with a lower `v` than the client had already, in the first rows after its return.
    pub(crate) went_back: u64,
    /// Connections that ended although the client did not want it, by close code.
    pub(crate) closes: Reasons,
}

/// The counters of every class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Classes([ClassTally; Class::ALL.len()]);

impl Classes {
    /// The counters of one class.
    #[inline]
    pub(crate) fn of(&mut self, class: Class) -> &mut ClassTally {
        let [steady, slow, stalled, flapping] = &mut self.0;
        match class {
            Class::Steady => steady,
            Class::Slow => slow,
            Class::Stalled => stalled,
            Class::Flapping => flapping,
        }
    }

    /// Those that are judged.
    pub(crate) fn steady(&self) -> &ClassTally {
        let [steady, ..] = &self.0;
        steady
    }

    /// Classes that have clients.
    pub(crate) fn present(&self) -> impl Iterator<Item = (Class, &ClassTally)> {
        Class::ALL.into_iter().zip(&self.0).filter(|(_, tally)| tally.clients > 0)
    }

    /// Rows of all classes that went back at a return.
    pub(crate) fn went_back(&self) -> u64 {
        self.0.iter().map(|tally| tally.went_back).sum()
    }
}

/// As an object by class, without classes that have no client.
impl Serialize for Classes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (class, tally) in self.present() {
            map.serialize_entry(class.as_str(), tally)?;
        }
        map.end()
    }
}

/// One line a class, as it stands in the final table.
impl fmt::Display for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (class, tally) in self.present() {
            writeln!(f, "  {:<10} {tally}", class.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Display for ClassTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} clients, {} connected at the end, {} rows", self.clients, self.connected, self.rows)?;
        for (count, words) in [
            (self.skipped, "skipped"),
            (self.slow_reader, "times told slow_reader"),
            (self.reconnects, "reconnects"),
            (self.failed_returns, "returns failed"),
            (self.went_back, "went back at a return"),
        ] {
            if count > 0 {
                write!(f, ", {count} {words}")?;
            }
        }
        match self.closes.total() {
            0 => Ok(()),
            _ => write!(f, ", closed: {}", self.closes.list()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_with_clients_are_told_in_words_and_json() {
        let mut classes = Classes::default();
        *classes.of(Class::Steady) = ClassTally { clients: 9, connected: 9, rows: 100, ..Default::default() };
        let stalled = classes.of(Class::Stalled);
        (stalled.clients, stalled.slow_reader) = (2, 1);
        stalled.closes.add("1006");
        let table = classes.to_string();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(
            lines,
            [
                "  steady     9 clients, 9 connected at the end, 100 rows",
                "  stalled    2 clients, 0 connected at the end, 0 rows, 1 times told slow_reader, closed: 1 1006",
            ]
        );
        let json = serde_json::to_value(&classes).unwrap();
        assert_eq!(json["stalled"]["closes"]["1006"], 1);
        assert!(json.get("slow").is_none() && json["steady"]["rows"] == 100);
    }

    #[test]
    fn going_back_is_summed_over_classes() {
        let mut classes = Classes::default();
        for (class, count) in Class::ALL.into_iter().zip(1..) {
            classes.of(class).went_back = count;
        }
        assert_eq!(classes.went_back(), 10);
    }
}
