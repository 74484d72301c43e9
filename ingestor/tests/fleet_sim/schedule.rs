//! What happens to the fleet, decided by the seed before anything runs.

use fastrand::Rng;
use tickwire_ingestor::venue::contract::{Micros, SECOND};

pub const MS: Micros = 1_000;

/// When disturbances begin: the fleet has started.
const BEGIN: Micros = 4 * SECOND;
/// Longest time over which they are spread.
const SPREAD: Micros = 8 * SECOND;
/// After the last one, until everything must be at rest.
const REST: Micros = 12 * SECOND;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    Crash(usize),
    /// A new process in the place of one that has ended.
    Start(usize),
    Freeze(usize),
    Thaw(usize),
    Cut(usize),
    Heal(usize),
    ServerDown {
        wipe: bool,
    },
    ServerUp,
    Lossy(bool),
    WallJump(usize, i64),
    Drain(usize),
    Weights(u64),
}

pub struct Schedule {
    pub members: usize,
    /// How many of them run from the beginning.
    pub at_start: usize,
    pub faults: Vec<(Micros, Fault)>,
    /// Only what an operator does: not one tick may be lost or shown twice.
    pub planned: bool,
    /// From here on nothing happens.
    pub rest_from: Micros,
    pub end: Micros,
}

impl Schedule {
    pub fn of(rng: &mut Rng) -> Self {
        let planned = rng.u8(..4) == 0;
        let at_start = rng.usize(2..=4);
        let members = at_start + 1;
        let mut faults = Vec::new();
        for _ in 0..rng.usize(1..=6) {
            let at = BEGIN + rng.u64(..SPREAD);
            if planned {
                operate(rng, at, members, &mut faults)
            } else {
                disturb(rng, at, members, &mut faults)
            }
        }
        faults.sort_by_key(|(at, _)| *at);
        let rest_from = faults.last().map_or(BEGIN, |(at, _)| *at);
        Self { members, at_start, faults, planned, rest_from, end: rest_from + REST }
    }
}

fn operate(rng: &mut Rng, at: Micros, members: usize, faults: &mut Vec<(Micros, Fault)>) {
    match rng.u8(..4) {
        0 => faults.push((at, Fault::Start(members - 1))),
        1 => faults.push((at, Fault::Weights(rng.u64(..)))),
        // A rolling restart of one.
        2 => {
            let one = rng.usize(..members);
            faults.push((at, Fault::Drain(one)));
            faults.push((at + rng.u64(9 * SECOND..11 * SECOND), Fault::Start(one)));
        }
        _ => faults.push((at, Fault::Drain(rng.usize(1..members)))),
    }
}

fn disturb(rng: &mut Rng, at: Micros, members: usize, faults: &mut Vec<(Micros, Fault)>) {
    let one = rng.usize(..members);
    let later = at + rng.u64(50 * MS..6 * SECOND);
    match rng.u8(..10) {
        0 | 1 => faults.extend([(at, Fault::Crash(one)), (later, Fault::Start(one))]),
        2 | 3 => faults.extend([(at, Fault::Freeze(one)), (later, Fault::Thaw(one))]),
        4 | 5 => faults.extend([(at, Fault::Cut(one)), (later, Fault::Heal(one))]),
        6 => faults.extend([(at, Fault::ServerDown { wipe: rng.bool() }), (later, Fault::ServerUp)]),
        7 => faults.extend([(at, Fault::Lossy(true)), (later, Fault::Lossy(false))]),
        8 => faults.push((at, Fault::WallJump(one, rng.i64(-3_000_000..=3_000_000)))),
        _ => operate(rng, at, members, faults),
    }
}
