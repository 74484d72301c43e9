//! The fleet: which posts (shards of a venue, and its catalogue) this process holds, by leases in NATS. Equal members,
//! no leader: everybody reads the bucket, [`assign`](mod@assign) says who should have what, compare-and-swap says who
//! has it. Why so: docs/adr/0008.
//!
//! [`Member`] is the whole protocol without clock, I/O or spawn; [`Fence`] is what publishers ask at every message;
//! [`run`] moves bytes between a member, NATS and the process's venues.
//!
//! # What a venue's runtime is told, and what it answers
//!
//! For every post of its venue it is told one of these, in order, and answers what is named. It must ask
//! `fence(post).is_open(now)` at every message it publishes for a shard, whatever it was told last.
//!
//! | told | it does | it answers |
//! | --- | --- | --- |
//! | `Prepare{turn}` | subscribes the shard's symbols; publishes nothing, keeps the updates | `warm(post, turn)` when each symbol is acknowledged and has data, or waited its time |
//! | `Publish{epoch, rows}` | applies the rows of the hand-over, then the kept updates that are newer, then goes on live; where the owner before us published nothing itself, of kept updates the newest row only | |
//! | `Carry{epoch}` | from idle or prepared: reads MD_LAST and goes on above it, subscribes, publishes what comes; of kept updates the newest row only, for nobody knows which were published. After `Release`: goes on from its own rows | |
//! | `Release{turn}` | stops applying and publishing, flushes MD_LAST, keeps its subscriptions | `released(post, turn, rows)`: what was published last, so that an update that was not published counts as unknown; not before MD_LAST was read, if that is still to come |
//! | `Stop{reason}` | forgets the shard and unsubscribes | |
//!
//! A catalogue post knows `Carry`, `Release` (answered with no rows) and `Stop` only.

pub mod assign;

pub mod fence;

pub mod lease;

pub mod member;

pub mod handle;

pub mod run;

pub mod message;

pub mod post;

pub use fence::Fence;
pub use handle::{Clock, Handle, Order};
pub use lease::{Outcome, Times};
pub use member::{Act, Entry, Member, MemberConfig, Reason};
pub use post::{Name, Part, Post};
pub use run::{Fleet, Runtime};
