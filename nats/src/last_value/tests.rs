use proptest::prelude::*;

use super::*;

fn row(n: u64) -> Bytes {
    Bytes::from(n.to_string())
}

fn drain(values: &mut LastValues, now: Instant) -> Vec<(u32, Bytes)> {
    std::iter::from_fn(|| values.pop_due(now)).collect()
}

#[test]
fn a_lone_row_goes_out_at_once_and_again_within_a_minute() {
    let (mut values, start) = (LastValues::new(1), Instant::now());
    assert!(values.offer(0, row(1), start));
    assert_eq!(drain(&mut values, start), [(0, row(1))]);
    let again = values.next_deadline().unwrap();
    assert!(again > start && again <= start + REFRESH_INTERVAL);
    assert_eq!(drain(&mut values, again), [(0, row(1))]);
}

#[test]
fn a_burst_becomes_its_first_and_its_last_row() {
    let (mut values, start) = (LastValues::new(1), Instant::now());
    values.offer(0, row(0), start);
    let mut written = drain(&mut values, start);
    for n in 1..100 {
        values.offer(0, row(n), start + Duration::from_millis(n));
    }
    assert_eq!(values.next_deadline(), Some(start + WRITE_INTERVAL));
    written.extend(drain(&mut values, start + WRITE_INTERVAL));
    assert_eq!(written, [(0, row(0)), (0, row(99))]);
}

#[test]
fn a_refused_row_comes_again_or_what_replaced_it() {
    let (mut values, start) = (LastValues::new(1), Instant::now());
    values.offer(0, row(1), start);
    assert_eq!(values.pop_due(start), Some((0, row(1))));
    values.put_back(0, start);
    values.offer(0, row(2), start);
    assert_eq!(values.pop_due(start), None);
    assert_eq!(values.pop_due(start + WRITE_INTERVAL), Some((0, row(2))));
}

#[test]
fn everything_is_due_after_an_outage() {
    let (mut values, start) = (LastValues::new(10), Instant::now());
    for symbol in 0..10 {
        values.offer(symbol, row(symbol.into()), start);
    }
    drain(&mut values, start);
    values.refresh_all(start);
    assert_eq!(drain(&mut values, start).len(), 10);
}

#[test]
fn symbols_beyond_the_limit_and_removed_ones_are_not_kept() {
    let (mut values, start) = (LastValues::new(2), Instant::now());
    assert!(!values.offer(2, row(1), start));
    assert!(values.is_empty());
    values.offer(1, row(1), start);
    assert_eq!((values.len(), values.row(1)), (1, Some(&row(1))));
    values.remove(1);
    assert_eq!((values.len(), values.next_deadline(), values.row(1)), (0, None, None));
}

proptest! {
    /// Any ticks of any symbols, read whenever something is due: never more than 4 writes a second, the newest row
    /// always in the end, and never a minute of silence.
    #[test]
    fn few_writes_but_always_the_newest(
        ticks in prop::collection::vec((0_u32..5, 0_u64..2_000), 1..200), refuse in prop::collection::vec(any::<bool>(), 64),
    ) {
        let start = Instant::now();
        let mut values = LastValues::new(5);
        let mut newest = [None; 5];
        let mut writes: Vec<Vec<(Instant, Bytes)>> = vec![Vec::new(); 5];
        let mut refusals = refuse.iter().copied();
        let mut now = start;
        let mut step = |values: &mut LastValues, now: Instant, writes: &mut Vec<Vec<(Instant, Bytes)>>| {
            while let Some((symbol, row)) = values.pop_due(now) {
                if refusals.next().unwrap_or(false) {
                    values.put_back(symbol, now);
                } else {
                    writes[symbol as usize].push((now, row));
                }
            }
        };
        for (n, (symbol, wait_ms)) in ticks.iter().enumerate() {
            let next = now + Duration::from_millis(*wait_ms);
            while let Some(deadline) = values.next_deadline().filter(|deadline| *deadline <= next) {
                now = now.max(deadline);
                step(&mut values, now, &mut writes);
            }
            now = next;
            values.offer(*symbol, row(n as u64), now);
            newest[*symbol as usize] = Some(n as u64);
            step(&mut values, now, &mut writes);
        }
        let end = now + Duration::from_secs(180);
        while let Some(deadline) = values.next_deadline().filter(|deadline| *deadline <= end) {
            now = now.max(deadline);
            step(&mut values, now, &mut writes);
        }
        prop_assert_eq!(values.len(), newest.iter().flatten().count());
        // Every refusal costs one interval, and there are at most 64.
        let latest = REFRESH_INTERVAL + 64 * WRITE_INTERVAL;
        for (newest, writes) in newest.iter().zip(&writes) {
            prop_assert_eq!(writes.last().map(|(_, row)| row.clone()), newest.map(row));
            for pair in writes.windows(2) {
                let gap = pair[1].0 - pair[0].0;
                prop_assert!(gap >= WRITE_INTERVAL);
                prop_assert!(gap <= latest);
            }
            if let Some((last, _)) = writes.last() {
                prop_assert!(end - *last <= latest, "quiet symbols are repeated");
            }
        }
    }
}
