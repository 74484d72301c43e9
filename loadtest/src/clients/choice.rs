//! Which of the symbols each client takes: all equally likely, or a few very popular ones (Zipf), never one twice, and
//! the same for the same seed.

use std::str::FromStr;

/// Largest exponent, in thousandths: beyond it nearly everybody takes the same symbols.
const EXPONENT_MILLI_MAX: u32 = 5_000;

/// The exponent of a bare `zipf`, in thousandths: what city sizes and word counts have.
const EXPONENT_MILLI: u32 = 1_000;

/// Weight of the most popular symbol. The sum over four billion symbols stays below 2^63.
const WEIGHT_MAX: f64 = 1e9;

/// `--choice`: how popular the symbol of rank `r` (from 1) is, as `1 / r^exponent`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// In thousandths; 0 is uniform.
    exponent_milli: u32,
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a choice; there are uniform, zipf and zipf:1.1");
        let exponent_milli = match text.split_once(':') {
            None if text == "uniform" => 0,
            None if text == "zipf" => EXPONENT_MILLI,
            Some(("zipf", exponent)) => thousandths(exponent).ok_or_else(wrong)?,
            _ => return Err(wrong()),
        };
        if exponent_milli > EXPONENT_MILLI_MAX {
            return Err(format!("{text:?}: the exponent is at most {}", EXPONENT_MILLI_MAX / 1_000));
        }
        Ok(Self { exponent_milli })
    }
}

/// `1.1` as 1,100.
fn thousandths(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 3 {
        return None;
    }
    whole.parse::<u32>().ok()?.checked_mul(1_000)?.checked_add(format!("{fraction:0<3}").parse().ok()?)
}

impl Choice {
    /// The weight of a symbol by its rank from 1.
    fn weight(self, rank: u32) -> u64 {
        let exponent = f64::from(self.exponent_milli) / 1_000.0;
        // At least 1, so that every symbol can be taken.
        (WEIGHT_MAX * f64::from(rank).powf(-exponent)) as u64 + 1
    }
}

/// Deals symbols to clients, each `per_client` different ones.
///
/// A tree of partial sums (Fenwick): drawing a symbol and taking it out of the draw are logarithmic, so a client with
/// nearly all symbols costs no more a symbol than one with few.
#[derive(Debug)]
pub(crate) struct Dealer {
    /// At `i` from 1: the weights of the `i & -i` symbols up to `i`.
    sums: Vec<u64>,
    weights: Vec<u64>,
    total: u64,
    per_client: usize,
    random: fastrand::Rng,
}

impl Dealer {
    /// For `symbols` symbols, the most popular first.
    pub(crate) fn new(choice: Choice, symbols: usize, per_client: usize, seed: u64) -> Self {
        let ranks = 1..=u32::try_from(symbols).unwrap_or(u32::MAX);
        let weights: Vec<u64> = ranks.map(|rank| choice.weight(rank)).collect();
        let (sums, total) = (vec![0; weights.len() + 1], 0);
        let random = fastrand::Rng::with_seed(seed);
        let mut dealer = Self { sums, weights, total, per_client: per_client.min(symbols), random };
        for at in 0..symbols {
            dealer.put(at, true);
        }
        dealer
    }

    /// The next client's symbols, ascending.
    pub(crate) fn deal(&mut self) -> Vec<u32> {
        let mut hand: Vec<usize> = if self.per_client == self.weights.len() {
            (0..self.per_client).collect()
        } else {
            let drawn: Vec<usize> = (0..self.per_client).map(|_| self.draw()).collect();
            drawn.iter().for_each(|at| self.put(*at, true));
            drawn
        };
        hand.sort_unstable();
        hand.into_iter().filter_map(|at| u32::try_from(at).ok()).collect()
    }

