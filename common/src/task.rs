//! Every task of a process: it has a name, an owner that waits for it, and one token that asks it to end. A service
//! that ends by itself, fails or panics takes the whole process down with its name, because half a server looks
//! healthy from outside. The only place that may call `tokio::spawn`; decides nothing about what tasks do.

use std::collections::BTreeMap;
use std::future::Future;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// Owner of all tasks of a process. Spawn, then [`Tasks::run_until_shutdown`].
#[derive(Debug, Default)]
pub struct Tasks {
    spawner: Spawner,
}

/// Hands tasks to their owner from anywhere; cheap to clone. How many jobs run at once is bounded by its callers.
#[derive(Debug, Clone, Default)]
pub struct Spawner {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    token: CancellationToken,
    last_token: CancellationToken,
    registry: Mutex<Registry>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Registry {
    next_id: u64,
    running: BTreeMap<u64, Running>,
    failure: Option<TaskFailure>,
}

#[derive(Debug)]
struct Running {
    name: String,
    kind: Kind,
    /// A thread has none: it cannot be stopped from outside.
    abort: Option<AbortHandle>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Runs until shutdown.
    Service,
    /// May end well at any time.
    Job,
    /// Runs until everything else has ended.
    Last,
}

/// The first task that ended as it should not have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("task {name} {how}")]
pub struct TaskFailure {
    /// The task's name.
    pub name: String,
    /// In words: ended, failed with which error, panicked.
    pub how: String,
}

/// How the process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Verdict {
    /// The first task that failed, before or after shutdown began.
    pub failure: Option<TaskFailure>,
    /// Names of tasks that were still running when the grace period ended, and were aborted.
    pub unfinished: Vec<String>,
}

impl Tasks {
    /// No task yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A handle for tasks that start others.
    #[must_use]
    pub fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }

    /// Cancelled when the process is to drain.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.spawner.token()
    }

    /// Cancelled when every service and job has ended: for [`Tasks::spawn_last`].
    #[must_use]
    pub fn last_token(&self) -> CancellationToken {
        self.spawner.shared.last_token.clone()
    }

    /// See [`Spawner::spawn`].
    pub fn spawn<F>(&self, name: impl Into<String>, future: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.spawner.spawn(name, future);
    }

    /// Starts a service that outlives the drain, such as the admin port: it is to end on [`Tasks::last_token`].
    pub fn spawn_last<F>(&self, name: impl Into<String>, future: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.spawner.start(name.into(), Kind::Last, future);
    }

    /// Waits for `shutdown` or for the first task that fails, then cancels [`Tasks::token`] and waits up to `grace`
    /// for every task; those still running then are aborted (threads are left behind) and named in the verdict.
    pub async fn run_until_shutdown(self, shutdown: impl Future<Output = ()>, grace: Duration) -> Verdict {
        let shared = &self.spawner.shared;
        tokio::select! {
            () = shutdown => info!(grace_seconds = grace.as_secs_f64(), "shutdown asked for, draining"),
            () = shared.wait_for(|registry| registry.failure.is_some()) => {}
        }
        shared.token.cancel();
        let in_time = tokio::time::timeout(grace, shared.drained()).await.is_ok();
        let verdict = shared.verdict();
        if !in_time {
            warn!(tasks = ?verdict.unfinished, "the grace period ended before these tasks did");
        }
        verdict
    }
}

