//! What a run has behind it at NATS, where `--nats` or `--publish` asks for it: told when the phases change, asked at
//! the end. Without either it does nothing and holds nobody up.

use std::time::Instant;

use super::args::Plan;
use super::delivery::{Delivery, Slots};
use super::publish::{Desk, Published, Tape, number};
use super::store::{Comparison, StoreCheck};

/// The desk, if there is one, and the check that it serves.
#[derive(Debug, Default)]
pub(crate) struct Backstage {
    desk: Option<Desk>,
    check: StoreCheck,
    /// The number of each made-up symbol, by place of its name.
    numbers: Vec<Option<u32>>,
}

impl Backstage {
    /// Starts what the plan asks for, and waits until it is ready.
    ///
    /// # Errors
    /// As [`Desk::start`].
    pub(crate) fn start(plan: &Plan) -> anyhow::Result<Self> {
        let Some(nats) = &plan.nats else { return Ok(Self::default()) };
        let listed = || plan.target.fetch_symbols(plan.address);
        let desk = Desk::start(nats, &plan.names, plan.seed, listed)?;
        let numbers = plan.names.iter().map(|name| number(name)).collect();
        Ok(Self { desk: Some(desk), check: StoreCheck::default(), numbers })
    }

    /// Ctrl-C is taken by the caller from now on.
    ///
    /// # Errors
    /// If one has come already.
    pub(crate) fn underway(&self) -> anyhow::Result<()> {
        self.desk.as_ref().map_or(Ok(()), Desk::underway)
    }

    /// The measured window begins.
    pub(crate) fn open(&self) {
        self.desk.iter().for_each(Desk::open);
    }

    /// The measured window has ended.
    pub(crate) fn shut(&self) {
        self.desk.iter().for_each(Desk::shut);
    }

    /// Whether the comparison with the store has nothing to wait for.
    pub(crate) fn is_settled(&mut self, delivery: &Delivery, clients: impl Iterator<Item = Slots>) -> bool {
        let Some(desk) = &self.desk else { return true };
        let now = Instant::now();
        if let Some(stored) = desk.stored() {
            self.check.take(stored, now);
        }
        self.check.is_settled(now, delivery, clients)
    }

    /// Ends everything at NATS; what was published, and how clients and store compare.
    pub(crate) fn finish(
        mut self,
        delivery: &Delivery,
        clients: impl Iterator<Item = Slots>,
    ) -> (Option<Published>, Option<Comparison>) {
        let Some(desk) = self.desk.take() else { return (None, None) };
        let published = desk
            .close()
            .map(|(published, tape)| Published { unseen: self.unseen(&tape, delivery), ..published });
        (published, Some(self.check.finish(delivery, clients)))
    }

    /// Clients among themselves cannot tell a row that none of them got; the record of the publisher can.
    fn unseen(&self, tape: &Tape, delivery: &Delivery) -> u64 {
        let windows = self.numbers.iter().zip(delivery.windows());
        let ours = windows.filter_map(|(number, window)| Some(((*number)?, window?)));
        let unseen = ours.map(|(symbol, window)| {
            tape.count(symbol, window.above_v, window.through_v).saturating_sub(window.rows)
        });
        unseen.sum()
    }
}

/// A run that ends with an error takes the catalogue entry away, too.
impl Drop for Backstage {
    fn drop(&mut self) {
        self.desk.take().map(Desk::close);
    }
}
