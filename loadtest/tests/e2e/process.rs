//! A program of this workspace as a process: found beside the test executable, awaited by its ready line, ended by a
//! signal, and never left behind.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::FutureExt;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::PATIENCE;

/// Lines of a program's log that are shown when its test fails.
const LOG_LINES: usize = 60;

/// A folder of one test, removed in the end.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("e2e-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The path of a program; asks for a build where there is none.
fn binary(name: &str) -> PathBuf {
    let executable = std::env::current_exe().unwrap();
    // Tests lie in target/<profile>/deps, programs in target/<profile>.
    let profile = executable.ancestors().nth(2).unwrap();
    let path = profile.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(path.is_file(), "{} is missing: say `cargo build --workspace --bins` first", path.display());
    path
}

/// The program with these arguments, and without settings of whoever runs the tests.
pub fn command(name: &str, words: &[&str]) -> Command {
    let mut command = Command::new(binary(name));
    command.args(words).stdin(Stdio::null()).kill_on_drop(true);
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("TICKWIRE_") || key.to_string_lossy().starts_with("OTEL_") {
            command.env_remove(key);
        }
    }
    command
}

/// A running program. Killed when dropped; its log is shown if the test has failed by then.
pub struct Program {
    name: String,
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
    /// Addresses of the ready line, in its order.
    pub urls: Vec<String>,
}

impl Program {
    /// Starts it; [`Program::ready`] waits for it.
    pub fn spawn(name: &str, words: &str, scratch: &Scratch) -> Self {
        let log = scratch.file(&format!("{name}.log"));
        let stderr = File::options().create(true).append(true).open(&log).unwrap();
        let words: Vec<&str> = words.split_whitespace().collect();
        let mut child = command(name, &words).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { name: name.to_owned(), child, stdout, log, urls: Vec::new() }
    }

    /// Waits for the ready line and reads the addresses in it.
    pub async fn ready(&mut self) {
        let line = timeout(PATIENCE, self.stdout.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("{} is not ready in time", self.name)).unwrap();
        let line = line.unwrap_or_else(|| panic!("{} ended before it was ready", self.name));
        assert!(line.contains("ready: "), "{}: {line}", self.name);
        self.urls = line.split(' ').filter(|word| word.starts_with("http://")).map(str::to_owned).collect();
    }

    /// Whether it has said by now that it is ready.
    pub fn said_ready(&mut self) -> bool {
        self.stdout.next_line().now_or_never().is_some()
    }

    /// An address below the last one of the ready line: the admin port, and the only port of the exchange.
    pub fn admin(&self, path: &str) -> String {
        format!("{}{path}", self.urls.last().unwrap())
    }

    /// Sends a signal by its name, like `TERM`.
    pub async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("a running program").to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status().await.unwrap();
        assert!(sent.success(), "kill -{name} {}", self.name);
    }

    /// Waits until it has ended by itself; its exit status.
    pub async fn ended(&mut self) -> i32 {
        let status = timeout(PATIENCE, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("{} does not end", self.name)).unwrap();
        status.code().unwrap_or_else(|| panic!("{}: {status}", self.name))
    }

    /// Kills it, as a crash would, and waits until it is gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default();
            eprintln!("--- {} ---\n{}", self.name, tail.join("\n"));
        }
        let _ = self.child.start_kill();
        // A killed process ends at once; who is not waited for stays in the process table.
        while matches!(self.child.try_wait(), Ok(None)) {
            std::thread::yield_now();
        }
    }
}
