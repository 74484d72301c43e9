//! The links of a pool: each is told what it carries from now on, and its view with it.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Run, SocketId};
use crate::link::{Link, Load};

/// A link's remote end.
pub(super) struct Running {
    load: watch::Sender<Load>,
    token: CancellationToken,
    pub(super) losses: u64,
}

impl Run {
    pub(super) fn open(&mut self, socket: SocketId, symbols: &[u32]) {
        let name = format!("{}/{socket}", self.venue());
        let (load, receiver) = watch::channel(Load::new());
        let token = self.token.child_token();
        self.route.view.add_socket(socket);
        self.links.insert(socket, Running { load, token: token.clone(), losses: 0 });
        self.subscribe(socket, symbols);
        let link = Link { socket, name: name.clone(), route: Arc::clone(&self.route), load: receiver };
        let alive = self.alive.clone();
        self.spawner.spawn_job(format!("link-{name}"), async move {
            let _alive = alive;
            link.run(token).await
        });
    }

    pub(super) fn subscribe(&mut self, socket: SocketId, symbols: &[u32]) {
        let first = self.route.view.add(socket, symbols);
        // Whatever the venue numbered when they were carried last, nobody was there to see it start over.
        self.route.sink.forget_orders(&first);
        self.freeing.retain(|(freeing, symbol), _| *freeing != socket || !symbols.contains(symbol));
        let Some(link) = self.links.get(&socket) else { return };
        let key = |symbol: &u32| Some((*symbol, self.keys.get(symbol)?.clone()));
        link.load.send_modify(|load| load.extend(symbols.iter().filter_map(key)));
    }

    pub(super) fn unsubscribe(&mut self, socket: SocketId, symbols: &[u32]) {
        let now = Instant::now();
        self.route.view.remove(socket, symbols);
        self.freeing.extend(symbols.iter().map(|symbol| ((socket, *symbol), now)));
        let Some(link) = self.links.get(&socket) else { return };
        link.load.send_modify(|load| {
            for symbol in symbols {
                load.remove(symbol);
            }
        });
    }

    pub(super) fn close(&mut self, socket: SocketId) {
        if let Some(link) = self.links.remove(&socket) {
            link.token.cancel();
        }
        self.freeing.retain(|(freeing, _), _| *freeing != socket);
        self.route.view.remove_socket(socket);
    }
}
