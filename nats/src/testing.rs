//! A real nats-server for tests: own port, own folder, JetStream on, killed when dropped. Never simulates anything.
//!
//! The binary is `TICKWIRE_TEST_NATS_SERVER`, else `nats-server` on the `PATH`, else `target/tools/nats-server` above
//! the running executable.

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::config::NatsConfig;

/// Longest start seen is below a second; a loaded machine gets more.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// Ports of test servers.
const PORTS: Range<u16> = 15_000..32_000;
/// How often another program may be faster to a free port.
const START_ATTEMPTS: u32 = 5;
/// The server tells that it is ready through a file only, so the file is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(10);

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A running nats-server.
#[derive(Debug)]
pub struct NatsServer {
    child: Option<Child>,
    folder: PathBuf,
    env: Vec<(String, String)>,
    port: u16,
    monitor_port: u16,
}

impl NatsServer {
    /// Starts a server with JetStream and without authentication.
    ///
    /// # Errors
    /// When there is no binary, or it does not come up; its log is part of the message.
    pub async fn start() -> io::Result<Self> {
        Self::start_with("").await
    }

    /// As [`NatsServer::start`], with more lines of configuration. `$FOLDER` in them is the server's own folder.
    ///
    /// # Errors
    /// As [`NatsServer::start`].
    pub async fn start_with(config: &str) -> io::Result<Self> {
        let folder = Self::new_folder()?;
        Self::start_in(folder, &format!("jetstream {{ store_dir: \"$FOLDER/store\" }}\n{config}"), &[]).await
    }

    /// Starts a server from a whole configuration file, on ports of our choice and with these variables set.
    ///
    /// # Errors
    /// As [`NatsServer::start`].
    pub async fn start_from(file: &Path, env: &[(&str, &str)]) -> io::Result<Self> {
        Self::start_in(Self::new_folder()?, &fs::read_to_string(file)?, env).await
    }

    /// A folder for this server's files, or for certificates made before it starts.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new_folder() -> io::Result<PathBuf> {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("tickwire-nats-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Starts a server in a folder made by [`NatsServer::new_folder`], which it removes in the end.
    ///
    /// # Errors
    /// As [`NatsServer::start`].
    pub async fn start_in(folder: PathBuf, config: &str, env: &[(&str, &str)]) -> io::Result<Self> {
        let text = config.replace("$FOLDER", &folder.display().to_string());
        fs::write(folder.join("server.conf"), text)?;
        let env = env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut server = Self { child: None, folder, env, port: 0, monitor_port: 0 };
        for _ in 1..START_ATTEMPTS {
            (server.port, server.monitor_port) = (free_port()?, free_port()?);
            match server.spawn().await {
                // Somebody took the port between our look and the server's start.
                Err(_) if server.log().contains("address already in use") => server.stop(),
                started => return started.map(|()| server),
            }
        }
        Err(io::Error::other("nats-server found no free port"))
    }

    /// Address for clients, `nats://127.0.0.1:<port>`. The same after a restart.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// A configuration that connects to it.
    pub fn config(&self) -> NatsConfig {
        NatsConfig::at(self.url())
    }

    /// Address of the monitoring port, `http://127.0.0.1:<port>`.
    pub fn monitor_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitor_port)
    }

    /// The server's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Kills the server, as a crash would. What it kept in memory is gone.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts the server again, on the same ports and with the same folder; stops it first if it runs.
    ///
    /// # Errors
    /// As [`NatsServer::start`].
    pub async fn restart(&mut self) -> io::Result<()> {
        self.stop();
        self.spawn().await
    }

    /// How many subscriptions the server knows for exactly this subject.
    ///
    /// # Errors
    /// When the monitoring port does not answer.
    pub async fn subscriptions_of(&self, subject: &str) -> io::Result<usize> {
        let answer = self.monitor("/subsz?subs=1&limit=1000000").await?;
        let list = answer.get("subscriptions_list").and_then(Value::as_array);
        let same = |sub: &&Value| sub.get("subject").and_then(Value::as_str) == Some(subject);
        Ok(list.map_or(0, |list| list.iter().filter(same).count()))
    }

    /// One page of the monitoring port, like `/varz`: <https://docs.nats.io/running-a-nats-service/nats_admin/monitoring>.
    ///
    /// # Errors
    /// When the monitoring port does not answer with JSON.
    pub async fn monitor(&self, path: &str) -> io::Result<Value> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.monitor_port)).await?;
        socket.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).await?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await?;
        let split = answer.windows(4).position(|window| window == b"\r\n\r\n");
        let body = split.and_then(|at| answer.get(at + 4..)).unwrap_or_default();
        serde_json::from_slice(body).map_err(io::Error::other)
    }

    /// What the server logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("server.log")).unwrap_or_default()
    }

    async fn spawn(&mut self) -> io::Result<()> {
        let (port, monitor_port) = (self.port.to_string(), self.monitor_port.to_string());
        let log = fs::File::options().create(true).append(true).open(self.folder.join("server.log"))?;
        let child = Command::new(binary()?)
            .current_dir(&self.folder)
            .envs(self.env.iter().cloned())
            .args(["-c", "server.conf", "--ports_file_dir", ".", "-a", "127.0.0.1"])
            .args(["-p", &port, "-m", &monitor_port])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let ports = self.folder.join(format!("{}_{}.ports", binary_name()?, child.id()));
        self.child = Some(child);
        self.is_ready(&ports).await
    }

    /// The server writes a file with its ports when it listens on all of them.
    async fn is_ready(&mut self, ports: &Path) -> io::Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if ports.exists() {
                return Ok(());
            }
            let ended = match &mut self.child {
                Some(child) => child.try_wait()?.is_some(),
                None => true,
            };
            if ended || Instant::now() > deadline {
                return Err(io::Error::other(format!("nats-server did not start:\n{}", self.log())));
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The nats-server that tests use.
///
/// # Errors
/// When there is none; says where it was looked for.
pub fn binary() -> io::Result<PathBuf> {
    if let Some(named) = std::env::var_os("TICKWIRE_TEST_NATS_SERVER") {
        return Ok(named.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("nats-server"));
    let executable = std::env::current_exe()?;
    let tools = executable.ancestors().map(|folder| folder.join("target/tools/nats-server"));
    on_path.chain(tools).find(|file| file.is_file()).ok_or_else(|| {
        io::Error::other(
            "no nats-server: set TICKWIRE_TEST_NATS_SERVER, or put it on the PATH or in target/tools",
        )
    })
}

fn binary_name() -> io::Result<String> {
    let binary = binary()?;
    Ok(binary.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

/// A port that is free now and that no outgoing connection is given (Linux begins at 32,768, macOS at 49,152): a
/// stopped server finds it free again.
///
/// # Errors
/// When none of 200 drawn ones is free.
pub fn free_port() -> io::Result<u16> {
    let seed = RandomState::new();
    let candidates = (0..200_u64).map(|n| PORTS.start + (seed.hash_one(n) % PORTS.len() as u64) as u16);
    candidates
        .into_iter()
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .ok_or_else(|| io::Error::other("no free port"))
}
