//! The part of a turn that writes: whole clients, first come first served, every row due to a client in one write, many
//! clients in a batch. While few rows come each goes out at once; the more come, the more go in one write, and the cost
//! of a row falls. Who has more than one write takes goes to the back of the line, unless it needs rows of the round.

use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use slab::Slab;

use super::client::Client;
use super::outbox::{Next, Wrote};
use super::read::reason;
use super::round::Round;
use super::worker::{SHARE, Worker};
use super::write::Write;

/// Clients that are written to together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    parts: Vec<Part>,
    /// One a part; what was gathered for it. Kept for the next batch.
    buffers: Vec<Vec<u8>>,
    /// One a part, once it is written.
    taken: Vec<io::Result<usize>>,
    /// How long writing took in this turn.
    spent: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    key: u32,
    /// First row of the round that may be due to the client.
    from: u32,
    next: Next,
}

/// What a batch comes to, counted once for all its clients.
#[derive(Debug, Default)]
struct Sums {
    rows: u64,
    bytes: u64,
    skipped: u64,
}

impl Part {
    /// What is written.
    fn bytes<'b>(&self, client: &Client, round: &'b Round, buffer: &'b [u8]) -> &'b [u8] {
        match self.next {
            Next::Row(number) => round.get(number).map_or(&[], |row| row.frame.bytes(client.encoding)),
            Next::Gathered(_) => buffer,
            Next::Nothing => &[],
        }
    }
}

impl Worker {
    /// Serves those who are ready, for a while.
    pub fn serve(&mut self) {
        let begun = Instant::now();
        self.batch.spent = Duration::ZERO;
        while !self.ready.is_empty() {
            self.gather();
            self.write();
            self.settle_all();
            if begun.elapsed() >= SHARE {
                break;
            }
        }
        if self.batch.spent > Duration::ZERO {
            self.meters.write.record(self.batch.spent);
        }
        // The line is in the order of the rows: nobody needs one before the first one's.
        self.round.forget_before(self.ready.front().map_or(self.round.next(), |(_, from)| *from));
    }

    /// Takes clients from the front of the line, and from each what goes next.
    fn gather(&mut self) {
        self.batch.parts.clear();
        while self.batch.parts.len() < self.writer.batch_max()
            && let Some((key, from)) = self.ready.pop_front()
        {
            let at = self.batch.parts.len();
            if at == self.batch.buffers.len() {
                self.batch.buffers.push(Vec::new());
            }
            // A key may be there twice when it was given to another client meanwhile.
            let Some(client) = self.clients.get_mut(key as usize).filter(|client| client.ready) else {
                continue;
            };
            client.ready = false;
            let Some(buffer) = self.batch.buffers.get_mut(at) else { continue };
            let next = client.outbox.next(&self.round, client.encoding, buffer);
            self.batch.parts.push(Part { key, from, next });
        }
    }

    /// Writes the batch.
    fn write(&mut self) {
        let begun = Instant::now();
        let mut taken = std::mem::take(&mut self.batch.taken);
        let writes = writes(&self.batch, &self.clients, &self.round);
        if let Some(error) = self.writer.write(&writes, &mut taken) {
            tracing::warn!(%error, "the kernel takes no more batches of writes; from now on each is a system call");
            self.meters.count_way("io_uring", -1.0);
            self.meters.count_way(self.writer.way(), 1.0);
        }
        self.meters.writes.increment(writes.len() as u64);
        self.meters.write_batches.increment(1);
        self.batch.taken = taken;
        self.batch.spent += begun.elapsed();
    }

    /// Tells every client of the batch what came of it.
    fn settle_all(&mut self) {
        let mut taken = std::mem::take(&mut self.batch.taken);
        let (mut results, mut more, mut sums) = (taken.drain(..), Vec::new(), Sums::default());
        for at in 0..self.batch.parts.len() {
            let Some(part) = self.batch.parts.get(at).copied() else { break };
            sums.rows += match part.next {
                Next::Gathered(count) => u64::from(count),
                Next::Row(_) => 1,
                Next::Nothing => 0,
            };
            // Who had nothing to write has no result.
            let result = if part.next == Next::Nothing { Some(Ok(0)) } else { results.next() };
            let wrote = result.map(|result| self.settle(at, part, result, &mut sums));
            if wrote == Some(Some(Wrote::More)) {
                more.push((part.key, part.from));
            }
        }
        drop(results);
        self.batch.taken = taken;
        self.meters.rows_out.increment(sums.rows);
        self.meters.bytes_out.increment(sums.bytes);
        self.meters.skipped.increment(sums.skipped);
        for (key, from) in more.into_iter().rev() {
            if let Some(client) = self.clients.get_mut(key as usize) {
                client.ready = true;
                self.ready.push_front((key, from));
            }
        }
    }

    fn settle(&mut self, at: usize, part: Part, result: io::Result<usize>, sums: &mut Sums) -> Option<Wrote> {
        let client = self.clients.get_mut(part.key as usize)?;
        let taken = match result {
            Ok(taken) => taken,
            Err(error) => {
                self.drop_client(part.key, reason(&error));
                return None;
            }
        };
        let buffer = self.batch.buffers.get(at).map_or(&[][..], Vec::as_slice);
        let bytes = part.bytes(client, &self.round, buffer);
        let wrote = client.outbox.wrote(bytes, taken, &self.round, self.now);
        sums.bytes += taken as u64;
        sums.skipped += u64::from(client.outbox.take_uncounted());
        match wrote {
            Wrote::All | Wrote::More => {}
            Wrote::Rest => self.mark_ready(part.key),
            Wrote::Blocked => self.meters.blocked.increment(1),
        }
        if wrote != Wrote::More {
            self.set_alarm(part.key);
            self.after_write(part.key, taken > 0);
        }
        Some(wrote)
    }
}

/// The writes of a batch, in its order, of those who have something.
fn writes<'b>(batch: &'b Batch, clients: &'b Slab<Client>, round: &'b Round) -> Vec<Write<'b>> {
    let parts = batch.parts.iter().zip(&batch.buffers).filter(|(part, _)| part.next != Next::Nothing);
    let write = |(part, buffer): (&Part, &'b Vec<u8>)| {
        let client = clients.get(part.key as usize)?;
        Some(Write { socket: client.socket.as_fd(), bytes: part.bytes(client, round, buffer) })
    };
    parts.filter_map(write).collect()
}
