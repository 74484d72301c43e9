//! Seats and slots are two sides of one thing and must agree after any joins and leaves.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use proptest::prelude::*;
use tickwire_common::wire::limits::Limits;

use super::*;
use crate::admission::Admission;
use crate::hub::client::Mode;
use crate::hub::config::HubConfig;

const CLIENTS: u32 = 4;
const VIEWS: u32 = 3;

/// Clients whose sockets nobody reads.
fn clients() -> (TcpListener, Slab<Client>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = HubConfig {
        workers: 1,
        io_uring: crate::hub::write::IoUring::Off,
        limits: Limits::default(),
        heartbeat: Duration::from_secs(10),
        ping: Duration::from_secs(25),
        stall: Duration::from_secs(30),
        label: None,
    };
    let mut clients = Slab::new();
    for generation in 0..CLIENTS {
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let permit = Admission::new(Limits::default()).admit([127, 0, 0, 1].into()).unwrap();
        clients.insert(Client::new(
            socket,
            Mode::Stream,
            tickwire_common::wire::encoding::Encoding::Json,
            permit,
            generation,
            Instant::now(),
            &config,
        ));
    }
    (listener, clients)
}

/// Whether both sides agree: each seat's slot names the view and is that client's slot of it, and nothing else is.
fn check(views: &Views, clients: &Slab<Client>, expected: &[(u32, u32)]) {
    let mut seats: Vec<(u32, u32)> = Vec::new();
    for view in 0..VIEWS {
        for seat in views.seats(ViewId(view)) {
            let outbox = &clients[seat.client as usize].outbox;
            assert_eq!(outbox.view_of(seat.slot), Some(ViewId(view)));
            assert_eq!(outbox.slot_of(ViewId(view)), Some(seat.slot));
            seats.push((view, seat.client));
        }
    }
    seats.sort_unstable();
    assert_eq!(seats, expected);
    assert_eq!(views.count().1, expected.len());
    assert_eq!(clients.iter().map(|(_, client)| client.outbox.len()).sum::<usize>(), expected.len());
    for view in 0..VIEWS {
        let known = expected.iter().any(|(other, _)| *other == view);
        assert_eq!(views.name(ViewId(view)).is_some(), known);
        assert_eq!(views.id(&format!("S{view}")), known.then_some(ViewId(view)));
    }
}

proptest! {
    /// A seat that is left is filled by the last one, whose client must learn of it.
    #[test]
    fn seats_and_slots_agree(steps in prop::collection::vec((0..CLIENTS, 0..VIEWS, any::<bool>()), 1..60)) {
        let (_listener, mut clients) = clients();
        let (mut views, mut expected) = (Views::default(), Vec::new());
        for (key, view, joins) in steps {
            let at = expected.iter().position(|seat| *seat == (view, key));
            let slot = clients[key as usize].outbox.slot_of(ViewId(view));
            prop_assert_eq!(slot.is_some(), at.is_some());
            match (at, slot) {
                (Some(at), Some(slot)) if !joins => {
                    prop_assert_eq!(views.leave(&mut clients, key, slot), Some(ViewId(view)));
                    expected.remove(at);
                }
                (None, None) if joins => {
                    let name = format!("S{view}").into();
                    let slot = views.join(ViewId(view), &name, key, &mut clients[key as usize]);
                    prop_assert_eq!(clients[key as usize].outbox.slot_of(ViewId(view)), Some(slot));
                    expected.push((view, key));
                }
                _ => {}
            }
            expected.sort_unstable();
            check(&views, &clients, &expected);
        }
    }
}

#[test]
fn a_slot_that_is_gone_is_left_twice_without_harm() {
    let (_listener, mut clients) = clients();
    let mut views = Views::default();
    assert_eq!(views.join(ViewId(1), &"S1".into(), 0, &mut clients[0]), 0);
    assert_eq!(views.leave(&mut clients, 0, 0), Some(ViewId(1)));
    assert_eq!(views.leave(&mut clients, 0, 0), None);
    assert_eq!(views.leave(&mut clients, CLIENTS, 0), None);
    check(&views, &clients, &[]);
}
