//! One group of a row's fields and its place in the venue's order.

use crate::venue::contract::Orders;

/// An order that has been below the known one for this long has begun anew, microseconds. Longer than any socket lags
/// behind another one of the same venue.
pub(super) const RESTART_US: u64 = 10_000_000;

/// What an update's order says against the known one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It does not speak of the group.
    Silent,
    /// It is to be taken if nothing better is known: it is not.
    Weak,
    /// It is news.
    News,
    /// It was told before, or something newer was.
    Old,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) order: i64,
    /// Since when only lower orders came, Unix microseconds; 0 if none did.
    lower_since: u64,
}

impl Default for Group {
    fn default() -> Self {
        Self { order: Orders::SILENT, lower_since: 0 }
    }
}

impl Group {
    /// The group at this order.
    pub(super) fn at(order: i64) -> Self {
        Self { order, lower_since: 0 }
    }

    /// Judges an order that was received at `now_us`; if it is news, it is the known one from now on.
    #[inline]
    pub(super) fn judge(&mut self, order: i64, now_us: u64, restarts: &mut u64) -> Verdict {
        if order == Orders::SILENT {
            return Verdict::Silent;
        }
        if order <= Orders::WEAK {
            return if self.order <= Orders::WEAK { Verdict::Weak } else { Verdict::Old };
        }
        if order > self.order {
            *self = Self::at(order);
            return Verdict::News;
        }
        self.not_above(order, now_us, restarts)
    }

    /// Goes on from where another process has come, if that is further. Whether it may be: where neither knows an order,
    /// the other one has published last.
    pub(super) fn reach(&mut self, order: i64) -> bool {
        let further = order > self.order || self.order == Orders::SILENT;
        if further {
            *self = Self::at(order);
        }
        further
    }

    fn not_above(&mut self, order: i64, now_us: u64, restarts: &mut u64) -> Verdict {
        if order == self.order {
            // The known one is still told: the order has not begun anew.
            self.lower_since = 0;
        } else if self.lower_since == 0 {
            self.lower_since = now_us.max(1);
        } else if now_us.saturating_sub(self.lower_since) >= RESTART_US {
            *self = Self::at(order);
            *restarts += 1;
            return Verdict::News;
        }
        Verdict::Old
    }
}
