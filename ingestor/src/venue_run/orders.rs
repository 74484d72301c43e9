//! What the fleet says of the venue's posts, done: in the order of the table in [`crate::fleet`].

use std::collections::HashSet;
use std::sync::Arc;

use tickwire_common::symbol::Symbol;
use tickwire_nats::Bytes;
use tracing::warn;

use super::VenueRun;
use super::held::{Change, Stage};
use crate::fleet::{Order, Part, Post, Reason};
use crate::outlet::{HandOver, Outlet};
use crate::permit::{Fenced, SharedPermit};

impl VenueRun {
    pub(super) async fn order(&mut self, order: Order) {
        match order.post().part {
            Part::Catalogue => self.catalogue(order).await,
            Part::Shard(shard) => self.shard(shard, order).await,
        }
    }

    async fn catalogue(&mut self, order: Order) {
        match order {
            Order::Carry { post, .. } | Order::Publish { post, .. } => {
                let permit = self.permit(&post);
                self.parts.keeping.start(permit);
            }
            Order::Release { post, turn } => {
                self.parts.keeping.stop().await;
                self.parts.fleet.released(post, turn, Bytes::new()).await;
            }
            Order::Stop { .. } => self.parts.keeping.stop().await,
            Order::Prepare { post, turn } => self.parts.fleet.warm(post, turn).await,
        }
    }

    async fn shard(&mut self, shard: u32, order: Order) {
        match order {
            Order::Prepare { turn, .. } => self.prepare(shard, Stage::Preparing { turn: Some(turn) }).await,
            Order::Carry { post, epoch } => {
                let permit = self.permit(&post);
                self.carry(shard, epoch, permit).await;
            }
            Order::Publish { post, epoch, rows } => {
                let permit = self.permit(&post);
                self.take_over(shard, epoch, permit, &rows).await;
            }
            Order::Release { post, turn } => self.offer(shard, post, turn).await,
            Order::Stop { reason, .. } => self.stop(shard, reason).await,
        }
    }

    /// The right to publish for a post of ours.
    fn permit(&self, post: &Post) -> SharedPermit {
        // Orders come for posts of our own venues only; a fence of its own never opens.
        let fence = self.parts.fleet.fence(post).unwrap_or_default();
        Arc::new(Fenced::new(fence, self.parts.fleet.clock()))
    }

    /// Subscribes a shard's symbols and keeps what comes of them.
    pub(super) async fn prepare(&mut self, shard: u32, stage: Stage) {
        self.parts.outlet.prepare(shard);
        self.held.enter(shard, stage);
        self.ask(shard).await;
    }

    /// Ours without a hand-over: where we offered it ourselves we know how to go on, else the last values are read first.
    async fn carry(&mut self, shard: u32, epoch: u64, permit: SharedPermit) {
        if matches!(self.held.stage(shard), Some(Stage::Released)) {
            self.publish(shard, epoch, permit, |outlet, permit| outlet.carry(shard, [], permit));
            // Of what was listed meanwhile we know nothing.
            self.start_reading(shard, epoch, self.listed_of(shard));
        } else {
            self.prepare(shard, Stage::Reading { epoch, permit, release: None }).await;
            self.start_reading(shard, epoch, self.listed_of(shard));
        }
    }

    fn listed_of(&self, shard: u32) -> Vec<Symbol> {
        self.parts.list.borrow().of_shard(shard).map(|listed| listed.symbol.clone()).collect()
    }

    async fn take_over(&mut self, shard: u32, epoch: u64, permit: SharedPermit, rows: &[u8]) {
        match HandOver::decode(rows, shard) {
            Ok(left) => {
                if let Some(demand) = &self.parts.demand {
                    demand.import(&left.wants);
                }
                self.publish(shard, epoch, permit, |outlet, permit| outlet.take_over(shard, &left, permit));
                // What its owner had not listed yet may have been carried before.
                let mut missing = self.listed_of(shard);
                let handed: HashSet<&str> =
                    left.symbols.iter().map(|handed| handed.symbol.as_str()).collect();
                missing.retain(|symbol| !handed.contains(symbol.as_str()));
                if !missing.is_empty() {
                    self.start_reading(shard, epoch, missing);
                }
                self.ask(shard).await;
            }
            Err(error) => {
                warn!(venue = self.parts.id, shard, %error, "going on from the last values");
                self.carry(shard, epoch, permit).await;
            }
        }
    }

    pub(super) fn publish(
        &mut self,
        shard: u32,
        epoch: u64,
        permit: SharedPermit,
        publish: impl FnOnce(&Outlet, SharedPermit),
    ) {
        publish(&self.parts.outlet, Arc::clone(&permit));
        self.held.enter(shard, Stage::Carried { epoch, permit: Arc::clone(&permit) });
        self.tell_feeds(shard);
        self.parts.feeds.own(shard, permit);
    }

    /// Another process asks for the shard. Its last values are known first: what we export must not lie below them.
    async fn offer(&mut self, shard: u32, post: Post, turn: u64) {
        match self.held.stage_mut(shard) {
            Some(Stage::Reading { release, .. }) => *release = Some(turn),
            _ => self.release(shard, post, turn).await,
        }
    }

    /// Nothing more goes out; the symbols stay subscribed until another process has the shard.
    pub(super) async fn release(&mut self, shard: u32, post: Post, turn: u64) {
        let mut left = self.parts.outlet.release(shard);
        if let Some(demand) = &self.parts.demand {
            left.wants = demand.export(shard);
        }
        self.parts.feeds.release(shard);
        self.held.enter(shard, Stage::Released);
        let (rows, cut) = left.encode();
        if cut > 0 {
            let venue = self.parts.id;
            warn!(venue, shard, symbols = cut, "too much for one hand-over; more shards make smaller ones");
        }
        self.parts.fleet.released(post, turn, rows).await;
    }

    async fn stop(&mut self, shard: u32, reason: Reason) {
        self.parts.outlet.stop(shard);
        match reason {
            Reason::Left => self.parts.feeds.leave(shard),
            Reason::HandedOver | Reason::Lost | Reason::Cancelled => self.parts.feeds.stop(shard),
        }
        let leave = self.held.drop(shard);
        self.tell_pool(Change { leave, want: Vec::new() }).await;
    }
}