impl Spawner {
    /// Cancelled when the process is to drain.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.shared.token.clone()
    }

    /// Starts a service: it is to run until [`Spawner::token`] is cancelled, then end within the grace period. If it
    /// ends before, even well, the process drains and fails.
    pub fn spawn<F>(&self, name: impl Into<String>, future: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.start(name.into(), Kind::Service, future);
    }

    /// Starts a job: it may end well at any time; an error or a panic takes the process down.
    pub fn spawn_job<F>(&self, name: impl Into<String>, future: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.start(name.into(), Kind::Job, future);
    }

    /// Starts a service on a thread of its own, for an event loop that must share its core with nobody. It must
    /// watch [`Spawner::token`] itself and cannot be aborted.
    ///
    /// # Errors
    /// What the operating system says when it gives no thread; nothing is running then.
    pub fn spawn_thread<F>(&self, name: impl Into<String>, body: F) -> std::io::Result<()>
    where
        F: FnOnce() -> anyhow::Result<()> + Send + 'static,
    {
        let name = name.into();
        let ending = self.enter(name.clone(), Kind::Service);
        let id = ending.id;
        let started = std::thread::Builder::new().name(name).spawn(move || ending.tell(body()));
        match started {
            Ok(_detached_but_registered) => Ok(()),
            Err(error) => {
                self.shared.lock().forget(id);
                Err(error)
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the one place where a task gets its name and owner")]
    fn start<F>(&self, name: String, kind: Kind, future: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let ending = self.enter(name, kind);
        let id = ending.id;
        let task = tokio::spawn(async move { ending.tell(future.await) });
        if let Some(running) = self.shared.lock().running.get_mut(&id) {
            running.abort = Some(task.abort_handle());
        }
    }

    fn enter(&self, name: String, kind: Kind) -> Ending {
        let mut registry = self.shared.lock();
        let id = registry.next_id;
        registry.next_id += 1;
        registry.running.insert(id, Running { name, kind, abort: None });
        Ending { shared: Arc::clone(&self.shared), id, how: None }
    }
}

/// Tells the owner of a task's end on whatever path it ends; a panic leaves `how` empty, and so does a drop half-way.
#[derive(Debug)]
struct Ending {
    shared: Arc<Shared>,
    id: u64,
    how: Option<anyhow::Result<()>>,
}

impl Ending {
    fn tell(mut self, how: anyhow::Result<()>) {
        self.how = Some(how);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.shared.ended(self.id, self.how.take());
    }
}

impl Shared {
    /// Nothing runs under this lock that could panic half-way, so a poisoned registry is still whole.
    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self, id: u64, how: Option<anyhow::Result<()>>) {
        let mut registry = self.lock();
        // A task no longer listed was given up by its owner.
        if let Some(running) = registry.forget(id) {
            let expected = match running.kind {
                Kind::Job => true,
                Kind::Service => self.token.is_cancelled(),
                Kind::Last => self.last_token.is_cancelled(),
            };
            if let Some(how) = failure(how, expected) {
                error!(task = running.name, "task {how}");
                registry.failure.get_or_insert(TaskFailure { name: running.name, how });
            }
        }
        drop(registry);
        self.changed.notify_one();
    }

    async fn wait_for(&self, reached: impl Fn(&Registry) -> bool) {
        // `notify_one` keeps one permit, so an end between the look and the wait is not lost.
        while !reached(&self.lock()) {
            self.changed.notified().await;
        }
    }

    async fn drained(&self) {
        self.wait_for(|registry| registry.running.values().all(|task| task.kind == Kind::Last)).await;
        self.last_token.cancel();
        self.wait_for(|registry| registry.running.is_empty()).await;
    }

    fn verdict(&self) -> Verdict {
        let mut registry = self.lock();
        let left = std::mem::take(&mut registry.running);
        let verdict = Verdict {
            failure: registry.failure.clone(),
            unfinished: left.values().map(|task| task.name.clone()).collect(),
        };
        drop(registry);
        left.values().filter_map(|task| task.abort.as_ref()).for_each(AbortHandle::abort);
        verdict
    }
}

impl Registry {
    fn forget(&mut self, id: u64) -> Option<Running> {
        self.running.remove(&id)
    }
}

fn failure(how: Option<anyhow::Result<()>>, expected: bool) -> Option<String> {
    match how {
        Some(Ok(())) if expected => None,
        Some(Ok(())) => Some("ended although nobody asked it to".to_owned()),
        Some(Err(error)) => Some(format!("failed: {error:#}")),
        None if std::thread::panicking() => Some("panicked".to_owned()),
        // Its runtime has ended, or its owner has let it go.
        None if expected => None,
        None => Some("was dropped before its end".to_owned()),
    }
}

impl Verdict {
    /// 0 if every task ended well and in time, else 1.
    #[must_use]
    pub fn status(&self) -> u8 {
        u8::from(self.failure.is_some() || !self.unfinished.is_empty())
    }

    /// [`Verdict::status`] for `main`.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.status())
    }
}

/// Completes at the first SIGTERM or SIGINT. From this call on, not from the first poll, neither kills the process.
///
/// # Errors
/// What the operating system says when it installs no handler.
pub fn shutdown_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests;
