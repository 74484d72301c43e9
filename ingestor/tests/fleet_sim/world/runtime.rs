//! The runtime of a process: subscribes, publishes behind the fence, hands over.

use tickwire_ingestor::fleet::{Part, Post};
use tickwire_ingestor::venue::contract::Micros;
use tickwire_nats::Bytes;

use super::{Event, Input, World};
use crate::market::Row;
use crate::node::{Carrier, State};
use crate::schedule::MS;

/// Time between two writes of MD_LAST.
const LAST_EVERY: Micros = 250 * MS;

impl World {
    /// Gives when the exchange's ticks begin to come.
    pub(super) fn subscribe(&mut self, place: usize, post: &Post, state: State) -> Micros {
        let at = self.now + self.rng.u64(20 * MS..100 * MS);
        let carrier = Carrier {
            subscribed_at: at,
            delivered_at: at,
            state,
            sure: false,
            flush_due: false,
            last_kept_at: 0,
        };
        self.nodes[place].carriers.insert(post.clone(), carrier);
        at
    }

    pub(super) fn carry(&mut self, place: usize, post: Post, epoch: u64) {
        self.say(|| format!("{} carries {post}", self.nodes[place].id));
        self.checks.seen.takes += 1;
        if post.part == Part::Catalogue {
            return;
        }
        match self.nodes[place].carriers.get_mut(&post) {
            None => drop(self.subscribe(place, &post, State::Reading(Vec::new(), epoch))),
            Some(carrier) => match &mut carrier.state {
                State::Released(row) => {
                    carrier.state = State::Live(*row);
                    return;
                }
                State::Warming(kept) => carrier.state = State::Reading(std::mem::take(kept), epoch),
                State::Reading(..) | State::Live(_) => return,
            },
        }
        let (at, address) = (self.now + self.delay() + self.delay(), (place, self.nodes[place].life));
        self.to(at, address, Input::LastRead { post, epoch });
    }

    pub(super) fn last_read(&mut self, place: usize, post: &Post, epoch: u64) -> Result<(), String> {
        let last = self.market.last.get(post).copied().unwrap_or_default();
        let Some(carrier) = self.nodes[place].carriers.get_mut(post) else { return Ok(()) };
        let State::Reading(kept, of) = &mut carrier.state else { return Ok(()) };
        if *of != epoch {
            return Ok(());
        }
        let newest = kept.last().copied();
        carrier.state = State::Live(last);
        newest.map_or(Ok(()), |tick| self.publish(place, post, tick))
    }

    pub(super) fn go_on(&mut self, place: usize, post: &Post, rows: &Bytes) -> Result<(), String> {
        self.say(|| format!("{} goes on with {post}", self.nodes[place].id));
        self.checks.seen.hand_overs += 1;
        let text = std::str::from_utf8(rows).unwrap();
        let mut words = text.split(' ');
        let mut number = || words.next().and_then(|word| word.parse().ok()).unwrap();
        let row = Row { v: number(), tick: number() };
        let sure = number() == 1;
        let Some(carrier) = self.nodes[place].carriers.get_mut(post) else {
            return Err(self.problem(&format!("{post} goes on without being prepared")));
        };
        let State::Warming(kept) = std::mem::replace(&mut carrier.state, State::Live(row)) else {
            return Err(self.problem(&format!("{post} goes on and was not warming")));
        };
        carrier.sure = sure;
        let unknown = if sure { 0 } else { kept.len().saturating_sub(1) };
        kept.into_iter().skip(unknown).try_for_each(|tick| self.publish(place, post, tick))
    }

    /// Stops, with MD_LAST up to date; who has not read it yet goes on from what it says.
    pub(super) fn release(&mut self, place: usize, post: &Post) {
        let last = self.market.last.get(post).copied().unwrap_or_default();
        self.flush(place, post);
        if let Some(carrier) = self.nodes[place].carriers.get_mut(post) {
            match carrier.state {
                State::Live(row) => carrier.state = State::Released(row),
                State::Reading(..) => carrier.state = State::Released(last),
                State::Warming(_) | State::Released(_) => {}
            }
        }
    }

