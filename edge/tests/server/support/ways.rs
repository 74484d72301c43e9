//! The ways in which the edge can write to clients on this machine; what delivers rows is tested in each.

use std::io::Write as _;

use tickwire_edge::hub::write::Ring;

/// Values of `edge.io_uring` that force one way. Where the kernel refuses io_uring, the terminal hears that half of the
/// test was left out.
pub fn ways() -> Vec<&'static str> {
    match Ring::open() {
        Ok(_) => vec!["off", "on"],
        Err(error) => {
            // Not through the test harness, which would keep it to itself.
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: io_uring is refused here ({error}); tested without it only"
            );
            vec!["off"]
        }
    }
}
