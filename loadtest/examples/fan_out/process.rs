//! A program as a process of its own: on its core, in its process group, with a log, awaited by the port that it
//! opens, and never left behind: killed when dropped, and by the kernel if this program itself is killed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// How long a program may take until it listens.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often is looked whether it does.
const LOOK: Duration = Duration::from_millis(20);

/// Lines of a log that are told when its program fails.
const LAST_LINES: usize = 3;

/// The state LISTEN, as `/proc/net/tcp` has it: <https://docs.kernel.org/networking/proc_net_tcp.html>
const LISTEN: &str = "0A";

/// What to start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(&'static str, String)>,
    /// Where, if not here.
    pub(crate) folder: Option<PathBuf>,
}

impl Launch {
    /// The program with these words.
    pub(crate) fn new<W: Into<OsString>>(
        program: impl Into<PathBuf>,
        args: impl IntoIterator<Item = W>,
    ) -> Self {
        let args = args.into_iter().map(Into::into).collect();
        Self { program: program.into(), args, ..Self::default() }
    }
}

/// A program under way.
#[derive(Debug)]
pub(crate) struct Running {
    name: &'static str,
    child: Child,
    pid: u32,
    log: PathBuf,
    core: usize,
}

impl Running {
    /// Starts it on a core; its standard error goes to `<name>.log` in `folder`, its standard output too, or to
    /// `<name>.out`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn start(
        name: &'static str,
        launch: &Launch,
        core: usize,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let stderr = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let stdout = File::create(folder.join(format!("{name}.out")))?;
        // Both leave their place to the program, so that the process is the program itself.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "taskset", "-c"]).arg(core.to_string());
        command.arg(&launch.program).args(&launch.args);
        for (key, _) in std::env::vars_os() {
            let key_text = key.to_string_lossy();
            if key_text.starts_with("TICKWIRE_") || key_text.starts_with("OTEL_") {
                command.env_remove(&key);
            }
        }
        command.envs(launch.env.iter().map(|(key, value)| (key, value)));
        if let Some(folder) = &launch.folder {
            command.current_dir(folder);
        }
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).process_group(0).kill_on_drop(true);
        let child = command.spawn().context("start setpriv and taskset, of util-linux")?;
        let pid = child.id().context("it ended at once")?;
        Ok(Self { name, child, pid, log, core })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until it listens.
    ///
    /// # Errors
    /// If it ends before, or does not in time; with the end of its log.
    pub(crate) async fn listening(&mut self, port: u16) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !listens(port)? {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended before it listened ({status}): {}", self.name, self.last_words());
            }
            if begun.elapsed() > PATIENCE {
                bail!("{} does not listen on port {port}: {}", self.name, self.last_words());
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Whether it has ended by itself, and how.
    pub(crate) fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(format!("{} ended ({status}): {}", self.name, self.last_words()))
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn finished(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// What it printed.
    pub(crate) fn output(&self) -> String {
        fs::read_to_string(self.log.with_extension("out")).unwrap_or_default()
    }

    /// The end of its log, on one line.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
        lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default().join("; ")
    }

    /// Ends it and waits until it is gone.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.child.kill().await.with_context(|| format!("end {} on core {}", self.name, self.core))
    }
}

/// Whether somebody listens on a port of IPv4. Not by a connection, which would be a client to some servers.
///
/// # Errors
/// If the system does not tell.
pub(crate) fn listens(port: u16) -> anyhow::Result<bool> {
    let sockets = fs::read_to_string("/proc/net/tcp").context("read /proc/net/tcp")?;
    Ok(sockets.lines().skip(1).any(|line| listening_port(line) == Some(port)))
}

/// The port of a line of `/proc/net/tcp`, if it is of a listening socket.
fn listening_port(line: &str) -> Option<u16> {
    let mut words = line.split_ascii_whitespace();
    let local = words.nth(1)?;
    let state = words.nth(1)?;
    let (_, port) = local.split_once(':')?;
    (state == LISTEN).then(|| u16::from_str_radix(port, 16).ok()).flatten()
}

/// A port that is free now.
///
/// # Errors
/// If there is none.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?.local_addr()?.port())
}

/// A folder of one run, removed in the end.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// An empty one.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("tickwire-fan-out-{}", std::process::id()));
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => bail!("empty {}: {error}", folder.display()),
            _ => fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?,
        }
        Ok(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_ports() {
        let listening =
            "   0: 0100007F:232B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1";
        assert_eq!(listening_port(listening), Some(9003));
        assert_eq!(listening_port(&listening.replace(" 0A ", " 01 ")), None);
        assert_eq!(listening_port("  sl  local_address rem_address   st"), None);
        assert_eq!(listening_port(""), None);
    }

    #[test]
    fn an_open_port_is_seen() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(listens(port).unwrap());
        drop(listener);
        assert!(!listens(port).unwrap());
    }
}