    pub(super) fn export(&self, place: usize, post: &Post) -> Bytes {
        match self.nodes[place].carriers.get(post) {
            Some(Carrier { state: State::Released(row), sure, .. }) => {
                Bytes::from(format!("{} {} {}", row.v, row.tick, u8::from(*sure)))
            }
            _ => Bytes::new(),
        }
    }

    pub(super) fn trade(&mut self, post: Post) {
        let tick = self.market.tick(&post);
        for place in 0..self.nodes.len() {
            let lag = self.rng.u64(MS..25 * MS);
            let node = &mut self.nodes[place];
            let address = (place, node.life);
            if let Some(carrier) =
                node.carriers.get_mut(&post).filter(|carrier| carrier.subscribed_at <= self.now)
            {
                carrier.delivered_at = carrier.delivered_at.max(self.now + lag);
                let at = carrier.delivered_at;
                self.to(at, address, Input::Tick { post: post.clone(), tick });
            }
        }
        let next = self.now + self.rng.u64(50 * MS..200 * MS);
        self.at(next, Event::Trade(post));
    }

    pub(super) fn ticked(&mut self, place: usize, post: &Post, tick: u64) -> Result<(), String> {
        let Some(carrier) = self.nodes[place].carriers.get_mut(post) else { return Ok(()) };
        match &mut carrier.state {
            State::Warming(kept) | State::Reading(kept, _) => kept.push(tick),
            State::Live(_) => return self.publish(place, post, tick),
            State::Released(_) => {}
        }
        Ok(())
    }

    /// As the outlet does: the fence first, then the rule of versions. What the fence stops counts as unknown.
    pub(super) fn publish(&mut self, place: usize, post: &Post, tick: u64) -> Result<(), String> {
        let node = &mut self.nodes[place];
        let (open, wall, linked) = (node.is_open(post, self.now), node.wall(self.now), node.linked);
        let Some(carrier) = node.carriers.get_mut(post) else { return Ok(()) };
        let State::Live(row) = &mut carrier.state else { return Ok(()) };
        if !open || !linked || tick <= row.tick {
            return Ok(());
        }
        *row = Row { v: tickwire_common::row::next_version(row.v, wall), tick };
        let row = *row;
        carrier.sure = true;
        let due = carrier.last_kept_at + LAST_EVERY;
        if due > self.now && !std::mem::replace(&mut carrier.flush_due, true) {
            let address = (place, node.life);
            self.to(due, address, Input::LastFlush { post: post.clone() });
        } else if due <= self.now {
            self.flush(place, post);
        }
        if self.nodes[place].cut {
            self.nodes[place].held_back.push((post.clone(), row));
            return Ok(());
        }
        if self.reaches(place) { self.publish_row(post, row) } else { Ok(()) }
    }

    pub(super) fn publish_row(&mut self, post: &Post, row: Row) -> Result<(), String> {
        let before = self.market.client.get(post).map(|(_, at)| *at);
        let taken = self.market.show(post, row, self.now);
        if let Some(before) = before {
            self.checks.seen.longest_hole = self.checks.seen.longest_hole.max(self.now - before);
        }
        self.check_row(post, row, &taken)
    }

    pub(super) fn flush(&mut self, place: usize, post: &Post) {
        let reaches = self.reaches(place);
        let (now, open) = (self.now, self.nodes[place].is_open(post, self.now));
        let Some(carrier) = self.nodes[place].carriers.get_mut(post) else { return };
        carrier.flush_due = false;
        if let State::Live(row) = carrier.state
            && reaches
            && open
            && row.v > 0
        {
            carrier.last_kept_at = now;
            self.market.keep(post, row);
        }
    }
}
