//! The servers that are measured: Tickwire, and what of the peers' folder is installed. Each is a line of a table:
//! what is started, where it listens, which cases it can do. How clients talk to it is in `speech`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::case::Case;
use crate::process::{Launch, free_port};
use crate::speech::Speech;

/// Where the peers expect NATS.
const PEERS_NATS_PORT: u16 = 4222;

/// Where nats-server as a peer has its own clients, apart from its WebSocket.
const NATS_WEBSOCKET_NATS_PORT: u16 = 4333;

const LOADS: &[Case] = &[Case::One, Case::Many, Case::Over, Case::Flood, Case::Deluge];
const FAST: &[Case] = &[
    Case::One,
    Case::Many,
    Case::Over,
    Case::Flood,
    Case::MemoryOne,
    Case::MemoryTwenty,
    Case::Connect,
    Case::Near,
];
const SLOW: &[Case] = &[Case::One, Case::Many, Case::MemoryOne, Case::MemoryTwenty, Case::Connect];

/// How a server is had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// The edge, with more flags.
    Tickwire(&'static [&'static str]),
    /// A program below the peers' folder.
    Built(&'static str, &'static [&'static str]),
    /// A script that the Bun of the same folder runs.
    Bun(&'static str),
    /// A script for Node.
    Node(&'static str),
    Centrifugo,
    NatsWebSocket,
}

/// A server that can be measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// As the command line has it.
    pub(crate) id: &'static str,
    /// As the table has it.
    pub(crate) title: &'static str,
    pub(crate) cases: &'static [Case],
    pub(crate) speech: Speech,
    port: u16,
    start: Start,
}

/// Where everything of one run listens, on the loopback address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    /// NATS.
    pub(crate) nats: u16,
    /// The server, for WebSocket clients.
    pub(crate) clients: u16,
    /// NATS as the load generator sees it: another one where the server is a NATS itself.
    pub(crate) publish: u16,
    /// Its metrics, if it is Tickwire.
    pub(crate) admin: Option<u16>,
}

impl Ports {
    pub(crate) fn all(self) -> impl Iterator<Item = u16> {
        let publish = (self.publish != self.nats).then_some(self.publish);
        [Some(self.nats), Some(self.clients), publish, self.admin].into_iter().flatten()
    }
}

/// Where programs are.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// Our own, built for release.
    pub(crate) programs: PathBuf,
    /// The folder of the peers.
    pub(crate) peers: Option<PathBuf>,
    pub(crate) nats_server: PathBuf,
}

const fn peer(
    id: &'static str,
    title: &'static str,
    port: u16,
    cases: &'static [Case],
    start: Start,
    speech: Speech,
) -> Server {
    Server { id, title, cases, speech, port, start }
}

/// Ports are those that the peers' sources have.
const PEERS: [Server; 8] = [
    peer(
        "floor",
        "floor: one symbol, bare `send`",
        9003,
        &[Case::One],
        Start::Built("peers/floor/target/release/floor", &["send", "9003"]),
        Speech::Ticks,
    ),
    peer(
        "rounds",
        "limit: whole clients, plain send",
        9003,
        LOADS,
        Start::Built("peers/floor/target/release/floor", &["rounds", "9003"]),
        Speech::Ticks,
    ),
    peer(
        "rounds-uring",
        "limit: whole clients, io_uring",
        9003,
        LOADS,
        Start::Built("peers/floor/target/release/floor", &["rounds-uring", "9003"]),
        Speech::Ticks,
    ),
    peer("bun", "Bun (uWebSockets)", 9001, FAST, Start::Bun("bun.mjs"), Speech::Ticks),
    peer("node", "Node ws", 9002, SLOW, Start::Node("node.mjs"), Speech::Ticks),
    peer(
        "axum",
        "axum with broadcast channels",
        9000,
        SLOW,
        Start::Built("peers/naive-axum/target/release/naive", &[]),
        Speech::Ticks,
    ),
    peer("centrifugo", "Centrifugo", 9004, SLOW, Start::Centrifugo, Speech::Centrifugo),
    peer(
        "natsws",
        "nats-server's own WebSocket",
        9005,
        &[Case::One, Case::MemoryOne],
        Start::NatsWebSocket,
        Speech::NatsWebSocket,
    ),
];

const TICKWIRE: Server = peer("tickwire", "Tickwire", 0, &Case::ALL, Start::Tickwire(&[]), Speech::Tickwire);

