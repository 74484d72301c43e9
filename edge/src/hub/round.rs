//! The rows that are due to someone, in the order they came. Clients keep numbers of rows, not rows; a row goes when the
//! last client that it is due to has been served.

use std::collections::VecDeque;
use std::sync::Arc;

use super::row::RowFrame;

/// Most rows that are due at once. Above it a worker serves those who wait and takes in no more, and its inbox folds: a
/// turn over all clients takes longer the more rows are due to each, so this bounds how long it takes.
const ROWS_MAX: usize = 2_048;

/// A row, with the rows that were folded into it before it came here.
#[derive(Debug, Clone)]
pub struct DueRow {
    /// The framed row.
    pub frame: Arc<RowFrame>,
    /// Rows folded into it, for every client.
    pub folded: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Round {
    rows: VecDeque<DueRow>,
    /// Number of the first; numbers wrap, and far fewer rows than there are numbers are due at once.
    first: u32,
}

impl Round {
    /// Appends a row; gives its number.
    pub fn push(&mut self, row: DueRow) -> u32 {
        let number = self.next();
        self.rows.push_back(row);
        number
    }

    /// The number of the row that comes next.
    pub fn next(&self) -> u32 {
        // At most a few thousand.
        self.first.wrapping_add(self.rows.len() as u32)
    }

    /// A row that is still there.
    pub fn get(&self, number: u32) -> Option<&DueRow> {
        self.rows.get(number.wrapping_sub(self.first) as usize)
    }

    /// Whether those that are due should be served first.
    pub fn is_full(&self) -> bool {
        self.rows.len() >= ROWS_MAX
    }

    /// Forgets all rows before this number.
    pub fn forget_before(&mut self, number: u32) {
        let gone = number.wrapping_sub(self.first) as usize;
        self.rows.drain(..gone.min(self.rows.len()));
        self.first = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::row::ViewId;

    fn row(v: u64) -> DueRow {
        let text = format!("{{\"v\":{v}}}");
        let frame = RowFrame::new(ViewId(1), "S".into(), None, false, v, text.into());
        DueRow { frame: Arc::new(frame), folded: 0 }
    }

    fn v(round: &Round, number: u32) -> Option<u64> {
        round.get(number).map(|row| row.frame.v)
    }

    #[test]
    fn numbers_name_rows_until_they_are_forgotten_also_where_they_wrap() {
        let mut round = Round { first: u32::MAX - 1, ..Round::default() };
        let numbers: Vec<u32> = (0..4).map(|v| round.push(row(v))).collect();
        assert_eq!(numbers, [u32::MAX - 1, u32::MAX, 0, 1]);
        assert_eq!(numbers.iter().map(|at| v(&round, *at).unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3]);
        round.forget_before(0);
        assert_eq!(
            (v(&round, u32::MAX), v(&round, 0), v(&round, 1), v(&round, 2)),
            (None, Some(2), Some(3), None)
        );
        round.forget_before(round.next());
        assert_eq!((round.next(), v(&round, 1)), (2, None));
    }

    #[test]
    fn it_is_full_at_its_bound() {
        let mut round = Round::default();
        let filled = (0..)
            .take_while(|v| {
                round.push(row(*v));
                !round.is_full()
            })
            .count();
        assert_eq!(filled + 1, ROWS_MAX);
    }
}
