//! A client that writes frames byte by byte, as no library would.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::edge::Edge;
use super::in_time;

/// A frame of the server: its first byte and its payload.
pub type Frame = (u8, Vec<u8>);

/// First byte of a close frame.
pub const CLOSE: u8 = 0x88;

/// See the module.
pub struct Raw {
    socket: TcpStream,
}

impl Raw {
    /// Connects, upgrades and reads the answer's headers.
    pub async fn connect(edge: &Edge) -> Self {
        Self::connect_with(edge, &[]).await
    }

    /// As [`Raw::connect`], with bytes sent in one piece with the request.
    pub async fn connect_with(edge: &Edge, early: &[u8]) -> Self {
        Self::request(edge, &[upgrade().as_bytes(), early].concat()).await
    }

    /// As [`Raw::connect`], as a proxy does for somebody else.
    pub async fn connect_for(edge: &Edge, forwarded_for: &str) -> Self {
        let header = format!("Host: edge\r\nX-Forwarded-For: {forwarded_for}\r\n");
        Self::request(edge, upgrade().replacen("Host: edge\r\n", &header, 1).as_bytes()).await
    }

    async fn request(edge: &Edge, request: &[u8]) -> Self {
        let mut socket = TcpStream::connect(edge.address).await.unwrap();
        socket.write_all(request).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(in_time("the upgrade", socket.read_u8()).await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        Self { socket }
    }

    /// Writes bytes as they are.
    pub async fn write(&mut self, bytes: &[u8]) {
        in_time("the edge reads", self.socket.write_all(bytes)).await.unwrap();
    }

    /// Writes the same bytes again and again until the edge takes no more.
    pub async fn flood(&mut self, bytes: &[u8]) {
        in_time("the edge has had enough", async { while self.socket.write_all(bytes).await.is_ok() {} })
            .await;
    }

    /// The next frame, `None` at the end.
    pub async fn frame(&mut self) -> Option<Frame> {
        in_time("a frame", async {
            let first = self.socket.read_u8().await.ok()?;
            let len = match self.socket.read_u8().await.ok()? {
                126 => u64::from(self.socket.read_u16().await.ok()?),
                127 => self.socket.read_u64().await.ok()?,
                len => u64::from(len),
            };
            let mut payload = vec![0; usize::try_from(len).unwrap()];
            self.socket.read_exact(&mut payload).await.ok()?;
            Some((first, payload))
        })
        .await
    }

    /// Reads until a text that contains `part`.
    pub async fn text_with(&mut self, part: &str) -> String {
        loop {
            let (_, payload) = self.frame().await.expect("an open connection");
            let text = String::from_utf8(payload).unwrap();
            if text.contains(part) {
                return text;
            }
        }
    }

    /// Reads until the server's close frame; gives its code.
    pub async fn close_code(&mut self) -> Option<u16> {
        while let Some((first, payload)) = self.frame().await {
            if first == CLOSE {
                return Some(u16::from_be_bytes([payload[0], payload[1]]));
            }
        }
        None
    }
}

/// The opening handshake's request.
pub fn upgrade() -> String {
    concat!(
        "GET /v1/stream HTTP/1.1\r\nHost: edge\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into()
}

/// A client's frame: this first byte, masked, length in its shortest form.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(len @ ..=125) => frame.push(0x80 | len),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// Sends a request; gives what comes first of its answer, in lower case.
pub async fn answer(edge: &Edge, request: &str) -> String {
    let mut socket = TcpStream::connect(edge.address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut head = vec![0; 4_096];
    let len = in_time("an answer", socket.read(&mut head)).await.unwrap();
    String::from_utf8_lossy(&head[..len]).to_lowercase()
}
