//! Random histories against a model that knows nothing of the packer: it plays the venue, which counts what every
//! socket carries.

use std::cmp::Reverse;

use proptest::prelude::*;

use super::*;

/// What the venue sees.
#[derive(Debug, Default)]
struct Venue {
    sockets: BTreeMap<SocketId, BTreeSet<u32>>,
    /// Unsubscribed, yet to be freed.
    unsubscribed: BySocket,
}

/// How much an answer of the packer moves.
#[derive(Debug, Default, PartialEq, Eq)]
struct Churn {
    opened: usize,
    subscribed: BTreeSet<SocketId>,
    unsubscribed: usize,
    closed: usize,
}

impl Venue {
    fn act(&mut self, acts: &[Act], max: usize) -> Churn {
        let mut churn = Churn::default();
        for act in acts {
            match act {
                Act::Open { socket, symbols } => {
                    assert!(self.sockets.insert(*socket, BTreeSet::new()).is_none(), "{socket} was open");
                    churn.opened += 1;
                    churn.subscribed.insert(*socket);
                    self.subscribe(*socket, symbols);
                }
                Act::Subscribe { socket, symbols } => {
                    assert!(churn.subscribed.insert(*socket), "one message a socket");
                    self.subscribe(*socket, symbols);
                }
                Act::Unsubscribe { socket, symbols } => {
                    assert!(symbols.iter().all(|symbol| self.sockets[socket].contains(symbol)));
                    self.unsubscribed.entry(*socket).or_default().extend(symbols);
                    churn.unsubscribed += symbols.len();
                }
                Act::Close { socket } => {
                    assert!(self.sockets.remove(socket).is_some(), "{socket} was not open");
                    self.unsubscribed.remove(socket);
                    churn.closed += 1;
                }
            }
            assert!(self.sockets.values().all(|socket| socket.len() <= max), "above the limit: {self:?}");
        }
        churn
    }

    fn subscribe(&mut self, socket: SocketId, symbols: &[u32]) {
        assert!(!symbols.is_empty());
        let carried = self.sockets.get_mut(&socket).expect("an open socket");
        let unsubscribed = self.unsubscribed.entry(socket).or_default();
        for symbol in symbols {
            let held = unsubscribed.iter().position(|other| other == symbol);
            assert!(carried.insert(*symbol) != held.is_some(), "{symbol} is on {socket} already");
            held.map(|at| unsubscribed.remove(at));
        }
    }

    /// What every socket carries and is not about to drop.
    fn wanted(&self) -> BySocket {
        let gone = |id: &SocketId| self.unsubscribed.get(id).cloned().unwrap_or_default();
        let kept = |id: &SocketId, symbols: &BTreeSet<u32>| {
            let gone = gone(id);
            symbols.iter().copied().filter(|symbol| !gone.contains(symbol)).collect()
        };
        self.sockets.iter().map(|(id, symbols)| (*id, kept(id, symbols))).collect()
    }

    fn room(&self, max: usize, leaving: &BTreeSet<SocketId>) -> Vec<usize> {
        let open = self.sockets.iter().filter(|(id, _)| !leaving.contains(id));
        let mut room: Vec<usize> = open.map(|(_, symbols)| max - symbols.len()).collect();
        room.sort_unstable_by_key(|room| Reverse(*room));
        room
    }
}

#[derive(Debug, Clone)]
enum Step {
    Add(Vec<u32>),
    Remove(Vec<u32>),
    Rotate(usize),
    Lost(usize),
    Moved(usize),
    Freed(usize),
    Shrink,
}

fn step() -> impl Strategy<Value = Step> {
    let symbols = || prop::collection::vec(0u32..120, 0..40);
    prop_oneof![
        4 => symbols().prop_map(Step::Add),
        4 => symbols().prop_map(Step::Remove),
        1 => (0..8usize).prop_map(Step::Rotate),
        1 => (0..8usize).prop_map(Step::Lost),
        3 => (0..8usize).prop_map(Step::Moved),
        3 => (0..8usize).prop_map(Step::Freed),
        2 => Just(Step::Shrink),
    ]
}

#[derive(Debug)]
struct World {
    max: usize,
    packer: Packer,
    venue: Venue,
    wanted: BTreeSet<u32>,
}

