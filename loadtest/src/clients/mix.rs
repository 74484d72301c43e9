//! `--mix`: how many clients of each class there are, and which client is of which class.

use std::str::FromStr;

use super::class::Class;

/// Shares of the classes, in the order of [`Class::ALL`]: percent, or counts that add up to all clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mix([u64; Class::ALL.len()]);

impl Default for Mix {
    /// All steady.
    fn default() -> Self {
        Self([100, 0, 0, 0])
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut shares = [None; Class::ALL.len()];
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, share) = part.split_once('=').unwrap_or((part, ""));
            let known = Class::ALL.into_iter().zip(&mut shares).find(|(class, _)| class.as_str() == name);
            let Some((_, place)) = known else {
                let names = Class::ALL.map(Class::as_str).join(", ");
                return Err(format!("{name:?} is not a class of clients; there are {names}"));
            };
            let share = share.trim_end_matches('%').parse::<u32>();
            let share = share.map_err(|_| format!("{part:?}: write it like steady=90,slow=5,stalled=5"))?;
            if place.replace(u64::from(share)).is_some() {
                return Err(format!("{name} stands there twice"));
            }
        }
        Ok(Self(shares.map(Option::unwrap_or_default)))
    }
}

impl Mix {
    /// The class of each of `clients` clients. Classes are spread evenly, so that every part of the ramp has its share.
    ///
    /// # Errors
    /// A sentence if the shares are neither percent nor counts of these clients, or nobody would be steady.
    pub(crate) fn deal(&self, clients: usize) -> Result<Vec<Class>, String> {
        let total: u64 = self.0.iter().sum();
        if total != 100 && total != clients as u64 {
            return Err(format!(
                "the shares add up to {total}; make it 100 (percent) or {clients} (clients)"
            ));
        }
        let mut given = [0u64; Class::ALL.len()];
        let dealt = (1..=clients as u64).map(|count| {
            // How far each class is behind its share, in parts of a client.
            let behind = |(at, share): (usize, &u64)| {
                let has = given.get(at).copied().unwrap_or_default();
                (i128::from(*share) * i128::from(count) - i128::from(has) * i128::from(total), at)
            };
            // Of equals the first.
            let most =
                self.0.iter().enumerate().map(behind).max_by_key(|(lack, at)| (*lack, usize::MAX - at));
            let at = most.map_or(0, |(_, at)| at);
            if let Some(has) = given.get_mut(at) {
                *has += 1;
            }
            Class::ALL.get(at).copied().unwrap_or(Class::Steady)
        });
        let dealt: Vec<Class> = dealt.collect();
        if dealt.contains(&Class::Steady) {
            Ok(dealt)
        } else {
            Err("no client would be steady, but those are the ones that are measured".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(mix: &str, clients: usize) -> Result<[usize; 4], String> {
        let dealt = mix.parse::<Mix>()?.deal(clients)?;
        Ok(Class::ALL.map(|class| dealt.iter().filter(|dealt| **dealt == class).count()))
    }

    #[test]
    fn percent_and_counts() {
        for (mix, clients, expected) in [
            ("steady=90,slow=5,stalled=5", 10_000, [9_000, 500, 500, 0]),
            ("steady=90,slow=5,stalled=5", 20, [18, 1, 1, 0]),
            ("steady=50%, flapping=50%", 3, [2, 0, 0, 1]),
            ("steady=7,flapping=3", 10, [7, 0, 0, 3]),
            ("steady=100", 1, [1, 0, 0, 0]),
        ] {
            assert_eq!(counts(mix, clients), Ok(expected), "{mix}");
        }
        assert_eq!(Mix::default().deal(5), Ok(vec![Class::Steady; 5]));
    }

    #[test]
    fn every_tenth_of_the_ramp_has_its_share() {
        let dealt = "steady=80,slow=10,flapping=10".parse::<Mix>().unwrap().deal(1_000).unwrap();
        for part in dealt.chunks(100) {
            let slow = part.iter().filter(|class| **class == Class::Slow).count();
            assert!((9..=11).contains(&slow), "{slow}");
        }
    }

    #[test]
    fn wrong_mixes_say_what_is_right() {
        for (mix, word) in [
            ("fast=100", "steady, slow, stalled, flapping"),
            ("steady", "steady=90"),
            ("steady=x", "steady=90"),
            ("steady=50,steady=50", "twice"),
            ("steady=50,slow=5", "add up to 55"),
            ("", "add up to 0"),
            ("slow=100", "no client would be steady"),
        ] {
            let message = counts(mix, 10).unwrap_err();
            assert!(message.contains(word), "{mix}: {message}");
        }
    }
}