/// Tickwire, once for each way to write where the edge has the setting, then all peers.
pub(crate) fn all(places: &Places) -> Vec<Server> {
    let mut servers = if has_io_uring(&places.programs.join("tickwire-edge")) {
        let variant = |id, title, flags| Server { id, title, start: Start::Tickwire(flags), ..TICKWIRE };
        vec![
            variant("tickwire-uring", "Tickwire (io_uring)", &["--edge.io_uring", "on"]),
            variant("tickwire-plain", "Tickwire (plain send)", &["--edge.io_uring", "off"]),
        ]
    } else {
        vec![TICKWIRE]
    };
    if places.peers.is_some() {
        servers.extend(PEERS);
    }
    servers
}

fn has_io_uring(edge: &Path) -> bool {
    let help = Command::new(edge).arg("--help").output();
    help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains("edge.io_uring"))
}

impl Server {
    /// Whether a word of the command line means it: `tickwire` is every variant.
    pub(crate) fn is_meant_by(&self, word: &str) -> bool {
        self.id == word || (word == TICKWIRE.id && self.is_tickwire())
    }

    pub(crate) fn is_tickwire(&self) -> bool {
        matches!(self.start, Start::Tickwire(_))
    }

    /// Where it and its surroundings will listen in the next run.
    ///
    /// # Errors
    /// If no port is free.
    pub(crate) fn ports(&self) -> anyhow::Result<Ports> {
        if self.is_tickwire() {
            let nats = free_port()?;
            return Ok(Ports { nats, clients: free_port()?, publish: nats, admin: Some(free_port()?) });
        }
        let nats = PEERS_NATS_PORT;
        let publish = if self.start == Start::NatsWebSocket { NATS_WEBSOCKET_NATS_PORT } else { nats };
        Ok(Ports { nats, clients: self.port, publish, admin: None })
    }

    /// What of it is not there; `None` if it can be started.
    pub(crate) fn missing(&self, places: &Places) -> Option<PathBuf> {
        let launch =
            self.launch(places, &Ports { nats: 0, clients: 0, publish: 0, admin: None }, Path::new(""));
        let script = match self.start {
            Start::Bun(script) | Start::Node(script) => {
                Some(launch.folder.clone().unwrap_or_default().join(script))
            }
            _ => None,
        };
        [Some(launch.program), script].into_iter().flatten().find(|path| !is_there(path))
    }

    /// How it is started; its configuration file, if it has one, is `config_file`.
    pub(crate) fn launch(&self, places: &Places, ports: &Ports, config_file: &Path) -> Launch {
        let peers = places.peers.as_deref().unwrap_or(Path::new(""));
        match self.start {
            Start::Tickwire(flags) => edge(&places.programs, ports, flags),
            Start::Built(program, args) => Launch::new(peers.join(program), args),
            Start::Bun(script) => {
                let folder = script_folder(peers, script);
                Launch {
                    folder: Some(folder.clone()),
                    ..Launch::new(folder.join("node_modules/bun/bin/bun.exe"), [script])
                }
            }
            Start::Node(script) => {
                Launch { folder: Some(script_folder(peers, script)), ..Launch::new("node", [script]) }
            }
            Start::Centrifugo => {
                let own = peers.join("bin/centrifugo");
                let program = if own.is_file() { own } else { "centrifugo".into() };
                one_core_go(Launch::new(program, ["-c".as_ref(), config_file.as_os_str()]))
            }
            Start::NatsWebSocket => {
                one_core_go(Launch::new(&places.nats_server, ["-c".as_ref(), config_file.as_os_str()]))
            }
        }
    }

    /// What is in its configuration file; nothing for most.
    pub(crate) fn config(&self, ports: &Ports) -> Option<String> {
        let Ports { nats, clients, publish, .. } = ports;
        match self.start {
            Start::Centrifugo => Some(format!(
                r#"{{"client":{{"insecure":true,"ping_interval":"3600s","pong_timeout":"60s","channel_limit":1000}},
 "channel":{{"without_namespace":{{"allow_subscribe_for_client":true,"allow_subscribe_for_anonymous":true}}}},
 "broker":{{"enabled":true,"type":"nats","nats":{{"url":"nats://127.0.0.1:{nats}","raw_mode":{{"enabled":true,"prefix":"ticks."}}}}}},
 "http_server":{{"address":"127.0.0.1","port":"{clients}"}},"log":{{"level":"error"}}}}"#
            )),
            Start::NatsWebSocket => Some(format!(
                "listen: \"127.0.0.1:{publish}\"\nwebsocket {{ listen: \"127.0.0.1:{clients}\", no_tls: true }}\n"
            )),
            _ => None,
        }
    }
}

