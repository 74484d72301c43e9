//! Non-blocking TCP sockets of clients. With source addresses the kernel picks the port at connect, not at bind: a port
//! is then taken per connection, not per address, and binding does not slow down as ports fill up.
//!
//! `IP_BIND_ADDRESS_NO_PORT`: <https://man7.org/linux/man-pages/man7/ip.7.html>.

use std::io;
use std::net::{IpAddr, SocketAddr};

use mio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};

/// The receive buffer of a client that reads little, in bytes: what it does not take has to wait at the server, not in
/// the megabytes that the kernel would let this side's buffer grow to.
const SMALL_BUFFER_BYTES: usize = 4 * 1024;

/// Begins to connect; the socket becomes writable when that is decided.
///
/// # Errors
/// What the kernel says at once.
pub(crate) fn connect(
    target: SocketAddr,
    source: Option<IpAddr>,
    small_buffer: bool,
) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if small_buffer {
        // Before the connect, because the handshake announces it.
        socket.set_recv_buffer_size(SMALL_BUFFER_BYTES)?;
    }
    if let Some(source) = source {
        bind_address_no_port(&socket)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    match socket.connect(&target.into()) {
        Err(error) if !is_in_progress(&error) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

fn is_in_progress(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINPROGRESS) || error.kind() == io::ErrorKind::WouldBlock
}

/// Whether the kernel has connected a socket that became writable; `false` for a false alarm.
///
/// # Errors
/// Why it could not connect.
pub(crate) fn is_connected(socket: &TcpStream) -> io::Result<bool> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    match socket.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(target_os = "linux")]
fn bind_address_no_port(socket: &Socket) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    let on: libc::c_int = 1;
    let len = std::mem::size_of_val(&on) as libc::socklen_t;
    // SAFETY: the descriptor is open as long as `socket` is borrowed, and the kernel reads `len` bytes of `on`, which
    // outlives the call.
    #[expect(unsafe_code, reason = "socket2 0.6 has no call for this option")]
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            len,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Other kernels pick the port at bind.
#[cfg(not(target_os = "linux"))]
fn bind_address_no_port(_: &Socket) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use mio::{Events, Interest, Poll, Token};

    use super::*;

    /// Connects from `source` and says where from the server saw it.
    fn seen(source: Option<IpAddr>) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut socket = connect(listener.local_addr().unwrap(), source, source.is_some()).unwrap();
        let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(1));
        poll.registry().register(&mut socket, Token(0), Interest::WRITABLE).unwrap();
        while !is_connected(&socket).unwrap() {
            poll.poll(&mut events, None).unwrap();
        }
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer, socket.local_addr().unwrap());
        peer
    }

    #[test]
    fn clients_come_from_where_they_are_told() {
        assert_eq!(seen(None).ip(), Ipv4Addr::LOCALHOST);
        if cfg!(target_os = "linux") {
            // All of 127.0.0.0/8 is this machine there.
            let source = Ipv4Addr::new(127, 0, 0, 2);
            assert_eq!(seen(Some(source.into())).ip(), source);
        }
    }

    #[test]
    fn nobody_listening_is_told() {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let told = connect(free, None, false).and_then(|socket| {
            loop {
                match is_connected(&socket) {
                    Ok(false) => std::thread::yield_now(),
                    told => break told,
                }
            }
        });
        assert_eq!(told.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
