//! What the machine says of itself and of this thread, from /proc; nothing where there is no /proc.

use std::fs;
use std::time::Duration;

use serde::Serialize;

/// Facts that a figure has to be read with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Host {
    pub(crate) system: &'static str,
    pub(crate) arch: &'static str,
    pub(crate) kernel: Option<String>,
    pub(crate) cpu: Option<String>,
    /// Cores that this process may use.
    pub(crate) cores: usize,
    pub(crate) open_files: Option<u64>,
    pub(crate) debug_build: bool,
}

impl Host {
    /// Asks the machine.
    pub(crate) fn read() -> Self {
        Self {
            system: std::env::consts::OS,
            arch: std::env::consts::ARCH,
            kernel: read("/proc/sys/kernel/osrelease").map(|release| release.trim().to_owned()),
            cpu: read("/proc/cpuinfo").as_deref().and_then(cpu_model).map(str::to_owned),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            open_files: open_files_limit(),
            debug_build: cfg!(debug_assertions),
        }
    }
}

/// How many files this process may hold open, `ulimit -n`.
pub(crate) fn open_files_limit() -> Option<u64> {
    read("/proc/self/limits").as_deref().and_then(soft_open_files)
}

/// CPU time of the calling thread since it began.
pub(crate) fn thread_cpu() -> Option<Duration> {
    let stat = read("/proc/thread-self/schedstat")?;
    stat.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn cpu_model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(": ").map(|(_, model)| model)
}

fn soft_open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_as_linux_writes_them() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
            Max processes             unlimited            unlimited            processes \n\
            Max open files            1024                 524288               files     \n";
        assert_eq!(soft_open_files(limits), Some(1024));
        assert_eq!(soft_open_files("Max open files unlimited unlimited files"), Some(u64::MAX));
        assert_eq!(soft_open_files(""), None);
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: A CPU\n"), Some("A CPU"));
    }
}
