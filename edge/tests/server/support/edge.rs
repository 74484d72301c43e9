//! The edge as a process: started on free ports, killed when dropped.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::http::{Answer, get};
use super::{eventually, in_time};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A running edge.
pub struct Edge {
    child: Child,
    log: PathBuf,
    /// For clients.
    pub address: SocketAddr,
    /// For probes and metrics.
    pub admin: SocketAddr,
}

/// The program with nothing of this process's environment that it would read.
pub fn command(settings: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickwire-edge"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TICKWIRE_") || name.to_string_lossy().starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    command.args(settings).stdin(Stdio::null()).kill_on_drop(true);
    command
}

impl Edge {
    /// Starts an edge at this NATS, and waits for its ready line.
    pub async fn start(nats: &str, settings: &[&str]) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("edge-{}-{number}.log", std::process::id()));
        let mut child = command(settings)
            .args(["--edge.listen", "127.0.0.1:0", "--admin.listen", "127.0.0.1:0", "--nats.url", nats])
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = in_time("the ready line", lines.next_line()).await.unwrap();
        let line = line.unwrap_or_else(|| panic!("the edge ended:\n{}", fs::read_to_string(&log).unwrap()));
        let mut addresses = line.split("http://").skip(1).map(|part| part.trim_end_matches(" admin "));
        let mut address = || addresses.next().and_then(|text| text.parse().ok());
        let (Some(address), Some(admin)) = (address(), address()) else { panic!("ready line: {line}") };
        Self { child, log, address, admin }
    }

    /// As [`Edge::start`], for clients that may name any symbol, and waits until it serves.
    pub async fn open(nats: &str, settings: &[&str]) -> Self {
        let edge = Self::start(nats, &[&["--edge.open_symbols", "true"], settings].concat()).await;
        edge.serves().await;
        edge
    }

    /// Waits until the edge calls itself ready.
    pub async fn serves(&self) {
        eventually("the edge is ready", async || self.admin("/readyz").await.status == 200).await;
    }

    /// Waits until the edge knows so many symbols.
    pub async fn knows(&self, symbols: usize) {
        let known = async || self.get("/v1/symbols").await.json()["data"].as_array().map(Vec::len);
        eventually("the catalogue is known", async || known().await == Some(symbols)).await;
    }

    /// A page for clients.
    pub async fn get(&self, path: &str) -> Answer {
        get(self.address, path).await.unwrap()
    }

    /// A page of the admin port.
    pub async fn admin(&self, path: &str) -> Answer {
        get(self.admin, path).await.unwrap()
    }

    /// A metric now, summed over its labels, of those lines that contain `label`.
    pub async fn metric(&self, name: &str, label: &str) -> f64 {
        let text = self.admin("/metrics").await.body;
        let lines = text.lines().filter(|line| {
            let rest = line.strip_prefix(name).unwrap_or_default();
            rest.starts_with(['{', ' ']) && line.contains(label)
        });
        let values = lines.filter_map(|line| line.rsplit(' ').next());
        values.map(|value| serde_json::from_str::<serde_json::Number>(value).unwrap().as_f64().unwrap()).sum()
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Resident memory in KiB, where the system tells it.
    pub fn memory_kib(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }

    /// Sends SIGTERM.
    pub async fn terminate(&self) {
        self.signal("TERM").await;
    }

    /// Sends a signal, named without its SIG.
    pub async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("running");
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().await.unwrap();
        assert!(sent.success());
    }

    /// Waits for the end of the process.
    pub async fn exit(&mut self) -> ExitStatus {
        in_time("the edge ends", self.child.wait()).await.unwrap()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the edge said:\n{}", self.log());
        }
        let _ = fs::remove_file(&self.log);
    }
}
