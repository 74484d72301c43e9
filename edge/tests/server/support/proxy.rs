//! A wire between the edge and NATS that can be cut while both live on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// See the module.
pub struct Proxy {
    address: SocketAddr,
    whole: watch::Sender<bool>,
    refused: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// A whole wire to the server at `url`.
    pub async fn to(url: &str) -> Self {
        let target: SocketAddr = url.trim_start_matches("nats://").parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (whole, state) = watch::channel(true);
        let refused = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, target, state, Arc::clone(&refused)));
        Self { address, whole, refused, _tasks: tasks }
    }

    /// Where the edge is to find NATS.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Cuts every connection and refuses new ones.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// How many connections were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.whole.send_replace(true);
    }
}

async fn serve(
    listener: TcpListener,
    target: SocketAddr,
    whole: watch::Receiver<bool>,
    refused: Arc<AtomicU64>,
) {
    let mut wires = JoinSet::new();
    loop {
        let Ok((near, _)) = listener.accept().await else { return };
        if *whole.borrow() {
            wires.spawn(carry(near, target, whole.clone()));
        } else {
            refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn carry(mut near: TcpStream, target: SocketAddr, mut whole: watch::Receiver<bool>) {
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        _ = whole.wait_for(|whole| !whole) => {}
    }
}