    /// Draws a symbol and takes it out.
    fn draw(&mut self) -> usize {
        let mut rest = self.random.u64(0..self.total.max(1));
        let mut at = 0;
        let mut step = self.sums.len().next_power_of_two() / 2;
        while step > 0 {
            if let Some(sum) = self.sums.get(at + step).filter(|sum| **sum <= rest) {
                rest -= sum;
                at += step;
            }
            step /= 2;
        }
        self.put(at, false);
        at
    }

    /// Puts a symbol into the draw, or takes it out.
    fn put(&mut self, at: usize, into: bool) {
        let weight = self.weights.get(at).copied().unwrap_or_default();
        let moved = |sum: u64| if into { sum + weight } else { sum - weight };
        self.total = moved(self.total);
        let mut node = at + 1;
        while let Some(sum) = self.sums.get_mut(node) {
            *sum = moved(*sum);
            node += node & node.wrapping_neg();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn choice(text: &str) -> Choice {
        text.parse().unwrap()
    }

    /// How often each of `symbols` symbols was dealt to 20,000 clients of one symbol.
    fn popularity(text: &str, symbols: usize) -> Vec<u32> {
        let mut dealer = Dealer::new(choice(text), symbols, 1, 7);
        let mut counts = vec![0; symbols];
        for _ in 0..20_000 {
            counts[dealer.deal()[0] as usize] += 1;
        }
        counts
    }

    #[test]
    fn uniform_is_even_and_zipf_falls_with_the_rank() {
        let even = popularity("uniform", 10);
        assert!(even.iter().all(|count| (1_800..2_200).contains(count)), "{even:?}");
        // 1, 1/2, 1/3, 1/4 of 12/25.
        let falls = popularity("zipf", 4);
        for (count, expected) in falls.iter().zip([9_600, 4_800, 3_200, 2_400]) {
            assert!(count.abs_diff(expected) < 300, "{falls:?}");
        }
        let steep = popularity("zipf:2.5", 4);
        assert!(steep[0] > falls[0] && steep[3] < falls[3], "{steep:?}");
    }

    #[test]
    fn the_same_seed_deals_the_same_hands_and_all_symbols_are_dealt() {
        let mut dealer = Dealer::new(choice("zipf:1.1"), 50, 7, 3);
        let hands: Vec<Vec<u32>> = (0..2_000).map(|_| dealer.deal()).collect();
        let mut again = Dealer::new(choice("zipf:1.1"), 50, 7, 3);
        assert!(hands.iter().all(|hand| *hand == again.deal()));
        let dealt: std::collections::HashSet<u32> = hands.iter().flatten().copied().collect();
        assert_eq!(dealt.len(), 50);
        assert_eq!(Dealer::new(choice("uniform"), 3, 9, 1).deal(), [0, 1, 2]);
    }

    #[test]
    fn choices_are_read_without_a_float() {
        assert_eq!(choice("zipf:1.1"), Choice { exponent_milli: 1_100 });
        assert_eq!(choice("zipf:0.025"), Choice { exponent_milli: 25 });
        for text in ["", "zipf:", "zipf:1.", "zipf:-1", "zipf:9", "zipf:1.0001", "normal", "uniform:1"] {
            let message = text.parse::<Choice>().unwrap_err();
            assert!(message.contains("uniform, zipf") || message.contains("at most 5"), "{text}: {message}");
        }
    }

    proptest! {
        #[test]
        fn a_hand_never_holds_a_symbol_twice(
            symbols in 1usize..80, part in 0usize..80, exponent in 0u32..5_000, seed: u64,
        ) {
            let per_client = 1 + part % symbols;
            let mut dealer = Dealer::new(Choice { exponent_milli: exponent }, symbols, per_client, seed);
            for _ in 0..5 {
                let hand = dealer.deal();
                prop_assert_eq!(hand.len(), per_client);
                prop_assert!(hand.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", hand);
                prop_assert!(hand.iter().all(|symbol| (*symbol as usize) < symbols));
            }
        }
    }
}