fn edge(programs: &Path, ports: &Ports, flags: &[&str]) -> Launch {
    let mut launch = Launch::new(programs.join("tickwire-edge"), ["--edge.workers", "1"]);
    launch.args.extend(flags.iter().map(Into::into));
    launch.env = vec![
        ("TICKWIRE_NATS__URL", format!("nats://127.0.0.1:{}", ports.nats)),
        ("TICKWIRE_EDGE__LISTEN", format!("127.0.0.1:{}", ports.clients)),
        ("TICKWIRE_ADMIN__LISTEN", format!("127.0.0.1:{}", ports.admin.unwrap_or_default())),
        ("TICKWIRE_EDGE__OPEN_SYMBOLS", "true".to_owned()),
        ("TICKWIRE_LOG__FILTER", "warn".to_owned()),
    ];
    launch
}

fn one_core_go(launch: Launch) -> Launch {
    Launch { env: vec![("GOMAXPROCS", "1".to_owned())], ..launch }
}

/// Where a script lies beside the packages that it needs: `js/` of the peers' folder, its `peers/`, or itself.
fn script_folder(peers: &Path, script: &str) -> PathBuf {
    let folders = [peers.join("js"), peers.join("peers"), peers.to_path_buf()];
    let ready = |folder: &&PathBuf| folder.join(script).is_file() && folder.join("node_modules").is_dir();
    folders.iter().find(ready).unwrap_or(&folders[0]).clone()
}

/// Whether a file, or a program of the PATH, is there.
fn is_there(path: &Path) -> bool {
    if path.components().count() > 1 {
        return path.is_file();
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(path).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        let programs = "/p/target/release".into();
        Places { programs, peers: Some("/peers".into()), nats_server: "/bin/nats-server".into() }
    }

    #[test]
    fn peers_have_different_names_and_cases() {
        for (index, peer) in PEERS.iter().enumerate() {
            assert!(!peer.cases.is_empty() && PEERS.iter().skip(index + 1).all(|other| other.id != peer.id));
        }
    }

    #[test]
    fn the_edge_gets_its_ports_and_flags() {
        let server = Server { start: Start::Tickwire(&["--edge.io_uring", "on"]), ..TICKWIRE };
        let ports = server.ports().unwrap();
        let launch = server.launch(&places(), &ports, Path::new(""));
        assert_eq!(launch.program, Path::new("/p/target/release/tickwire-edge"));
        assert_eq!(launch.args, ["--edge.workers", "1", "--edge.io_uring", "on"]);
        assert!(launch.env.contains(&("TICKWIRE_EDGE__LISTEN", format!("127.0.0.1:{}", ports.clients))));
        assert_eq!(ports.all().count(), 3);
    }

    #[test]
    fn what_is_not_installed_is_named() {
        let missing: Vec<PathBuf> = PEERS.iter().filter_map(|peer| peer.missing(&places())).collect();
        assert!(missing.contains(&"/peers/peers/floor/target/release/floor".into()), "{missing:?}");
        assert!(missing.contains(&"/peers/js/node_modules/bun/bin/bun.exe".into()), "{missing:?}");
    }

    #[test]
    fn one_word_for_all_of_tickwire() {
        let server = Server { id: "tickwire-plain", ..TICKWIRE };
        assert!(server.is_meant_by("tickwire") && server.is_meant_by("tickwire-plain"));
        assert!(!server.is_meant_by("bun") && !PEERS[3].is_meant_by("tickwire"));
    }

    #[test]
    fn configuration_files() {
        let config = |id: &str| {
            let peer = PEERS.iter().find(|peer| peer.id == id).unwrap();
            peer.config(&peer.ports().unwrap())
        };
        let centrifugo: serde_json::Value = serde_json::from_str(&config("centrifugo").unwrap()).unwrap();
        assert_eq!(centrifugo["broker"]["nats"]["url"], "nats://127.0.0.1:4222");
        assert!(config("natsws").unwrap().contains("127.0.0.1:4333"));
        assert_eq!(config("bun"), None);
    }
}
