//! Where a post stands with us. Each stage holds what only it needs.

use bytes::Bytes;

use crate::fleet::lease::Lease;
use crate::fleet::message::Release;
use crate::fleet::post::Name;
use crate::venue::contract::Micros;

/// A post that we hold or are after.
#[derive(Debug)]
pub(super) enum Stage {
    /// Another member has it; the runtime prepares.
    Preparing(Preparing),
    /// A compare-and-swap that would make it ours is under way.
    Taking { lease: Lease, prepared: Option<Preparing> },
    /// Ours. `resume` if the runtime was told to release it and waits to be told how that ended.
    Held { lease: Lease, resume: bool },
    /// Ours; the runtime exports it for another member.
    Releasing(Giving),
    /// The compare-and-swap that gives it away is under way.
    Giving(Giving),
    /// Ours; we end, and the runtime writes the last values of it.
    Quitting { lease: Lease, turn: u64 },
    /// The compare-and-swap that frees it is due or under way; we end.
    Leaving { lease: Lease, freeing: bool },
}

#[derive(Debug, Clone)]
pub(super) struct Preparing {
    pub turn: u64,
    pub warm: bool,
    /// Not asked for before.
    pub again: Micros,
    pub asked: Option<Asked>,
}

#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub nonce: Name,
    pub sent: Micros,
    pub until: Micros,
}

#[derive(Debug)]
pub(super) struct Giving {
    pub lease: Lease,
    pub turn: u64,
    pub release: Release,
    pub reply: u64,
    /// What the runtime exported; until then it may still publish.
    pub rows: Option<Bytes>,
}

impl Stage {
    pub fn lease(&self) -> Option<&Lease> {
        match self {
            Self::Preparing(_) => None,
            Self::Taking { lease, .. }
            | Self::Held { lease, .. }
            | Self::Quitting { lease, .. }
            | Self::Leaving { lease, .. } => Some(lease),
            Self::Releasing(giving) | Self::Giving(giving) => Some(&giving.lease),
        }
    }

    pub fn lease_mut(&mut self) -> Option<&mut Lease> {
        match self {
            Self::Preparing(_) => None,
            Self::Taking { lease, .. }
            | Self::Held { lease, .. }
            | Self::Quitting { lease, .. }
            | Self::Leaving { lease, .. } => Some(lease),
            Self::Releasing(giving) | Self::Giving(giving) => Some(&mut giving.lease),
        }
    }

    pub fn is_held(&self) -> bool {
        matches!(self, Self::Held { .. } | Self::Releasing(_) | Self::Giving(_) | Self::Quitting { .. })
    }

    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Held { resume: false, .. })
    }

    pub fn is_preparing(&self) -> bool {
        matches!(self, Self::Preparing(_))
    }

    pub fn is_asking(&self) -> bool {
        matches!(self, Self::Preparing(Preparing { asked: Some(_), .. }))
    }

    /// Whether work is counted as ours: what is on its way to us is not planned anew.
    pub fn counts_as_ours(&self) -> bool {
        !matches!(self, Self::Quitting { .. } | Self::Leaving { .. })
    }
}
