//! Who may come in: counts connections, in all and by address, and knows whether memory is left. At a limit the newest
//! is refused and nobody else is touched. Knows no socket.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tickwire_common::wire::close::CloseCode;
use tickwire_common::wire::error::{ErrorBody, ErrorCode};
use tickwire_common::wire::limits::Limits;

use crate::address::network;

/// See the module.
#[derive(Debug)]
pub struct Admission {
    limits: Limits,
    connections: AtomicUsize,
    /// Connections by address, while there is a limit on them; no entry without a connection.
    addresses: Mutex<HashMap<IpAddr, u32>>,
    memory_full: AtomicBool,
}

/// A place among the connections, for as long as it lives.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    address: Option<IpAddr>,
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// As many connections as the edge takes.
    Total,
    /// As many as one address may have.
    Address,
    /// No memory is left for more.
    Memory,
}

impl Refused {
    /// A short word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Address => "address",
            Self::Memory => "memory",
        }
    }

    /// The close code: an edge that is full may have room later and another edge now; an address has to close one of
    /// its connections first.
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::Total | Self::Memory => CloseCode::Overloaded,
            Self::Address => CloseCode::ConnectionLimit,
        }
    }

    /// What the client is told.
    pub fn body(self) -> ErrorBody {
        match self {
            Self::Total => {
                ErrorBody::new(ErrorCode::Overloaded, "no room for another connection; come back later")
            }
            Self::Memory => {
                ErrorBody::new(ErrorCode::Overloaded, "no memory for another connection; come back later")
            }
            Self::Address => ErrorBody::new(
                ErrorCode::ConnectionLimit,
                "your address has as many connections as it may have; use those",
            ),
        }
    }
}

impl Admission {
    /// Nobody is in yet.
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            connections: AtomicUsize::new(0),
            addresses: Mutex::default(),
            memory_full: AtomicBool::new(false),
        })
    }

    /// Counts a new connection of this address.
    ///
    /// # Errors
    /// The limit it would pass.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Permit, Refused> {
        if self.memory_full.load(Ordering::Relaxed) {
            return Err(Refused::Memory);
        }
        let below = |now: usize| (now < self.limits.connections).then_some(now + 1);
        let counted = self.connections.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below);
        counted.map_err(|_| Refused::Total)?;
        // From here on dropping the permit takes the count back.
        let mut permit = Permit { admission: Arc::clone(self), address: None };
        if let Some(most) = self.limits.connections_per_address {
            let address = network(address);
            let mut addresses = self.addresses();
            let count = addresses.entry(address).or_default();
            if *count >= most {
                drop(addresses);
                return Err(Refused::Address);
            }
            *count += 1;
            permit.address = Some(address);
        }
        Ok(permit)
    }

    /// Connections now.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Notes the resident memory. Once it was too much, a twentieth must be free again before anyone comes in.
    pub fn memory(&self, bytes: u64) {
        let Some(most) = self.limits.memory_bytes else { return };
        let was_full = self.memory_full.load(Ordering::Relaxed);
        let full = bytes > if was_full { most - most / 20 } else { most };
        self.memory_full.store(full, Ordering::Relaxed);
        match (was_full, full) {
            (false, true) => tracing::warn!(bytes, most, "memory is full, new connections are refused"),
            (true, false) => tracing::info!(bytes, most, "there is memory for new connections again"),
            _ => {}
        }
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.connections.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = self.address else { return };
        if let Entry::Occupied(mut count) = self.admission.addresses().entry(address) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [198, 51, 100, last].into()
    }

    #[test]
    fn the_newest_is_refused_and_a_place_is_free_once_one_left() {
        let admission = Admission::new(Limits { connections: 2, ..Limits::default() });
        let first = admission.admit(address(1)).unwrap();
        let _second = admission.admit(address(1)).unwrap();
        assert_eq!(admission.admit(address(2)).unwrap_err(), Refused::Total);
        assert_eq!(admission.connections(), 2);
        drop(first);
        assert!(admission.admit(address(2)).is_ok());
    }

    #[test]
    fn each_address_has_its_own_share_and_leaves_nothing_behind() {
        let limits = Limits { connections_per_address: Some(2), ..Limits::default() };
        let admission = Admission::new(limits);
        let held = [1, 1, 2].map(|last| admission.admit(address(last)).unwrap());
        assert_eq!(admission.admit(address(1)).unwrap_err(), Refused::Address);
        assert_eq!(admission.connections(), 3, "a refused one is not counted");
        assert!(admission.admit(address(2)).is_ok());
        let v6 = |text: &str| admission.admit(text.parse().unwrap());
        let host = [v6("2001:db8::1").unwrap(), v6("2001:db8::2").unwrap()];
        assert_eq!(v6("2001:db8::3").unwrap_err(), Refused::Address);
        drop((held, host));
        assert!(admission.addresses().is_empty());
        assert_eq!(admission.connections(), 0);
    }

    #[test]
    fn without_memory_nobody_comes_in_until_some_is_free() {
        let admission = Admission::new(Limits { memory_bytes: Some(1_000), ..Limits::default() });
        admission.memory(1_000);
        assert!(admission.admit(address(1)).is_ok());
        admission.memory(1_001);
        assert_eq!(admission.admit(address(1)).unwrap_err(), Refused::Memory);
        admission.memory(951);
        assert_eq!(admission.admit(address(1)).unwrap_err(), Refused::Memory);
        admission.memory(950);
        assert!(admission.admit(address(1)).is_ok());
    }

    #[test]
    fn the_code_and_the_close_agree_on_coming_back() {
        for refused in [Refused::Total, Refused::Address, Refused::Memory] {
            assert_eq!(refused.body().retry, refused.close_code().retry(), "{refused:?}");
        }
    }
}
