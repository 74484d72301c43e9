//! The other side: accepts sockets, answers, and sends the n-th news of every subscribed symbol on every socket that
//! carries it. Writes down what happens, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tickwire_common::task::{Spawner, Tasks};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

/// Time between two news of a symbol.
const BEAT: Duration = Duration::from_millis(5);

/// What happened on which socket; they are numbered from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    Opened(usize),
    Subscribed(usize, Vec<String>),
    Unsubscribed(usize, Vec<String>),
    /// The first news went out.
    Spoke(usize),
    /// By a close frame of the client.
    Closed(usize),
    Cut(usize),
}

/// What the market is told to do to a socket.
#[derive(Debug, Clone, Copy)]
pub enum Order {
    Cut,
    Bye,
}

#[derive(Debug, Default)]
pub struct Floor {
    pub notes: Vec<Note>,
    pub carried: BTreeMap<usize, BTreeSet<String>>,
    orders: BTreeMap<usize, mpsc::Sender<Order>>,
    muted: BTreeSet<String>,
}

#[derive(Clone)]
pub struct Market {
    floor: Arc<Mutex<Floor>>,
    changed: watch::Sender<()>,
    beat: broadcast::Sender<u64>,
    topics_max: usize,
}

impl Market {
    /// A market whose sockets take so many symbols, and its address.
    pub async fn open(tasks: &Tasks, topics_max: usize) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let (changed, beat) = (watch::Sender::new(()), broadcast::Sender::new(4_096));
        let market = Self { floor: Arc::default(), changed, beat, topics_max };
        tasks.spawn("market", market.clone().accept(listener, tasks.spawner()));
        tasks.spawn_last("beat", market.clone().keep_time(tasks.last_token()));
        (market, url)
    }

    async fn keep_time(self, token: tokio_util::sync::CancellationToken) -> anyhow::Result<()> {
        let mut interval = tokio::time::interval(BEAT);
        for nth in 1.. {
            if token.run_until_cancelled(interval.tick()).await.is_none() {
                break;
            }
            // Nobody is there at first.
            let _nobody = self.beat.send(nth);
        }
        Ok(())
    }

    async fn accept(self, listener: TcpListener, spawner: Spawner) -> anyhow::Result<()> {
        let token = spawner.token();
        for number in 1.. {
            let Some(accepted) = token.run_until_cancelled(listener.accept()).await else { break };
            let (market, stream) = (self.clone(), accepted?.0);
            spawner.spawn_job(format!("socket-{number}"), market.serve(number, stream));
        }
        Ok(())
    }

    async fn serve(self, number: usize, stream: TcpStream) -> anyhow::Result<()> {
        let mut socket = accept_async(stream).await?;
        let (sender, mut orders) = mpsc::channel(4);
        self.tell(|floor| {
            floor.orders.insert(number, sender);
            floor.carried.insert(number, BTreeSet::new());
            floor.notes.push(Note::Opened(number));
        });
        let end = self.talk(number, &mut socket, &mut orders).await;
        self.tell(|floor| {
            floor.orders.remove(&number);
            floor.carried.remove(&number);
            floor.notes.push(end);
        });
        Ok(())
    }

    async fn talk(
        &self,
        number: usize,
        socket: &mut WebSocketStream<TcpStream>,
        orders: &mut mpsc::Receiver<Order>,
    ) -> Note {
        let mut beat = self.beat.subscribe();
        let mut spoke = false;
        loop {
            let sent = tokio::select! {
                frame = socket.next() => match frame {
                    Some(Ok(Message::Text(text))) => socket.send(self.answer(number, text.as_str())).await,
                    Some(Ok(Message::Close(_))) => {
                        // The library answers it at the next look.
                        while socket.next().await.is_some() {}
                        return Note::Closed(number);
                    }
                    Some(Ok(_)) => Ok(()),
                    None | Some(Err(_)) => return Note::Closed(number),
                },
                nth = beat.recv() => {
                    let news = self.news(number, nth.unwrap());
                    if !news.is_empty() && !std::mem::replace(&mut spoke, true) {
                        self.note(Note::Spoke(number));
                    }
                    let mut news = futures_util::stream::iter(news.into_iter().map(Ok));
                    socket.send_all(&mut news).await
                }
                order = orders.recv() => match order {
                    Some(Order::Bye) => socket.send(Message::text("bye")).await,
                    Some(Order::Cut) | None => return Note::Cut(number),
                },
            };
            if sent.is_err() {
                return Note::Closed(number);
            }
        }
    }

    fn answer(&self, number: usize, request: &str) -> Message {
        let [word, id, names] = *request.split(' ').collect::<Vec<_>>() else { panic!("{request}") };
        let names: Vec<String> = names.split(',').map(str::to_owned).collect();
        let mut answer = format!("ok {id}");
        self.tell(|floor| {
            let carried = floor.carried.get_mut(&number).unwrap();
            if word == "unsub" {
                assert!(names.iter().all(|name| carried.remove(name)), "{request}");
                floor.notes.push(Note::Unsubscribed(number, names));
            } else if carried.len() + names.len() > self.topics_max {
                answer = format!("full {id}");
            } else {
                assert!(names.iter().all(|name| carried.insert(name.clone())), "{request}");
                floor.notes.push(Note::Subscribed(number, names));
            }
        });
        Message::text(answer)
    }

    fn news(&self, number: usize, nth: u64) -> Vec<Message> {
        let floor = self.floor.lock().unwrap();
        let speaks = floor.carried[&number].iter().filter(|name| !floor.muted.contains(*name));
        speaks.map(|name| Message::text(format!("px {name} {nth}"))).collect()
    }

    fn note(&self, note: Note) {
        self.tell(|floor| floor.notes.push(note));
    }

    fn tell(&self, news: impl FnOnce(&mut Floor)) {
        news(&mut self.floor.lock().unwrap());
        self.changed.send_replace(());
    }

    /// Grants subscriptions of a symbol and says nothing, or speaks again.
    pub fn mute(&self, name: &str, muted: bool) {
        let mut floor = self.floor.lock().unwrap();
        if muted {
            floor.muted.insert(name.to_owned())
        } else {
            floor.muted.remove(name)
        };
    }

    /// Does something to one socket, or to all.
    pub fn order(&self, number: Option<usize>, order: Order) {
        let floor = self.floor.lock().unwrap();
        for (_, socket) in
            floor.orders.iter().filter(|(open, _)| number.is_none_or(|wanted| **open == wanted))
        {
            socket.try_send(order).unwrap();
        }
    }

    /// What happened so far.
    pub fn notes(&self) -> Vec<Note> {
        self.floor.lock().unwrap().notes.clone()
    }

    /// Sockets that were opened so far.
    pub fn connects(&self) -> usize {
        self.notes().iter().filter(|note| matches!(note, Note::Opened(_))).count()
    }

    /// Waits until the floor looks like this.
    pub async fn until(&self, looks: impl Fn(&Floor) -> bool) {
        let mut changed = self.changed.subscribe();
        while !looks(&self.floor.lock().unwrap()) {
            changed.changed().await.unwrap();
        }
    }
}

impl Floor {
    /// How many symbols each open socket carries, most first.
    pub fn sizes(&self) -> Vec<usize> {
        let mut sizes: Vec<usize> = self.carried.values().map(BTreeSet::len).collect();
        sizes.sort_unstable_by(|left, right| right.cmp(left));
        sizes
    }
}
