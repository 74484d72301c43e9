//! A program of this workspace as a process: awaited by its ready line, struck by signals, started again with the same
//! words, and never left behind: killed when dropped, and by the kernel if this program itself is killed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// Longest that a program may take to be ready, or to end after it was asked to.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lines of a log that are told when its program fails.
const LAST_LINES: usize = 8;

/// Clock ticks a second in `/proc/<pid>/stat`, the same on every Linux: <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>
const TICKS_PER_SECOND: u64 = 100;

/// What to start, again and again.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) words: Vec<String>,
    /// For logs.
    pub(crate) folder: PathBuf,
}

/// A program under way.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) launch: Launch,
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    /// Addresses of the ready line, in its order.
    pub(crate) urls: Vec<String>,
}

impl Launch {
    pub(crate) fn new(name: impl Into<String>, program: PathBuf, words: &str, folder: &Path) -> Self {
        let words = words.split_whitespace().map(str::to_owned).collect();
        Self { name: name.into(), program, words, folder: folder.to_owned() }
    }

    /// Starts it; its log goes on where an earlier one of this name ended.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn start(&self) -> anyhow::Result<Process> {
        let log = File::options().create(true).append(true).open(self.log_file()).context("open a log")?;
        // It leaves its place to the program, so that the process is the program itself.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(&self.program).args(&self.words);
        for (key, _) in std::env::vars_os() {
            let text = key.to_string_lossy();
            if text.starts_with("TICKWIRE_") || text.starts_with("OTEL_") {
                command.env_remove(&key);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).process_group(0).kill_on_drop(true);
        let mut child = command.spawn().context("start setpriv, of util-linux")?;
        let stdout = child.stdout.take().context("it has no standard output")?;
        Ok(Process { launch: self.clone(), child, stdout: BufReader::new(stdout).lines(), urls: Vec::new() })
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }

    pub(crate) fn log(&self) -> String {
        fs::read(self.log_file()).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    /// The end of its log.
    fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default().join("\n")
    }
}

impl Process {
    /// Waits for the ready line and reads the addresses in it.
    ///
    /// # Errors
    /// If it ends before, or takes too long.
    pub(crate) async fn ready(&mut self) -> anyhow::Result<()> {
        let name = &self.launch.name;
        let line = timeout(PATIENCE, self.stdout.next_line()).await;
        let line =
            line.with_context(|| format!("{name} is not ready in time:\n{}", self.launch.last_words()))??;
        let Some(line) = line else {
            bail!("{name} ended before it was ready:\n{}", self.launch.last_words())
        };
        self.urls = line.split(' ').filter(|word| word.starts_with("http://")).map(str::to_owned).collect();
        ensure!(!self.urls.is_empty(), "{name} says no address: {line}");
        Ok(())
    }

    /// An address below the first one of the ready line.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.urls.first().map_or("", String::as_str))
    }

    /// An address below the last one of the ready line: the admin port, and the only port of the exchange.
    pub(crate) fn admin(&self, path: &str) -> String {
        format!("{}{path}", self.urls.last().map_or("", String::as_str))
    }

    /// Sends a signal by its name, like `TERM`.
    ///
    /// # Errors
    /// If it has ended already.
    pub(crate) async fn signal(&self, name: &str) -> anyhow::Result<()> {
        let pid = self.child.id().with_context(|| format!("{} has ended", self.launch.name))?.to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().await?;
        ensure!(sent.success(), "kill -s {name} {}", self.launch.name);
        Ok(())
    }

    /// Waits until it has ended by itself, and wants status 0.
    ///
    /// # Errors
    /// If it does not end, or with another status.
    pub(crate) async fn ended_well(&mut self) -> anyhow::Result<()> {
        let name = &self.launch.name;
        let status =
            timeout(PATIENCE, self.child.wait()).await.with_context(|| format!("{name} does not end"))??;
        ensure!(status.success(), "{name} ended with {status}:\n{}", self.launch.last_words());
        Ok(())
    }

    /// Whether it has ended already.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it has ended; a status of its own choice.
    ///
    /// # Errors
    /// If it does not end.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<Option<i32>> {
        let name = &self.launch.name;
        let status =
            timeout(PATIENCE, self.child.wait()).await.with_context(|| format!("{name} does not end"))??;
        Ok(status.code())
    }

    /// Kills it, as a crash would, and waits until it is gone.
    ///
    /// # Errors
    /// If the system does not let us.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.with_context(|| format!("kill {}", self.launch.name))
    }

    /// CPU time that it has used, in milliseconds; 0 once it has ended.
    pub(crate) fn cpu_ms(&self) -> u64 {
        let stat = self.child.id().and_then(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok());
        stat.as_deref().and_then(cpu_ticks).map_or(0, |ticks| ticks * 1_000 / TICKS_PER_SECOND)
    }
}

/// User and system time of a line of `/proc/<pid>/stat`. The name in it may hold blanks and brackets.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let user: u64 = fields.nth(11)?.parse().ok()?;
    Some(user + fields.next()?.parse::<u64>().ok()?)
}

/// A folder of one run, removed in the end unless it is kept.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    keep: bool,
}

impl Scratch {
    /// An empty one.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn new(keep: bool) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("tickwire-chaos-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(Self { path, keep })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_of_a_process_with_a_strange_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 2511 0 0 0 12 30 0 0 20 0 3 0 113";
        assert_eq!(cpu_ticks(stat), Some(42));
        assert_eq!(cpu_ticks("7 (a"), None);
    }
}
