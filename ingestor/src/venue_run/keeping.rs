//! The catalogue's keeper of one venue, started and stopped as the right to it comes and goes. Never two at once: a stop
//! waits until the keeper writes nothing more.

use tickwire_common::task::Spawner;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::catalogue::Keeper;
use crate::permit::SharedPermit;

/// See the module.
pub struct Keeping {
    name: String,
    keeper: Keeper,
    spawner: Spawner,
    running: Option<Running>,
}

struct Running {
    token: CancellationToken,
    /// Its sender goes with the task.
    ended: oneshot::Receiver<()>,
}

impl Keeping {
    /// A keeper of venue `id` at rest, which will be a job of `spawner`.
    pub fn new(id: &str, keeper: Keeper, spawner: Spawner) -> Self {
        Self { name: format!("catalogue-{id}"), keeper, spawner, running: None }
    }

    /// Lets it work while `permit` is open, if it does not yet.
    pub(super) fn start(&mut self, permit: SharedPermit) {
        if self.running.is_some() {
            return;
        }
        let (token, (alive, ended)) = (CancellationToken::new(), oneshot::channel::<()>());
        let (keeper, stop) = (self.keeper.clone().guarded(move || permit.is_open()), token.clone());
        self.spawner.spawn_job(self.name.clone(), async move {
            let _alive = alive;
            keeper.run(stop).await
        });
        self.running = Some(Running { token, ended });
    }

    /// Lets it rest; returns when it does.
    pub(super) async fn stop(&mut self) {
        if let Some(Running { token, ended }) = self.running.take() {
            token.cancel();
            // Nothing is ever sent.
            let _closed = ended.await;
        }
    }
}
