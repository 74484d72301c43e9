//! The cases: what load each one is, and how long a run of it takes. Names no server.

use serde::Serialize;

/// Clients of the case that is about nearness, not about numbers.
const NEAR_CLIENTS: u32 = 100;

/// Per mille of the clients that are stalled in [`Case::FairMixed`], and as many again that are slow.
const DISTURBERS_PERMILLE: u32 = 50;

/// A load, measured for itself. In the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Case {
    /// One symbol that everybody has.
    One,
    /// 500 symbols, 20 a client, 500 rows a second on NATS.
    Many,
    /// The same with 2,000.
    Over,
    /// The same with 8,000.
    Flood,
    /// The same with 32,000: more than anything can send.
    Deluge,
    /// Nothing is published; one symbol a client.
    MemoryOne,
    /// Nothing is published; 20 symbols a client.
    MemoryTwenty,
    /// All clients at once, 20 symbols each.
    Connect,
    /// The same, watched until the last is answered.
    Answered,
    /// Twice the rows of [`Case::Many`] for nine clients in ten, and nobody else.
    FairAlone,
    /// The same nine in ten beside one in twenty that is slow and one in twenty that is stalled.
    FairMixed,
    /// A hundred clients of one symbol.
    Near,
}

/// What a case asks of server and load generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) clients: u32,
    pub(crate) symbols: u32,
    pub(crate) per_client: u32,
    /// Rows a second on NATS, over all symbols; 0 where nothing is published.
    pub(crate) rate: u32,
    /// Clients that connect in a second.
    pub(crate) connect_rate: u32,
    /// Latency is measured on one client in this many.
    pub(crate) sample: u32,
}

impl Case {
    pub(crate) const ALL: [Self; 12] = [
        Self::One,
        Self::Many,
        Self::Over,
        Self::Flood,
        Self::Deluge,
        Self::MemoryOne,
        Self::MemoryTwenty,
        Self::Connect,
        Self::Answered,
        Self::FairAlone,
        Self::FairMixed,
        Self::Near,
    ];

    /// The cases of a word of the command line; `memory`, `connect` and `fair` are two each.
    ///
    /// # Errors
    /// The words that there are.
    pub(crate) fn named(word: &str) -> Result<Vec<Self>, String> {
        let cases: Vec<Self> = Self::ALL.into_iter().filter(|case| case.word() == word).collect();
        if cases.is_empty() {
            let mut words = Self::ALL.map(Self::word).to_vec();
            words.dedup();
            return Err(format!("no case {word:?}; there are {}", words.join(", ")));
        }
        Ok(cases)
    }

    /// As the command line has it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Many => "many",
            Self::Over => "over",
            Self::Flood => "flood",
            Self::Deluge => "deluge",
            Self::MemoryOne | Self::MemoryTwenty => "memory",
            Self::Connect | Self::Answered => "connect",
            Self::FairAlone | Self::FairMixed => "fair",
            Self::Near => "near",
        }
    }

    /// As the table has it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::MemoryOne => "memory, 1 symbol",
            Self::MemoryTwenty => "memory, 20 symbols",
            Self::Connect => "connect, to the last handshake",
            Self::Answered => "connect, to the last ack",
            Self::FairAlone => "fair, steady alone",
            Self::FairMixed => "fair, beside slow and stalled",
            other => other.word(),
        }
    }

    /// Whether clients only connect and subscribe.
    pub(crate) fn is_idle(self) -> bool {
        matches!(self, Self::MemoryOne | Self::MemoryTwenty | Self::Connect | Self::Answered)
    }

    /// Whether it takes our own load test: clients of different kinds, or clients that read the answers.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Answered | Self::FairAlone | Self::FairMixed)
    }

    /// How many of `clients` are steady, slow and stalled.
    pub(crate) fn mix(self, clients: u32) -> [u32; 3] {
        let disturbers = clients.saturating_mul(DISTURBERS_PERMILLE) / 1_000;
        let steady = clients.saturating_sub(2 * disturbers);
        match self {
            Self::FairAlone => [steady, 0, 0],
            Self::FairMixed => [steady, disturbers, disturbers],
            _ => [clients, 0, 0],
        }
    }

    /// What is asked, for a run with this many clients.
    pub(crate) fn load(self, clients: u32) -> Load {
        let spread = Load { clients, symbols: 500, per_client: 20, rate: 0, connect_rate: 5_000, sample: 8 };
        let single = Load { symbols: 1, per_client: 1, ..spread };
        match self {
            Self::One => Load { rate: 10, ..single },
            Self::Many => Load { rate: 500, ..spread },
            Self::FairAlone | Self::FairMixed => {
                Load { rate: 1_000, clients: self.mix(clients).iter().sum(), ..spread }
            }
            Self::Over => Load { rate: 2_000, ..spread },
            Self::Flood => Load { rate: 8_000, ..spread },
            Self::Deluge => Load { rate: 32_000, ..spread },
            Self::MemoryOne => single,
            Self::MemoryTwenty => spread,
            Self::Connect | Self::Answered => Load { connect_rate: 1_000_000, ..spread },
            Self::Near => Load { rate: 10, clients: NEAR_CLIENTS.min(clients), sample: 1, ..single },
        }
    }

    /// Seconds that a run takes, with start and stop, when it measures for `seconds`: an estimate.
    pub(crate) fn estimate(self, clients: u32, seconds: u32) -> u32 {
        const START_AND_STOP: u32 = 1;
        const SETTLE: u32 = 2;
        const WARM_UP_AND_DRAIN: u32 = 4;
        let load = self.load(clients);
        let connect = load.clients.div_ceil(load.connect_rate.min(5_000));
        let measured = if self.is_idle() { 0 } else { WARM_UP_AND_DRAIN + seconds };
        START_AND_STOP + connect + SETTLE + measured
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_all_cases() {
        for case in Case::ALL {
            assert!(Case::named(case.word()).unwrap().contains(&case));
        }
        assert_eq!(Case::named("memory").unwrap(), [Case::MemoryOne, Case::MemoryTwenty]);
        let message = Case::named("most").unwrap_err();
        assert!(
            message.ends_with("one, many, over, flood, deluge, memory, connect, fair, near"),
            "{message}"
        );
    }

    #[test]
    fn rows_offered_are_those_of_the_goals() {
        let offered = |case: Case| {
            let Load { clients, symbols, per_client, rate, .. } = case.load(10_000);
            u64::from(clients) * u64::from(per_client) * u64::from(rate) / u64::from(symbols)
        };
        let cases = [Case::One, Case::Many, Case::Over, Case::Flood, Case::Deluge, Case::Near];
        assert_eq!(cases.map(offered), [100_000, 200_000, 800_000, 3_200_000, 12_800_000, 1_000]);
    }

    #[test]
    fn the_steady_clients_of_both_fair_cases_are_as_many() {
        assert_eq!(Case::FairAlone.mix(10_000), [9_000, 0, 0]);
        assert_eq!(Case::FairMixed.mix(10_000), [9_000, 500, 500]);
        assert_eq!(Case::FairAlone.load(10_000).clients, 9_000);
        assert_eq!(Case::FairMixed.load(10_000).clients, 10_000);
    }

    #[test]
    fn estimates() {
        assert_eq!(Case::Many.estimate(10_000, 10), 19);
        assert_eq!(Case::MemoryOne.estimate(10_000, 10), 5);
    }
}
