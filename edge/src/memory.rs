//! How much memory the process has, and how much it may have: what Linux tells in `/proc`
//! (<https://man7.org/linux/man-pages/man5/proc_pid_status.5.html>) and in its control groups
//! (<https://docs.kernel.org/admin-guide/cgroup-v2.html>). Other systems tell nothing, and nothing is limited there.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;

/// How often the resident memory is read.
const LOOK: Duration = Duration::from_secs(1);

/// Above it a control group has no limit in truth: version 1 writes the largest number of pages for "none".
const LIMIT_BYTES_MAX: u64 = 1 << 60;

/// Resident memory of this process in bytes.
fn resident() -> Option<u64> {
    parse_resident(&fs::read_to_string("/proc/self/status").ok()?)
}

fn parse_resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

/// What the control group of this process may use, in bytes: the least limit of it and of those around it.
pub fn container_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let files = limit_files(&groups);
    let limits = files.iter().filter_map(|file| fs::read_to_string(file).ok());
    limits.filter_map(|text| text.trim().parse::<u64>().ok()).filter(|limit| *limit < LIMIT_BYTES_MAX).min()
}

/// Files that may hold a limit, for the lines of `/proc/self/cgroup`.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let group = Path::new(path.trim_start_matches('/'));
        files.extend(group.ancestors().map(|group| Path::new(root).join(group).join(file)));
    }
    files
}

/// Looks at the resident memory until `token` is cancelled, and tells the door.
///
/// # Errors
/// None.
pub async fn watch(admission: Arc<Admission>, token: CancellationToken) -> anyhow::Result<()> {
    let gauge = metrics::gauge!("tickwire_edge_resident_memory_bytes");
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while token.run_until_cancelled(looks.tick()).await.is_some() {
        if let Some(bytes) = resident() {
            gauge.set(bytes as f64);
            admission.memory(bytes);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_bytes() {
        let status = "Name:\tedge\nVmPeak:\t   99 kB\nVmRSS:\t    8012 kB\nThreads:\t4\n";
        assert_eq!(parse_resident(status), Some(8_012 << 10));
        for strange in ["", "VmRSS:\n", "VmRSS:\t 12 MB\n", "VmRSS:\t -1 kB\n"] {
            assert_eq!(parse_resident(strange), None, "{strange}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory() {
        assert!(resident().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn limits_of_a_group_and_of_those_around_it() {
        let text = |groups: &str| -> Vec<String> {
            limit_files(groups).iter().map(|file| file.display().to_string()).collect()
        };
        assert_eq!(text("0::/\n"), ["/sys/fs/cgroup/memory.max"]);
        assert_eq!(
            text("0::/pods/edge\n"),
            [
                "/sys/fs/cgroup/pods/edge/memory.max",
                "/sys/fs/cgroup/pods/memory.max",
                "/sys/fs/cgroup/memory.max"
            ]
        );
        assert_eq!(
            text("4:cpu,cpuacct:/x\n3:memory:/docker\nnonsense\n"),
            [
                "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes"
            ]
        );
    }
}