impl World {
    fn new(max: usize) -> Self {
        Self { max, packer: Packer::new(max), venue: Venue::default(), wanted: BTreeSet::new() }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Add(symbols) => self.add(symbols),
            Step::Remove(symbols) => {
                let before: usize = self.venue.wanted().values().map(Vec::len).sum();
                let acts = self.packer.remove(symbols.iter().copied());
                let churn = self.venue.act(&acts, self.max);
                self.wanted.retain(|symbol| !symbols.contains(symbol));
                let after: usize = self.venue.wanted().values().map(Vec::len).sum();
                assert_eq!((churn.opened, churn.closed, churn.subscribed.len()), (0, 0, 0));
                assert_eq!(churn.unsubscribed, before - after, "nobody else is touched");
            }
            Step::Rotate(nth) => self.on_socket(
                *nth,
                |packer, socket| packer.rotate(socket),
                |churn| {
                    assert!(churn.opened <= 1 && churn.subscribed.len() == churn.opened);
                },
            ),
            Step::Lost(nth) => {
                if let Some(socket) = self.nth(*nth) {
                    // A new connection carries what is wanted and nothing else.
                    for symbol in self.venue.unsubscribed.remove(&socket).unwrap_or_default() {
                        self.venue.sockets.get_mut(&socket).unwrap().remove(&symbol);
                    }
                }
                self.on_socket(
                    *nth,
                    |packer, socket| packer.lost(socket),
                    |churn| {
                        assert_eq!((churn.opened, churn.subscribed.len()), (0, 0));
                    },
                );
            }
            Step::Moved(nth) => self.on_socket(
                *nth,
                |packer, socket| packer.moved(socket),
                |churn| {
                    assert_eq!((churn.opened, churn.subscribed.len()), (0, 0));
                },
            ),
            Step::Freed(nth) => {
                let Some(socket) = self.nth(*nth) else { return };
                let symbols = self.venue.unsubscribed.remove(&socket).unwrap_or_default();
                for symbol in &symbols {
                    self.venue.sockets.get_mut(&socket).unwrap().remove(symbol);
                }
                self.packer.freed(socket, &symbols);
            }
            Step::Shrink => self.shrink(),
        }
    }

    fn add(&mut self, symbols: &[u32]) {
        let new: BTreeSet<u32> = symbols.iter().copied().filter(|new| !self.wanted.contains(new)).collect();
        let leaving: BTreeSet<SocketId> = self.packer.leaving().into_keys().collect();
        let held: BTreeSet<u32> = self
            .venue
            .unsubscribed
            .iter()
            .filter(|(socket, _)| !leaving.contains(socket))
            .flat_map(|(_, symbols)| symbols.iter().copied())
            .collect();
        let back = new.intersection(&held).count();
        let homeless = new.len() - back;
        let room = self.venue.room(self.max, &leaving);
        let acts = self.packer.add(symbols.iter().copied());
        let churn = self.venue.act(&acts, self.max);
        self.wanted.extend(&new);
        assert_eq!((churn.unsubscribed, churn.closed), (0, 0), "who comes moves nobody");
        let opened = homeless.saturating_sub(room.iter().sum()).div_ceil(self.max);
        assert_eq!(churn.opened, opened, "as few new sockets as can be");
        let mut left = homeless;
        let places = std::iter::repeat_n(self.max, opened).chain(room);
        let fewest = places.take_while(|room| {
            let needed = left > 0;
            left = left.saturating_sub(*room);
            needed
        });
        let touched = churn.subscribed.len();
        assert!(touched <= fewest.count() + back, "{touched} sockets touched");
    }

    fn shrink(&mut self) {
        let sockets = self.venue.sockets.len();
        let acts = self.packer.shrink();
        let churn = self.venue.act(&acts, self.max);
        assert_eq!((churn.opened, churn.unsubscribed), (0, 0), "saving a socket opens none");
        if !churn.subscribed.is_empty() {
            let places = (sockets - 1) * self.max;
            assert!(self.wanted.len() * 4 <= places * 3, "it pays: a quarter stays free");
        }
    }

    fn on_socket(
        &mut self,
        nth: usize,
        ask: impl FnOnce(&mut Packer, SocketId) -> Vec<Act>,
        check: impl FnOnce(Churn),
    ) {
        if let Some(socket) = self.nth(nth) {
            let acts = ask(&mut self.packer, socket);
            check(self.venue.act(&acts, self.max));
        }
    }

    fn nth(&self, nth: usize) -> Option<SocketId> {
        self.venue.sockets.keys().copied().nth(nth)
    }

    /// Every wanted symbol is on one socket, or on two where it moves, and no other is anywhere.
    fn check(&self) {
        let leaving = self.packer.leaving();
        let mut carried: BTreeMap<u32, usize> = BTreeMap::new();
        for (socket, symbols) in self.venue.wanted() {
            for symbol in symbols {
                assert!(self.wanted.contains(&symbol), "{symbol} is not wanted");
                *carried.entry(symbol).or_default() += usize::from(!leaving.contains_key(&socket));
            }
        }
        assert!(self.wanted.iter().all(|symbol| carried.get(symbol) == Some(&1)), "{carried:?}");
        assert_eq!(self.packer.symbols(), self.wanted.len());
        for (socket, symbols) in leaving {
            let wanted = self.venue.wanted();
            let moving: Vec<u32> = symbols.iter().map(|(symbol, _)| *symbol).collect();
            assert_eq!(moving, wanted[&socket], "all that a leaving socket carries is on its way");
            for (symbol, next) in symbols {
                assert!(wanted[&next].contains(&symbol) && self.packer.homes[&symbol].at == socket);
            }
        }
    }

    /// Ends every move and lets the pool shrink to its end.
    fn rest(&mut self) {
        loop {
            for nth in (0..self.venue.sockets.len()).rev() {
                self.step(&Step::Freed(nth));
                self.step(&Step::Moved(nth));
            }
            let before = self.venue.sockets.len();
            self.step(&Step::Shrink);
            self.check();
            if self.packer.leaving().is_empty() && self.venue.sockets.len() == before {
                return;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn every_symbol_has_a_home_and_no_limit_is_passed(
        max in 1usize..40, steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new(max);
        for step in &steps {
            world.step(step);
            world.check();
        }
        world.rest();
        let (sockets, symbols) = (world.venue.sockets.len(), world.wanted.len());
        prop_assert!(world.packer.leaving().is_empty());
        prop_assert!(sockets <= 1 || symbols * 4 > (sockets - 1) * max * 3, "{sockets} for {symbols}");
        prop_assert!(symbols > 0 || sockets == 0);
    }

    #[test]
    fn a_first_plan_is_tight_and_even(count in 0usize..1_500, max in 1usize..400) {
        let mut world = World::new(max);
        world.step(&Step::Add((0..).take(count).collect()));
        world.check();
        let sizes: Vec<usize> = world.venue.sockets.values().map(BTreeSet::len).collect();
        prop_assert_eq!(sizes.len(), count.div_ceil(max));
        let spread = sizes.iter().max().zip(sizes.iter().min()).map_or(0, |(most, least)| most - least);
        prop_assert!(spread <= 1, "{sizes:?}");
    }
}

#[test]
fn a_symbol_that_comes_back_at_once_goes_where_its_place_still_is() {
    let mut packer = Packer::new(2);
    packer.add([1, 2]);
    assert_eq!(packer.remove([1]), [Act::Unsubscribe { socket: 1, symbols: vec![1] }]);
    // The place is not free yet, so another symbol needs a socket of its own.
    assert_eq!(packer.add([3]), [Act::Open { socket: 2, symbols: vec![3] }]);
    assert_eq!(packer.add([1]), [Act::Subscribe { socket: 1, symbols: vec![1] }]);
}

#[test]
fn a_socket_that_is_being_filled_by_a_rotation_is_not_rotated() {
    let mut packer = Packer::new(2);
    packer.add([1]);
    assert_eq!(packer.rotate(1), [Act::Open { socket: 2, symbols: vec![1] }]);
    assert_eq!((packer.rotate(2), packer.rotate(1)), (vec![], vec![]));
    assert_eq!(packer.homes[&1].at, 1);
    // The old one dies before its time: the new one is all there is.
    assert_eq!(packer.lost(1), [Act::Close { socket: 1 }]);
    assert_eq!(packer.homes[&1].at, 2);
    assert_eq!(packer.rotate(2), [Act::Open { socket: 3, symbols: vec![1] }]);
}

#[test]
fn the_venue_knows_best_how_much_a_socket_takes() {
    let mut packer = Packer::new(4);
    packer.add([1, 2, 3, 4]);
    let acts = packer.overflowed(1, &[3, 4, 9]);
    let went = Act::Unsubscribe { socket: 1, symbols: vec![3, 4] };
    assert_eq!(acts, [went, Act::Open { socket: 2, symbols: vec![3, 4] }]);
    // A place that is left there can be taken, one that never was cannot.
    packer.remove([1]);
    packer.freed(1, &[1]);
    assert_eq!(packer.add([5, 6]), [Act::Subscribe { socket: 2, symbols: vec![5, 6] }]);
    assert_eq!(packer.add([7]), [Act::Subscribe { socket: 1, symbols: vec![7] }]);
    assert_eq!(packer.add([8]), [Act::Open { socket: 3, symbols: vec![8] }]);
    assert_eq!(packer.overflowed(9, &[1]), []);
}
